"""chat --serve: the conversation as a web page of this machine, with a switch for each ability."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from tinylm.commands.terminal import say

if TYPE_CHECKING:
    from tinylm.assistant.plain import Plain, Turn
    from tinylm.assistant.runtime import Assistant
    from tinylm.generation import Request
    from tinylm.model.gpt import GPT
    from tinylm.runs import Run
    from tinylm.serve.conversations import Ability, Replies, Service
    from tinylm.text.tokenizers import Tokenizer

DOCUMENTS, TOOLS, PRACTICE = "documents", "tools", "fine-tuning"
ANSWER = 256  # tokens that a conversation leaves free for an instruction model's answer
LEAD = (
    "Beside each answer stands what the model did for it. Take an ability away, ask again, and see "
    "what is lost. Nothing that is said here leaves this machine."
)
# What is left without fine-tuning, for a model that continues texts and for one that was made for
# conversations.
CONTINUES = (
    "The model under it was never taught to answer. It takes your message for the beginning of a "
    "text and continues it, in the manner of what it read."
)
ANSWERS = (
    "The model under it answers as its makers taught it, from what its weights hold. It has not "
    "learned to search your documents or to call these tools, so it may make things up."
)


def serve_assistant(assistant: "Assistant", run: "Run", port: int) -> None:
    """Serve a page for the assistant of a run, until Ctrl-C."""
    serve(service_of(assistant, run), port)


def serve_model(run: "Run", port: int) -> None:
    """Serve a page for an instruction model alone, until Ctrl-C; it has no abilities to switch."""
    from tinylm.serve.conversations import Service

    begin = plain_model(run)
    begin()  # its weights are read now, and not while somebody waits for a first answer
    lead = (
        "You talk to the model itself, without documents or tools: what it says comes from its "
        "weights alone. Nothing that is said here leaves this machine."
    )
    examples = ("What is a harbour?", "What is 348 times 129?", "Where is order 1035?")
    serve(Service(f"A talk with {run.name}", lead, (), examples, lambda _: begin()), port)


def serve(service: "Service", port: int) -> None:
    """Print the address of the page and answer it, until Ctrl-C."""
    try:
        from tinylm.serve.app import bind, make_server
    except ModuleNotFoundError as error:  # of a copy that is newer than its environment
        raise ValueError(f"{error.name} is missing. Install again: pip install -e .") from None

    with bind(port) as listening:
        port = listening.getsockname()[1]
        server = make_server(service, port)
        say("The page opens in a browser on this machine; Ctrl-C ends it.")
        print(f"http://127.0.0.1:{port}/", flush=True)
        # uvicorn closes everything first, then passes the signal on
        with suppress(KeyboardInterrupt):
            server.run([listening])
        say("ended")


def service_of(assistant: "Assistant", run: "Run") -> "Service":
    """The page's switches and examples, and how a conversation with some of the abilities
    begins."""
    from tinylm.serve.conversations import Service

    parent = untuned(run)
    begin_plain = None if parent is None else plain_model(parent)
    abilities = tuple(abilities_of(assistant, parent))

    def begin(names: frozenset[str]) -> "Replies":
        if begin_plain is not None and PRACTICE not in names:
            return begin_plain()
        return with_only(assistant, DOCUMENTS in names, TOOLS in names)

    return Service("An assistant and its parts", LEAD, abilities, examples_of(assistant), begin)


def with_only(assistant: "Assistant", documents: bool, tools: bool) -> "Assistant":
    """A new conversation of the same model, with its documents, with its tools, or with
    neither."""
    from tinylm.assistant.runtime import Assistant
    from tinylm.assistant.tools import toolbox

    chosen = [tool for tool in assistant.tools.values() if tools and not tool.documents]
    search = None
    if documents and assistant.search is not None:
        # one of its own, of the same kind: a search remembers what it looked for
        search = type(assistant.search)(assistant.search.index)
        chosen.append(search.tool())
    schema = assistant.schema if tools else ""
    return Assistant(assistant.model, assistant.tokenizer, toolbox(*chosen), search, schema)


def untuned(run: "Run") -> "Run | None":
    """The run under an assistant; None, and a line that says why, where there is none."""
    from tinylm.assistant.plain import without_practice

    try:
        parent = without_practice(run)
        reason = "it was trained from nothing"
    except ValueError as error:
        parent, reason = None, str(error)
    if parent is None:
        say(f"fine-tuning has no switch on the page: {reason}")
    return parent


def plain_model(run: "Run") -> "Callable[[], Plain]":
    """How a conversation with a run's model as it is begins; its weights are read at the first."""
    from tinylm.assistant.plain import Plain, continuation
    from tinylm.training.load import chat_template, load_model

    @cache
    def loaded() -> "tuple[GPT, Tokenizer, Callable[[list[Turn]], Request]]":
        model, tokenizer, recipe = load_model(run)
        template = chat_template(run)
        if template is None:
            return model, tokenizer, continuation(recipe.corpus.document_token)
        return model, tokenizer, in_turns(template, model, tokenizer)

    return lambda: Plain(*loaded())


def in_turns(
    template: str, model: "GPT", tokenizer: "Tokenizer"
) -> "Callable[[list[Turn]], Request]":
    """The conversation in the format of a chat template, as much of it as the context holds beside
    an answer; what no longer fits is forgotten, and the terminal says so."""
    from tinylm.assistant.plain import SAMPLING
    from tinylm.formats.chat import end_of_turn, recent_turns
    from tinylm.generation import Request

    context, end = model.config.context, end_of_turn(tokenizer)
    room = context - min(ANSWER, context // 2)

    def request(turns: "list[Turn]") -> Request:
        ids, dropped = recent_turns(template, tokenizer, turns, room)
        if dropped:
            say(f"the oldest {dropped} messages no longer fit into the context and are left out")
            del turns[:dropped]
        message = turns[-1]["content"]
        return Request(message, context - len(ids), SAMPLING, begin=end, ids=tuple(ids))

    return request


def abilities_of(assistant: "Assistant", parent: "Run | None") -> "list[Ability]":
    """A switch for each thing that can be taken away, in plain words."""
    from tinylm.serve.conversations import Ability
    from tinylm.training.load import chat_template

    abilities = []
    needs = PRACTICE if parent else ""
    if assistant.search is not None:
        index = assistant.search.index
        count = len({passage.source for passage in index.passages})
        brings = f"It may search {count} documents ({len(index.passages):,} passages)."
        lost = (
            "It may still ask for a search; the program answers that there is none. What it says "
            "then is a guess: it has never read these documents."
        )
        abilities.append(Ability(DOCUMENTS, "Documents", brings, lost, needs))
    tools = [tool for tool in assistant.tools.values() if not tool.documents]
    if tools:
        purposes = ", ".join(f"{tool.name} ({tool.purpose})" for tool in tools)
        brings = f"It may call {purposes}. All tabs share one company's data."
        lost = (
            "It may still call a tool; the program answers that there is none. It can work nothing "
            "out, look nothing up and change nothing."
        )
        abilities.append(Ability(TOOLS, "Tools", brings, lost, needs))
    if parent is not None:
        brings = "It has practised dialogues: when to search, what to call, how to answer."
        lost = ANSWERS if chat_template(parent) else CONTINUES
        abilities.append(Ability(PRACTICE, "Fine-tuning", brings, lost))
    return abilities


def examples_of(assistant: "Assistant") -> tuple[str, ...]:
    """Questions to begin with, for what this assistant has."""
    from tinylm.assistant.tools import Orders
    from tinylm.corpora.handbook import handbook

    examples = []
    index = assistant.search.index if assistant.search else None
    if index is not None and index.hashes.keys() == handbook(1).keys():
        examples.append("How many passengers may the Kittiwake take?")
    for tool, question in (
        ("calculator", "What is 348 times 129?"),
        ("order", f"Where is order {Orders().numbers()[0]}?"),
        ("book", "Book berth 9 on Monday."),
    ):
        if tool in assistant.tools:
            examples.append(question)
    return (*examples, "What can you do?")
