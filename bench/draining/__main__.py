"""Fills a store with jobs and drains them, with one effect each.

    python -m bench.draining STORE JOBS CONCURRENCY LEDGER

An effect is a line of the ledger, written by one system call; in the end it must hold each job's
line once. It prints what both parts took as a line of JSON.
"""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

import trio

import triolet
from triolet.ports.jobs import JobState, NewJob

_KIND: Final = "effect"
# Jobs of one `add_many`.
_BATCH: Final = 1000
_POLL_S: Final = 0.005
_PAYLOAD: Final = b"x" * 100


async def _fill(engine: triolet.Engine, count: int) -> None:
    for start in range(0, count, _BATCH):
        numbers = range(start, min(count, start + _BATCH))
        jobs = [NewJob(kind=_KIND, key=f"job-{n:09}", payload=_PAYLOAD) for n in numbers]
        assert all(await engine.jobs.add_many(jobs)), "all of them are new"


async def _drain(engine: triolet.Engine, count: int, concurrency: int, ledger: int) -> None:
    left, is_over = count, trio.Event()

    async def effect(job: triolet.Job) -> None:
        nonlocal left
        await trio.lowlevel.checkpoint()
        os.write(ledger, job.key.encode() + b"\n")
        left -= 1
        if not left:
            is_over.set()

    engine.jobs.handle(_KIND, effect, concurrency=concurrency)
    await is_over.wait()
    # Done is what is written as done.
    while await engine.jobs.listed(JobState.RUNNING, limit=1):  # noqa: ASYNC110 - in the store
        await trio.sleep(_POLL_S)


async def _main(store: str, count: int, concurrency: int, file: int) -> dict[str, float]:
    times = []
    async with triolet.open_engine(store) as engine:
        for part in (_fill(engine, count), _drain(engine, count, concurrency, file)):
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            await part
            times.append((time.perf_counter() - wall_s, time.process_time() - cpu_s))
        waiting = [await engine.jobs.listed(state, limit=1) for state in JobState]
    assert [len(some) for some in waiting] == [0, 0, 1, 0], "all of them are done"
    (add_s, add_cpu_s), (drain_s, drain_cpu_s) = times
    return {
        "add_s": add_s,
        "add_cpu_s": add_cpu_s,
        "drain_s": drain_s,
        "drain_cpu_s": drain_cpu_s,
    }


def _run(store: str, count: int, concurrency: int, ledger: Path) -> dict[str, float]:
    with ledger.open("xb", buffering=0) as file:
        found = trio.run(_main, store, count, concurrency, file.fileno())
    effects = Counter(ledger.read_text().splitlines())
    assert set(effects.values()) == {1}, "each effect happened once"
    assert len(effects) == count, "each job had its effect"
    return found | {"effects": len(effects)}


if __name__ == "__main__":
    _store, _count, _concurrency, _ledger = sys.argv[1:]
    print(json.dumps(_run(_store, int(_count), int(_concurrency), Path(_ledger))))
