"""How a conversation is written down as token ids: who speaks is told by special tokens, never by
text.

    <|document|><|user|>What is 34 * 12?<|assistant|><|call|>calculator 34 *
    12<|result|>408<|assistant|>408.<|user|>

A special token has an id of its own and no letters. Text from outside (a user's message, a tool's
result, a passage of a document) is encoded with those names as ordinary characters, so nobody can
write a turn in another's name. The model hands the word back by <|user|>, ends a call by <|result|>
and ends a worked step by <|assistant|>.

Trade-off: the roles cost one table row each and a fine-tune to learn them; a base model has never
seen them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from tinylm.model.gpt import GPT
from tinylm.text.tokenizer_files import LibraryTokenizer
from tinylm.text.tokenizers import DOCUMENT, BpeTokenizer, CharTokenizer, Tokenizer

USER, ASSISTANT, STEP = "<|user|>", "<|assistant|>", "<|step|>"
CALL, RESULT, PASSAGE = "<|call|>", "<|result|>", "<|passage|>"
ROLES = (USER, ASSISTANT, STEP, CALL, RESULT, PASSAGE)
MODEL = (ASSISTANT, STEP, CALL)  # the parts whose text the model writes
DONT_KNOW = "I don't know."  # the answer where neither the documents nor the weights hold one


@dataclass(frozen=True)
class Part:
    """One special token and the text behind it."""

    role: str
    text: str = ""


Dialogue = tuple[Part, ...]


def encode_part(part: Part, tokenizer: Tokenizer) -> list[int]:
    """Ids of a part: its role, then its text, in which the names of special tokens are ordinary
    characters.

    Every text begins with a blank, so that a word at its beginning is cut into the same tokens as
    inside a sentence: what is copied from a passage can be copied token by token.

    >>> tokenizer = with_roles(CharTokenizer(" hi"))
    >>> tokenizer.special_id(USER) in encode_part(Part(RESULT, "hi <|user|>"), tokenizer)
    False
    """
    return [
        tokenizer.special_id(part.role),
        *(tokenizer.encode(f" {part.text}") if part.text else []),
    ]


def encode_dialogue(dialogue: Dialogue, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Ids (tokens,) of one dialogue with its beginning and end, and a mask (tokens,) uint8: 1 where
    the model speaks.

    Learned are the texts of `MODEL` parts and the token that the model ends each of them with.
    """
    ids, mask, own = [tokenizer.special_id(DOCUMENT)], [0], False
    for part in (*dialogue, Part(USER)):  # the last token hands the word back
        new = encode_part(part, tokenizer)
        ids += new
        mask += [int(own)] + [int(part.role in MODEL)] * (len(new) - 1)
        own = part.role in MODEL
    # An imported vocabulary may have more ids than two bytes can count.
    kind = np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32
    return np.array(ids, dtype=kind), np.array(mask, dtype=np.uint8)


def encode_dialogues(
    dialogues: Iterable[Dialogue], tokenizer: Tokenizer
) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask of many dialogues behind one another, (tokens,) each."""
    pairs = [encode_dialogue(dialogue, tokenizer) for dialogue in dialogues]
    return np.concatenate([ids for ids, _ in pairs]), np.concatenate([mask for _, mask in pairs])


def with_roles(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer with the special tokens of conversations behind its own; no id that exists
    moves."""
    new = [name for name in (DOCUMENT, *ROLES) if name not in tokenizer.specials]
    specials = (*tokenizer.specials, *new)
    if isinstance(tokenizer, LibraryTokenizer):  # of an imported model
        pieces, first = tokenizer.to_dict()["pieces"], tokenizer.vocab_size
        ids = {name: first + place for place, name in enumerate(new)}
        return LibraryTokenizer(
            tokenizer.library, [*pieces, *("" for _ in new)], tokenizer.special_ids | ids
        )
    if isinstance(tokenizer, BpeTokenizer):
        return BpeTokenizer(tokenizer.merges, specials)
    assert isinstance(tokenizer, CharTokenizer)
    return CharTokenizer(tokenizer.characters, specials)


def with_rows(model: GPT, vocab_size: int, generator: torch.Generator) -> GPT:
    """The same weights with rows for new tokens at the end of the token table, drawn as fresh ones
    are (std 0.02)."""
    grown = GPT(model.config.model_copy(update={"vocab_size": vocab_size}))
    grown.initialise(generator)
    own, old = grown.state_dict(), model.state_dict()
    with torch.no_grad():
        for name, weight in old.items():
            own[name][: len(weight)] = weight  # all of it, but for the taller tables
    return grown
