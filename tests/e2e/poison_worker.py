"""A process that does jobs until all are over, or one of them ends it: `poison_worker.py STORE`.

It prints the key of each job that it begins.
"""

import os
import signal
import sys

import trio

import triolet

KIND = "dose"
POISON = "poison"
# What a killed process holds is another's soon.
LIMITS = triolet.Limits(jobs_lease_s=2, jobs_check_s=0.2)


async def handler(job):
    os.write(1, f"{job.key}\n".encode())
    if job.key == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    await trio.sleep(0.001)


async def main(store):
    async with triolet.open_engine(store, limits=LIMITS) as engine:
        engine.jobs.handle(KIND, handler, concurrency=8)
        while any(one.waiting or one.running for one in await left(engine)):  # noqa: ASYNC110 - in the store
            await trio.sleep(0.1)


async def left(engine):
    return (await engine.jobs.statistics()).kinds


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
