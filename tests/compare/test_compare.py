"""A comparison is fair, honest about its intervals, complete on disk, and never writes over
anything else."""

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.conftest import train_run
from tests.pages.test_html import parsed
from tinylm.compare import measures
from tinylm.compare.effect import effect_svg
from tinylm.compare.judge import compare_runs, judge, metre_records, write
from tinylm.compare.page import html, number, pictures, seen_note
from tinylm.compare.samples import SMOKE, Sample, enter, sample_run, whole_lines
from tinylm.config import Sampling
from tinylm.corpora.stories import consistency
from tinylm.evaluation.likelihood import measure
from tinylm.evaluation.statistics import Interval
from tinylm.evaluation.surprisal import continuation_nats, document_bits, token_nats
from tinylm.generation import Request, generate
from tinylm.model.device import choose_compute
from tinylm.runs import open_run
from tinylm.text.explain import token_label
from tinylm.text.tokenizers import CharTokenizer
from tinylm.training.load import load_model

PICTURES = ("scoreboard", "losses", "next-tokens", "same-text")


@pytest.fixture(scope="session")
def tuned_run(tmp_path_factory, base_run, verse_file):
    """A fine-tune of `base_run` on lines."""
    folder = tmp_path_factory.mktemp("tuned") / "verse"
    sample = {"every": 3, "prompts": ["the "], "tokens": 60}
    return train_run(folder, verse_file, start_from=str(base_run.folder), sample=sample)


@pytest.fixture(scope="session")
def verse_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("verse") / "verse.txt"
    verbs, nouns = ("sang", "rose", "fell", "slept"), ("cat", "net", "bell", "tide")
    lines = [f"the sea {verb} and the grey {noun} sang" for verb in verbs for noun in nouns]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def compared(tmp_path_factory, base_run, tuned_run):
    """What the comparison of the two printed, and its folder."""
    out = tmp_path_factory.mktemp("compare") / "out"
    return compare_runs([base_run.folder, tuned_run.folder], out, effort=SMOKE), out


def numbers(out) -> dict:
    """comparison.json, which must be strict JSON: no NaN, no Infinity."""

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads((out / "comparison.json").read_text(encoding="utf-8"), parse_constant=refuse)


def row_of(result: dict, name: str) -> dict:
    return next(row for row in result["scoreboard"] if row["name"] == name)


# -- the files ------------------------------------------------------------------------------------


def test_a_comparison_leaves_numbers_samples_pictures_and_a_page(compared):
    _, out = compared
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "comparison.json",
        "samples.md",
        "index.html",
        *(f"{name}.png" for name in PICTURES),
    }
    assert (out / "forgetting.png").exists()


def test_the_terminal_shows_both_runs_beside_each_other_and_the_scoreboard(compared):
    text, _ = compared
    assert re.search(r"^base +\| verse$", text, re.M)
    assert "Continuing 'the '" in text and "Bits per byte, text of base" in text


def test_both_runs_continue_the_same_prompts_with_the_same_seeds(compared, base_run, tuned_run):
    _, out = compared
    result = numbers(out)
    block = result["side_by_side"][0]
    for run, shown in zip((base_run, tuned_run), block["texts"]):
        model, tokenizer, _ = load_model(run)
        sampling = tuned_run.recipe.sample.sampling
        text = generate(model, tokenizer, Request(block["prompt"], 10, sampling, block["seed"]))[
            0
        ].text
        assert shown["text"].startswith(block["prompt"] + text[:5])


def test_every_number_of_a_table_on_the_page_stands_in_the_json(compared):
    _, out = compared
    markup = (out / "index.html").read_text(encoding="utf-8")
    result = numbers(out)
    for curve in result["losses"]:
        for point in curve["valid"]:
            assert f"{point['bits_per_byte']:.4f}" in markup
    assert markup.count("<svg") >= 5 and markup.count("<figcaption>") == markup.count("<figure>")


def test_everything_can_be_drawn_again_from_the_json_alone(compared, tmp_path):
    _, out = compared
    write(numbers(out), tmp_path)
    for name in ("index.html", "samples.md", *(f"{name}.png" for name in PICTURES)):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name


HOSTILE = "<script>alert(1)</script> {{ 7*7 }} {% raw %} {# gone #} \u202e"


def test_names_prompts_and_samples_can_never_become_markup_or_template(compared):
    result = numbers(compared[1])
    run, block = result["runs"][1], result["side_by_side"][0]
    run["run"] = run["purpose"] = block["prompt"] = block["texts"][0]["text"] = HOSTILE
    page = parsed(html(result, pictures(result)))
    shown = HOSTILE.replace("\u202e", "\ufffd")
    assert "script" not in page.seen and "\u202e" not in page.text
    # title, headings, cards, tables; the prompt is shortened
    assert page.text.count(shown) > 10 and "{# gone #}" in page.text
    assert effect_svg(result).count("&lt;script&gt;") > 2


def test_the_loss_and_the_forgetting_curve_are_those_of_the_runs(compared, tuned_run):
    _, out = compared
    result = numbers(out)
    (curve,) = result["forgetting"]
    wanted = [record["base_bits_per_byte"] for record in tuned_run.records("valid")]
    assert [point["bits_per_byte"] for point in curve["points"]] == wanted
    assert [c["stage"] for c in result["losses"]] == ["pretraining", "fine-tuning"]


def test_probabilities_of_the_next_token_are_those_of_the_models(compared, base_run):
    _, out = compared
    shown = numbers(out)["next_tokens"][0]
    model, tokenizer, _ = load_model(base_run)
    ids = torch.tensor([tokenizer.encode("\n\n" + shown["prompt"])])
    wanted = model(ids)[0, -1].softmax(-1).tolist()
    for label, row in zip(shown["tokens"], shown["probabilities"]):
        place = [token_label(tokenizer, id) for id in range(tokenizer.vocab_size)].index(label)
        assert row[0] == pytest.approx(wanted[place], abs=1e-6)


def test_the_heat_map_covers_its_text_piece_by_piece(compared):
    _, out = compared
    shown = numbers(out)["same_text"]
    assert "".join(shown["pieces"]) == shown["text"]
    assert all(len(row) == len(shown["pieces"]) for row in shown["probabilities"])
    assert all(0 <= p <= 1 + 1e-6 for row in shown["probabilities"] for p in row)


# -- what is refused ------------------------------------------------------------------------------


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, base_run):
    (tmp_path / "thesis.txt").write_text("all of it", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no earlier comparison"):
        compare_runs([base_run.folder, base_run.folder], tmp_path, effort=SMOKE)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_earlier_comparison_is_replaced(compared, base_run, tmp_path):
    out = tmp_path / "again"
    shutil.copytree(compared[1], out)
    compare_runs([base_run.folder, base_run.folder], out, effort=SMOKE)
    assert len({run["fingerprint"] for run in numbers(out)["runs"]}) == 1


def test_a_run_folder_or_a_file_is_never_written_into(tmp_path, base_run):
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    for out in (base_run.folder, file):
        with pytest.raises(ValueError, match=r"give (a|another) folder"):
            compare_runs([base_run.folder, base_run.folder], out, replace=True, effort=SMOKE)


# -- every kind of run ----------------------------------------------------------------------------


def test_a_run_compared_with_itself_differs_in_nothing(base_run):
    result = judge([base_run, base_run], SMOKE)
    assert len({run["run"] for run in result["runs"]}) == 2
    for row in result["scoreboard"]:
        # Speed is measured twice, and lines against cut text are two measures of one run.
        if row["differences"][1] and row["name"] not in (
            "Samples per second",
            "Verse lines against cut text",
        ):
            assert row["differences"][1]["verdict"] == "no measurable difference", row["name"]


def test_runs_with_other_tokenizers_adapters_and_three_of_them_compare(
    tmp_path, base_run, tuned_run, text_file
):
    lora = train_run(
        tmp_path / "lora", text_file, start_from=str(base_run.folder), lora={"rank": 2}
    )
    bpe = train_run(
        tmp_path / "bpe",
        text_file,
        tokenizer={"kind": "bpe", "vocab_size": 270},
        corpus={"text": str(text_file), "separator": "\n\n", "document_token": True},
    )
    compare_runs([base_run.folder, lora.folder, bpe.folder], tmp_path / "out", effort=SMOKE)
    result = numbers(tmp_path / "out")
    assert result["same_text"]["unit"] == "piece"
    assert all(len(row["values"]) == 3 for row in result["scoreboard"])
    assert "".join(result["same_text"]["pieces"]) == result["same_text"]["text"]


def test_document_starts_are_sampled_where_every_run_knows_them(tmp_path, text_file):
    corpus = {"text": str(text_file), "separator": "\n\n", "document_token": True}
    run = train_run(tmp_path / "docs", text_file, corpus=corpus, train={"steps": 1})
    assert "" in {block["prompt"] for block in judge([run, run], SMOKE)["side_by_side"]}


def test_a_run_that_was_only_judged_at_its_start_is_compared(tmp_path, base_run, text_file):
    run = train_run(tmp_path / "new", text_file, train={"stop_after": 1})
    assert len(run.records("valid")) == 1
    compare_runs([base_run.folder, run.folder], tmp_path / "out", effort=SMOKE)
    assert "no validation after its start" in (tmp_path / "out" / "index.html").read_text(
        encoding="utf-8"
    )


# -- the numbers ----------------------------------------------------------------------------------


def sample(*lines: str) -> Sample:
    return Sample("", 0, "\n".join(lines), lines, 1.0)


def test_only_lines_that_the_model_began_and_ended_count():
    text = "of the sea\nThe tide comes in\n\nThe boats go"
    assert whole_lines(text, prompt="The sound ", ended=False) == ("The tide comes in",)
    assert whole_lines(text, prompt="", ended=False) == ("of the sea", "The tide comes in")
    assert whole_lines(text, prompt="Once\n", ended=True) == (
        "of the sea",
        "The tide comes in",
        "The boats go",
    )


def test_verse_is_told_from_prose_and_from_its_own_words_shuffled():
    verse = sample(
        "And Mara mends the nets along the wall", "The tide comes in and lays its silver down"
    )
    assert measures.flagged([verse], measures.scans).tolist() == [[2, 2]]
    prose = sample(
        "One grey morning her blue ladle was gone, and only the goat of the baker would look at her"
    )
    assert measures.flagged([prose], measures.scans).tolist() == [[0, 1]]


def test_rhymes_count_for_both_lines_and_only_nearby():
    samples = [
        sample(
            "He saw the light",
            "A stone",
            "It was the night",
            "A gate",
            "A door",
            "It took its flight",
        )
    ]
    assert measures.rhyming(samples).tolist() == [[2, 6]]


def test_a_line_is_distinct_the_first_time_it_comes():
    samples = [sample("a b", "a b"), sample("a b", "c d"), sample("a b", "e f")]
    assert measures.first_times(samples).tolist() == [[1, 2], [1, 2], [1, 2]]


def test_a_share_without_lines_is_missing_and_not_zero():
    row = measures.share_row("x", "y", [np.array([[0, 0]]), np.array([[1, 2]])])
    assert row["values"][0] is None and row["differences"][1] is None


def test_the_difference_of_two_shares_is_paired_over_the_samples():
    rng = np.random.default_rng(1)
    hard = rng.integers(0, 9, 60)  # some starts are easier than others, for both runs
    base = np.stack([hard, np.full(60, 10)], axis=1)
    better = base + np.array([1, 0])
    gap = measures.share_difference(better, base)
    assert gap.mean == pytest.approx(0.1) and gap.high - gap.low < 1e-9
    assert measures.share_difference(base, base) == Interval(0.0, 0.0, 0.0)


def test_a_run_that_trained_on_anothers_validation_text_is_marked(verse_file, tmp_path):
    longer = tmp_path / "longer.txt"
    text = verse_file.read_text(encoding="utf-8")
    # its first 90 % hold all of the shorter text
    longer.write_text(text + text[::-1], encoding="utf-8")
    runs = [
        train_run(tmp_path / name, file, train={"steps": 1})
        for name, file in (("a", verse_file), ("b", longer))
    ]
    result = judge(runs, SMOKE)
    row = row_of(result, "Bits per byte, text of a")
    seen = [value["seen"] for value in row["values"]]
    assert seen[0] == 0 and seen[1] >= 0.5  # the cut falls inside a line
    assert "†" in number(row["values"][1], "bits/byte") and "†" not in number(
        row["values"][0], "bits/byte"
    )
    assert len(seen_note(result)) == 1


def test_a_run_is_shown_verse_only_where_the_lines_fit_into_half_a_context(verse_file, tmp_path):
    for context, rows in ((320, 1), (64, 0)):
        fields = {"model": {"context": context}, "train": {"steps": 1, "batch_size": 1}}
        corpus = {"text": str(verse_file), "valid_share": 0.3}
        run = enter(
            train_run(tmp_path / str(context), verse_file, corpus=corpus, **fields), "verse", SMOKE
        )
        assert len(measures.prompted_rows([run, run], Sampling(), SMOKE)) == rows


def test_facts_are_asked_only_where_a_run_learned_the_stories(compared):
    assert "Facts known" not in {row["name"] for row in numbers(compared[1])["scoreboard"]}


def test_stories_are_told_and_judged_where_a_run_learned_the_stories(
    compared, tuned_run, text_file, tmp_path
):
    corpus = {"text": "stories", "size": 30_000, "document_token": True}
    teller = enter(train_run(tmp_path / "teller", text_file, corpus=corpus), "teller", SMOKE)
    told = measures.tell_stories(teller, Sampling(), SMOKE)
    (row,) = measures.story_rows([teller, enter(tuned_run, "verse", SMOKE)], Sampling(), SMOKE)
    assert len(told) == SMOKE.stories and row["values"][1] is None
    assert row["values"][0]["mean"] == pytest.approx(
        np.mean([consistency(text).score for text in told])
    )
    assert measures.story_rows([enter(tuned_run, "verse", SMOKE)], Sampling(), SMOKE) == []


# -- likelihood -----------------------------------------------------------------------------------


def test_windows_that_do_not_overlap_agree_with_the_full_pass(base_run):
    model, tokenizer, _ = load_model(base_run)
    # 3 * 16 + 1
    ids = tokenizer.encode_array("the grey cat sang low by the old door until the tide came in ")[
        :49
    ]
    whole = measure(model, ids, tokenizer, choose_compute("cpu", "fp32"))
    assert token_nats(model, ids, stride=16).sum() == pytest.approx(whole.nats, rel=1e-5)


def test_a_sliding_window_gives_each_token_its_full_context_when_the_stride_is_one(base_run):
    model, tokenizer, _ = load_model(base_run)
    ids = tokenizer.encode_array("the grey cat sang low by the old door until the tide")
    nats = token_nats(model, ids, stride=1)
    with torch.no_grad():
        logits = model(torch.from_numpy(ids[20:36].astype(np.int64))[None])[0, -1]
    assert nats[35] == pytest.approx(-float(logits.log_softmax(-1)[int(ids[36])]), abs=1e-5)


def test_bits_are_spread_over_bytes_and_add_up(base_run):
    model, tokenizer, _ = load_model(base_run)
    documents = ["the old grey cat", "a Zürich tide"]
    bits, ends = document_bits(model, tokenizer, documents, document_token=False)
    assert len(bits) == ends[-1] == sum(len(text.encode()) for text in documents)
    begin = tokenizer.encode("\n\n")
    nats = [
        token_nats(model, np.array(begin + tokenizer.encode(text)))[len(begin) - 1 :]
        for text in documents
    ]
    assert bits.sum() == pytest.approx(np.concatenate(nats).sum() / np.log(2), rel=1e-5)


def test_a_document_costs_the_same_whatever_stands_beside_it(base_run):
    model, tokenizer, _ = load_model(base_run)
    one, other = "the old grey cat", "the sea and the net and the bell house sang"
    together, _ = document_bits(model, tokenizer, [other, one], document_token=False)
    alone, _ = document_bits(model, tokenizer, [one], document_token=False)
    assert together[-len(one) :] == pytest.approx(alone, rel=1e-5)


def test_a_continuation_costs_the_same_alone_and_among_longer_ones(base_run):
    model, tokenizer, _ = load_model(base_run)
    pairs = [
        ("the", " sea"),
        ("the old", " grey cat"),
        ("a very long prompt that does not fit the context", " sea"),
    ]
    together = continuation_nats(model, tokenizer, pairs, document_token=False)
    alone = [continuation_nats(model, tokenizer, [pair], document_token=False)[0] for pair in pairs]
    assert together == pytest.approx(alone, rel=1e-5)
    ids = np.array(tokenizer.encode("\n\nthe sea"))
    assert together[0] == pytest.approx(token_nats(model, ids, stride=1)[-4:].sum(), rel=1e-5)


def test_a_text_of_one_token_cannot_be_scored(base_run):
    model, _, _ = load_model(base_run)
    with pytest.raises(ValueError, match="too few to score"):
        token_nats(model, np.array([1]))


def test_the_texts_are_read_back_from_the_run_folder_alone(tmp_path, text_file):
    corpus = {"text": str(text_file), "separator": "\n\n", "document_token": True}
    run = train_run(tmp_path / "docs", text_file, corpus=corpus, train={"steps": 1})
    found = enter(open_run(run.folder), "docs", SMOKE)
    paragraphs = {p.strip() for p in text_file.read_text(encoding="utf-8").split("\n\n")}
    assert {text.strip() for text in found.valid} <= paragraphs and len(found.valid) > 1
    assert isinstance(found.loaded.tokenizer, CharTokenizer)


def test_samples_of_several_batches_have_seeds_of_their_own(base_run):
    contestant = enter(base_run, "base", SMOKE)
    effort = replace(SMOKE, batch=2, sample_bytes=8)
    samples = sample_run(contestant, ["the "], Sampling(), effort, 5)
    assert [row.seed for row in samples] == [0, 1, 2, 3, 4]


def test_a_prompt_of_lines_comes_from_the_validation_text_alone(base_run):
    contestant = replace(enter(base_run, "base", SMOKE), training="a\n" * 9, valid=("the",))
    assert measures.prompted_rows([contestant], Sampling(), SMOKE) == []  # one line is too few


def test_the_last_word_of_a_sample_is_no_part_of_a_stretch_of_ten_syllables():
    ten, eleven = " ".join(["net"] * 10), " ".join(["net"] * 11)
    counts = measures.cut_shares([Sample("", 0, text, (), 0.0) for text in (ten, eleven)])
    assert counts[:, 1].tolist() == [0, 1]


def test_the_metre_of_the_samples_is_told_in_the_order_of_the_steps():
    rows = [{"step": step, "prompt": "", "text": "the net\nthe"} for step in (30, 10, 20)]
    run = SimpleNamespace(log=lambda name: rows)
    (curve,) = metre_records([run], ["verse"])
    assert [point["step"] for point in curve["points"]] == [10, 20, 30]


def test_a_word_in_capitals_is_no_other_word():
    blocks = measures.different([sample(*["The cat", "the cat"] * 25)], 1)
    assert blocks.tolist() == [[2, 100]]
