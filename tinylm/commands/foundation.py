"""demo --foundation: the demo's story with a real model.

The toy demo makes its own base in minutes. Here the base is imported: other people have paid for
its training. What is left to do is the fine-tune, and with --reward a third stage on top of it.
"""

import time
from pathlib import Path

from tinylm.commands.progress import follow
from tinylm.commands.terminal import clean, say
from tinylm.recipes import load_recipe

BASE = "smollm2"  # the folder of the imported model
# Folder -> recipe, each from the folder before it.
STAGES = {"verse": "foundation-verse", "rewarded": "foundation-reward"}
# Fields for a try: everything runs, nothing is learned.
SMOKE = {"train.steps": "2", "train.batch_size": "1", "sample.every": "2", "sample.tokens": "8"}
SMOKE_REWARD = {"train.steps": "2", "reward.samples": "2", "reward.tokens": "8"}
SMOKE_REWARD |= {"train.micro_batch_size": "2", "sample.every": "2", "sample.tokens": "8"}
QUICK = {"verse": SMOKE, "rewarded": SMOKE_REWARD}


def foundation_demo(source: Path, out: Path, smoke: bool, reward: bool) -> None:
    """Import the model in `source`, fine-tune it on verse, and compare, all in `out`.

    An earlier demo in `out` is replaced as one: its later stages go first, so that none of them
    ever stands beside another base.
    """
    from tinylm.compare.judge import compare_runs
    from tinylm.compare.samples import SMOKE as LITTLE
    from tinylm.formats.folders import import_folder
    from tinylm.training.folders import remove_run
    from tinylm.training.start import start_run

    start = time.perf_counter()
    for name in (*reversed(STAGES), BASE):
        remove_run(out / name)
    base = import_folder(source, out / BASE)
    say(f"{BASE}: {base.manifest['parameters']:,} parameters, imported")
    names = [name for name in STAGES if reward or name != "rewarded"]
    runs = [base.folder]
    for name in names:
        fields = QUICK[name] if smoke else {}
        recipe = load_recipe(STAGES[name], fields | {"start_from": str(runs[-1])})
        say(f"\n{name}: {recipe.purpose}")
        if not follow(start_run(recipe, out / name, overwrite=True)):
            return
        runs.append(out / name)
    effort = LITTLE if smoke else None
    print(clean(compare_runs(runs, out / "compare", replace=True, effort=effort)))
    minutes, page = (time.perf_counter() - start) / 60, out / "compare" / "index.html"
    say(f"{minutes:.1f} minutes. The page: {page.resolve()}")
    say(f'try: tinylm chat --model {out / BASE}, or: tinylm sample {runs[-1]} --prompt "The tide"')
