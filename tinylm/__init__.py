"""TinyLM: see what training, fine-tuning, retrieval and tools each do to a language model.

    import tinylm
    for record in tinylm.train(tinylm.load_recipe("demo-base"), "runs/base"):
        print(record.step, record.loss)
    print(tinylm.sample(tinylm.open_run("runs/base"), "The tide"))

Everything in `SURFACE` is loaded on first use, so that `import tinylm` takes no time and
`tinylm --help` needs no torch. The whole package can be imported by its module names as well.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinylm.version import __version__ as __version__

# The public surface: each name and the module that it stands in. First what most scripts need,
# then what the notebooks look into.
SURFACE = {
    "api": ("compare", "evaluate", "resume", "sample", "train"),
    "recipes": ("load_recipe",),
    "runs": ("open_run",),
    "evaluation.meter": ("scan",),
    "config": ("ModelConfig", "Sampling"),
    "generation": ("Request", "continue_text", "generate"),
    "training.load": ("load_model", "token_file"),
    "training.start": ("start_run",),
    "text.tokenizers": ("DOCUMENT",),
    "text.explain": ("token_label",),
    "evaluation.statistics": ("interval",),
    "corpora.handbook": ("handbook", "questions"),
    "pages.figures": ("canvas", "colour", "loss_records", "losses", "percent"),
    "text.batches": ("IGNORE",),
    "evaluation.likelihood": ("batch_nats",),
    "corpora.stories": ("stories",),
    "corpora.story_checks": ("sentences",),
    "training.estimate": ("estimate",),
    "compare.judge": ("forgetting_records", "judge"),
    "compare.page": ("findings", "labels", "pictures", "side_by_side_text"),
    "assistant.retrieval": ("Index", "stems"),
    "assistant.grading": ("ask", "same_answer"),
    "lessons.lesson": ("Arm", "dots", "logarithmic"),
}
HOME = {name: module for module, names in SURFACE.items() for name in names}
__all__ = sorted(HOME)

if TYPE_CHECKING:  # what type checkers and editors see: the same names
    from tinylm.api import compare as compare
    from tinylm.api import evaluate as evaluate
    from tinylm.api import resume as resume
    from tinylm.api import sample as sample
    from tinylm.api import train as train
    from tinylm.assistant.grading import ask as ask
    from tinylm.assistant.grading import same_answer as same_answer
    from tinylm.assistant.retrieval import Index as Index
    from tinylm.assistant.retrieval import stems as stems
    from tinylm.compare.judge import forgetting_records as forgetting_records
    from tinylm.compare.judge import judge as judge
    from tinylm.compare.page import findings as findings
    from tinylm.compare.page import labels as labels
    from tinylm.compare.page import pictures as pictures
    from tinylm.compare.page import side_by_side_text as side_by_side_text
    from tinylm.config import ModelConfig as ModelConfig
    from tinylm.config import Sampling as Sampling
    from tinylm.corpora.handbook import handbook as handbook
    from tinylm.corpora.handbook import questions as questions
    from tinylm.corpora.stories import stories as stories
    from tinylm.corpora.story_checks import sentences as sentences
    from tinylm.evaluation.likelihood import batch_nats as batch_nats
    from tinylm.evaluation.meter import scan as scan
    from tinylm.evaluation.statistics import interval as interval
    from tinylm.generation import Request as Request
    from tinylm.generation import continue_text as continue_text
    from tinylm.generation import generate as generate
    from tinylm.lessons.lesson import Arm as Arm
    from tinylm.lessons.lesson import dots as dots
    from tinylm.lessons.lesson import logarithmic as logarithmic
    from tinylm.pages.figures import canvas as canvas
    from tinylm.pages.figures import colour as colour
    from tinylm.pages.figures import loss_records as loss_records
    from tinylm.pages.figures import losses as losses
    from tinylm.pages.figures import percent as percent
    from tinylm.recipes import load_recipe as load_recipe
    from tinylm.runs import open_run as open_run
    from tinylm.text.batches import IGNORE as IGNORE
    from tinylm.text.explain import token_label as token_label
    from tinylm.text.tokenizers import DOCUMENT as DOCUMENT
    from tinylm.training.estimate import estimate as estimate
    from tinylm.training.load import load_model as load_model
    from tinylm.training.load import token_file as token_file
    from tinylm.training.start import start_run as start_run


def __getattr__(name: str) -> Any:
    """A name of the public surface, imported now (PEP 562)."""
    if name not in HOME:
        known = ", ".join(__all__)
        raise AttributeError(f"module tinylm has no attribute {name}; there are: {known}")
    return getattr(import_module(f"tinylm.{HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
