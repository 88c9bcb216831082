"""Jobs in SQLite keep the contract, and cost their own rows alone."""

import sqlite3

import pytest

from triolet._model.limits import Limits
from triolet.adapters.sqlite import jobs as sql
from triolet.adapters.sqlite import open_sqlite_store
from triolet.ports.jobs import Ending, JobState, NewJob
from triolet.testing.contracts import Home, JobContract
from triolet.testing.contracts import jobbing as j


def open_at(home):
    return open_sqlite_store(
        home.path / "store.db", clock=home.clock, entropy=home.entropy, limits=Limits()
    )


class TestSqliteJobs(JobContract):
    durable = True

    def open_store(self, home: Home):
        return open_at(home)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def plans(home, statements):
    """Return how SQLite would find the rows of each statement."""
    connection = sqlite3.connect(home.path / "store.db")
    with connection:
        for name, (text, count) in statements.items():
            rows = connection.execute(f"EXPLAIN QUERY PLAN {text}", [1] * count).fetchall()
            yield name, " / ".join(row[-1] for row in rows)
    connection.close()


async def test_each_call_searches_an_index_of_its_own(home):
    """None looks at what is done, or not due, or of another kind."""
    async with open_at(home):
        pass
    statements = {
        "priorities": (sql._NEXT_PRIORITY, 2),
        "due": (sql._DUE, 4),
        "first due": (sql._FIRST_DUE, 2),
        "leases": (sql._FIRST_LEASE, 1),
        "ended leases": (
            "SELECT id FROM jobs WHERE state = 1 AND kind = ? AND lease_until <= ?",
            2,
        ),
        "prune": (sql._PRUNE, 2),
        "withdraw": (sql._WITHDRAW, 2),
    }
    found = dict(plans(home, statements))
    expected = {
        "priorities": "jobs_waiting (kind=? AND priority<?)",
        "due": "jobs_waiting (kind=? AND priority=? AND due_at<?)",
        "first due": "jobs_waiting (kind=? AND priority=?)",
        "leases": "jobs_running (kind=?)",
        "ended leases": "jobs_running (kind=? AND lease_until<?)",
        "prune": "jobs_done (finished_at<?)",
        "withdraw": "sqlite_autoindex_jobs_1 (kind=? AND key=?)",
    }

    assert {name: plan for name, plan in found.items() if expected[name] not in plan} == {}
    assert [name for name, plan in found.items() if "TEMP B-TREE" in plan or "SCAN" in plan] == []


async def test_a_claim_costs_its_rows_however_many_wait(home):
    """Counted in SQLite's own steps: among 20 times as many a claim takes no more."""
    async with open_at(home) as store:
        taken = {}
        for count in (1_000, 20_000):
            for start in range(0, count, 1000):
                keys = [f"{count}-{number}" for number in range(start, start + 1000)]
                later = [
                    NewJob(kind="k", key=f"later {key}", due_at=j.FAR, priority=9) for key in keys
                ]
                await store.jobs.add([NewJob(kind="k", key=key) for key in keys], now=j.NOW)
                await store.jobs.add(later, now=j.NOW)
            taken[count] = await steps(store, lambda: j.claim(store.jobs, limit=100))

        assert taken[20_000] < 1.2 * taken[1_000]


async def steps(store, call):
    """Return how many steps of SQLite's machine a call takes, in tens."""
    connection, count = store._ledger.connection, 0

    def counted():
        nonlocal count
        count += 1

    connection.set_progress_handler(counted, 10)
    await call()
    connection.set_progress_handler(None, 0)
    return count


async def test_ids_grow_also_over_restarts_and_removals(home):
    """So no worker's lease ever fits another job."""
    async with open_at(home) as store:
        await store.jobs.add([j.new("a"), j.new("b")], now=j.NOW)
        jobs = await j.claim(store.jobs)
        await store.jobs.finish([Ending(lease=j.lease(job)) for job in jobs], now=j.NOW)
        assert await store.jobs.prune(done_before=j.FAR, limit=9) == 2
    async with open_at(home) as store:
        await store.jobs.add([j.new("c")], now=j.NOW)
        (job,) = await store.jobs.listed(JobState.WAITING, limit=9)
        assert job.id > max(one.id for one in jobs)
