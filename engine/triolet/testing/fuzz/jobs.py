"""Campaigns in processes of their own, so that each has a core, a memory and a seed to itself."""

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Final

import msgspec
from msgspec import Struct

from .campaign import Budget, Report, run
from .failure import Failure
from .table import TARGETS

# How finely a process tells how far it is.
_PARTS: Final = 1_000


class Job(Struct, frozen=True, kw_only=True):
    """One process's work: targets one after the other, each with the same budget."""

    targets: tuple[str, ...]
    seed: int
    budget: Budget


def work(jobs: Sequence[Job], advanced: Callable[[int], None]) -> list[Report]:
    """Do the jobs at once, each in a process; return what came of every target.

    Args:
        jobs: what is to be done.
        advanced: is told of each thousandth of a target that is done.
    """
    context = multiprocessing.get_context("spawn")
    ends: dict[Connection, SpawnProcess] = {}
    for job in jobs:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_do, args=(msgspec.json.encode(job), theirs), daemon=True)
        process.start()
        theirs.close()
        ends[ours] = process
    reports: list[Report] = []
    while ends:
        for end in wait(list(ends)):
            assert isinstance(end, Connection)
            try:
                told = end.recv_bytes()
            except EOFError:
                process = ends.pop(end)
                process.join()
                if process.exitcode:
                    reports.append(_died(process.exitcode))
                continue
            if len(told) == 1:
                advanced(1)
            else:
                reports.append(msgspec.json.decode(told, type=Report))
    return reports


def _died(status: int) -> Report:
    what = f"the process ended with status {status}"
    failure = Failure(target="all", seed=0, what=what, inputs=())
    return Report(
        target="all", unit="inputs", seed=0, inputs=0, units=0, seconds=0, grown_bytes=0,
        failure=failure,
    )  # fmt: skip


def _do(encoded: bytes, end: Connection) -> None:
    """Be the process."""
    job = msgspec.json.decode(encoded, type=Job)
    for name in job.targets:
        target, told = TARGETS[name](), 0

        def advanced(share: float) -> None:
            nonlocal told
            while told < int(share * _PARTS):
                told += 1
                end.send_bytes(b".")

        report = run(target, seed=job.seed, budget=job.budget, advanced=advanced)
        advanced(1.0)
        end.send_bytes(msgspec.json.encode(report))


def parts(jobs: Sequence[Job]) -> int:
    """Return how often `advanced` will be called."""
    return sum(len(job.targets) * _PARTS for job in jobs)
