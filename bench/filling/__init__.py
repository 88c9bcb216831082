"""A store that holds a log before the server opens it, filled by a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import ServerFailed
from ..machine import SERVER_CORE, pinned
from ..peers.triolet_log import Log
from ..server import ROOT


def fill_log(file: Path, log: Log, told: Callable[[float], None]) -> None:
    """Fill a new store with messages; `told` hears the part that is stored.

    Raises:
        ServerFailed: it could not be filled.
    """
    asked = ("log", log.rooms, log.messages)
    _fill(file, asked, lambda stored: told(stored / (log.rooms * log.messages)))


def fill_rooms(file: Path, rooms: int, writers: int, told: Callable[[float], None]) -> None:
    """Fill a new store with the rooms that so many writers would make; see `fill_log`."""
    _fill(file, ("rooms", rooms, writers), lambda stored: told(stored / rooms))


def _fill(file: Path, asked: tuple[str, int, int], told: Callable[[int], None]) -> None:
    file.parent.mkdir(parents=True)
    paths = [str(ROOT / "engine"), os.environ.get("PYTHONPATH", "")]
    with pinned(SERVER_CORE):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.filling", str(file), *map(str, asked)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)},
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            told(int(line))
        if process.wait():
            raise ServerFailed(f"filling {file.name} ended with {process.returncode}")
    finally:
        process.kill()
        process.communicate()
