"""How a conversation is written down for the model: the toy's way and the imported model's way.

The runtime (runtime.py) knows roles: a user speaks, the model answers, steps or calls, a tool
answers, a passage is read. A protocol says which token stands for which role and what the program
writes around the text of each.

    RoleTokens    the toy: a new special token for each role, trained from a random row
    ChatTokens    a model with a chat format of its own. Every turn begins with <|im_start|> and a
                  name, and it and every part of it ends with <|im_end|>; a tool's result is a turn
                  of "tool". For what that format lacks, special tokens that its makers reserved,
                  so that no table row is added:

                  <filename>    opens a call
                  <repo_name>   opens a worked step
                  <reponame>    a passage

Tried: <jupyter_code>, <jupyter_output>, <jupyter_text> and <file_sep>, whose names say what they
would be for. In SmolLM2-135M their rows were never trained: with 29 others, ordinary tokens such as
" transistorsum" among them, they are one and the same row (cosine 1.00), and a head that is tied to
the table cannot tell them apart. After practice every call came out as " transistorsum search".
The rows of the three above are their own: no ordinary token's has a cosine above 0.96.

In both, text from outside is encoded as text: it never yields a special token.

Two things differ beyond names. ChatTokens remembers: the last EXCHANGES questions and answers stand
before a message, cut short, so that "And on Sunday?" has a meaning; passages and results are not
among them. And it reads in a context of its own: passages, then the question, and nothing else. So
the reader practises several questions on one row of passages, which is three times as much
practice for the same tokens, and no earlier sentence can be mistaken for a passage.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from tinylm.assistant.conversation import ASSISTANT, CALL, PASSAGE, RESULT, ROLES, STEP, USER
from tinylm.text.tokenizers import DOCUMENT, Tokenizer

EXCHANGES = 3  # questions with their answers that are remembered
REMEMBERED = 40  # tokens of a remembered message or answer, at most
IM_START, IM_END, END_OF_TEXT = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
CHAT_ROLES = {  # role -> the special token of the chat format that opens it, or ends the one before
    USER: IM_END, ASSISTANT: IM_END, RESULT: IM_END, STEP: "<repo_name>", CALL: "<filename>",
    PASSAGE: "<reponame>",
}  # fmt: skip


class Exchange(NamedTuple):
    """What was said in one turn."""

    message: str
    answer: str


class Excerpt(NamedTuple):
    """A passage as it is read: its text, and the headings and sentence before it."""

    text: str
    background: str = ""


class Framed(NamedTuple):
    """Ids with which passages are read, and where the passages lie among them, as ranges."""

    ids: list[int]
    passages: list[range]


class Protocol(ABC):
    """Roles as token ids, and what the program writes around texts."""

    sure: float  # nats by which DONT_KNOW must beat the passage
    candidates: int  # passages that are read at once, at most
    rereads: bool  # whether passages are read in a context of their own

    def __init__(self, tokenizer: Tokenizer, names: dict[str, str]) -> None:
        self.tokenizer = tokenizer
        self.ids = {role: tokenizer.special_id(name) for role, name in names.items()}
        self.opens = {self.ids[role]: role for role in (STEP, CALL)}  # what the model may begin
        # All of them: those without a role must never be generated.
        self.specials = {tokenizer.special_id(name) for name in tokenizer.specials}

    @property
    @abstractmethod
    def begin(self) -> list[int]:
        """Ids that every context begins with."""

    @abstractmethod
    def tables(self, schema: str, longest: int) -> list[int]:
        """What a database holds, told before the conversation."""

    @abstractmethod
    def message(self, text: str, longest: int) -> list[int]:
        """A user's message, up to where the model's turn begins."""

    @abstractmethod
    def history(self, exchanges: Sequence[Exchange], longest: int) -> list[int]:
        """What was said before, as far as the model is to see it and it fits."""

    @abstractmethod
    def completed(self, call: str, message: str) -> str:
        """A call as it is run, where the model leaves out what the program knows."""

    @abstractmethod
    def passages(self, excerpts: Sequence[Excerpt], question: str, longest: int) -> Framed:
        """Passages, and whatever stands between them and the model's answer."""

    @abstractmethod
    def result(self, text: str, longest: int) -> list[int]:
        """What a tool answered, up to where the model goes on; the model itself wrote the token
        that ends its call.

        A blank first: a word at the beginning is then cut into the same tokens as inside a
        sentence, and can be copied token by token.
        """

    @abstractmethod
    def after_step(self) -> list[int]:
        """What stands between the end of a worked step and what follows it."""


class RoleTokens(Protocol):
    """The toy's: one new special token a role."""

    sure, candidates, rereads = 3.0, 1, False

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer, {role: role for role in ROLES})

    @property
    def begin(self) -> list[int]:
        """<|document|>."""
        return [self.tokenizer.special_id(DOCUMENT)]

    def tables(self, schema: str, longest: int) -> list[int]:
        """Nothing: the toy knows no tables."""
        return []

    def message(self, text: str, longest: int) -> list[int]:
        """<|user|> text <|assistant|>."""
        words = self.tokenizer.encode(f" {text}") if text else []
        return [*[self.ids[USER], *words][:longest], self.ids[ASSISTANT]]

    def history(self, exchanges: Sequence[Exchange], longest: int) -> list[int]:
        """Nothing: a model of this size understands one question at a time."""
        return []

    def completed(self, call: str, message: str) -> str:
        """The call itself: its search takes no words, it looks for the user's message."""
        return call

    def result(self, text: str, longest: int) -> list[int]:
        """text <|assistant|>."""
        return [*self.tokenizer.encode(f" {text}")[:longest], self.ids[ASSISTANT]]

    def after_step(self) -> list[int]:
        """Nothing: the token that ends a step opens the answer."""
        return []

    def passages(self, excerpts: Sequence[Excerpt], question: str, longest: int) -> Framed:
        """<|passage|> text <|assistant|>, in the turn itself."""
        words = self.tokenizer.encode(f" {excerpts[0].text}")
        ids = [self.ids[PASSAGE], *words][:longest]
        return Framed([*ids, self.ids[ASSISTANT]], [range(1, len(ids))])


class ChatTokens(Protocol):
    """The imported model's: its chat format, and reserved tokens for what that lacks."""

    # A search by meaning always finds something, so the model says "I don't know." unless a quote
    # is 5 nats likelier; how that number was chosen: graduate.py.
    sure, candidates, rereads = -5.0, 3, True

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer, CHAT_ROLES)
        self.start = tokenizer.special_id(IM_START)
        self.line = tokenizer.encode("\n")
        self.user = [self.start, *tokenizer.encode("user\n")]
        self.own = [self.start, *tokenizer.encode("assistant\n")]
        self.tool = [self.start, *tokenizer.encode("tool\n")]
        self.end_of_text = tokenizer.special_id(END_OF_TEXT)

    @property
    def begin(self) -> list[int]:
        """<|endoftext|>, which stood between documents when the model was pretrained."""
        return [self.end_of_text]

    def tables(self, schema: str, longest: int) -> list[int]:
        """A turn of the system that lists the tables; nothing where there is none."""
        if not schema:
            return []
        words = self.tokenizer.encode(f"system\n{schema}")[:longest]
        return [self.start, *words, self.ids[USER], *self.line]

    def message(self, text: str, longest: int) -> list[int]:
        """A user's turn, closed, and the opening of the model's."""
        words = self.tokenizer.encode(text)[:longest]
        return [*self.user, *words, self.ids[USER], *self.line, *self.own]

    def said(self, answer: str) -> list[int]:
        """The rest of a turn of the model's that is over."""
        words = self.tokenizer.encode(answer)[:REMEMBERED]
        return [*words, self.ids[USER], *self.line]

    def history(self, exchanges: Sequence[Exchange], longest: int) -> list[int]:
        """The last few exchanges; a call that was made in them is not repeated."""
        ids: list[int] = []
        for exchange in reversed(exchanges[-EXCHANGES:]):
            turn = self.message(exchange.message, REMEMBERED) + self.said(exchange.answer)
            if len(turn) + len(ids) > longest:  # the older ones are forgotten
                break
            ids = turn + ids
        return ids

    def result(self, text: str, longest: int) -> list[int]:
        """A turn of the tool, and the opening of the model's next one."""
        words = self.tokenizer.encode(f" {text}")[:longest]
        return [*self.line, *self.tool, *words, self.ids[USER], *self.after_step()]

    def after_step(self) -> list[int]:
        """The opening of the model's next turn."""
        return [*self.line, *self.own]

    def completed(self, call: str, message: str) -> str:
        """A bare "search" looks for the user's message: what needs no rewriting is not copied."""
        return f"search {' '.join(message.split())}" if call.strip() == "search" else call

    def passages(self, excerpts: Sequence[Excerpt], question: str, longest: int) -> Framed:
        """A user's turn with passages and a question, in a context of its own."""
        ids, places = [*self.begin, *self.user], []
        each = max(1, longest // max(1, len(excerpts)))
        for excerpt in excerpts:
            # The nearest of what stands before it in its document, a third of its room at most.
            before = self.tokenizer.encode(f" {excerpt.background}")[-(each // 3) :]
            before = before if excerpt.background and each > 2 else []
            words = self.tokenizer.encode(f" {excerpt.text}")[: each - len(before)]
            ids += [self.ids[PASSAGE], *before, *self.line]
            places.append(range(len(ids), len(ids) + len(words)))
            ids += [*words, *self.line]
        return Framed([*ids, *self.question(question, longest // 2)], places)

    def question(self, question: str, longest: int) -> list[int]:
        """The question behind passages, up to where the model's quote begins."""
        words = self.tokenizer.encode(question)[:longest]
        return [*words, self.ids[USER], *self.line, *self.own]


def lacking(tokenizer: Tokenizer) -> list[str]:
    """The special tokens that ChatTokens needs and a tokenizer does not have."""
    needed = (END_OF_TEXT, IM_START, *CHAT_ROLES.values())
    return [name for name in needed if name not in tokenizer.specials]


def protocol_of(tokenizer: Tokenizer) -> Protocol:
    """The protocol that a tokenizer has the tokens for; ValueError where it has none."""
    missing = [name for name in (DOCUMENT, *ROLES) if name not in tokenizer.specials]
    if not missing:
        return RoleTokens(tokenizer)
    if not lacking(tokenizer):
        return ChatTokens(tokenizer)
    names = ", ".join(missing)
    raise ValueError(f"this model was not trained as an assistant: its tokenizer lacks {names}")
