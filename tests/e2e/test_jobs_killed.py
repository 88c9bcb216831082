"""The job queue through `kill -9`: nothing is lost, and nothing is done by two at a time.

`TESTS_KILLS` says how often each test kills; the few of every day are few because each is a start.
With `--log-cli-level=INFO` a run tells its figures; a long one wants `-o faulthandler_timeout=0`.
"""

import logging
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import trio
from job_worker import ATTEMPTS, KIND, LAST

import triolet
from triolet._model.limits import Limits
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.embedded import open_store
from triolet.ports.jobs import JobState

logger = logging.getLogger(__name__)

KILLS = int(os.environ.get("TESTS_KILLS", "3"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(triolet.__file__).parents[1])}
PROGRAM = Path(__file__).parent / "job_worker.py"
PATIENCE_S = 120
# What a process adds at the least before it is killed.
ADDED = 40

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL")


class Run:
    """Processes on one store, and what they wrote down."""

    def __init__(self, store, folder):
        self.store = store
        self.folder = folder
        self.notes = folder / "notes"
        (folder / "effects").mkdir()
        self.notes.touch()
        self._processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            if process.poll() is None:
                process.kill()

    async def start(self, life):
        command = [sys.executable, str(PROGRAM), self.store, str(self.folder), str(life)]
        process = await trio.lowlevel.open_process(command, env=ENVIRONMENT, stderr=subprocess.PIPE)
        self._processes.append(process)
        with trio.fail_after(PATIENCE_S):
            while f"started {life} {process.pid}\n" not in self.notes.read_text():
                assert process.poll() is None, await process.stderr.receive_some()
                await trio.sleep(0.02)
        return process

    async def worked(self, life):
        """Wait until a process has added and begun something, and then for a moment."""
        with trio.fail_after(PATIENCE_S):
            while not self._has_worked(life):  # noqa: ASYNC110 - a file tells nobody
                await trio.sleep(0.02)
        await trio.sleep(random.uniform(0.1, 0.5))

    def _has_worked(self, life):
        lines = [line for line in self.lines() if len(line) > 1 and line[1].startswith(f"{life}-")]
        added = sum(line[0] == "added" for line in lines)
        return added >= ADDED and any(line[0] == "begun" for line in lines)

    async def kill(self, process):
        process.send_signal(signal.SIGKILL)
        await process.wait()
        with self.notes.open("a") as file:
            file.write(f"killed {process.pid}\n")

    async def finish(self):
        process = await self.start(LAST)
        with trio.fail_after(PATIENCE_S):
            assert await process.wait() == 0, await process.stderr.receive_some()

    def lines(self):
        return [line.split() for line in self.notes.read_text().splitlines()]


async def kept(store):
    """Return all jobs of a store by key."""
    found, after = {}, 0
    opened = open_store(store, clock=SystemClock(), entropy=SystemEntropy(), limits=Limits())
    async with opened as opened_store:
        for state in JobState:
            after = 0
            while page := await opened_store.jobs.listed(state, kind=KIND, after=after, limit=1000):
                found |= {job.key: job for job in page}
                after = page[-1].id
    return found


def judge(lines, effects, jobs):
    """Say what is wrong with a run: nothing, if the queue keeps its promises."""
    added = {key for what, key, *_ in lines if what == "added"}
    begun, holder, counts = defaultdict(list), {}, defaultdict(int)
    wrong = []
    for what, key, *rest in lines:
        counts[what] += 1
        if what == "killed":
            holder = {one: held for one, held in holder.items() if held[1] != key}
        elif what == "begun":
            attempt, pid = int(rest[0]), rest[1]
            if key in holder:
                wrong.append(f"{key} is done by two at a time: {holder[key]} and {rest}")
            if begun[key] and attempt <= begun[key][-1]:
                wrong.append(f"{key} begins attempt {attempt} after {begun[key][-1]}")
            begun[key].append(attempt)
            holder[key] = (attempt, pid)
        elif what == "ended":
            holder.pop(key, None)
    wrong += [f"{key} was added and is not there" for key in added - set(jobs)]
    wrong += [f"{key} is {jobs[key].state}" for key in jobs if jobs[key].state is not JobState.DONE]
    wrong += [f"{key} is done and has no effect" for key in set(jobs) - effects]
    wrong += [f"{key} has an effect and is no job" for key in effects - set(jobs)]
    wrong += [
        f"{key} counts {job.attempts} attempts, and {begun[key]} were begun"
        for key, job in jobs.items()
        if not begun[key] or begun[key][-1] != job.attempts or job.attempts > ATTEMPTS
    ]
    return wrong, dict(counts)


async def judged(run):
    await run.finish()
    jobs = await kept(run.store)
    effects = {path.name for path in (run.folder / "effects").iterdir()}
    wrong, counts = judge(run.lines(), effects, jobs)
    retried = sum(job.attempts > 1 for job in jobs.values())
    logger.info("%s; %d jobs, %d with several attempts", counts, len(jobs), retried)
    assert not wrong, wrong[:10]
    assert counts["killed"] == KILLS
    assert counts["added"] > 20 * KILLS


async def test_one_process_on_sqlite_is_killed_again_and_again(tmp_path):
    with Run(f"sqlite:{tmp_path / 'store.db'}", tmp_path) as run:
        for life in range(KILLS):
            process = await run.start(life)
            await run.worked(life)
            await run.kill(process)
        await judged(run)


async def test_two_processes_on_postgresql_are_killed_in_turn(postgres_url, tmp_path):
    with Run(postgres_url, tmp_path) as run:
        running = [await run.start(life) for life in range(2)]
        for life in range(KILLS):
            await run.worked(life)
            await run.kill(running.pop(0))
            if life < KILLS - 2:
                running.append(await run.start(life + 2))
        await judged(run)


# --- the judge ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["added b"], "b was added and is not there"),
        (["added a", "begun a 1 7"], "a is done and has no effect"),
        (["begun a 1 7", "begun a 2 8"], "a is done by two at a time"),
        (["begun a 1 7", "ended a 1 7", "begun a 1 8"], "a begins attempt 1 after 1"),
        (["begun a 2 7", "ended a 2 7"], "a counts 1 attempts, and [2] were begun"),
    ],
)
def test_what_is_wrong_is_found(lines, found):
    job = triolet.Job(
        id=1,
        kind=KIND,
        key="a",
        payload=b"",
        priority=0,
        due_at=1,
        attempts_max=9,
        state=JobState.DONE,
        attempts=1,
        added_at=1,
    )
    wrong, _ = judge([line.split() for line in lines], set(), {"a": job})

    assert any(one.startswith(found) for one in wrong), wrong
