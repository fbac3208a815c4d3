"""A full disk and a folder that may not be written: a clear error, and the checkpoint before it is
intact."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import tiny_recipe, train_run
from tests.training.test_trainer import contents
from tinylm import cli
from tinylm.commands.terminal import explain
from tinylm.runs import open_run
from tinylm.training.load import load_model
from tinylm.training.resume import resume_run
from tinylm.training.start import start_run

LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="needs /dev/full, or namespaces, of Linux"
)
STATE = "state/state.safetensors.new"


@LINUX
@pytest.mark.parametrize("name", [STATE, "model/model.safetensors.new", "manifest.json.new"])
def test_where_the_disk_is_full_the_save_fails_clearly_and_the_one_before_goes_on(
    tmp_path, text_file, name
):
    run = train_run(tmp_path / "run", text_file, train={"stop_after": 3})
    kept = contents(run.folder)
    # a file to which every write fails for want of room
    (run.folder / name).symlink_to("/dev/full")
    with pytest.raises(OSError) as error:
        list(resume_run(run.folder).run())
    assert explain(error.value).endswith(
        "the disk is full, or this file may not grow. Free some space; earlier saves are intact"
    )
    assert load_model(open_run(run.folder)).model
    (run.folder / name).unlink()
    trainer = resume_run(run.folder)
    assert trainer.step == 3 and contents(run.folder)["samples.jsonl"] == kept["samples.jsonl"]
    list(trainer.run())
    train_run(tmp_path / "whole", text_file)
    assert contents(run.folder) == contents(tmp_path / "whole")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such limit")
def test_where_files_may_not_grow_the_error_is_one_line_and_no_half_run_is_left(
    tmp_path, text_file
):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, before[1]))
    try:
        with pytest.raises(OSError) as error:
            start_run(tiny_recipe(text_file), tmp_path / "run")  # its token file is larger
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "Free some space" in explain(error.value) and not (tmp_path / "run").exists()


def inside(mounts: str, command: str, folder: Path) -> subprocess.CompletedProcess:
    """Run a shell command in a mount namespace of its own, where `mounts` were made first."""
    unshare = shutil.which("unshare")
    if (
        not unshare
        or subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this kernel gives an ordinary user no mount namespace")
    return subprocess.run(
        [unshare, "-rm", "sh", "-ec", f"{mounts}\n{command}"],
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


@LINUX
def test_a_folder_that_can_only_be_read_is_one_line_and_can_still_be_sampled(tmp_path, text_file):
    run = train_run(tmp_path / "run", text_file, train={"stop_after": 3})
    kept = contents(run.folder)
    code = (
        "from tinylm import cli\n"
        "try: cli.main(['resume', 'run'])\n"
        "except SystemExit as stop: assert stop.code == 2, stop.code\n"
        "cli.main(['sample', 'run', '--prompt', 'the ', '--tokens', '5'])\n"
    )
    done = inside(
        f"mount --bind {run.folder} {run.folder} && mount -o remount,ro,bind {run.folder}",
        f'{sys.executable} -c "{code}"',
        tmp_path,
    )
    assert done.returncode == 0 and done.stdout.startswith("the "), done.stderr
    assert "this file system is read-only. Choose another place with --out" in done.stderr
    assert "Traceback" not in done.stderr and contents(run.folder) == kept


@LINUX
@pytest.mark.long
def test_on_a_small_full_disk_the_run_goes_on_once_there_is_room(tmp_path, text_file):
    train_run(tmp_path / "whole", text_file, train={"steps": 200})
    code = (
        "from tests.conftest import tiny_recipe\n"
        "from tinylm.training.resume import resume_run\n"
        "from tinylm.training.start import *\n"
        f"trainer = start_run(tiny_recipe('{text_file}', train={{'steps': 200}}), "
        "Path('disk/run'))\n"
        "list(trainer.run())\n"
    )
    begin = f'PYTHONPATH={Path.cwd()} {sys.executable} -c "{code}" && exit 7\n'
    done = inside(
        "mkdir disk && mount -t tmpfs -o size=340k tmpfs disk",
        f"({begin} true) 2> first.txt\n mount -o remount,size=4m disk\n"
        f"{sys.executable} -m tinylm resume disk/run\n cp -r disk/run saved",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in (tmp_path / "first.txt").read_text(encoding="utf-8")
    assert contents(tmp_path / "saved") == contents(tmp_path / "whole")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root"
)
def test_a_forbidden_folder_is_one_line(tmp_path, text_file, capsys):
    (tmp_path / "closed").mkdir(mode=0o555)
    with pytest.raises(SystemExit):
        cli.main(
            [
                "train",
                "demo-base",
                "--corpus.text",
                str(text_file),
                "--out",
                str(tmp_path / "closed/run"),
            ]
        )
    assert "may not read or write it" in capsys.readouterr().err


WRITERS = {
    "export --to hf": "export {run} --to hf --out {out}/folder",
    "export --to html": "export {run} --to html --out {out}/play.html",
    "export --to gguf": "export {run} --to gguf --out {out}/model.gguf",
    "report": "report {run} --out {out}/report.html",
    "pack": "pack {run} --out {out}/demo.zip",
    "tokenizer train": "tokenizer train {text} --vocab-size 300 --out {out}/tokenizer.json",
    "compare": "compare {run} {run} --scale smoke --out {out}/compare",
    "plot png": "plot {run} --out {out}/curves.png",
    "plot svg": "plot {run} --out {out}/curves.svg",
    "lesson": "lesson cost --scale smoke --out {out}/lesson",
    "train": "train demo-verse --corpus.text {text} --start-from {run} --out {out}/tuned",
    "import": "import {hf} --out {out}/imported",
    "demo --resume-from": "demo --resume-from {packed} --out {out}/demo",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory, text_file):
    """A run that can be exported, and what other commands made of it while there was room."""
    from tinylm.formats.archive import pack
    from tinylm.formats.folders import export_run

    place = tmp_path_factory.mktemp("written")
    shape = {"mlp": "swiglu", "context": 64, "width": 32}
    fields = {"model": shape, "tokenizer": {"kind": "bpe", "vocab_size": 300}}
    base = train_run(place / "base", text_file, **fields)
    shutil.copytree(base.folder, place / "verse")
    export_run(base, place / "hf")
    pack([base, open_run(place / "verse")], place / "packed.zip")
    names = {"run": base.folder, "hf": place / "hf", "packed": place / "packed.zip"}
    return {**names, "text": text_file}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such limit")
@pytest.mark.parametrize("writer", WRITERS)
def test_on_a_full_disk_a_command_leaves_nothing_half_written(
    tmp_path, written, writer, monkeypatch, capsys
):
    import resource

    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    words = WRITERS[writer].format(out=tmp_path / "out", **written).split()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250, before[1]))
    try:
        with pytest.raises(SystemExit) as end:
            cli.main(words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    errors = capsys.readouterr().err
    assert end.value.code and "Free some space" in errors.strip().splitlines()[-1], errors
    left = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [] and (writer == "lesson" or not any((tmp_path / "out").iterdir()))
