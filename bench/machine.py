"""The machine: which core runs what, and the facts that belong beside any number."""

import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SERVER_CORE: Final = 0
GENERATOR_CORE: Final = 1
# Asked before anything is pinned: afterwards only the one core would be left.
_cores_allowed: Final = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
CAN_PIN: Final = {SERVER_CORE, GENERATOR_CORE} <= _cores_allowed
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Enough for a median of the disk's moods, 0.1 s on a slow one.
_SYNCS: Final = 40
_SYNC_BYTES: Final = 4096


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Keep this process, and what it starts, on one core until the block ends.

    A machine without such a core, or a system that does not pin, runs as it likes:
    `describe` tells.
    """
    if not CAN_PIN:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def busy_s(core: int) -> float:
    """Return how long a core has been busy with anything at all, s; 0 where it is not told."""
    try:
        found = re.search(rf"^cpu{core} (.*)$", Path("/proc/stat").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        return 0.0
    user, nice, system, _, _, *interrupts_and_steal = map(int, found[1].split()[:8])
    return (user + nice + system + sum(interrupts_and_steal)) / _TICKS_PER_S


def cpu_s_of(pid: int) -> float:
    """Return user and system time of all of a process's threads, s; the kernel counts in 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def unsent_bytes(port: int, others: AbstractSet[int]) -> int:
    """Return the bytes that the kernel holds on their way from a local port to some others."""
    held = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if int(local.split(":")[1], 16) == port and int(remote.split(":")[1], 16) in others:
            held += int(queues.split(":")[0], 16)
    return held


def describe(folder: Path | None) -> dict[str, str]:
    """Return what a reader must know of the machine, for a server whose data is in `folder`."""
    folder = folder or Path(tempfile.gettempdir())
    pin = f"server on core {SERVER_CORE}, generator on core {GENERATOR_CORE}"
    return {
        "cpu": f"{_cpu_model()}, {os.cpu_count()} cores",
        "placed": pin if CAN_PIN else "not pinned",
        "kernel": f"{platform.system()} {platform.release()}",
        # Who built it matters: without profile-guided optimisation it runs 1.4 times slower.
        "python": f"{platform.python_implementation()} {platform.python_version()}, "
        f"built {platform.python_build()[1]} by {platform.python_compiler()}",
        "disk": f"{_filesystem(folder)}, fsync of 4 KiB {_sync_us(folder):,.0f} µs (median)",
    }


def _cpu_model() -> str:
    try:
        found = re.search(
            r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE
        )
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _filesystem(folder: Path) -> str:
    """Return the type of the file system that holds `folder`: on tmpfs, fsync costs nothing."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    holding = [(point, kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(holding, key=lambda mount: len(mount[0]), default=("", "unknown"))[1]


def _sync_us(folder: Path) -> float:
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(bytes(_SYNC_BYTES))
            file.flush()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e6
