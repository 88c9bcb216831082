"""Installing what a peer needs: once a checkout, whoever asks and however many at a time."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..errors import Missing
from ..server import ROOT

INSTALLED: Final = ROOT / "bench" / "out" / "peers"
# Says what a folder holds, once all of it is there.
_STAMP: Final = "installed"


def install_once(name: str, wanted: str, install: Callable[[Path], None]) -> Path:
    """Return the folder that `install` has filled, now or at an earlier time.

    A folder that holds something else than `wanted`, or half of it, is begun anew. Processes
    that ask at a time wait for one of them.

    Args:
        name: the folder, below `bench/out/peers`.
        wanted: all that decides what will be in it.
        install: fills an empty folder.

    Raises:
        Missing: the folder cannot be written.
    """
    folder = INSTALLED / name
    stamp = folder / _STAMP
    try:
        INSTALLED.mkdir(parents=True, exist_ok=True)
        with (INSTALLED / f"{name}.lock").open("w") as lock:
            # The system lets go of it when the process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (stamp.is_file() and stamp.read_text() == wanted):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                install(folder)
                stamp.write_text(wanted)
    except OSError as error:
        raise Missing(f"nothing can be installed for the peers: {error}") from error
    return folder
