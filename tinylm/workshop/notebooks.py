"""What the notebooks share: their scale, the runs they look at, and how things are shown while one
watches.

    base, verse = demo_runs()                    finished runs; small ones are trained where there
      are none
    for record in watch(trainer): ...            loss curve and samples, drawn anew as training goes
      on
    run = finish(here.train(name, recipe))       a generator to its end, under a progress
      bar
    show(figure)   tell("... {number} ...")      a picture; a sentence whose numbers were computed
    explore(draw, temperature=(0.5, 1.0))        sliders, where ipywidgets is there; one picture
      where it is not
    show_result("style")                         what a lesson found on this machine, or how to run
      it

TINYLM_SCALE=smoke makes every notebook run in seconds, from which nothing can be learned but that
it works.

Trade-off: pictures are reduced to 256 colours at 100 dots an inch, so that notebooks with their
outputs stay small enough to be kept in a repository.
"""

import io
import os
import textwrap
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from importlib import import_module, util
from pathlib import Path
from typing import Any, TypeVar

import matplotlib
import torch
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure
from PIL import Image as Pixels
from tqdm.auto import tqdm

from tinylm.assistant.training import assistant_cases, assistant_recipe, dialogue_corpus, prepared
from tinylm.config import Sampling
from tinylm.evaluation.surprisal import opening
from tinylm.generation import narrow
from tinylm.lessons.assistants import SIZES
from tinylm.lessons.decide import saved_results
from tinylm.lessons.experiment import (
    SMOKE,
    Experiment,
    Progress,
    Scale,
    hash_of,
    is_finished,
    settings_of,
    train_to_end,
)
from tinylm.lessons.lesson import find_lesson
from tinylm.pages import figures
from tinylm.pages.html import visible
from tinylm.recipes import ROOT, load_recipe
from tinylm.runs import Run, open_run, read_json
from tinylm.text.explain import token_label
from tinylm.training.load import Loaded, load_model
from tinylm.training.trainer import Record, Trainer

Value = TypeVar("Value")
# minutes of a full run, written by `make notebooks`
TIMINGS = ROOT.parent / "notebooks" / "timings.json"
COLOURS, DOTS = 256, 100  # of pictures


# -- scale ----------------------------------------------------------------------------------------


def scale() -> Scale:
    """Of this session, from the environment variable TINYLM_SCALE."""
    return "smoke" if os.environ.get("TINYLM_SCALE") == "smoke" else "full"


def sized(full: Value, smoke: Value) -> Value:
    """One of two values, by the scale."""
    return smoke if scale() == "smoke" else full


def experiment(name: str) -> Experiment:
    """The experiment of one notebook's own runs."""
    return Experiment(scale(), home() / name)


def home() -> Path:
    """Where the notebooks' own runs are kept; what is finished there is not trained again."""
    return Path("runs") / sized("notebooks", "notebooks-smoke")


def begin(notebook: str) -> None:
    """Tell how long a notebook takes, as measured, and what the scale is."""
    if scale() == "smoke":
        tell(
            "**Smoke scale**: everything runs, nothing is learned, no number below means anything."
        )
    elif TIMINGS.is_file() and notebook in (known := read_json(TIMINGS))["minutes"]:
        tell(
            f"Running it took {known['minutes'][notebook]:.1f} minutes ({known['machine']}); "
            "reading it takes longer."
        )


# -- showing --------------------------------------------------------------------------------------


def tell(text: str) -> None:
    """A paragraph of Markdown whose numbers come from variables."""
    display(Markdown(text))


def tabulate(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; whatever stands in a cell is shown as plain text on one line."""
    lines = [columns, ["---"] * len(columns), *rows]
    tell("\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines))


def cell(value: object) -> str:
    """A value as it may stand in a table of Markdown.

    >>> cell("a|b\\nc"), cell("*")
    ('a&#124;b ⏎ c', '&#42;')
    """
    text = visible(str(value)).replace("\n", " ⏎ ")
    return "".join(f"&#{ord(sign)};" if sign in "&<>|*_`[]#" else sign for sign in text)


def show(figure: Figure) -> None:
    """A picture."""
    display(picture(figure))


def picture(figure: Figure) -> Image:
    """A figure as a small PNG, with its title as the text for those who cannot see it."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(figures.STYLE):
        figure.savefig(
            buffer, format="png", dpi=DOTS, facecolor="white", metadata={"Software": None}
        )
    return Image(small(buffer), format="png", alt=figure.get_suptitle())


def small(png: io.BytesIO | Path) -> bytes:
    """A PNG with few colours."""
    out = io.BytesIO()
    with Pixels.open(png) as pixels:
        pixels.convert("RGB").quantize(COLOURS, dither=Pixels.Dither.NONE).save(
            out, format="png", optimize=True
        )
    return out.getvalue()


def explore(draw: Callable[..., Figure], **choices: Sequence[Any]) -> None:
    """Redraw a picture as sliders move over the choices of each argument; without sliders, draw the
    middle ones."""
    middle = {name: values[len(values) // 2] for name, values in choices.items()}
    if util.find_spec("ipywidgets") is None:
        setting = ", ".join(f"{name} {value}" for name, value in middle.items())
        tell(
            f"Sliders need `ipywidgets`; this is {setting}. Call the function with other values to "
            "see them."
        )
        show(draw(**middle))
        return
    widgets = import_module("ipywidgets")
    sliders = {
        name: widgets.SelectionSlider(options=list(values), value=middle[name], description=name)
        for name, values in choices.items()
    }
    widgets.interact(lambda **chosen: show(draw(**chosen)), **sliders)


def watch(trainer: Trainer, every: int = 25) -> Iterator[Record]:
    """Train, with the loss curve and the newest sample on show, drawn anew every so many steps;
    yields each record."""
    curve, sample = display(Markdown(""), display_id=True), display(Markdown(""), display_id=True)
    total = trainer.recipe.train.steps
    with tqdm(total=total, initial=trainer.step, unit="step", leave=False, mininterval=0.5) as bar:
        for record in trainer.run():
            bar.update()
            if record.samples:
                sample.update(Markdown(f"Step {record.step:,}:\n\n{quoted(record.samples[0])}"))
            if record.step % every == 0 or record.step == total:
                records = figures.loss_records([open_run(trainer.folder)], [trainer.recipe.name])
                curve.update(picture(figures.losses(records)))
            yield record


def quoted(text: str) -> str:
    """A text that a model made as a block of Markdown in which nothing is markup.

    >>> quoted("The tide\\n# comes in")
    '    The tide\\n    # comes in'
    """
    return (
        "\n".join(f"    {line}" for line in visible(text).strip().splitlines()) or "    (nothing)"
    )


def finish(steps: Generator[Progress, None, Value]) -> Value:
    """Run an experiment's generator to its end under progress bars; returns what it returns."""
    bar, part = tqdm(leave=False, delay=1), ""
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            bar.close()
            return end.value
        if progress.part != part:
            bar.close()
            bar, part = (
                tqdm(total=progress.total, desc=progress.part, leave=False, mininterval=0.5),
                progress.part,
            )
        bar.update(progress.done - bar.n)


@torch.inference_mode()
def sampling_bars(loaded: Loaded, prompt: str, shown: int = 8, **samplings: Sampling) -> Figure:
    """The likeliest next tokens after a prompt, their probabilities once for each named way of
    sampling."""
    model, tokenizer, recipe = loaded
    begin_ids = opening(tokenizer, recipe.corpus.document_token)
    ids = (begin_ids + tokenizer.encode(prompt))[-model.config.context :]
    logits = model(torch.tensor([ids]))[:, -1]  # (1, V)
    # (V,) each
    chances = [narrow(logits, sampling).softmax(-1)[0] for sampling in samplings.values()]
    best = logits[0].topk(min(shown, logits.shape[-1])).indices.tolist()
    labels = [name.replace("_", " ") for name in samplings]
    rows = {"prompt": prompt, "tokens": [token_label(tokenizer, id) for id in best],
            "probabilities": [[float(row[id]) for row in chances] for id in best]}  # fmt: skip
    figure = figures.next_tokens([rows], labels)
    first = ", ".join(
        f"{label} {figures.percent(float(row[best[0]]))}" for label, row in zip(labels, chances)
    )
    title = f"“{rows['tokens'][0]}” is the likeliest: {first}"
    figure.suptitle(textwrap.fill(title, 64), x=0.01, ha="left", fontsize=13.5, fontweight="bold")
    return figure


# -- what was found out before --------------------------------------------------------------------


def show_result(lesson: str) -> None:
    """What a lesson found on this machine at full scale, over its seeds; or, where it was not run,
    how to run it."""
    known = find_lesson(lesson)
    folder = Path("runs/lessons") / lesson
    results = saved_results(folder, "full")
    if results is None:
        shared = (
            f", and {known.base_minutes:g} for runs that lessons share"
            if known.base_minutes
            else ""
        )
        tell(
            f"The lesson `{lesson}` puts this to the test with several seeds. It was not run here "
            f"yet: `tinylm lesson {lesson}` takes about {known.minutes:g} minutes{shared}."
        )
        return
    tell(
        f"**{results['verdict'].capitalize()}**, says the lesson `{lesson}`, run on this machine "
        f"with {len(results['seeds'])} seeds in {results['minutes']:.1f} minutes. "
        f"{results['sentence']}"
    )
    for name in results["figures"]:
        display(
            Image(small(folder / Path(name).name), format="png", width=760, alt=results["sentence"])
        )


def demo_runs() -> tuple[Run, Run]:
    """The demo's base and verse; where the demo was not run here, smaller ones, trained now and
    kept."""
    demo = Path("runs/demo")
    if all(is_finished(demo / name) for name in ("base", "verse")):
        return open_run(demo / "base"), open_run(demo / "verse")
    tell(
        f"No finished demo is in `{demo}`; two smaller models take its place. `tinylm demo` makes "
        "the real ones."
    )
    smoke = {name: value for name, value in SMOKE.items() if name.startswith(("train.", "sample."))}
    base = kept_run("base", "demo-base", sized({"train.max_minutes": "1"}, SMOKE))
    fields = sized({"train.max_minutes": "0.5"}, smoke)
    return base, kept_run(
        f"verse-of-{base.fingerprint[:8]}", "demo-verse", {**fields, "start_from": str(base.folder)}
    )


def kept_run(name: str, recipe: str, fields: dict[str, str]) -> Run:
    """The finished run of a recipe with these fields, trained on first use by any notebook."""
    chosen = load_recipe(recipe, fields)
    return finish(
        train_to_end(chosen, home() / f"{name}-{hash_of(settings_of(chosen))}", None, name)
    )


def assistant_run(base: Run, steps: int = 1_000) -> Run:
    """The assistant that `tinylm chat` or a lesson has trained; where there is none, one that
    practised far less."""
    places = [
        Path("runs/assistant/model-1"),
        *sorted(Path("runs/lessons").glob("assistant-seed-1-*")),
    ]
    for place in filter(is_finished, places):
        return open_run(place)
    whole = SIZES["full"]
    tell(
        f"No trained assistant is in `runs`, so one practises now, for {sized(steps, 3):,} steps "
        f"instead of {whole.steps:,}: expect mistakes. `tinylm chat` trains the whole one."
    )
    parent = prepared(base, home() / f"prepared-{hash_of(base.fingerprint)}")
    cases = assistant_cases(1, sized(whole.dialogues * steps // whole.steps, 60))
    corpus = dialogue_corpus(
        load_model(parent).tokenizer, [c.dialogue for c in cases], "dialogues", sized(100, 10)
    )
    recipe = assistant_recipe(base.recipe, parent, 1, sized(steps, 3))
    folder = home() / f"assistant-{hash_of([settings_of(recipe), parent.fingerprint])}"
    return finish(train_to_end(recipe, folder, corpus, "assistant"))
