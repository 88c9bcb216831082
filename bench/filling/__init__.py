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


def fill(file: Path, log: Log, told: Callable[[float], None]) -> None:
    """Fill a new store; `told` hears the part that is stored.

    Raises:
        ServerFailed: it could not be filled.
    """
    file.parent.mkdir(parents=True)
    paths = [str(ROOT / "engine"), os.environ.get("PYTHONPATH", "")]
    with pinned(SERVER_CORE):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.filling", str(file), str(log.rooms), str(log.messages)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)},
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            told(int(line) / (log.rooms * log.messages))
        if process.wait():
            raise ServerFailed(f"filling {file.name} ended with {process.returncode}")
    finally:
        process.kill()
        process.communicate()
