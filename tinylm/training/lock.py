"""One process trains in a run folder at a time.

The lock is the operating system's own (by the library filelock). It ends with the process that
holds it, however that process ends: a crash leaves nothing behind that somebody has to delete.

Trade-offs: the lock lies on a file in the system's folder for temporary files, named after the run
folder's place. So nothing stands in or beside the run, but other machines on a network drive do not
see it. A process may take a lock that it holds already, so that a notebook can go on with a run
whose trainer is still in a variable.
"""

import getpass
import hashlib
import tempfile
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout


def lock_folder(folder: Path) -> BaseFileLock:
    """The lock of a folder, held until nobody refers to the object any more.

    ValueError in one line where another process holds it.
    """
    # The user's name is part of it: a file of another user could not be opened for locking.
    place = f"{getpass.getuser()} {folder.resolve()}"
    name = f"tinylm-{hashlib.sha256(place.encode()).hexdigest()[:24]}.lock"
    # A singleton: all of this process who lock the same file share one lock, counted.
    lock = FileLock(Path(tempfile.gettempdir()) / name, is_singleton=True, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        advice = "Wait until it ends, or choose another folder"
        raise ValueError(f"{folder} is in use: another process trains in it. {advice}") from None
    return lock
