"""One process trains in a run folder at a time, and a crash leaves no lock behind."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import tiny_recipe, train_run
from tinylm.training.folders import create_folder
from tinylm.training.lock import lock_folder
from tinylm.training.resume import resume_run
from tinylm.training.start import start_run

HOLDER = """
import sys, time
from pathlib import Path
from tinylm.training.lock import lock_folder
lock = lock_folder(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder():
    """Starts another process that holds the lock of a folder."""
    processes: list[subprocess.Popen] = []

    def hold(folder: Path) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        return process

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


def test_a_second_process_is_refused_until_the_first_is_dead_and_changes_nothing(
    tmp_path, text_file, holder
):
    run = train_run(tmp_path / "run", text_file, train={"stop_after": 3})
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    names = {path.name for path in tmp_path.iterdir()}
    other = holder(run.folder)
    for forbidden in (
        lambda: resume_run(run.folder),
        lambda: start_run(tiny_recipe(text_file), run.folder, overwrite=True),
        lambda: create_folder(run.folder, replace=True),
    ):
        with pytest.raises(ValueError, match="is in use: another process trains in it") as error:
            forbidden()
        assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before
    other.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    other.wait()
    if sys.platform == "win32":
        time.sleep(0.2)  # Windows lets go of a dead process's files a moment later
    # no file that somebody would have to delete
    assert {path.name for path in tmp_path.iterdir()} == names
    assert resume_run(run.folder).step == 3


def test_the_same_process_may_go_on_while_an_old_trainer_is_still_in_a_variable(
    tmp_path, text_file
):
    old = start_run(tiny_recipe(text_file, train={"stop_after": 3}), tmp_path / "run")
    assert len(list(old.run())) == 3
    assert len(list(resume_run(tmp_path / "run").run())) == 3


def test_a_lock_ends_with_its_trainer(tmp_path, text_file, holder):
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    del trainer
    holder(tmp_path / "run")  # another process can have it now
    with pytest.raises(ValueError, match="is in use"):
        lock_folder(tmp_path / "run")


def test_a_folder_that_is_moved_takes_its_run_but_no_lock_along(tmp_path, text_file):
    train_run(tmp_path / "run", text_file, train={"stop_after": 3})
    shutil.move(tmp_path / "run", tmp_path / "moved")
    assert resume_run(tmp_path / "moved").step == 3


def test_a_start_that_was_interrupted_before_its_first_save_is_begun_again(tmp_path, text_file):
    for part in ("model", "state", "data"):
        (tmp_path / "run" / part).mkdir(parents=True)
    (tmp_path / "run/data/train.uint16").write_bytes(b"half")
    (tmp_path / "run/state/state.safetensors.new").write_bytes(b"half")
    with pytest.raises(ValueError, match="was interrupted before its first save: start it again"):
        resume_run(tmp_path / "run")
    assert len(list(start_run(tiny_recipe(text_file), tmp_path / "run").run())) == 6


@pytest.mark.parametrize("made", [(), ("model",), ("model", "state", "data")])
def test_a_start_killed_before_it_wrote_a_file_is_begun_again(tmp_path, text_file, made):
    (tmp_path / "run").mkdir()
    for part in made:
        (tmp_path / "run" / part).mkdir()
    assert len(list(start_run(tiny_recipe(text_file), tmp_path / "run").run())) == 6


def test_a_folder_with_a_file_of_somebody_elses_is_never_taken_for_an_abandoned_start(
    tmp_path, text_file
):
    (tmp_path / "run" / "data").mkdir(parents=True)
    (tmp_path / "run/data/thesis.txt").write_text("precious", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="exists"):
            start_run(tiny_recipe(text_file), tmp_path / "run", overwrite)
    assert (tmp_path / "run/data/thesis.txt").read_text(encoding="utf-8") == "precious"
