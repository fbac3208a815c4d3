"""Controls: the cause is taken away, and nothing else."""

from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tests.lessons.test_cost import SIZES, losses
from tests.lessons.test_experiment import finish
from tests.lessons.test_lesson import TOY
from tinylm.assistant.tools import Call, Orders, calculator, run_call, toolbox
from tinylm.cli import main
from tinylm.corpora.handbook import questions
from tinylm.corpora.stories import stories
from tinylm.evaluation.surprisal import document_bits
from tinylm.lessons import (
    assistant,
    cost,
    decide,
    domain,
    emergence,
    foundation,
    lock_in,
    memorise,
    next_token,
    quality,
    reasoning,
    retrieval,
    reward,
    style,
    tools,
)
from tinylm.lessons.experiment import Experiment, Progress, folder_name
from tinylm.lessons.lesson import control_verdict, lessons, run_lesson
from tinylm.lessons.shared import noise_base, shuffled_tokens, unseen_stories
from tinylm.runs import open_run, read_json, write_json
from tinylm.text.batches import Corpus
from tinylm.text.tokenizers import DOCUMENT, CharTokenizer
from tinylm.training.load import load_model, token_file


class Noted(Experiment):
    """An experiment that notes what it would train and measure, and has the shared base in the
    place of each run."""

    def __init__(self, *settings):
        super().__init__(*settings)
        self.trained, self.measured = {}, {}

    def train(self, name, recipe, corpus=None):
        self.trained[name] = (recipe, corpus)
        yield Progress(name, 0, 1)
        return (yield from self.base(1))

    def measure(self, name, settings, function):
        self.measured[name] = function
        return defaultdict(float)


@pytest.fixture
def noted(lessons_folder):
    """A function: what a lesson or its control does until `enough` is true of its experiment."""

    def until(module, control, enough):
        experiment = Noted("smoke", lessons_folder / folder_name("noted", control), control)
        steps = module.run(experiment)
        while not enough(experiment):
            next(steps)
        steps.close()
        return experiment

    return until


@pytest.fixture
def trained(noted):
    """A function: the first `count` runs that a lesson or its control would train, as name ->
    (recipe, text)."""

    def first(module, control, count):
        return noted(module, control, lambda seen: len(seen.trained) == count).trained

    return first


@pytest.fixture(scope="session")
def experiments(lessons_folder):
    """The experiment of some lesson, and that of its control, on the shared runs of all tests."""
    return tuple(
        Experiment("smoke", lessons_folder / folder_name("toy", control), control)
        for control in (False, True)
    )


def made(steps):
    return finish(steps)[1]


def counts(ids):
    return Counter(np.asarray(ids).tolist())


# -- the mechanism --------------------------------------------------------------------------------


def test_every_lesson_says_what_its_control_takes_away_and_states_it_in_its_header():
    for lesson in lessons():
        assert lesson.control.endswith(".") and lesson.control.count(". ") == 0
        header = __import__(lesson.run.__module__, fromlist=["_"]).__doc__
        assert "control run" in header and "Expected: " in header, lesson.name


def test_a_control_has_a_folder_of_its_own_and_says_so_in_its_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for control in (False, True):
        *_, last = run_lesson(TOY, "smoke", control=control)
        folder = tmp_path / "runs" / "lessons-smoke" / folder_name("toy", control)
        assert read_json(folder / "results.json")["control"] is control
        assert last.results["control_takes_away"] == TOY.control
        assert (TOY.control in last.results["sentence"]) == control


def test_a_folder_with_results_of_the_lesson_is_refused_to_its_control(tmp_path):
    list(run_lesson(TOY, "smoke", tmp_path))
    with pytest.raises(ValueError, match="results of the lesson itself; give another folder"):
        list(run_lesson(TOY, "smoke", tmp_path, control=True))


def test_what_a_control_measures_is_not_taken_for_what_the_lesson_measured(tmp_path):
    for control in (False, True):
        experiment = Experiment("smoke", tmp_path / "toy", control)
        assert experiment.measure("tools", "same settings", lambda c=control: c) == control


def test_a_control_shares_the_base_and_any_run_that_is_the_same_as_the_lessons(experiments):
    of_lesson, of_control = experiments
    base = made(of_lesson.base(1))
    assert made(of_control.base(1)).folder == base.folder
    recipe = of_lesson.base_recipe(1, **{"train.steps": "2", "train.evaluate_every": "2"})
    assert of_control.run_folder("arm", recipe).parent.parent == of_control.out
    run = made(of_lesson.train("arm", recipe))
    assert made(of_control.train("arm", recipe)).folder == run.folder
    assert of_control.seconds == of_lesson.seconds > 0


def test_the_command_runs_a_control_and_marks_one_that_is_supported(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tinylm.lessons.lesson.find_lesson", lambda name: TOY)
    main(["lesson", "toy", "--control", "--out", str(tmp_path)])
    shown = capsys.readouterr()
    assert TOY.control in shown.err and "SUPPORTED" in shown.out and "PROBLEM" in shown.out
    main(["lesson", "toy", "--control", "--scale", "smoke", "--out", str(tmp_path / "smoke")])
    assert "as it must be" in capsys.readouterr().out
    assert control_verdict({"verdict": "supported"}).startswith("PROBLEM")


# -- texts ----------------------------------------------------------------------------------------


def test_shuffled_tokens_are_the_same_tokens_and_stay_on_their_side():
    tokenizer = CharTokenizer.train("abcdefgh", [DOCUMENT])
    train, valid = np.arange(8, dtype=np.uint16), np.arange(4, dtype=np.uint16)
    mixed = shuffled_tokens(Corpus(tokenizer, train, valid, "text"))
    assert counts(mixed.train) == counts(train) and counts(mixed.valid) == counts(valid)
    assert mixed.train.tolist() != train.tolist() and mixed.train[0] == train[0]
    assert mixed.train.dtype == train.dtype and mixed.sha256 != "text"


def test_next_token_scores_shuffled_text_as_it_is_cut(experiments, trained):
    ((_, text),) = trained(next_token, control=True, count=1).values()
    base = made(experiments[0].base(1))
    assert trained(next_token, control=False, count=1)["characters, seed 1"][1] is None
    assert counts(text.train) == counts(token_file(base, "train"))
    # On the stories themselves the ids give what their text gives.
    model, tokenizer, _ = load_model(base)
    documents = next_token.read_documents(base, load_model(base), "valid")
    bits, _ = document_bits(model, tokenizer, documents, document_token=True)
    assert np.mean(next_token.gpt_bits(base)) == pytest.approx(bits.mean(), rel=1e-5)


def test_an_empty_story_of_a_shuffled_text_costs_nothing():
    tokenizer = CharTokenizer.train("ab", [DOCUMENT])
    begin, a = tokenizer.special_id(DOCUMENT), *tokenizer.encode("a")
    ids = np.array([begin, a, begin, begin])
    assert next_token.per_story(np.array([3.0, 9.0, 9.0]), ids, tokenizer).tolist() == [9, 0, 0]


def test_emergence_practises_on_the_same_tokens_in_random_order(experiments, monkeypatch):
    seen = []
    monkeypatch.setattr(emergence, "along", lambda _, seed, corpus, look: seen.append(corpus) or [])
    monkeypatch.setattr(emergence, "conclude", lambda looks: None)
    for experiment in experiments:
        made(emergence.run(experiment))
    whole, mixed = seen[0], seen[-1]
    assert counts(whole.train) == counts(mixed.train)
    assert (whole.train != mixed.train).mean() > 0.5


def test_memorise_gives_every_arm_as_many_stories(trained):
    def stories_read(control):
        texts = [corpus for _, corpus in trained(memorise, control, count=3).values()]
        begin = texts[0].tokenizer.special_id(DOCUMENT)
        return [int((text.train == begin).sum()) for text in texts]

    assert stories_read(control=False) == [4, 4, 16]
    assert stories_read(control=True) == [15, 15, 16]


def test_reasoning_writes_strange_steps_and_judges_the_answer_alone():
    train, tested = reasoning.problems(reasoning.SIZES["smoke"])
    for own in (train[:40], tested):
        for before, after in zip(own, reasoning.with_strange_steps(own, 1)):
            assert (before.question, before.answer("direct answer")) == (
                after.question,
                after.answer("direct answer"),
            )
            words = after.answer("worked steps").split()
            assert len(words) == len(before.answer("worked steps").split())
            ids, mask = reasoning.encoded(after, "worked steps")
            learned = [id for id, counted in zip(ids, mask) if counted]
            assert reasoning.TOKENIZER.decode(learned) == words[-1] == f"{before.steps[-1][3]}."
    mixed = reasoning.with_strange_steps(tested, 1)
    assert sum(own.strange == own.steps for own in mixed) < len(mixed) / 8


def test_quality_gives_every_arm_all_clean_poems_in_another_order(trained):
    poems = [f"poem {number}" for number in range(32)]
    texts = quality.same_versions(poems, seed=1)
    assert texts.keys() == quality.versions(poems, seed=1).keys()
    assert all(sorted(own) == sorted(poems) for own in texts.values())
    assert len({tuple(own) for own in texts.values()}) == len(texts)
    runs = trained(quality, control=True, count=8)
    assert len({corpus.train.size for _, corpus in runs.values()}) == 1


def test_style_takes_the_order_of_words_out_of_the_verse_and_the_metre_out_of_the_reward(
    experiments, trained
):
    whole, mixed = map(style.verse_of, experiments)
    for before, after in zip(whole[0] + whole[1], mixed[0] + mixed[1]):
        assert before != after
        for line, other in zip(before.split("\n"), after.split("\n"), strict=True):
            assert sorted(line.split()) == sorted(other.split())
    for control, scorer in ((False, "metre"), (True, "lottery")):
        runs = trained(style, control, count=3 + 1)
        recipe, corpus = runs["rewarded, seed 1"]
        assert recipe.reward.scorer == scorer
        text = corpus or runs["full fine-tune, seed 1"][1]
        first = (whole, mixed)[control][0][0].split("\n")[0]
        assert first in text.tokenizer.decode(text.train.tolist())


def test_reward_draws_every_reward_by_lot_and_changes_nothing_else(trained):
    def recipes(control):
        return {name: recipe for name, (recipe, _) in trained(reward, control, count=7).items()}

    before, after = recipes(control=False), recipes(control=True)
    assert before.keys() == after.keys() and "no KL term" in after
    for name, recipe in before.items():
        by_lot = recipe.reward.model_copy(update={"scorer": "lottery"})
        assert recipe.model_copy(update={"reward": by_lot}) == after[name], name
    assert [r.reward.scorer for r in before.values()].count("lottery") == 1


def test_domain_reads_ordinary_words(experiments, trained):
    sizes = domain.SIZES["smoke"]
    (train, unseen, asked), logs = domain.ordinary(sizes), domain.alien(sizes)
    assert [len(train), len(unseen), len(asked)] == [len(own) for own in logs]
    read = {story.text for story in islice(stories(0), 500)}
    assert not read & {*train, *unseen} and not {*unseen_stories(50)} & {*train, *unseen}
    _, text = trained(domain, control=True, count=1).popitem()[1]
    assert train[0] in text.tokenizer.decode(text.train.tolist())


# -- bases ----------------------------------------------------------------------------------------


def test_a_base_of_noise_has_read_as_many_tokens_of_documents_as_long(experiments):
    base, noise = made(experiments[0].base(1)), made(noise_base(experiments[1], 1))
    assert made(noise_base(experiments[1], 1)).folder == noise.folder
    assert noise.folder.parent == base.folder.parent
    begin = load_model(base).tokenizer.special_id(DOCUMENT)
    for side in ("train", "valid"):
        before, after = (np.asarray(token_file(run, side)) for run in (base, noise))
        assert ((before == begin) == (after == begin)).all()
        assert (before == after).mean() < 0.1
    # Of 300 tokens each is drawn about as often as any other.
    assert max(counts(token_file(noise, "train")[:3000]).values()) < 3000 / 20


def test_foundation_starts_from_noise(experiments, trained):
    noise = made(noise_base(experiments[1], 1))
    for control in (False, True):
        runs = trained(foundation, control, count=6)
        starts = {
            recipe.start_from for name, (recipe, _) in runs.items() if "from the base" in name
        }
        assert (starts == {str(noise.folder)}) == control


def test_the_assistant_of_a_control_starts_from_noise_and_is_no_assistant_of_others(
    experiments, noted
):
    def starts(control):
        name = "educated hire, practice all, seed 1"
        return noted(assistant, control, lambda seen: name in seen.measured).measured[name].args[0]

    own, other = starts(control=False), starts(control=True)
    assert own.name.startswith("assistant-seed-1") and other.name.startswith("control-assistant")
    noise = made(noise_base(experiments[1], 1))
    prepared = open_run(Path(other.recipe.start_from))
    assert prepared.manifest["parent"]["fingerprint"] == noise.fingerprint


def test_lock_in_has_a_second_version_that_reads_nothing_new(experiments, monkeypatch):
    read = []

    def reading(experiment, seed, edition=1, parent=None):
        read.append(edition)
        return (yield from experiment.base(seed))

    monkeypatch.setattr(lock_in, "base_with_facts", reading)
    for control, expected in ((False, [1, 2]), (True, [1, 1])):
        read.clear()
        noted = Noted("smoke", experiments[0].out, control)
        steps = lock_in.run(noted)
        while len(noted.trained) < 2:
            next(steps)
        steps.close()
        assert read == expected
        # Both children read the same.
        (one, first), (other, second) = noted.trained.values()
        assert (first.train == second.train).all() and one.train == other.train


# -- numbers, passages, tools ---------------------------------------------------------------------


def test_cost_exchanges_the_sizes_of_the_fitted_shapes_and_no_longer_foresees_the_next_one():
    points = {seed: [*map(losses, SIZES), losses(1e6)] for seed in (1, 2, 3)}
    exchanged = cost.with_sizes_exchanged(points)
    for seed, shapes in points.items():
        own = exchanged[seed]
        assert own[-1] == shapes[-1]
        assert [[p.loss for p in shape] for shape in own] == [
            [p.loss for p in shape] for shape in shapes
        ]
        assert sorted(shape[0].parameters for shape in own[:-1]) == sorted(SIZES)
    assert cost.conclude(points, speed=1e11).verdict == "supported"
    assert cost.conclude(exchanged, speed=1e11).verdict != "supported"


def test_retrieval_hands_over_the_passage_of_another_question(experiments):
    for question in islice(questions(), 30):
        other = retrieval.another(question)
        assert other.document != question.document and other == retrieval.another(question)
        index = retrieval.only(other.evidence, other.document, question)
        passage = index.search(question.question)[0].passage.text
        assert question.evidence not in passage and passage in other.evidence


def test_tools_return_what_was_not_asked_for():
    orders = Orders(7)
    calls = ("calculator", ("12 * 12",)), ("order", (orders.numbers()[3],)), ("book", (4, "Monday"))
    right = toolbox(calculator(), *orders.tools())
    noise = tools.noisy(right, orders, seed=1)
    assert noise.keys() == right.keys()
    for name, arguments in calls:
        told = run_call(Call(noise[name], arguments))
        assert not told.startswith("error") and told != "144"
        if name == "order":
            assert told != orders.look_up(*arguments)
            assert told in map(orders.look_up, orders.numbers())
    assert orders.bookings() != [(4, "Monday")]


@pytest.mark.parametrize("control", [False, True])
def test_only_a_control_is_handed_noise_and_other_passages(noted, control):
    for module, last in (
        (tools, "berths booked, seed 1"),
        (retrieval, "retrieved, second edition, seed 1"),
    ):
        measured = noted(module, control, lambda seen, last=last: last in seen.measured).measured
        for name in ("with tools, seed 1", "retrieved, seed 1", last):
            if name in measured:
                assert list(measured[name].keywords.values()) == [control]


def test_decide_rests_on_the_controls_of_the_lessons(tmp_path):
    experiment = Experiment("full", tmp_path / "decide-control", control=True)
    results = {"scale": "full", "verdict": "not supported", "sentence": "", "arms": {}, "bars": {},
               "minutes": 1.0, "base_minutes": 0.0}  # fmt: skip
    for row in decide.ROWS:
        (tmp_path / row.lesson).mkdir()
        write_json(tmp_path / row.lesson / "results.json", results | {"verdict": "supported"})
    with pytest.raises(ValueError, match="tinylm lesson retrieval --control"):
        made(decide.run(experiment))
    (tmp_path / "tools-control").mkdir()
    write_json(tmp_path / "tools-control" / "results.json", results)
    result = made(decide.run(experiment))
    assert result.verdict == "not supported"
    decisions = list(result.details["decisions"].values())
    assert decisions[1] == decide.ROWS[1].not_supported
    assert decisions[0] == "Not decided. Run: tinylm lesson retrieval --control"


@pytest.mark.parametrize("name", ["reasoning", "cost", "next-token"])
def test_a_control_runs_through_at_smoke_scale(name, smoke_lesson, smoke_control):
    lesson, control = smoke_lesson(name), smoke_control(name)
    assert control["control"] and not lesson["control"]
    assert control["arms"] and control["seeds"] == lesson["seeds"]
