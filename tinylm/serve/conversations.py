"""The conversations of a page's tabs: who is answered with what, one at a time.

A tab has a conversation of its own, known by a random key. Its assistant is made at the first
message, and made anew when an ability is switched: a proposal that waited for a yes is dropped
then, and so is what was said before.

Two things keep tabs apart. All of them wait in one line, first come, first served, so that one
answer is written at a time and each at full speed. And all work on models runs in one thread: what
a tab has left behind is closed before the next answer begins.

Trade-off: a long answer holds everybody up. The page says that it waits.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from tinylm.pages.html import visible

LONGEST_MESSAGE = 2_000  # characters
MOST_CONVERSATIONS = 32  # open at once, and messages in the line
Line = dict[str, Any]  # what the page receives for one event


class Happening(Protocol):
    """A piece of what an assistant does: `kind` says what it is, and the page shows any kind."""

    @property
    def kind(self) -> str:
        """answer, step, call, result, passage, source, or a kind that is not known here."""

    @property
    def text(self) -> str:
        """A piece of the part that is being written, or the whole of it."""


class Replies(Protocol):
    """What is talked to: an assistant, or the model under it."""

    def reply(self, message: str) -> Iterator[Happening]:
        """Answer a message piece by piece. ValueError where it cannot be answered."""

    @property
    def proposed(self) -> object | None:
        """A call that waits for the user's yes."""


@dataclass(frozen=True)
class Ability:
    """A switch on the page, in plain words."""

    name: str
    label: str
    brings: str  # one sentence: what the assistant has by it
    lost: str  # one sentence: what is left without it
    needs: str = ""  # the ability without which it makes no difference


@dataclass(frozen=True)
class Service:
    """What a page offers. `assistant` begins a conversation with the abilities of these names."""

    title: str
    lead: str
    abilities: tuple[Ability, ...]
    examples: tuple[str, ...]
    assistant: Callable[[frozenset[str]], Replies]


class Conversation:
    """One tab's."""

    def __init__(self) -> None:
        self.assistant: Replies | None = None
        self.abilities: frozenset[str] = frozenset()


class Conversations:
    """All tabs of one server."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.open: OrderedDict[str, Conversation] = OrderedDict()  # used last, at the end
        self.turn = asyncio.Lock()  # asyncio's lock is fair: first come, first served
        self.waiting = 0
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="assistant")
        self.stopped: Callable[[], bool] = lambda: False  # the server sets it

    def begin(self) -> str:
        """Open a conversation and return its key; the one that was used longest ago may make
        room."""
        while len(self.open) >= MOST_CONVERSATIONS:
            self.open.popitem(last=False)
        key = secrets.token_urlsafe(16)
        self.open[key] = Conversation()
        return key

    def end(self, key: str) -> None:
        """Forget a conversation, if it is there."""
        self.open.pop(key, None)

    async def reply(
        self, key: str, message: str, abilities: frozenset[str]
    ) -> AsyncGenerator[Line, None]:
        """Answer a message: one line for each event, then one of the kind "end".

        KeyError where the conversation is over. Closing the iterator stops the generation.
        """
        conversation = self.open[key]
        self.open.move_to_end(key)
        self.waiting += 1
        try:
            if self.turn.locked():
                yield {"kind": "wait"}
            # Closed where this generator is closed: nothing may hold the turn any longer.
            async with self.turn, aclosing(self.speak(conversation, message, abilities)) as lines:
                async for line in lines:
                    yield line
        finally:
            self.waiting -= 1

    async def speak(
        self, conversation: Conversation, message: str, abilities: frozenset[str]
    ) -> AsyncGenerator[Line, None]:
        """The same, when its turn has come."""
        try:
            assistant = await self.work(self.assistant_of, conversation, abilities)
            events = assistant.reply(message)
            try:
                while (event := await self.work(next, events, None)) is not None:
                    if self.stopped():
                        raise ValueError("the program was stopped")
                    yield {"kind": event.kind, "text": visible(event.text)}
            finally:  # in the same thread, so behind a token that is still being computed
                self.worker.submit(close, events)
            yield {"kind": "end", "confirm": assistant.proposed is not None}
        except ValueError as error:
            yield {"kind": "error", "text": visible(str(error))}

    def assistant_of(self, conversation: Conversation, abilities: frozenset[str]) -> Replies:
        """The conversation's assistant; a new one where it has other abilities than before."""
        if conversation.assistant is None or conversation.abilities != abilities:
            conversation.assistant = self.service.assistant(abilities)
            conversation.abilities = abilities
        return conversation.assistant

    async def work(self, task: Callable[..., Any], *arguments: Any) -> Any:
        """What a task returns that is run in the one thread of all models."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, task, *arguments)


def close(events: Iterator[Happening]) -> None:
    """End a generator where it stands."""
    if isinstance(events, Generator):
        events.close()
