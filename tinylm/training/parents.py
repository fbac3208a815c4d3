"""The run that another run starts from: found, checked, and written down."""

import os
from pathlib import Path

from tinylm.config import ModelConfig
from tinylm.runs import Run, open_run


def open_parent(place: Path) -> Run:
    """The run to start from: its folder, or the model/ folder inside it."""
    inside = place.name == "model" and (place.parent / "manifest.json").is_file()
    return open_run(place.parent if inside else place)


def check_shape(config: ModelConfig, parent: Run) -> None:
    """ValueError where a recipe asks for another shape than that of the run it starts from.

    The context may be shorter: shorter windows, and more of them, in a step of the same cost.
    """
    for field in config.model_fields_set - {"dropout", "vocab_size"}:
        asked, present = getattr(config, field), getattr(parent.model_config, field)
        is_shorter = field == "context" and asked < present
        if asked != present and not is_shorter:
            raise ValueError(
                f"model.{field} = {asked}, but {parent.folder} has {present}: a fine-tune keeps "
                "its parent's shape; leave the field out"
            )


def parent_record(folder: Path, parent: Run) -> dict[str, str]:
    """What the manifest of a run in `folder` says of the run it started from."""
    try:
        relative = Path(os.path.relpath(parent.folder, folder)).as_posix()
    except ValueError:  # another drive on Windows
        relative = str(parent.folder)
    place = {"path": str(parent.folder), "relative_path": relative}
    return place | {"fingerprint": parent.fingerprint}


def parent_of(run: Run) -> Run:
    """The run that a LoRA run's adapter belongs to.

    ValueError where it is missing, or where its fingerprint has changed since.
    """
    recorded = run.manifest["parent"]
    # First beside the run, so that both can be moved together; then where it was.
    for place in (run.folder / recorded["relative_path"], Path(recorded["path"])):
        if (place / "manifest.json").is_file():
            break
    else:
        reason = f"its parent {recorded['path']} is missing; an adapter is nothing without it"
        raise ValueError(f"{run.folder}: {reason}")
    if (parent := open_run(place)).fingerprint != recorded["fingerprint"]:
        reason = f"its parent {place} has changed since the adapter was trained"
        raise ValueError(f"{run.folder}: {reason}")
    return parent
