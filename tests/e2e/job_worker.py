"""A process that adds jobs and does them, until it is killed: `job_worker.py STORE FOLDER LIFE`.

With the life `last` it adds nothing, and ends when all is done. What it does it writes down, each
line by one system call, so that what a killed process did is known to its last moment:

- `added KEY` when a job is acknowledged;
- `begun KEY ATTEMPT PID` and `ended KEY ATTEMPT PID` around each call of the handler.

An effect is a file named by the job's key, made once (`O_EXCL`), which is what every handler has
to see to by itself.
"""

import os
import random
import sys
from pathlib import Path

import trio

import triolet

LAST = "last"
KIND = "effect"
# What a killed process holds is another's soon; what a busy machine keeps waiting stays its own.
LIMITS = triolet.Limits(jobs_lease_s=8, jobs_check_s=0.2, jobs_retry_s=0.05, jobs_retry_s_max=0.2)
# Kills are no fault of a job's.
ATTEMPTS = 1000


class Notes:
    """Lines of one file that all processes write."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(self, *words):
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


def handler_of(folder, notes):
    pid, chance = os.getpid(), random.Random()

    async def handler(job):
        notes.say("begun", job.key, job.attempts, pid)
        try:
            await trio.sleep(chance.expovariate(200))
            if chance.random() < 0.1:
                raise triolet.Retry("bad luck")
            try:
                (folder / "effects" / job.key).touch(exist_ok=False)
            except FileExistsError:
                notes.say("again", job.key, job.attempts, pid)
            await trio.sleep(chance.expovariate(500))
        finally:
            notes.say("ended", job.key, job.attempts, pid)

    return handler


async def add_many(engine, notes, life):
    for number in range(10**6):
        keys = [f"{life}-{number}-{index}" for index in range(20)]
        jobs = [triolet.NewJob(kind=KIND, key=key, attempts_max=ATTEMPTS) for key in keys]
        for key, is_new in zip(keys, await engine.jobs.add_many(jobs), strict=True):
            notes.say("added" if is_new else "known", key)
        await trio.sleep(0.03)
        # What is added on a busy machine must be done on it in the end.
        while await waiting(engine) > 500:  # noqa: ASYNC110 - in the store
            await trio.sleep(0.1)


async def waiting(engine):
    return sum(counts.waiting for counts in (await engine.jobs.statistics()).kinds)


async def drained(engine):
    while (await engine.jobs.statistics()).kinds:  # noqa: ASYNC110 - in the store
        await trio.sleep(0.1)


async def main(store, folder, life):
    notes = Notes(folder / "notes")
    async with triolet.open_engine(store, limits=LIMITS) as engine:
        engine.jobs.handle(KIND, handler_of(folder, notes), concurrency=8)
        notes.say("started", life, os.getpid())
        if life == LAST:
            await drained(engine)
        else:
            await add_many(engine, notes, life)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], Path(sys.argv[2]), sys.argv[3])
