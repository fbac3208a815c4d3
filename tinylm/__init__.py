"""TinyLM: see what training, fine-tuning, retrieval and tools each do to a language model.

    import tinylm
    for record in tinylm.train(tinylm.load_recipe("demo-base"), "runs/base"):
        print(record.step, record.loss)
    print(tinylm.sample(tinylm.open_run("runs/base"), "The tide"))

The functions stand in api.py. They are loaded on first use, so that `import tinylm` takes no time
and `tinylm --help` needs no torch.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = ["compare", "evaluate", "load_recipe", "open_run", "resume", "sample", "scan", "train"]

if TYPE_CHECKING:  # what type checkers and editors see
    from tinylm.api import compare, evaluate, load_recipe, open_run, resume, sample, scan, train


def __getattr__(name: str) -> Any:
    """A function of the public surface, imported now (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module tinylm has no attribute {name}; there are: {__all__}")
    from tinylm import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
