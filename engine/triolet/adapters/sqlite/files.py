"""The files of a store: made for its owner alone, and locked against a second server."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..._model.errors import ConfigurationError

# What a second server is told.
TO_SERVERS: Final = "give each server its own directory"


def make_private(path: Path) -> None:
    """Make the file for its owner alone; one that exists keeps its mode.

    SQLite gives its `-wal` and `-shm` files the mode of this one.

    Raises:
        ConfigurationError: it cannot be made.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigurationError(f"cannot open the store at {path}: {error}") from error


@contextmanager
def sole_server(path: Path, *, advice: str = TO_SERVERS) -> Iterator[None]:
    """Hold the store's lock while the block runs; the operating system frees it at a crash.

    The directory is made for its owner alone when there is none. `advice` is for whom the
    store is refused.

    Raises:
        ConfigurationError: another server has the store open, or the lock cannot be made.
    """
    lock_path = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(f"cannot open the lock file {lock_path}: {error}") from error
    try:
        try:
            _lock(descriptor)
        except OSError as error:
            raise ConfigurationError(
                f"the store at {path} is in use by another server "
                f"(which holds {lock_path}); {advice}"
            ) from error
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
