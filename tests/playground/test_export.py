"""What goes into the file: rounded weights, a policy, facts that can never become markup."""

import base64
import hashlib
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.playground.conftest import VERSE, family
from tinylm.config import ModelConfig, Sampling
from tinylm.model.gpt import GPT
from tinylm.model.size import flops_per_token
from tinylm.playground import meter_table
from tinylm.playground.export import eight_numbers, facts_of, language_of, write_page
from tinylm.playground.meter_table import is_verse, table_of
from tinylm.playground.weights import ALLOWED, choose, pack
from tinylm.text.tokenizers import CharTokenizer


@pytest.fixture(scope="module")
def page(bpe_run, tuned_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "new" / "play.html"
    assert write_page([bpe_run, tuned_run], out) == out
    return out.read_text(encoding="utf-8")


def facts_in(page, name="facts"):
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', page, re.S)[1])


def test_the_page_holds_both_runs_and_their_numbers(page, bpe_run, tuned_run):
    facts = facts_in(page)
    assert [run["name"] for run in facts["runs"]] == [bpe_run.name, tuned_run.name]
    numbers = dict(facts["runs"][0]["numbers"])
    assert len(numbers) == 8 and numbers["parameters"] == f"{bpe_run.manifest['parameters']:,}"
    assert numbers["context"] == "40 tokens" and numbers["vocabulary"] == "280 tokens"
    assert "nats per token" in facts["runs"][0]["rounding"]


def test_every_weight_begins_at_a_multiple_of_four_bytes_and_is_read_from_there():
    model = GPT(ModelConfig(vocab_size=51, context=8, depth=1, width=15, heads=1, head_dim=6))
    model.initialise(torch.Generator().manual_seed(0))
    packed = pack(model, "int8")
    for entry in packed.entries:
        assert entry["offset"] % 4 == 0  # a browser reads floats from nowhere else
        body = packed.body[entry["offset"] : entry["offset"] + entry["bytes"]]
        rounded = packed.rounded[entry["name"]]
        if entry["kind"] == "int8":
            numbers = np.frombuffer(body[: rounded.numel()], "i1").reshape(rounded.shape)
            scales = np.frombuffer(body[rounded.numel() :], "<f4")
            assert np.allclose(numbers * scales[:, None], rounded)
        else:
            assert np.allclose(np.frombuffer(body, "<f4").reshape(rounded.shape), rounded)


def test_only_a_run_that_learned_verse_gets_metre_marks(page):
    facts = facts_in(page)
    assert [run["metre"] for run in facts["runs"]] == [False, True] and facts_in(page, "language")[
        "table"
    ]["words"]
    assert is_verse(VERSE) and not is_verse(
        "The cat sat down.\nIt rained for three days and nobody came to see it."
    )


def test_the_policy_allows_the_pages_own_scripts_and_style_and_nothing_else(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace(
        "&#x27;", "'"
    )
    for tag, count in (("script", 3), ("style", 1)):
        bodies = list(dict.fromkeys(re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S)))
        digests = [
            base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies
        ]
        assert len(bodies) == count
        assert f"{tag}-src " + " ".join(f"'sha256-{digest}'" for digest in digests) + ";" in policy
    assert (
        policy.startswith("default-src 'none';") and "unsafe" not in policy and "http" not in policy
    )
    assert not re.search(r"(?:src|href)=", page) and "@import" not in page


def test_a_name_full_of_markup_stays_text(page):
    assert "<script>alert" not in page
    assert "<title>Playground: base and &lt;script&gt;alert(1)&lt;</title>" in page


def test_weights_read_back_are_the_rounded_ones_and_int8_takes_a_quarter_of_fp32():
    model = family("qwen3", 300)
    packed = {kind: pack(model, kind) for kind in ("int8", "fp16", "fp32")}
    size = {kind: len(one.body) for kind, one in packed.items()}
    assert size["int8"] < 0.4 * size["fp32"] and 0.45 < size["fp16"] / size["fp32"] < 0.55
    for name, weight in model.named_parameters():
        steps = weight.abs().amax(-1, keepdim=True) / 127 if weight.ndim == 2 else torch.zeros(1)
        assert (packed["int8"].rounded[name] - weight).abs().le(steps / 2 + 1e-6).all()
        torch.testing.assert_close(packed["fp16"].rounded[name], weight, rtol=1e-3, atol=1e-6)


def test_rounding_is_chosen_by_the_measured_loss():
    tokenizer = CharTokenizer.train("abc")
    ids = np.array(tokenizer.encode("abcab" * 60))
    model = family("gpt2", tokenizer.vocab_size)
    with torch.no_grad():  # it always says: a, b or c
        model.norm.weight.zero_()
        model.norm.bias.copy_(torch.eye(16)[1])
        model.tokens.weight[:, 1] = torch.where(torch.arange(tokenizer.vocab_size) < 3, 10.0, 0.0)
    choice = choose(model, tokenizer, ids)
    assert choice.packed.kind == "int8" and abs(choice.nats["int8"] - choice.nats["fp32"]) < ALLOWED
    with torch.no_grad():
        # nothing listens to it, but in bytes it drowns the rest of its row
        model.tokens.weight[:, 0] = 1e4
    choice = choose(model, tokenizer, ids)
    assert choice.packed.kind == "fp16" and choice.nats["int8"] - choice.nats["fp32"] > 1
    assert choose(model, tokenizer, None).packed.kind == "fp16"  # nothing to measure on


def test_a_lora_run_travels_merged(tuned_run, page):
    names = [entry["name"] for entry in facts_in(page)["runs"][1]["tensors"]]
    with torch.device("meta"):
        assert names == [name for name, _ in GPT(tuned_run.model_config).named_parameters()]


def test_what_does_not_go_onto_a_page_is_told(base_run, bpe_run, tmp_path):
    with pytest.raises(ValueError, match="one to 3 runs, not 4"):
        write_page([bpe_run] * 4, tmp_path / "play.html")
    with pytest.raises(ValueError, match="different tokenizers"):
        write_page([base_run, bpe_run], tmp_path / "play.html")
    with pytest.raises(ValueError, match="is a folder"):
        write_page([bpe_run], tmp_path)
    assert not (tmp_path / "play.html").exists()


def test_the_word_table_keeps_the_most_frequent_words_once():
    table = table_of(["tide tide lantern"])
    words = [word for _, _, group in table["words"] for word in group.split(" ")]
    assert {"tide", "lantern", "the"} <= set(words) and len(words) == len(set(words))


def test_a_million_parameters_stay_under_three_megabytes(bpe_run):
    shape = {
        "width": 128,
        "heads": 2,
        "depth": 4,
        "mlp_width": 344,
        "mlp": "swiglu",
        "vocab_size": 2048,
    }
    model = GPT(bpe_run.model_config.model_validate(shape))
    assert sum(weight.numel() for weight in model.parameters()) > 1_000_000
    assert len(base64.b64encode(pack(model, "fp16").body)) < 2.9e6
    assert len(base64.b64encode(pack(model, "int8").body)) < 1.5e6


def player_of(sampling=None, valid="", train="", **manifest):
    recipe = SimpleNamespace(
        sample=SimpleNamespace(sampling=sampling or Sampling(), prompts=["The "]),
        corpus=SimpleNamespace(document_token=False),
    )
    run = SimpleNamespace(name="x", recipe=recipe, manifest=manifest)
    packed = SimpleNamespace(body=b"", kind="int8", entries=[])
    choice = SimpleNamespace(packed=packed, nats={})
    config = ModelConfig(vocab_size=3, context=8, depth=1, width=8, heads=1)
    model = SimpleNamespace(config=config)
    return SimpleNamespace(
        run=run,
        model=model,
        tokenizer=CharTokenizer("abc"),
        choice=choice,
        valid=valid,
        train=train,
    )


def test_the_page_asks_with_the_sampling_of_the_recipe():
    sampling = Sampling(temperature=0.7, top_k=5, top_p=0.9, min_p=0.1)
    asked = facts_of([player_of(sampling)])["sampling"]
    assert asked == {"temperature": 0.7, "topK": 5, "topP": 0.9, "minP": 0.1}


def test_time_is_told_in_minutes_and_work_without_the_training():
    player = player_of(seconds=150.0)
    numbers = dict(eight_numbers(player))
    assert numbers["time to train"] == "2.5 minutes"
    forward = flops_per_token(player.model.config, training=False)
    assert numbers["operations for each token written"] == f"{forward:,} FLOPs"


def test_the_words_of_the_metre_are_those_that_a_run_learned_from():
    lines = VERSE + "\nlantern"
    words = words_in(language_of([player_of(valid=VERSE, train=lines)])["table"])
    assert "lantern" in words and "lantern" not in VERSE


def test_a_full_table_keeps_the_most_frequent_words(monkeypatch):
    monkeypatch.setattr(meter_table, "MOST_WORDS", 2)
    words = words_in(table_of(["lantern harbour lantern harbour window"]))
    assert {"lantern", "harbour"} <= words and "window" not in words


def words_in(table) -> set[str]:
    return {word for _, _, words in table["words"] for word in words.split()}
