"""chat: a conversation with the assistant, in which every decision, call, result and source is
shown."""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from tinylm.commands.terminal import at_least, clean, print_json, say
from tinylm.config import Sampling
from tinylm.runs import append_line

if TYPE_CHECKING:
    from tinylm.assistant.fused import FusedIndex
    from tinylm.assistant.runtime import Assistant, Event
    from tinylm.runs import Run

ANSWER = 256  # tokens that a conversation leaves free for the answer
# Cooler than for verse: an answer should be the model's best, with a little variety.
CHAT_SAMPLING = Sampling(temperature=0.5, top_p=0.9)
NAMES = {"step": "step", "call": "call", "result": "result", "passage": "passage", "source": "from"}
LABELS = {kind: f"  {name:9}" for kind, name in NAMES.items()} | {"answer": ""}
HELLO = """Ask about the documents, large sums, orders ("Where is order {order}?") or berths
("Book berth 9 on Monday."). An empty line or Ctrl-D ends the conversation."""


def chat(
    documents: Path | None = None,
    run: Path | None = None,
    model: Path | None = None,
    session: Path | None = None,
    base: Path = Path("runs/demo/base"),
    out: Path = Path("runs/assistant"),
) -> None:
    """Talk to a small assistant that searches documents and calls tools, and watch what it does.

    Args:
        documents: Folder (or file) of your own text, Markdown, HTML and PDF documents. Default: the
            shipped handbook.
        run: An assistant that was trained already. Default: the one in `out`, trained there on
            first use.
        model: A run with a chat template, such as runs/smollm2. You then talk to the model itself,
            without documents or tools.
        session: A file to append the conversation to, one JSON object a line.
        base: The run that the assistant is fine-tuned from. It is trained first if it does not
            exist.
        out: Folder in which the assistant is kept.
    """
    if model is not None:
        if documents is not None or run is not None:
            raise ValueError("--model talks to the model alone: leave out --documents and --run")
        talk(model, session)
        return
    from tinylm.corpora.handbook import handbook
    from tinylm.runs import open_run

    first = first_message() if run is None else None
    if first == "":  # before an assistant is trained for nobody
        say("standard input is empty: there is no question to answer")
        return
    texts = handbook(1) if documents is None else read_folder(documents)
    trained = open_run(run) if run else first_use(base, out)
    index = None if documents is None else out / f"index-{name_of(documents)}.json"
    assistant = with_tools(trained, texts, index)
    converse(assistant, first or ask_user(), session)


def with_tools(run: "Run", texts: dict[str, str], index: Path | None) -> "Assistant":
    """The assistant with its tools on these documents, whose index is kept in a file where one is
    given; says what it can be asked."""
    from tinylm.assistant.retrieval import Index
    from tinylm.assistant.runtime import Assistant
    from tinylm.assistant.tools import Orders, Search, calculator, toolbox
    from tinylm.training.load import load_model

    network, tokenizer, _ = load_model(run)
    passages = Index(texts) if index is None else Index.open(index, texts)
    search, orders = Search(passages), Orders()
    tools = toolbox(calculator(), search.tool(), *orders.tools())
    say(f"documents: {len(texts)}, passages: {len(passages.passages)}")
    say(HELLO.format(order=orders.numbers()[0]))
    return Assistant(network, tokenizer, tools, search)


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
        documents: A folder or a file: text, Markdown, HTML and PDF.
        question: What to look for, in plain words.
        count: Number of passages to show at most.
        json: One JSON object per passage: text, document, place, score, context.
        model: A run such as runs/smollm2. With it, passages are found by meaning too, and each is
            shown with what each search thinks of it.
        out: Folder in which the index of --model is kept.
    """
    from tinylm.assistant.retrieval import Index

    at_least(1, count=count)
    texts = read_folder(documents)
    index = Index(texts) if model is None else by_meaning(model, texts, documents, out)
    hits = index.search(question, count)
    for hit in hits:
        passage, scores = hit.passage, getattr(hit, "scores", {})  # of each search, by meaning
        if json:
            place = {"document": passage.source, "place": passage.place}
            more: dict[str, Any] = {"score": round(hit.score, 4), "context": passage.context}
            if scores:
                more["scores"] = {name: round(score, 4) for name, score in scores.items()}
            print_json({"text": passage.text, **place, **more})
        else:
            each = "".join(f"; {name} {score:.2f}" for name, score in scores.items())
            print(clean(f"{hit.score:6.2f}  {passage.text}\n        {passage.name}{each}"))
    if not hits:
        say("no passage shares a word with the question")


def by_meaning(model: Path, texts: dict[str, str], documents: Path, out: Path) -> "FusedIndex":
    """The index by words and meaning of these documents, read by a model on first use and kept in
    `out`."""
    from tqdm.auto import tqdm

    from tinylm.assistant.fused import open_fused
    from tinylm.assistant.meaning import Encoder
    from tinylm.runs import open_run
    from tinylm.training.load import load_model

    run = open_run(model)
    network, tokenizer, _ = load_model(run)
    encoder = Encoder(network, tokenizer, run.fingerprint)

    def watch(batches: Sequence[list[int]]) -> Iterable[list[int]]:
        # A second or two of waiting needs no bar.
        return tqdm(batches, desc="reading for the search", unit="batch", delay=2)

    return open_fused(out / f"index-{name_of(documents)}.json", texts, encoder, watch)


def read_folder(path: Path) -> dict[str, str]:
    """The user's documents by name; says which ones could not be read."""
    from tinylm.corpora.documents import read_documents

    contents = read_documents(path)
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


def converse(assistant: "Assistant", message: str, session: Path | None) -> None:
    """Answer a message and those after it on standard output, until an empty one."""
    while message:
        parts = [("user", message), *joined(list(show(assistant.reply(message))))]
        if session is not None:
            for role, text in parts:
                append_line(session, {"role": role, "text": text})
        message = ask_user()


def first_message() -> str | None:
    """The first message of a pipe or file, "" where there is none; None at a terminal."""
    return None if sys.stdin.isatty() else sys.stdin.readline().strip()


def talk(folder: Path, session: Path | None) -> None:
    """A conversation with an instruction model by its own chat template, until an empty line.

    The whole history is its prompt, for as long as it fits beside an answer into the context.
    """
    from tinylm.formats.chat import end_of_turn, recent_turns, template_of
    from tinylm.generation import Request, continue_text
    from tinylm.runs import open_run
    from tinylm.training.load import load_model

    run = open_run(folder)
    template = template_of(run)
    model, tokenizer, _ = load_model(run)
    room = model.config.context - min(ANSWER, model.config.context // 2)
    messages: list[dict[str, str]] = []
    say("An empty line or Ctrl-D ends the conversation.")
    while message := ask_user():
        messages.append({"role": "user", "content": message})
        try:
            ids, dropped = recent_turns(template, tokenizer, messages, room)
        except ValueError as error:  # a message that is too long is no reason to end
            say(str(error))
            messages.pop()
            continue
        if dropped:
            say(f"the oldest {dropped} messages no longer fit into the context and are left out")
            del messages[:dropped]
        tokens, end = model.config.context - len(ids), end_of_turn(tokenizer)
        request = Request(message, tokens, CHAT_SAMPLING, begin=end, ids=tuple(ids))
        answer = ""
        for (row,) in continue_text(model, tokenizer, request):
            print(clean(row.text[len(answer) :]), end="", flush=True)
            answer = row.text
        print()
        messages.append({"role": "assistant", "content": answer})
        if session is not None:
            for turn in messages[-2:]:
                append_line(session, {"role": turn["role"], "text": turn["content"]})


def ask_user() -> str:
    """The next message; "" at the end of the input."""
    print("> ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def show(events: Iterator["Event"]) -> Iterator["Event"]:
    """Print a reply as it comes, one line a part, and hand its events on."""
    last = None
    for event in events:
        if event.kind != last:
            print(("\n" if last else "") + LABELS[event.kind], end="")
            last = event.kind
        print(clean(event.text), end="", flush=True)
        yield event
    print()


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
