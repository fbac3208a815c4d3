"""report, doctor, pack: for whoever runs a workshop."""

import sys
from pathlib import Path

from tyro.conf import Positional

from tinylm.commands.terminal import clean, say


def report(
    folders: Positional[tuple[Path, ...]] = (Path("runs"),), out: Path = Path("report.html")
) -> None:
    """Write one page with all lessons, comparisons, decisions and runs, and the commands for them.

    Args:
        folders: Folders with runs and lessons in them, at any depth.
        out: The page to write: one file that opens anywhere.
    """
    from tinylm.files import write_text
    from tinylm.workshop.report import find
    from tinylm.workshop.report import report as page

    contents = find(folders)
    write_text(out, page(contents))
    for line in contents.unreadable:
        say(clean(f"left out: {line}"))
    say(
        f"{len(contents.lessons)} lessons, {len(contents.controls)} controls, "
        f"{len(contents.comparisons)} comparisons, {len(contents.runs)} runs"
    )
    print(out)


def doctor(folder: Positional[Path] = Path()) -> None:
    """Check a machine before the workshop: packages, memory, disk, speed, and the minutes that
    everything will take.

    The exit code is 1 if something keeps TinyLM from working.

    Args:
        folder: Folder in which runs will be written.
    """
    from tinylm.workshop.doctor import checks

    problems = 0
    for check in checks(folder):
        print(f"{check.state:8} {check.name:22} {clean(check.text)}", flush=True)
        problems += check.state == "problem"
    if problems:
        say(f"{problems} problems: see above")
        sys.exit(1)
    say("ready")


def pack(runs: Positional[tuple[Path, ...]], out: Path = Path("demo.zip")) -> None:
    """Put finished runs into one file to share; `tinylm demo --resume-from FILE` reads
    it.

    Args:
        runs: Run folders. `tinylm demo --resume-from` looks for two called base and verse.
        out: The file to write.
    """
    from tinylm.formats.archive import pack as write
    from tinylm.formats.archive import read_runs
    from tinylm.runs import open_run

    if not runs:
        raise ValueError("pack needs runs, such as: tinylm pack runs/demo/base runs/demo/verse")
    if out.exists():
        try:
            read_runs(out)
        except ValueError:
            reason = "was not written by tinylm pack: choose another --out"
            raise ValueError(f"{out} exists and {reason}") from None
    write([open_run(run) for run in runs], out)
    say(f"{out.stat().st_size / 1e6:.1f} MB")
    print(out)
