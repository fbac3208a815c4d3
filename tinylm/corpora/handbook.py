"""The staff handbook of Lantern Quay Harbour Company: facts that no model can guess, to be looked
up.

The company is invented, so whoever knows that its ferry costs 3.40 crowns has read it here. The
lessons ask the same questions of a model that has never seen the handbook, of one fine-tuned on it
and of one that may search it. Then the second edition comes out, with other prices and other
people, and they ask again.

The second edition is stored as what it changes: sentences of the first edition with their
replacements.

Trade-off: every question is answered by one sentence of one document. Real questions often need
two.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from tinylm.recipes import shipped


@dataclass(frozen=True)
class Question:
    """A question with one short answer (one to five words), which stands word for word in
    `evidence`.

    `evidence` is a sentence of `document` in the first edition. `new_answer` is the answer from the
    second edition on, or None where nothing changed.
    """

    id: str
    document: str
    question: str
    answer: str
    evidence: str
    new_answer: str | None

    def answer_in(self, edition: int) -> str:
        """The right answer for a reader of the first or the second edition."""
        return self.new_answer if edition == 2 and self.new_answer is not None else self.answer


def handbook(edition: int) -> dict[str, str]:
    """The documents of edition 1 or 2: name (such as "ferry") to Markdown text, sorted by name.

    Raises ValueError for another edition.

    >>> "A single ticket costs 3.40 crowns." in handbook(1)["ferry"]
    True
    >>> "A single ticket costs 3.70 crowns." in handbook(2)["ferry"]
    True
    """
    if edition not in (1, 2):
        raise ValueError(f"edition: the handbook has editions 1 and 2, not {edition}")
    folder = shipped("data") / "handbook"
    texts = {file.stem: file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.md"))}
    if edition == 2:
        for change in json.loads((folder / "second-edition.json").read_text(encoding="utf-8")):
            text = texts[change["document"]]
            assert text.count(change["old"]) == 1, (
                f"the changed sentence must stand there once: {change['old']}"
            )
            texts[change["document"]] = text.replace(change["old"], change["new"])
    return texts


def questions() -> list[Question]:
    """All questions about the handbook, document by document, in much the words of its text."""
    return read_questions("questions.jsonl")


def paraphrases(tuning: bool = False) -> list[Question]:
    """100 questions in other words than the text's: none shares a stem with the sentence that
    answers it. With `tuning`, 61 others of the same kind, to choose settings by."""
    return read_questions("paraphrases-tuning.jsonl" if tuning else "paraphrases.jsonl")


def read_questions(name: str) -> list[Question]:
    """The questions in a file of data/handbook."""
    text = (shipped("data") / "handbook" / name).read_text(encoding="utf-8")
    return [Question(**json.loads(line)) for line in text.splitlines()]
