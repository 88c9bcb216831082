"""A job that kills its process at each start ends dead, and kills nothing beside it."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from poison_worker import KIND, POISON

import triolet
from triolet._model.limits import Limits
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.embedded import open_store
from triolet.ports.jobs import LEASE_ENDED, JobState, NewJob

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(triolet.__file__).parents[1])}
PROGRAM = Path(__file__).parent / "poison_worker.py"
PATIENCE_S = 120
# Each attempt is the start of a process, so there are few; the others have those of every job.
ATTEMPTS = 2

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL")


def opened(store):
    return open_store(store, clock=SystemClock(), entropy=SystemEntropy(), limits=Limits())


async def test_five_hundred_jobs_outlive_one_that_kills_their_process(tmp_path):
    url = f"sqlite:{tmp_path / 'store.db'}"
    keys = [str(number) for number in range(500)]
    poison = NewJob(kind=KIND, key=POISON, attempts_max=ATTEMPTS)
    added = [NewJob(kind=KIND, key=key) for key in keys]
    async with opened(url) as store:
        await store.jobs.add([*added[:40], poison, *added[40:]], now=SystemClock().now_ms())
    begun, deaths = Counter(), 0
    while True:
        # In turn with this one: nothing else goes on here.
        process = subprocess.run(  # noqa: ASYNC221
            [sys.executable, str(PROGRAM), url],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        begun.update(process.stdout.split())
        if process.returncode == 0:
            break
        assert process.returncode == -9, process.stderr
        deaths += 1
        assert deaths <= ATTEMPTS + 1

    async with opened(url) as store:
        (dead,) = await store.jobs.listed(JobState.DEAD, limit=9)
        done = await store.jobs.listed(JobState.DONE, limit=1000)
    assert (dead.key, dead.error) == (POISON, LEASE_ENDED)
    assert begun[POISON] == deaths <= ATTEMPTS + 1
    assert sorted(job.key for job in done) == sorted(keys)
    assert {key for key in keys if begun[key] == 0} == set()
    assert min(job.attempts_max - job.attempts for job in done) > 0
