"""The package's order: a module imports only what stands before it, and `import tinylm` stays light."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "tinylm"

# Lowest first; within a folder, files in the order in which they may import each other. L6 closes the list.
LAYERS = """
config recipes runs
text.bpe text.tokenizers text.tokenizer_files text.bpe_training text.show text.tokenizer_json text.batches
text.token_files
text.corpora.chance text.corpora.documents text.corpora.world text.corpora.facts text.corpora.plots
text.corpora.story_checks text.corpora.stories text.corpora.handbook text.corpora.domain text.corpora.noise
text.corpora.fetch text.corpora.build
model.compute model.gpt model.lora model.decoder model.huggingface
generation
evaluation.statistics evaluation.likelihood evaluation.surprisal evaluation.ngram evaluation.pronunciation
evaluation.meter evaluation.meter_report evaluation.novelty evaluation.knowledge
training.optim training.checkpoint training.load training.trainer training.watch training.lock training.start
training.processes
trackers exchange bundle
datasheet figures page contest scoreboard comparison_page comparison
assistant.conversation assistant.retrieval assistant.tools assistant.runtime assistant.words assistant.patterns
assistant.practice assistant.dialogues assistant.exam assistant.training
lessons.published lessons.hosting lessons.law lessons.lab lessons.frame lessons.shared lessons.assistants lessons
playground.metre playground.weights playground.export
bench.measure bench.nanogpt bench.training bench.sampling bench.texts bench.gpu bench.processes bench.page bench.rows
workshop report doctor
commands.shared commands.training commands.models commands.texts commands.exchange commands.bench commands.lessons
commands.assistant commands.workshop cli __main__
"""
ORDER = LAYERS.split()
READING = ("config", "runs", "training.trainer", "generation")


def modules() -> dict[str, Path]:
    """Dotted name below the package -> file; empty __init__ files left out."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if path.name != "__init__.py":
            found[name] = path
    return found


def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports anywhere, also inside functions."""
    known, found = modules(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import; write the whole name"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {name.removeprefix("tinylm.") for name in names if name.removeprefix("tinylm.") in known}
    return found


def test_every_module_has_its_place_in_the_order():
    grouped = {name for name in modules() if name.startswith(("lessons.", "playground."))}  # placed as a folder
    assert sorted(set(modules()) - set(ORDER) - grouped) == []


def test_modules_import_only_what_stands_before_them():
    place = {name: number for number, name in enumerate(ORDER)}

    def place_of(name: str) -> int:
        return place[name] if name in place else place[name.split(".")[0]]

    assert [
        f"{name} imports {other}"
        for name, path in modules().items()
        for other in imports(path) if place_of(other) >= place_of(name)
    ] == []


def test_only_the_command_line_prints():
    printing = [
        name for name, path in modules().items() if not name.startswith(("cli", "commands.", "bench", "doctor"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_from_recipe_to_sample_takes_at_most_two_thousand_lines_to_read():
    reached, waiting = set(), list(READING)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += imports(modules()[name])
    lines = {name: len(modules()[name].read_text(encoding="utf-8").splitlines()) for name in reached}
    assert sum(lines.values()) <= 2000, lines


def test_importing_the_package_loads_no_torch():
    for statement in ("import tinylm", "import tinylm.cli", "import tinylm.runs"):
        code = f"import sys; {statement}; assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True)
