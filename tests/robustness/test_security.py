"""SECURITY.md promises nothing without a test."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((tests/[\w/]+\.py)#(\w+)\)")


def test_every_promise_links_to_a_test_that_exists():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    links = LINK.findall(text)
    assert len(links) > 25
    for file, name in links:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (
            f"{file}: no {name}"
        )
    for promise in re.split(r"^## ", text, flags=re.MULTILINE)[1:-1]:
        for line in re.split(r"^- ", promise, flags=re.MULTILINE)[1:]:
            assert LINK.search(line), f"a promise without a test: {line}"
