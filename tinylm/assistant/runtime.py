"""The conversation: the model speaks token by token, and the program does what it asks for, if it
may.

    assistant = Assistant(model, tokenizer, toolbox(calculator(), search.tool(), *orders.tools()),
    search) for event in assistant.reply("What is 34 times 12?"):
        print(event.kind, event.text)

Who may do what follows from where a token comes from, not from what it says:

- Only a token that the model itself generates in its own turn opens a call. A user's message, a
  tool's result and a
  passage are encoded as plain text: the name of a special token inside them is a row of ordinary
  characters.
- Once a passage stands in a turn, the model can no longer open a call in that turn, and the passage
  is forgotten
  at its end: nothing that a document says can make the assistant act.
- After a passage the answer is a quote: a row of the passage's tokens, or "I don't know."
  (constrained decoding, as in
  extractive question answering). The model chooses the place; it cannot misspell a name or invent a
  price.
- A tool that writes is only proposed at first. It runs when the user's very next message says yes
  and the model
  repeats the same call.

How roles are written as tokens is the protocol's business (protocol.py): the toy has tokens of its
own for them, an imported model has its chat format. The rules above are one for both.

Trade-offs: the second rule costs questions that need a passage and then a calculation. And the toy
understands one question at a time: of what was said before, it sees only a proposal that waits for
a yes or no. An imported model sees the last questions with their answers; an answer may be a quote,
so a document can put a few words before a later call. It still cannot write: that takes a yes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from tinylm.assistant.conversation import ASSISTANT, CALL, DONT_KNOW, PASSAGE, RESULT, STEP, USER
from tinylm.assistant.passages import Passage
from tinylm.assistant.protocol import Excerpt, Exchange, protocol_of
from tinylm.assistant.retrieval import WORD, Found
from tinylm.assistant.tools import ERROR, Call, Search, Tool, parse_call, run_call
from tinylm.model.gpt import GPT, Cache
from tinylm.text.tokenizers import StreamDecoder, Tokenizer

Kind = Literal["answer", "step", "call", "result", "passage", "source", "quote"]
KINDS: dict[str, Kind] = {ASSISTANT: "answer", STEP: "step", CALL: "call"}
# the token by which the model ends each kind of part
ENDS = {ASSISTANT: USER, STEP: ASSISTANT, CALL: RESULT}
CONFIRM = "please confirm"  # the first result of a call that writes
YES = frozenset(
    ("yes", "yes please", "ok", "okay", "sure", "please do", "do it", "go ahead", "i confirm")
)
NO = frozenset(("no", "no thanks", "no thank you", "stop", "cancel", "better not", "please don't"))
# What a quote begins and ends with: a word, or a number with the sign of its currency or unit.
QUOTABLE = re.compile(rf"[$€£]?(?:{WORD.pattern})[%°]?")
MOST_PARTS = 4  # steps and calls in one turn


@dataclass(frozen=True)
class Event:
    """What happened: a piece of an answer, step or call, as it is written; or a whole result,
    passage or source. A source carries its passage, from which its document can be opened."""

    kind: Kind
    text: str
    passage: Passage | None = None


class Limits(NamedTuple):
    """Most tokens of each thing, so that a turn always fits into the context."""

    message: int  # the user's
    part: int  # a call, a step or an answer of the model's
    inserted: int  # a result or a passage

    @classmethod
    def within(cls, context: int) -> "Limits":
        """Shares of a context.

        >>> Limits.within(256)
        Limits(message=48, part=51, inserted=102)
        """
        return cls(context * 3 // 16, context // 5, context * 2 // 5)


class Assistant:
    """One conversation of a model with a user, with tools and with documents."""

    def __init__(
        self,
        model: GPT,
        tokenizer: Tokenizer,
        tools: Mapping[str, Tool],
        search: Search | None = None,
        schema: str = "",
    ) -> None:
        self.protocol = protocol_of(tokenizer)
        # The tables of a database among the tools, for a model that was made to read them.
        self.schema = schema
        self.tables = self.protocol.tables(schema, model.config.context // 5)
        self.exchanges: list[Exchange] = []  # what was said so far
        self.limits = Limits.within(model.config.context)
        self.model, self.tokenizer, self.tools, self.search = (
            model.eval(),
            tokenizer,
            dict(tools),
            search,
        )
        self.proposed: Call | None = None  # a call that writes and waits for the user's yes
        self.last: list[int] = []  # ids of the turn that proposed it

    def reply(self, message: str) -> Iterator[Event]:
        """Answer a message: yields what the model writes, piece by piece, and what the tools
        answer."""
        answer = message.strip(" .!\n").lower()
        if self.search is not None:
            self.search.message = message
        proposed = self.proposed
        past = self.protocol.history(self.exchanges, self.model.config.context // 4)
        if answer in YES | NO:
            past = past or self.last
        self.proposed, self.last = None, []
        turn = Turn(self, past, message, proposed if answer in YES else None)
        yield from turn.run()
        self.exchanges.append(Exchange(message, turn.answer.strip()))
        if turn.proposed:
            self.proposed, self.last = turn.proposed, turn.ids[-self.model.config.context // 3 :]


class Turn:
    """One turn of the model, from the user's message to the token that hands the word back."""

    def __init__(
        self, assistant: Assistant, past: list[int], message: str, confirmed: Call | None
    ) -> None:
        self.assistant, self.confirmed = assistant, confirmed
        self.tokenizer, self.protocol = assistant.tokenizer, assistant.protocol
        self.proposed: Call | None = None  # a call that writes, if this turn makes one
        self.message, self.answer = message, ""
        self.ids: list[int] = []  # of this turn
        self.parts = 0
        self.found: list[Found] = []  # what was read in this turn
        self.passage: list[int] = []  # its ids, a special one between two passages
        # the ids among them with which words begin and end
        self.starts, self.ends = set[int](), set[int]()
        self.forget()
        self.feed([*self.protocol.begin, *assistant.tables, *past])
        self.insert(self.protocol.message(message, assistant.limits.message))

    def forget(self) -> None:
        """Begin with an empty context."""
        model = self.assistant.model
        self.cache = Cache(model.config, 1, model.tokens.weight.dtype, model.tokens.weight.device)

    @torch.no_grad()
    def feed(self, ids: list[int]) -> None:
        """Let the model read ids; `scores` (V,) are then those of the token after them."""
        model = self.assistant.model
        self.scores = model(torch.tensor([ids], device=model.tokens.weight.device), self.cache)[
            0, -1
        ]

    def insert(self, ids: list[int]) -> None:
        """Put ids into the turn."""
        self.feed(ids)
        self.ids += ids

    def run(self) -> Iterator[Event]:
        """Generate the turn; every call is answered where it ends."""
        role, text, decoder = ASSISTANT, "", StreamDecoder(self.tokenizer)
        written = 0
        while (token := self.choose(role, written)) is not None:
            ended = token == self.protocol.ids[ENDS[role]]
            if (name := ENDS[role] if ended else self.protocol.opens.get(token)) == USER:
                break
            self.insert([token])
            written += 1
            if name is None:
                piece = decoder.push(token)
                piece = piece if text else piece.lstrip()  # the blank that every part begins with
                text += piece
                yield Event(KINDS[role], piece)
                self.answer += piece * (role == ASSISTANT)
                continue
            if name == RESULT:
                yield from self.answer_call(text + decoder.flush())
                name = ASSISTANT
            elif name == ASSISTANT and (between := self.protocol.after_step()):
                self.insert(between)
            self.parts += name != ASSISTANT
            role, text, decoder, written = name, "", StreamDecoder(self.tokenizer), 0
        yield from self.quoted()

    def quoted(self) -> Iterator[Event]:
        """Of several passages, the name of the one that the answer stands in."""
        if len(self.found) > 1 and (quote := self.answer.strip().removesuffix(".")):
            held = [
                hit.passage for hit in self.found if quote in " ".join(hit.passage.text.split())
            ]
            if held:
                yield Event("source", held[0].name, held[0])

    def choose(self, role: str, written: int) -> int | None:
        """The likeliest token that may stand here, after `written` tokens of a part; None where the
        context is full.

        Special tokens: the one that ends the part; and at its beginning a step or a call, until a
        passage was read.
        """
        room = self.assistant.model.config.context - self.cache.length
        part = self.assistant.limits.part
        if room == 0:
            return None
        if written >= part:
            return self.protocol.ids[ENDS[role]]
        allowed = {ENDS[role]} if written else set()
        if role == ASSISTANT and not written and self.parts < MOST_PARTS and room > part + 8:
            allowed |= {STEP} if self.passage else {STEP, CALL}
        scores = self.scores
        ends = {self.protocol.ids[name] for name in allowed}
        scores[list(self.protocol.specials - ends)] = float("-inf")
        if role == ASSISTANT and self.passage:
            quote, unknown = (
                self.ids[len(self.ids) - written :],
                self.tokenizer.encode(f" {DONT_KNOW}"),
            )
            keep = self.quotable(quote)
            if not written or quote == unknown or self.is_quote(quote):
                keep |= ends
            if not quote:
                scores[unknown[0]] -= self.protocol.sure
            if quote == unknown[:written]:
                keep |= set(unknown[written : written + 1])
            places = sorted(keep)
            return places[int(scores[places].argmax())] if places else None
        return int(scores.argmax())

    def quotable(self, written: list[int]) -> set[int]:
        """The ids after which an answer is still a quote: whole words of the passage in its order,
        then a full stop."""
        count, stop = len(written), self.tokenizer.encode(".")[-1]
        after = [i + count for i in self.starts if self.passage[i : i + count] == written]
        words = {self.passage[i] for i in after if i < len(self.passage)}
        return words - self.protocol.specials | {stop for i in after if i in self.ends}

    def is_quote(self, written: list[int]) -> bool:
        """Whether an answer may end here: whole words of the passage, with or without a full
        stop."""
        stop = self.tokenizer.encode(".")[-1]
        for ids in [written, written[:-1]] if written[-1] == stop else [written]:
            if any(
                self.passage[i : i + len(ids)] == ids and i + len(ids) in self.ends
                for i in self.starts
            ):
                return True
        return False

    def answer_call(self, text: str) -> Iterator[Event]:
        """Run a call that the model has finished, and insert what comes back, as text and nothing
        else."""
        result, is_passage = "", False
        try:
            call = parse_call(self.protocol.completed(text, self.message), self.assistant.tools)
            if call.tool.writes and call != self.confirmed:
                self.proposed, result = call, CONFIRM
            else:
                self.confirmed = None  # a yes counts once
                result = run_call(call)
                is_passage = call.tool.documents and not result.startswith(ERROR)
        except ValueError as error:
            result = f"{ERROR}{error}"
        limits = self.assistant.limits
        # a quote and an answer
        room = self.assistant.model.config.context - self.cache.length - limits.part * 3 // 2
        longest = max(0, min(limits.inserted, room))
        if is_passage:
            yield from self.read(
                result, call, limits.inserted if self.protocol.rereads else longest
            )
        else:
            yield Event("result", result)
            self.insert(self.protocol.result(result, longest))

    def read(self, result: str, call: Call, longest: int) -> Iterator[Event]:
        """Let the model read what a search has found, as passages."""
        search = self.assistant.search
        self.found = search.found[: self.protocol.candidates] if search is not None else []
        for hit in self.found:
            yield Event("passage", hit.passage.text)
            yield Event("source", hit.passage.name, hit.passage)
        excerpts = [Excerpt(hit.passage.text, hit.passage.context) for hit in self.found]
        if not self.found:  # a tool of documents that is not the search
            yield Event("passage", result)
            excerpts = [Excerpt(result)]
        question = str(call.arguments[0]) if call.arguments else self.message
        framed = self.protocol.passages(excerpts, question, longest)
        for place in framed.passages:
            ids = framed.ids[place.start : place.stop]
            starts, ends = words_in(pieces_of(ids, self.tokenizer))
            before = len(self.passage)
            self.starts |= {before + i for i in starts}
            self.ends |= {before + i for i in ends}
            self.passage += [*ids, self.protocol.ids[PASSAGE]]
        if self.protocol.rereads:
            self.forget()
        self.insert(framed.ids)


def pieces_of(ids: Sequence[int], tokenizer: Tokenizer) -> list[str]:
    """The text of each id; of a character in several ids, nothing but for the last one."""
    decoder = StreamDecoder(tokenizer)
    return [decoder.push(id) for id in ids]


def words_in(pieces: Sequence[str]) -> tuple[set[int], set[int]]:
    """Numbers of the pieces of a text with which a word or number begins, and of those behind the
    last of one.

    >>> words_in([" A", " tick", "et", " (", "blue", ")", " costs", " 3", ".", "40"])
    ({0, 1, 4, 6, 7}, {1, 3, 5, 7, 10})
    """
    words = list(QUOTABLE.finditer("".join(pieces)))
    first, last = {match.start() for match in words}, {match.end() for match in words}
    starts, ends, end = set[int](), set[int](), 0
    begun = 0  # the first id of a character that has not ended
    for i, piece in enumerate(pieces):
        end += len(piece)
        if piece and end - len(piece.lstrip()) in first:
            starts.add(begun)
        if piece and end in last:
            ends.add(i + 1)
        begun = i + 1 if piece else begun
    return starts, ends
