"""Retrieval is the employee handbook: knowledge that is looked up, not learned.

Design. The same 297 questions about an invented company's handbook are asked of four arms with one
model shape.

    manipulated     where the answer can come from:
                      closed book   fine-tuned on questions and answers about other documents: it
                                    knows the form, not the facts
                      fine-tuned    the same training, on the very questions and answers that are
                                    asked: the best case for fine-tuning
                      retrieved     the shared assistant: BM25 finds a passage, the model reads it
                      oracle        the assistant is handed the right passage: what reading alone
                                    is worth
    constant        base, model shape, questions, grading
    effect          right answers, retrieved minus closed book; then the same with the second
                    edition, in which 84 answers are others: the index follows at once
    null            0 for both differences; the closed book must also stay below 10 %, or the
                    questions could be guessed. "fine-tuned" is no null: it has read the answers
    control         the oracle splits a miss into search and reading; how often the search finds the
                    right passage is reported on its own
    price           a document must be at hand, and a miss of the search is a miss of the answer;
                    the share of old answers shows what the weights cost when facts change
    seeds           three: each holds out another third of the documents, so that together they ask
                    all questions
    control run     whatever is searched for, the passage of another question comes back, about
                    another document. The search still finds something, and the assistant still
                    reads and quotes; the oracle stays, to show that it can. Expected: as few right
                    answers as from the weights, in both editions

Beside it, at full scale and where runs/smollm2 is at hand (tinylm import smollm2), a second search
is measured; it takes no part in the verdict. The 100 paraphrases of the handbook share no content
word with their sentence, so BM25 cannot find it. A vector can, and so can the question itself: the
foundation model reads a passage and says how likely it finds the question behind it (query
likelihood). That is next-token prediction, used as a search engine, and its price is a pass of the
model over every passage that is asked about.

Tried before. At first the verdict asked for more than half of the questions in both. That is a
hoped-for size; it is a target now. The lesson was supported either way when the two were separated.

Trade-off: one sentence answers every question. Real questions often need two.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tinylm.assistant.conversation import ASSISTANT, USER, Dialogue, Part
from tinylm.assistant.fused import FusedIndex
from tinylm.assistant.grading import ask, same_answer
from tinylm.assistant.meaning import Encoder
from tinylm.assistant.retrieval import Index
from tinylm.assistant.runtime import Assistant
from tinylm.assistant.search_quality import SEARCHES, search_quality
from tinylm.assistant.training import (
    assistant_recipe,
    dialogue_corpus,
    held_out,
    questions_held_out,
)
from tinylm.corpora.handbook import Question, handbook, paraphrases, questions
from tinylm.evaluation.statistics import Interval, interval, paired_difference
from tinylm.lessons.assistants import assistant, equipped, percent_arm, pooled, start_of
from tinylm.lessons.experiment import Experiment, Progress, WithProgress
from tinylm.lessons.lesson import Lesson, Result, above, below, dots, together
from tinylm.runs import Run, open_run
from tinylm.training.load import load_model


@dataclass(frozen=True)
class Size:
    """How long the two closed-book models learn, and how many questions a seed asks."""

    steps: int
    repeats: int  # of each question and answer in the corpus
    asked: int


SIZES = {"smoke": Size(2, 2, 3), "full": Size(250, 20, 297)}

# The name of an arm: the share of changed questions that the weights answer as they once learned.
STALE = "fine-tuned: still the old answer"
UNIT = "% of questions"
FOUNDATION = Path("runs/smollm2")  # for the search by meaning; the lesson goes on without it
GUESSABLE = 0.1  # a share: with more right answers of the closed book the questions give them away
Marks = list[dict[str, Any]]  # one a question: {"id", "answer", "right"} and, for a search, "hit"


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Ask every arm, then let the second edition come out."""
    size = SIZES[experiment.scale]
    marks: dict[str, list[Marks]] = {}  # arm -> the marks of each seed
    for seed in experiment.seeds:
        # Nothing about these documents is in the training of "closed book" and of the assistant.
        asked = questions_held_out(seed)[: size.asked]
        # Those whose answer the second edition changes; at smoke scale perhaps none, so any one.
        changed = [question for question in asked if question.new_answer] or asked[:1]
        # The same form on other facts: it has learned how to answer, but not this.
        others = [question for question in questions() if question.document not in held_out(seed)]
        reader = yield from assistant(experiment, seed)
        closed = yield from pairs_model(experiment, "closed book", seed, others)
        # All questions, those that are asked among them: no fine-tune could be better prepared.
        tuned = yield from pairs_model(experiment, "fine-tuned", seed, questions())
        searched = partial(with_search, reader, misled=experiment.control)
        arms = {
            "closed book": partial(without_search, closed, asked, 1),
            "fine-tuned": partial(without_search, tuned, asked, 1),
            # The assistant has learned to search and to read, on other documents.
            "retrieved": partial(searched, asked, 1),
            # No search can do better, so what is missing here is missing in the reading.
            "oracle": partial(with_oracle, reader, asked),
            # The facts change, nothing is trained again: old weights against an updated index.
            "fine-tuned, second edition": partial(without_search, tuned, changed, 2),
            "retrieved, second edition": partial(searched, changed, 2),
        }
        for place, (name, function) in enumerate(arms.items()):
            yield Progress(f"asking, seed {seed}", place, len(arms))
            # All that an answer depends on: the same weights and questions need not be asked again.
            settings = [reader.fingerprint, closed.fingerprint, tuned.fingerprint, len(asked)]
            marks.setdefault(name, []).append(
                experiment.measure(f"{name}, seed {seed}", settings, function)
            )
    # The search has no weights and so no seed: it is measured once for each edition.
    hits = [
        experiment.measure(f"hits, edition {edition}", edition, partial(hit_rates, edition))
        for edition in (1, 2)
    ]
    meaning = None
    if experiment.scale == "full" and (FOUNDATION / "manifest.json").is_file():
        yield Progress("searching by meaning", 0, 1)
        run = open_run(FOUNDATION)
        meaning = experiment.measure(
            "search by meaning", run.fingerprint, partial(search_by_meaning, run)
        )
    return conclude(marks, hits, meaning)


def pairs_model(
    experiment: Experiment, name: str, seed: int, learned: Sequence[Question]
) -> WithProgress:
    """A model fine-tuned on questions with their answers, without any passage."""
    parent = yield from start_of(experiment, seed)
    size = SIZES[experiment.scale]
    # Read 20 times each: a model that sees an answer once does not know it.
    dialogues: list[Dialogue] = [
        pair(question) for _ in range(size.repeats) for question in learned
    ]
    # The pairs kept for validation end the last repeat, and stand in the other 19 too. Their loss
    # says how well the pairs are known by heart, which is all that these two arms can do.
    corpus = dialogue_corpus(
        load_model(parent).tokenizer, dialogues, f"{name}, seed {seed}", valid=len(learned) // 4
    )
    # The assistant's recipe, only shorter: one question and answer is no long dialogue.
    recipe = assistant_recipe(experiment.base_recipe(seed), parent, seed, size.steps)
    return (yield from experiment.train(f"{name}, seed {seed}", recipe, corpus))


def pair(question: Question) -> Dialogue:
    """A question of the user and its answer by the assistant, without any passage."""
    # The full stop is how the assistant ends its answers too; grading ignores it.
    return (Part(USER, question.question), Part(ASSISTANT, f"{question.answer}."))


# -- asking ---------------------------------------------------------------------------------------


def mark(assistant: Assistant, question: Question, edition: int) -> dict[str, Any]:
    """One question asked and judged; `stale` where it is the first edition's answer, and no longer
    right."""
    # The whole conversation runs: a right answer counts however the model came to it.
    outcome = ask(assistant, question.question)
    # Compared word for word but for case, blanks, units and words of the question (grading.py).
    right = same_answer(outcome.answer, question.answer_in(edition), question.question)
    # Asked in the first edition, an answer is never stale: both answers are the same there.
    stale = not right and same_answer(outcome.answer, question.answer, question.question)
    # The search may succeed where the reading fails: both are noted, so that a miss has a cause.
    hit = evidence_in(question, outcome.result, edition)
    return {"id": question.id, "answer": outcome.answer, "right": right, "stale": stale, "hit": hit}


def evidence_in(question: Question, passage: str, edition: int) -> bool:
    """Whether a passage holds the sentence that answers; in the second edition, the answer
    itself."""
    # The new edition words its sentence anew, so there its answer must do as evidence.
    return question.evidence in passage or (edition == 2 and question.answer_in(2) in passage)


def without_search(run: Run, asked: Sequence[Question], edition: int) -> Marks:
    """Ask a model that has nothing but its weights."""
    model, tokenizer, _ = load_model(run)
    # No tools and no documents: a call that it writes is answered with an error.
    alone = Assistant(model, tokenizer, {})
    return [mark(alone, question, edition) for question in asked]


def with_search(run: Run, asked: Sequence[Question], edition: int, misled: bool) -> Marks:
    """Ask a model that may search; the index of the second edition is the first one's, brought up
    to date. Where it is `misled`, it is handed the passage of another question."""
    assistant, marks = equipped(run), []
    assert assistant.search is not None
    if edition == 2:
        # This line is all that an update takes: only changed documents are cut anew.
        assistant.search.index = assistant.search.index.updated(handbook(2))
    whole = assistant.search.index
    for question in asked:
        if misled:
            other = whole.search(another(question).question)[0].passage
            assistant.search.index = only(other.text, other.source, question)
        marks.append(mark(assistant, question, edition))
    return marks


def another(question: Question) -> Question:
    """A question about another document, always the same one."""
    # The question's number is the seed: all models are misled alike.
    others = [other for other in questions() if other.document != question.document]
    return Random(question.id).choice(others)


def only(passage: str, document: str, question: Question) -> Index:
    """An index that holds one passage."""
    # The question's own words stand in the title, so that the search cannot miss it.
    return Index({document: f"# {question.question}\n{passage}"})


def with_oracle(run: Run, asked: Sequence[Question]) -> Marks:
    """Ask a model whose only passage is the right one."""
    assistant, marks = equipped(run), []
    assert assistant.search is not None
    passages = Index(handbook(1)).passages
    for question in asked:
        # The passage that a perfect search would return.
        right = next(passage.text for passage in passages if question.evidence in passage.text)
        assistant.search.index = only(right, question.document, question)
        marks.append(mark(assistant, question, 1))
    return marks


def hit_rates(edition: int) -> dict[str, float]:
    """Share of all questions whose answering sentence is in the first passage found, and in the
    first three."""
    index = Index(handbook(edition))
    hits_at_1 = hits_at_3 = 0
    for question in questions():
        found = index.search(question.question, count=3)  # best first, three at most
        holds = [evidence_in(question, hit.passage.text, edition) for hit in found]
        # The assistant reads the first passage alone; the rest shows what better ranking could add.
        hits_at_1 += any(holds[:1])
        hits_at_3 += any(holds)
    asked = len(questions())
    return {"at 1": hits_at_1 / asked, "at 3": hits_at_3 / asked}


def search_by_meaning(run: Run) -> dict[str, Any]:
    """Of each search and of all fused: percentages of the paraphrases found first, among three and
    among ten, and seconds a question."""
    # The model reads all passages once; a question is then one short pass and a product.
    index = FusedIndex(Index(handbook(1)), Encoder.of(run))
    # The likelihood cannot be kept like that: it depends on question and passage together.
    quality = search_quality(index, paraphrases())
    return {
        name: {"found": quality.row(name), "seconds": quality.seconds[name]} for name in SEARCHES
    }


# -- what follows ---------------------------------------------------------------------------------


def conclude(
    marks: dict[str, list[Marks]],
    hits: Sequence[dict[str, float]],
    meaning: dict[str, Any] | None = None,
) -> Result:
    """The verdict: retrieved beats closed book on what was never trained on, and the old weights on
    the second edition. The search by `meaning` is only reported."""
    arms = [percent_arm(name, UNIT, rows) for name, rows in marks.items()]
    # Not an arm of its own: the same answers, counted for being what was right before.
    arms.append(percent_arm(STALE, UNIT, marks["fine-tuned, second edition"], "stale"))
    # In percent, as the arms are; the intervals below are of shares.
    mean = {arm.name: arm.interval.mean for arm in arms}
    retrieved, seeds = pooled(marks["retrieved"])
    closed, _ = pooled(marks["closed book"])
    # Paired: both were asked the same questions in the same order.
    gain = paired_difference(retrieved, closed, groups=seeds)
    updated, seeds_updated = pooled(marks["retrieved, second edition"])
    old_weights, _ = pooled(marks["fine-tuned, second edition"])
    gain_updated = paired_difference(updated, old_weights, groups=seeds_updated)
    # Answers that the weights can guess would not show that anything was looked up.
    guessed = below(interval(closed, groups=seeds), GUESSABLE)
    title = (
        f"Looked up: {mean['retrieved']:.0f} % right; from the weights: {mean['closed book']:.0f} %"
    )
    # The claim has three parts, and falls with any of them.
    return Result(
        together(above(gain), guessed, above(gain_updated)),
        f"{sentence(mean, hits[0])} {meaning_sentence(meaning)}",
        arms,
        {"retrieval.png": dots(title, arms, "right answers, % of questions")},
        targets(mean, gain, interval(updated, groups=seeds_updated)),
        {"hit_rates": list(hits), "marks": marks, "meaning": meaning},
    )


def targets(mean: dict[str, float], gain: Interval, updated: Interval) -> dict[str, bool]:
    """What was hoped for: `mean` is in percent, `gain` and the answers of the `updated` index are
    shares."""
    return {
        "closed book <= 10 %": mean["closed book"] <= 10,
        "retrieved minus closed book > 50 points, by its interval": above(gain, 0.5) == "supported",
        "changed facts > 50 % at once, by the interval": above(updated, 0.5) == "supported",
        "retrieved >= 85 % end to end": mean["retrieved"] >= 85,
        "changed facts >= 85 % at once": mean["retrieved, second edition"] >= 85,
    }


def sentence(mean: dict[str, float], hits: dict[str, float]) -> str:
    """The outcome with its numbers; `hits` are the search's in the first edition."""
    share = {name: f"{value:.0f} %" for name, value in mean.items()}
    first, three = (f"{100 * hits[place]:.0f} %" for place in ("at 1", "at 3"))
    return (
        f"On questions it was never trained on, the model answers {share['closed book']} from its "
        f"weights and {share['retrieved']} with the handbook at hand ({share['oracle']} when "
        f"handed the right passage, which the search finds first {first} and among three {three} "
        "of the time). When the handbook changes, retrieval answers "
        f"{share['retrieved, second edition']} of the changed questions at once; the model that "
        f"was fine-tuned on the answers {share['fine-tuned, second edition']}, and it gives the "
        f"old answer to {share[STALE]}."
    )


def meaning_sentence(meaning: dict[str, Any] | None) -> str:
    """What the search by meaning found on questions in other words than the text's."""
    if meaning is None:
        return f"Search by meaning was not measured: it needs {FOUNDATION} and full scale."
    # The middle one of first, among three, among ten.
    three = {name: f"{row['found'][1]:.0f} %" for name, row in meaning.items()}
    return (
        f"Asked in other words, BM25 has the right sentence among three {three['words']} of the "
        f"time, vectors of a foundation model {three['meaning']}, the likelihood of the question "
        f"behind the sentence {three['likelihood']}, all three together {three['fused']}; the "
        f"likelihood takes {meaning['likelihood']['seconds']:.1f} s a question, BM25 "
        f"{1000 * meaning['words']['seconds']:.0f} ms."
    )


LESSON = Lesson(
    name="retrieval",
    claim="Retrieval gives a model knowledge that is up to date, without touching its weights.",
    question="Does a model answer from a handbook it never saw, and what happens when the "
    "handbook changes?",
    control="The search hands over the passage of another question, about another document.",
    minutes=4.0,
    base_minutes=18.0,
    run=run,
)
