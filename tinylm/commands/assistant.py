"""chat: a conversation with the assistant, in which every decision, call, result and source is
shown."""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from tinylm.commands.terminal import at_least, clean, linked, print_json, say
from tinylm.runs import append_line

if TYPE_CHECKING:
    from tinylm.assistant.database import Database
    from tinylm.assistant.fused import FusedIndex
    from tinylm.assistant.passages import Passage
    from tinylm.assistant.retrieval import Index
    from tinylm.assistant.runtime import Assistant, Event
    from tinylm.commands.graduate import Worded
    from tinylm.runs import Run

NAMES = {"step": "step", "call": "call", "result": "result", "passage": "passage",
         "source": "from", "quote": "quote"}  # fmt: skip
LABELS = {kind: f"  {name:9}" for kind, name in NAMES.items()} | {"answer": ""}
HELLO = """Ask about the documents, large sums, orders ("Where is order {order}?") or berths
("Book berth 9 on Monday.")."""
END = "An empty line or Ctrl-D ends the conversation."
PORT = 8642  # of the page, unless another one is asked for


def chat(
    documents: Path | None = None,
    database: Path | None = None,
    run: Path | None = None,
    model: Path | None = None,
    plain: bool = False,
    free: bool = False,
    session: Path | None = None,
    base: Path = Path("runs/demo/base"),
    out: Path = Path("runs/assistant"),
    serve: bool = False,
    port: int = PORT,
) -> None:
    """Talk to a small assistant that searches documents and calls tools, and watch what it does.

    Args:
        documents: Folder (or file) of your own text, Markdown, HTML, PDF, Word, Excel and
            PowerPoint documents. Default: the shipped handbook.
        database: A SQLite file, which is only read; its calls take the place of those for orders
            and berths. `harbour` writes one to try into `out`.
        run: An assistant that was trained already. Default: the one in `out`, trained there on
            first use.
        model: An imported model, such as runs/smollm2. It practises to search, to call tools and
            to read, about eight minutes on first use, and is kept in `out`.
        plain: With --model: talk to the model as it is, by its own chat template, without
            documents or tools. A model without the special tokens that practice needs always does.
        free: With --model: let it word its answers. A sentence is shown only if all its numbers and
            names stand in the passage; else the quote is.
        session: A file to append the conversation to, one JSON object a line.
        base: The run that the assistant is fine-tuned from. It is trained first if it does not
            exist.
        out: Folder in which the assistant is kept.
        serve: Show the conversation on a web page of this machine, with a switch for each ability;
            Ctrl-C ends it.
        port: With --serve: the page's port on 127.0.0.1; 0 takes any free one.
    """
    from tinylm.commands.graduate import can_practise, in_sentences
    from tinylm.runs import open_run

    refuse(serve and session is not None, "--session keeps a conversation of the terminal: leave "
           "it or --serve out")  # fmt: skip
    refuse(not serve and port != PORT, "--port is the port of the page: add --serve")
    graduate = None if model is None else open_run(model)
    if graduate is not None and (plain or not can_practise(graduate)):
        more = any(option is not None for option in (documents, run, database))
        refuse(more or free, "this talks to the model alone: leave out --documents and --run, "
               "--database, --free")  # fmt: skip
        return alone(graduate, session, serve, port)
    refuse(graduate is not None and run is not None, "--model makes an assistant of its own: leave "
           "out --run")  # fmt: skip
    refuse(graduate is None and (plain or free), "--plain and --free are for an imported model: "
           "add --model RUN")  # fmt: skip
    refuse(free and serve, "--free words answers in the terminal: leave it or --serve out")
    first = first_message() if run is None and not serve else None
    if first == "":  # before an assistant is trained for nobody
        say("standard input is empty: there is no question to answer")
        return
    trained, assistant = equipped(graduate, documents, database, lambda: open_run(run) if run
                                  else first_use(base, out), out)  # fmt: skip
    if serve:
        from tinylm.commands.serve import serve_assistant

        return serve_assistant(assistant, trained, port)
    say(END)
    worded = in_sentences(trained) if free else None
    converse(assistant, first or ask_user(), session, documents, worded)


def refuse(wrong: bool, reason: str) -> None:
    """ValueError with the reason where options do not go together."""
    if wrong:
        raise ValueError(reason)


def equipped(
    graduate: "Run | None",
    documents: Path | None,
    database: Path | None,
    toy: "Callable[[], Run]",
    out: Path,
) -> "tuple[Run, Assistant]":
    """The assistant, made from an imported model or the `toy`, with its documents and tools."""
    from tinylm.assistant.retrieval import Index
    from tinylm.commands.graduate import practised
    from tinylm.corpora.handbook import handbook

    # Before anything is trained: what cannot be read is said at once.
    texts = handbook(1) if documents is None else read_folder(documents)
    tables = None if database is None else open_database(database, out)
    trained = toy() if graduate is None else practised(graduate, out)
    file = out / f"index-{'handbook' if documents is None else name_of(documents)}.json"
    if graduate is not None:
        passages: Index = by_meaning(graduate, texts, file)
    else:
        passages = Index(texts) if documents is None else Index.open(file, texts)
    return trained, with_tools(trained, passages, len(texts), tables)


def alone(model: "Run", session: Path | None, serve: bool, port: int) -> None:
    """A conversation with a model as it is, in the terminal or on a page."""
    if serve:
        from tinylm.commands.serve import serve_model

        return serve_model(model, port)
    talk(model, session)


def open_database(path: Path, out: Path) -> "Database":
    """The user's database; for "harbour", where no such file is, the harbour company's."""
    from tinylm.assistant.database import Database
    from tinylm.assistant.harbour import write_harbour

    if str(path) == "harbour" and not path.exists():
        path = out / "harbour.sqlite"
        if not path.exists():
            say(f"wrote {write_harbour(path)}")
    return Database(path)


def with_tools(
    run: "Run", passages: "Index", documents: int, database: "Database | None" = None
) -> "Assistant":
    """The assistant with its tools on the passages of so many documents, and on a database; says
    what it can be asked."""
    from tinylm.assistant.graduate import search_for
    from tinylm.assistant.runtime import Assistant
    from tinylm.assistant.tools import Orders, calculator, toolbox
    from tinylm.training.load import load_model

    network, tokenizer, _ = load_model(run)
    search, orders = search_for(tokenizer, passages), Orders()
    rows = (orders if database is None else database).tools()
    tools = toolbox(calculator(), search.tool(), *rows)
    say(f"documents: {documents}, passages: {len(passages.passages)}")
    if database is None:
        say(HELLO.format(order=orders.numbers()[0]))
    else:
        say(f"tables of {database.path.name}:\n{database.schema()}")
    schema = "" if database is None else database.schema()
    return Assistant(network, tokenizer, tools, search, schema)


def search(
    documents: Positional[Path],
    question: Positional[str],
    count: int = 3,
    json: bool = False,
    model: Path | None = None,
    out: Path = Path("runs/assistant"),
) -> None:
    """Show the passages of your documents that fit a question; no model is needed.

    Args:
        documents: A folder or a file: text, Markdown, HTML, PDF, Word, Excel and PowerPoint.
        question: What to look for, in plain words.
        count: Number of passages to show at most.
        json: One JSON object per passage: text, document, place, score, context, where, path.
        model: A run such as runs/smollm2. With it, passages are found by meaning too, and each is
            shown with what each search thinks of it.
        out: Folder in which the index of --model is kept.
    """
    from tinylm.assistant.retrieval import Index
    from tinylm.corpora.documents import path_of
    from tinylm.runs import open_run

    at_least(1, count=count)
    texts = read_folder(documents)
    kept = out / f"index-{name_of(documents)}.json"
    index = Index(texts) if model is None else by_meaning(open_run(model), texts, kept)
    hits = index.search(question, count)
    for hit in hits:
        passage, scores = hit.passage, getattr(hit, "scores", {})  # of each search, by meaning
        if json:
            place = {"document": passage.source, "place": passage.place}
            more: dict[str, Any] = {"score": round(hit.score, 4), "context": passage.context}
            if scores:
                more["scores"] = {name: round(score, 4) for name, score in scores.items()}
            file = {"where": passage.where, "path": str(path_of(documents, passage.source))}
            print_json({"text": passage.text, **place, **more, **file})
        else:
            each = "".join(f"; {name} {score:.2f}" for name, score in scores.items())
            print(clean(f"{hit.score:6.2f}  {passage.text}"))
            print(f"        {place_of(passage, documents)}{each}")
    if not hits:
        say("no passage shares a word with the question")


def by_meaning(run: "Run", texts: dict[str, str], path: Path) -> "FusedIndex":
    """The index by words and meaning of these documents, read by a model on first use and kept at
    `path`."""
    from tqdm.auto import tqdm

    from tinylm.assistant.fused import open_fused
    from tinylm.assistant.meaning import Encoder

    def watch(batches: Sequence[list[int]]) -> Iterable[list[int]]:
        # A second or two of waiting needs no bar.
        return tqdm(batches, desc="reading for the search", unit="batch", delay=2)

    return open_fused(path, texts, Encoder.of(run), watch)


def read_folder(path: Path) -> dict[str, str]:
    """The user's documents by name; says which ones could not be read."""
    from tinylm.corpora.documents import read_sources

    contents = read_sources(path)
    for left_out in contents.skipped:
        say(clean(f"left out: {left_out.source} ({left_out.reason})"))
    return dict(zip(contents.sources, contents.texts))


def name_of(documents: Path) -> str:
    """A name for the index of a place, which lies beside the assistant and not among the user's
    documents."""
    return hashlib.sha256(str(documents.resolve()).encode("utf-8")).hexdigest()[:12]


def first_use(base: Path, out: Path) -> "Run":
    """The assistant in `out`, trained before the first conversation: a few minutes, told and drawn
    as a bar."""
    from tinylm.assistant.training import (
        assistant_cases,
        assistant_recipe,
        dialogue_corpus,
        prepared,
    )
    from tinylm.commands.progress import follow
    from tinylm.lessons.assistants import SIZES
    from tinylm.lessons.experiment import is_finished, open_trainer
    from tinylm.recipes import load_recipe
    from tinylm.runs import open_run
    from tinylm.training.load import load_model

    folder, size = out / "model-1", SIZES["full"]
    if is_finished(folder):
        return open_run(folder)
    say("The assistant is trained on first use, and kept.")
    imported = (base / "manifest.json").is_file() and open_run(base).manifest[
        "status"
    ] == "imported"
    if not (imported or is_finished(base)):
        say(f"Its base is trained first, into {base}.")
        if not follow(open_trainer(base, load_recipe("demo-base"))):
            sys.exit(130)
    parent = prepared(open_run(base), out / "prepared")
    dialogues = [case.dialogue for case in assistant_cases(1, size.dialogues)]
    corpus = dialogue_corpus(
        load_model(parent).tokenizer, dialogues, "assistant dialogues, seed 1", size.valid
    )
    recipe = assistant_recipe(parent.recipe, parent, 1, size.steps)
    if not follow(open_trainer(folder, recipe, corpus)):
        sys.exit(130)
    return open_run(folder)


def converse(
    assistant: "Assistant",
    message: str,
    session: Path | None,
    documents: Path | None = None,
    worded: "Worded | None" = None,
) -> None:
    """Answer a message and those after it on standard output, until an empty one; `worded` puts
    what is quoted into sentences."""
    while message:
        events = assistant.reply(message)
        events = worded(events, message) if worded else events
        parts = [("user", message), *joined(list(show(events, documents)))]
        if session is not None:
            for role, text in parts:
                append_line(session, {"role": role, "text": text})
        message = ask_user()


def first_message() -> str | None:
    """The first message of a pipe or file, "" where there is none; None at a terminal."""
    return None if sys.stdin.isatty() else sys.stdin.readline().strip()


def talk(run: "Run", session: Path | None) -> None:
    """A conversation with an instruction model by its own chat template, until an empty line."""
    from tinylm.commands.serve import plain_model
    from tinylm.formats.chat import template_of

    template_of(run)  # ValueError where it has none
    plain = plain_model(run)()
    say(END)
    while message := ask_user():
        try:
            for _ in show(plain.reply(message)):
                pass
        except ValueError as error:  # a message that is too long is no reason to end
            say(str(error))
            continue
        if session is not None:
            for turn in plain.turns[-2:]:
                append_line(session, {"role": turn["role"], "text": turn["content"]})


def ask_user() -> str:
    """The next message; "" at the end of the input."""
    print("> ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def show(events: Iterator["Event"], documents: Path | None = None) -> Iterator["Event"]:
    """Print a reply as it comes, one line a part, and hand its events on.

    A source from the user's `documents` leads to its file.
    """
    last = None
    for event in events:
        if event.kind != last:
            print(("\n" if last else "") + LABELS[event.kind], end="")
            last = event.kind
        text = clean(event.text)
        if documents is not None and event.passage is not None:
            text = place_of(event.passage, documents)
        print(text, end="", flush=True)
        yield event
    print()


def place_of(passage: "Passage", documents: Path) -> str:
    """The file of a passage, a link in a terminal, and the place in it; safe to print."""
    from tinylm.corpora.documents import path_of

    place = passage.name.removeprefix(passage.source)
    return linked(path_of(documents, passage.source)) + clean(place)


def joined(events: list["Event"]) -> Iterator[tuple[str, str]]:
    """The parts of a reply, the pieces of each put together."""
    last, text = "", ""
    for event in events:
        if event.kind != last and last:
            yield last, text
            text = ""
        last, text = event.kind, text + event.text
    if last:
        yield last, text
