"""One process trains in a run folder at a time.

The lock is the operating system's own, and no file that says "taken": it ends with the process that
holds it, however that process ends, so a crash leaves nothing behind that somebody would have to
delete.

On Linux and macOS it lies on the folder itself (flock). Windows cannot lock a folder: there it lies
on a file beside it, NAME.lock, which Windows deletes when it is closed.

Trade-offs: a process may take a lock that it has already, so that a notebook can go on with a run
whose trainer is still in a variable. On a network drive it is up to the server whether other
machines see the lock.
"""

import os
import sys
from pathlib import Path
from weakref import WeakValueDictionary


class FolderLock:
    """Held from the call until nobody refers to the object any more; made by `lock_folder`."""

    def __init__(self, folder: Path) -> None:
        self.handle = open_and_lock(folder)

    def __del__(self) -> None:
        if hasattr(self, "handle"):  # not where the lock was refused
            os.close(self.handle)


# the locks of this process, by whole path
OWN: WeakValueDictionary[Path, FolderLock] = WeakValueDictionary()


def lock_folder(folder: Path) -> FolderLock:
    """The lock of an existing folder; ValueError in one line where another process holds it."""
    place = folder.resolve()
    lock = OWN.get(place)
    if lock is None:
        try:
            lock = OWN[place] = FolderLock(place)
        except (BlockingIOError, PermissionError):
            raise ValueError(
                f"{folder} is in use: another process trains in it. Wait until it ends, or choose another folder"
            ) from None
    return lock


if sys.platform == "win32":
    import msvcrt

    def open_and_lock(folder: Path) -> int:
        """A handle with the lock, on a file beside the folder; PermissionError where it is
        taken."""
        file = folder.with_name(folder.name + ".lock")
        # temporary: deleted with its last handle
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TEMPORARY)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            os.close(handle)
            raise PermissionError from None
        return handle

else:
    import fcntl

    def open_and_lock(folder: Path) -> int:
        """A handle with the lock, on the folder; BlockingIOError where it is taken."""
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise
        return handle
