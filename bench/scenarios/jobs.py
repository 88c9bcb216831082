"""`jobs`: a queue that is filled and drained, with one effect each."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from triolet.testing.services import postgres

from ..errors import ServerFailed
from ..machine import SERVER_CORE, pinned
from ..server import ROOT
from . import Case, Figure, Options, Sample, Scenario

_JOBS: Final = 50_000
_CONCURRENCY: Final = 16
_TIMEOUT_S: Final = 300
# The peer that is asked of PostgreSQL; others have no queue.
_POSTGRES: Final = "postgres"


def _run(count: int, options: Options) -> Sample:
    options.told(0.1, "adding and draining")
    with (
        tempfile.TemporaryDirectory(prefix="triolet-bench-", dir=options.parent) as folder,
        _store(options.store, Path(folder)) as url,
    ):
        ledger = Path(folder) / "ledger"
        command = [url, str(count), str(_CONCURRENCY), str(ledger)]
        with pinned(SERVER_CORE):
            done = subprocess.run(
                [sys.executable, "-m", "bench.draining", *command],
                cwd=ROOT,
                env=os.environ,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
    if done.returncode:
        raise ServerFailed(f"it ended with {done.returncode}:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return Sample(
        "jobs",
        _case_name(count),
        options.who,
        (
            Figure("CPU a job done", "µs", 1e6 * found["drain_cpu_s"] / count),
            Figure("jobs done", "1/s", count / found["drain_s"]),
            Figure("CPU a job added", "µs", 1e6 * found["add_cpu_s"] / count),
            Figure("jobs added", "1/s", count / found["add_s"]),
        ),
        {"effects": int(found["effects"])},
        {},
    )


@contextmanager
def _store(name: str, folder: Path) -> Iterator[str]:
    """Have a new store of this name; yields its URL."""
    if name == "postgresql":
        with postgres.run_postgres() as server:
            yield server.url(server.create_database())
    else:
        yield f"sqlite:{folder / 'jobs.db'}" if name == "sqlite" else "memory:"


def _case_name(count: int) -> str:
    return f"{count:,} jobs, one effect each"


def _cases(options: Options) -> list[Case]:
    count = options.n or _JOBS
    stores = ("sqlite", "memory", "postgresql")
    return [Case(_case_name(count), partial(_run, count), stores, (_POSTGRES,))]


SCENARIO: Final = Scenario(
    "jobs",
    "a queue of jobs that is drained, each with one effect: what one costs, on each store",
    _cases,
)
