"""The third stage: what is sampled, who gets the credit, and that a resumed run repeats it."""

import json

import numpy as np
import pytest
import torch

from tests.conftest import tiny_recipe, train_run
from tests.training.test_trainer import contents
from tinylm.evaluation.rewards import REWARDS, LineScore, Reward
from tinylm.model.lora import LoraLinear
from tinylm.pages.figures import loss_records
from tinylm.runs import open_run
from tinylm.training.checkpoint import STATE
from tinylm.training.load import load_model, read_tensors
from tinylm.training.resume import resume_run
from tinylm.training.reward import NO_LINE, Prompts, Rollout, questions
from tinylm.training.start import start_run

STEPS = {"steps": 6, "batch_size": 4, "evaluate_every": 3, "optimizer": "adamw"}


@pytest.fixture(scope="module")
def verse_file(tmp_path_factory):
    """Forty short poems with many short lines."""
    words = [
        "the",
        "old",
        "grey",
        "cat",
        "sat",
        "by",
        "a",
        "door",
        "and",
        "sang",
        "of",
        "sun",
        "and",
        "sea",
        "to",
        "me",
    ]
    poems = (
        "\n".join(" ".join(words[(p + 3 * r + w) % len(words)] for w in range(3)) for r in range(4))
        for p in range(40)
    )
    path = tmp_path_factory.mktemp("verse") / "verse.txt"
    path.write_text("\n\n".join(poems) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def parent(tmp_path_factory, verse_file):
    return train_run(
        tmp_path_factory.mktemp("runs") / "verse",
        verse_file,
        corpus={"separator": "\n\n", "document_token": True},
        model={"context": 64},
        train={"steps": 60, "evaluate_every": 30},
    )


def reward_recipe(verse_file, parent, reward=None, **fields):
    fields.setdefault("train", STEPS)
    return tiny_recipe(
        verse_file,
        start_from=str(parent.folder),
        corpus={"separator": "\n\n", "document_token": True},
        model={"context": 64},
        reward={"scorer": "metre", "samples": 8, "tokens": 40, **(reward or {})},
        **fields,
    )


def trainer_of(folder, verse_file, parent, **fields):
    return start_run(reward_recipe(verse_file, parent, **fields), folder)


def test_every_token_gets_the_advantage_of_its_own_line():
    rollout = Rollout(
        ids=torch.zeros(2, 4, dtype=torch.long),
        sampled=torch.ones(2, 3, dtype=torch.bool),
        line=torch.tensor([[0, 0, 1], [2, NO_LINE, NO_LINE]]),
        scores=[LineScore(1.0, True), LineScore(0.0, False), LineScore(2.0, True)],
        texts=["", ""],
    )
    deviation = (2 / 3) ** 0.5  # of 1, 0 and 2 from their mean, 1
    expected = torch.tensor([[0, 0, -1 / deviation], [1 / deviation, 0, 0]])
    assert torch.allclose(rollout.advantages(), expected, atol=1e-5)


def test_equal_rewards_teach_nothing():
    scores = [LineScore(0.7, False)] * 3
    rollout = Rollout(torch.zeros(1, 4), torch.ones(1, 3), torch.tensor([[0, 1, 2]]), scores, [""])
    assert rollout.advantages().abs().max() < 1e-3


def test_the_line_break_belongs_to_the_line_that_it_ends(tmp_path, verse_file, parent):
    stage = trainer_of(tmp_path / "run", verse_file, parent).stage
    ids = stage.tokenizer.encode("the cat\n\nsang\nof")
    assert [(text, end - first) for text, first, end in stage.finished_lines(ids)] == [
        ("the cat", 8),
        ("sang", 5),
    ]


def test_half_of_the_steps_begin_documents_and_half_stand_behind_a_line(
    tmp_path, verse_file, parent
):
    trainer = trainer_of(tmp_path / "run", verse_file, parent)
    prompts, tokenizer = Prompts(trainer.corpus, 24), trainer.corpus.tokenizer
    random = np.random.default_rng(0)
    assert prompts.draw(8, 0, random) == [prompts.begin] * 8
    behind = prompts.draw(8, 1, random)
    assert len({len(prompt) for prompt in behind}) == 1
    lines = set(verse_file.read_text(encoding="utf-8").split("\n"))
    assert all(tokenizer.decode(prompt).removesuffix("\n") in lines for prompt in behind)


def test_questions_are_what_the_mask_leaves_out():
    ids, mask = np.array([9, 1, 2, 3, 9, 4, 5]), np.array([0, 0, 1, 1, 0, 0, 1])
    assert questions(ids, mask) == [[9, 1], [9, 4]]


def test_a_reward_that_a_model_can_reach_is_reached(tmp_path, verse_file, parent, monkeypatch):
    """Lines with many of one letter: what is rewarded is what one gets, and the lottery's lines
    stay as they were."""

    def share(prompt, lines):
        return [LineScore(line.count("a") / max(1, len(line)), "a" in line) for line in lines]

    monkeypatch.setitem(REWARDS, "letters", Reward(share, guarded=False, meaning="lines with an a"))

    def shares(scorer):
        train = {**STEPS, "steps": 30, "learning_rate": 5e-3, "evaluate_every": 30}
        trainer = trainer_of(
            tmp_path / scorer,
            verse_file,
            parent,
            reward={"scorer": scorer, "kl": 0.1, "samples": 32},
            train=train,
        )
        first = trainer.stage.sample(0, 10_000).texts
        for _ in trainer.run():
            pass
        last = trainer.stage.sample(0, 10_000).texts
        return [sum(t.count("a") for t in texts) / len("".join(texts)) for texts in (first, last)]

    before, after = shares("letters")
    _, by_lot = shares("lottery")
    assert after > 2 * before and after > 2 * by_lot


def test_a_heavy_divergence_weight_keeps_the_model_where_it_was(tmp_path, verse_file, parent):
    def divergence(kl):
        train = {**STEPS, "steps": 12, "learning_rate": 1e-2, "evaluate_every": 12}
        trainer = trainer_of(
            tmp_path / str(kl),
            verse_file,
            parent,
            reward={"kl": kl, "scorer": "length"},
            train=train,
        )
        return [record.measures["kl"] for record in trainer.run()][-1]

    assert divergence(100.0) < divergence(0.0) / 2


def test_three_steps_an_interruption_and_three_more_are_six_to_the_bit(
    tmp_path, verse_file, parent
):
    for _ in trainer_of(tmp_path / "whole", verse_file, parent).run():
        pass
    cut = {**STEPS, "stop_after": 2}
    for _ in trainer_of(tmp_path / "cut", verse_file, parent, train=cut).run():
        pass
    for _ in resume_run(tmp_path / "cut").run():
        pass
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_adapters_learn_from_a_reward_too_and_resume_to_the_bit(tmp_path, verse_file, parent):
    lora = {"rank": 2}
    trainer = trainer_of(tmp_path / "whole", verse_file, parent, lora=lora)
    for _ in trainer.run():
        pass
    assert any(isinstance(part, LoraLinear) for part in trainer.model.modules())
    assert not (tmp_path / "whole" / "data" / "reference.safetensors").exists()
    cut = {**STEPS, "stop_after": 4}
    for _ in trainer_of(tmp_path / "cut", verse_file, parent, lora=lora, train=cut).run():
        pass
    for _ in resume_run(tmp_path / "cut").run():
        pass
    for name in ("model/adapter.safetensors", "metrics.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    cut_state, _ = read_tensors(tmp_path / "cut" / STATE)  # the header holds the seconds
    whole_state, _ = read_tensors(tmp_path / "whole" / STATE)
    assert all(torch.equal(cut_state[name], value) for name, value in whole_state.items())


def test_the_gradient_by_hand_is_the_one_that_torch_finds(tmp_path, verse_file, parent):
    reward = {"kl": 0.3, "entropy": 0.07}
    stage = trainer_of(tmp_path / "run", verse_file, parent, reward=reward).stage
    generator = torch.Generator().manual_seed(0)
    logits, reference = (torch.randn(5, 11, generator=generator) for _ in range(2))
    drawn, advantage = torch.tensor([0, 3, 10, 3, 7]), torch.tensor([1.0, -2.0, 0.0, 0.5, -0.1])
    logits.requires_grad_()
    log_p, log_q = logits.log_softmax(-1), reference.log_softmax(-1)
    p = log_p.exp()
    kl, entropy = (p * (log_p - log_q)).sum(-1), -(p * log_p).sum(-1)
    loss = -advantage * log_p.gather(1, drawn[:, None])[:, 0] + 0.3 * kl - 0.07 * entropy
    loss.sum().backward()
    terms = stage.loss_terms(logits, reference, drawn, advantage)
    assert torch.allclose(terms.gradient, logits.grad, atol=1e-6)
    for own, expected in ((terms.loss, loss), (terms.kl, kl), (terms.entropy, entropy)):
        assert torch.allclose(own, expected, atol=1e-5)


def test_micro_batches_give_the_same_gradients(tmp_path, verse_file, parent):
    gradients = []
    for rows in (8, 3):
        train = {**STEPS, "micro_batch_size": rows}
        trainer = trainer_of(tmp_path / str(rows), verse_file, parent, train=train)
        trainer.compute_gradients(0)
        gradients.append([w.grad.clone() for w in trainer.model.parameters()])
    for one, other in zip(*gradients):
        assert torch.allclose(one, other, atol=1e-6)


def test_the_records_hold_reward_success_divergence_entropy_and_words(tmp_path, verse_file, parent):
    for _ in trainer_of(tmp_path / "run", verse_file, parent).run():
        pass
    run = open_run(tmp_path / "run")
    for record in run.records("train"):
        assert {"reward", "success", "kl", "entropy", "different_words"} <= set(record)
        assert 0 <= record["success"] <= 1 and record["kl"] >= -1e-6
    first, *_ = run.records("train")
    assert first["kl"] == pytest.approx(0, abs=1e-6)  # the model is still its own reference
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["reward"]["samples"] == 8


def test_the_last_weights_are_kept_although_the_text_grows_less_likely(
    tmp_path, verse_file, parent
):
    train = {**STEPS, "learning_rate": 0.05, "steps": 6}
    trainer = trainer_of(tmp_path / "run", verse_file, parent, reward={"kl": 0.0}, train=train)
    for _ in trainer.run():
        pass
    run = open_run(tmp_path / "run")
    assert run.manifest["best"]["step"] == 6
    kept, own = load_model(run).model.state_dict(), trainer.model.state_dict()
    assert all(torch.equal(kept[name], own[name]) for name in kept)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"reward": {"scorer": "meter"}}, "no reward meter.*metre"),
        ({"reward": {"tokens": 200}}, "no line of at most -136 tokens"),
        ({"reward": {"tokens": 1, "samples": 1_100}}, "raise reward.tokens"),
        ({"model": {"context": 64, "dropout": 0.1}}, "dropout must be 0"),
    ],
)
def test_a_stage_that_cannot_work_is_refused_in_one_line(
    tmp_path, verse_file, parent, fields, message
):
    recipe = reward_recipe(verse_file, parent, **{k: v for k, v in fields.items() if k == "reward"})
    if "model" in fields:
        model = recipe.model.model_copy(update=fields["model"])
        recipe = recipe.model_copy(update={"model": model})
    with pytest.raises(ValueError, match=message):
        for _ in start_run(recipe, tmp_path / "run").run():
            pass


def test_the_loss_of_a_reward_stage_is_not_drawn_as_bits_per_byte(tmp_path, verse_file, parent):
    list(trainer_of(tmp_path / "rewarded", verse_file, parent).run())
    (record,) = loss_records([open_run(tmp_path / "rewarded")])
    assert record["stage"] == "reward" and record["train"] == []
    assert len(record["valid"]) > 1


def test_credit_begins_at_the_first_token_of_a_line_and_ends_with_its_line_break(
    tmp_path, verse_file, parent
):
    stage = trainer_of(tmp_path / "run", verse_file, parent).stage
    start, rows = 4, [stage.tokenizer.encode("the cat\nsang")]
    line = stage.score(rows, start).line[0]
    assert line[start - 1 : start + 3].tolist() == [0] * 4  # targets: c, a, t and the line break
    assert set(line[: start - 1].tolist() + line[start + 3 :].tolist()) == {NO_LINE}


def test_samples_are_drawn_at_the_temperature_of_the_recipe(tmp_path, verse_file, parent):
    cold = {"temperature": 1e-5}
    stage = trainer_of(tmp_path / "run", verse_file, parent, reward=cold).stage
    assert len(set(stage.sample(seed=0, step=0).texts)) == 1  # one prompt, the likeliest tokens
