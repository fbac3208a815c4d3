"""The datasheet tells the truth about the files beside it."""

import hashlib
import re

import pytest

from tinylm.recipes import shipped

DATASHEET = (shipped("data") / "README.md").read_text(encoding="utf-8")
PINNED = dict(
    reversed(row) for row in re.findall(r"^([0-9a-f]{64})  (\S+)$", DATASHEET, re.MULTILINE)
)


def test_every_shipped_file_is_in_the_datasheet():
    files = {
        path.relative_to(shipped("data")).as_posix()
        for path in shipped("data").rglob("*")
        if path.is_file()
    }
    assert files - {"README.md"} == set(PINNED)


@pytest.mark.parametrize("name", PINNED)
def test_the_files_are_those_of_the_datasheet(name):
    assert hashlib.sha256((shipped("data") / name).read_bytes()).hexdigest() == PINNED[name]
