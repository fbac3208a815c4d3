"""Hours of work hold no more memory than minutes: training, sampling, and ten thousand sample
commands.

    TINYLM_SOAK_MINUTES=10 pytest -m long -s tests/robustness/test_soak.py      (an hour where it is
      not set)
"""

import os
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import tiny_recipe
from tinylm import cli
from tinylm.generation import Request, generate
from tinylm.runs import open_run
from tinylm.training.load import load_model
from tinylm.training.start import start_run

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm"),
]
MINUTES = float(os.environ.get("TINYLM_SOAK_MINUTES", "60"))
GROWTH = 0.01  # of the memory held after the first tenth
CALLS = 10_000


def held() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )


def test_training_and_sampling_hold_their_memory(tmp_path, text_file):
    begin, readings, rounds = time.monotonic(), [], 0
    while (spent := (time.monotonic() - begin) / 60) < MINUTES:
        rounds += 1
        steps = {"steps": 200, "evaluate_every": 50}
        for _ in start_run(
            tiny_recipe(text_file, train=steps), tmp_path / "run", overwrite=rounds > 1
        ).run():
            pass
        model, tokenizer, _ = load_model(open_run(tmp_path / "run"))
        generate(model, tokenizer, Request("the ", 200, seed=rounds))
        readings.append((spent, held()))
    settled = next(memory for minute, memory in readings if minute >= MINUTES / 10)
    growth = readings[-1][1] / settled - 1
    print(
        f"{rounds} rounds in {MINUTES:g} minutes: {settled / 1e6:.1f} MB after a tenth, "
        f"{growth:+.2%} at the end"
    )
    assert growth < GROWTH


def test_ten_thousand_sample_commands_hold_their_memory(base_run, capsys):
    readings = {}
    for call in range(1, CALLS + 1):
        cli.main(
            [
                "sample",
                str(base_run.folder),
                "--prompt",
                "the ",
                "--tokens",
                "5",
                "--seed",
                str(call),
            ]
        )
        capsys.readouterr()
        if call in (CALLS // 10, CALLS):
            readings[call] = held()
    growth = readings[CALLS] / readings[CALLS // 10] - 1
    with capsys.disabled():
        print(
            f"{CALLS} sample commands: {readings[CALLS // 10] / 1e6:.1f} MB after a tenth, "
            f"{growth:+.2%} at the end"
        )
    assert growth < GROWTH
