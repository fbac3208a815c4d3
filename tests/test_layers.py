"""The package's floors: a module imports only from floors below its own."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "tinylm"

# Highest first, as in the design: folders and flat modules. A folder imports nothing from its own
# floor except itself, so that no circle between folders can form.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("commands", "api"),
    ("workshop",),
    ("lessons", "bench"),
    ("compare", "formats", "assistant", "playground", "serve"),
    ("training", "pages"),
    ("evaluation", "corpora", "generation"),
    ("model", "text"),
    ("files",),
    ("runs", "recipes"),
    ("config", "version"),
)
LARGEST_FLAT = 9  # modules beside the folders
READING = ("config", "runs", "training.trainer", "generation")  # where the reading closure begins
LONGEST_READING = 1_400  # lines of code in it: comments, docstrings and blank lines not counted


def modules() -> dict[str, Path]:
    """Dotted name below the package -> file; empty __init__ files left out."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        if path.name != "__init__.py":
            names[".".join(path.relative_to(PACKAGE).with_suffix("").parts)] = path
    return names


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of the package that a file imports anywhere, also inside functions."""
    imported = set()
    for node in ast.walk(tree(path)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import; write the whole name"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        imported |= {name.removeprefix("tinylm.") for name in names}
    return imported & set(known)


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    """Module -> the modules that it imports."""
    known = modules()
    return {name: imports(path, known) for name, path in known.items()}


def room(name: str) -> str:
    """The folder of a module, or the module itself where it lies flat."""
    return name.split(".")[0]


FLOOR = {name: -number for number, floor in enumerate(FLOORS) for name in floor}


def test_every_folder_and_flat_module_has_a_floor(graph):
    assert {room(name) for name in graph} == set(FLOOR)


def test_a_module_imports_only_from_floors_below_its_own(graph):
    assert [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if room(name) != room(other) and FLOOR[room(other)] >= FLOOR[room(name)]
    ] == []


def test_no_two_modules_import_each_other_in_a_circle(graph):
    def reached_from(start: str) -> set[str]:
        seen, waiting = set(), [start]
        while waiting:
            for other in graph[waiting.pop()] - seen:
                seen.add(other)
                waiting.append(other)
        return seen

    assert [name for name in graph if name in reached_from(name)] == []


def test_no_module_imports_the_package_itself_whose_names_stand_above_it():
    assert [
        name
        for name, path in modules().items()
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Import) and "tinylm" in [alias.name for alias in node.names])
        or (isinstance(node, ast.ImportFrom) and node.module == "tinylm")
    ] == []


def test_lessons_do_not_import_each_other(graph):
    from tinylm.lessons.lesson import LESSONS

    lessons = {f"lessons.{name}" for name in LESSONS}
    assert [(name, other) for name in lessons for other in graph[name] & lessons] == []


def test_few_modules_lie_flat():
    flat = [path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")]
    assert len(flat) <= LARGEST_FLAT, flat


def test_only_the_command_line_prints():
    printing = [
        name
        for name, path in modules().items()
        if room(name) not in ("cli", "commands")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == []


def lines_of_code(path: Path) -> int:
    """Lines that hold code: no comments, docstrings or blank lines."""
    text = path.read_text(encoding="utf-8")
    documentation: set[int] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and ast.get_docstring(
            node
        ):
            first = node.body[0]
            documentation |= set(range(first.lineno, (first.end_lineno or 0) + 1))
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in documentation
        for number, line in enumerate(text.splitlines(), start=1)
    )


def test_the_reading_closure_stays_short(graph):
    reached, waiting = set(), list(READING)
    while waiting:
        if (name := waiting.pop()) not in reached:
            reached.add(name)
            waiting += graph[name]
    lengths = {name: lines_of_code(modules()[name]) for name in sorted(reached)}
    assert sum(lengths.values()) <= LONGEST_READING, lengths


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """The public functions, classes and methods of a module or class, by name."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


def test_every_module_and_every_public_name_has_a_docstring():
    missing = []
    for module, path in modules().items():
        whole = tree(path)
        named = [("", whole), *public(whole.body)]
        missing += [f"{module}: {name}" for name, node in named if not ast.get_docstring(node)]
    assert missing == []


def test_type_checkers_see_the_names_of_the_public_surface():
    import tinylm

    (block,) = [node for node in tree(PACKAGE / "__init__.py").body if isinstance(node, ast.If)]
    seen = {
        alias.asname: str(node.module).removeprefix("tinylm.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == tinylm.HOME


def test_importing_the_package_loads_no_torch():
    for statement in ("import tinylm", "import tinylm.cli", "import tinylm.runs"):
        heavy = "'torch' not in sys.modules and 'matplotlib' not in sys.modules"
        code = f"import sys; {statement}; assert {heavy}"
        subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_surface_is_complete_and_loads_on_first_use():
    import tinylm

    assert set(tinylm.__all__) <= set(dir(tinylm))
    assert all(getattr(tinylm, name) is not None for name in tinylm.__all__)
    with pytest.raises(AttributeError, match="no attribute trian"):
        _ = tinylm.trian
