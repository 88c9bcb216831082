"""Jobs in SQLite keep the contract, and cost their own rows alone."""

import sqlite3

import pytest

from triolet._model.limits import Limits
from triolet.adapters.sqlite import job_lanes as lanes
from triolet.adapters.sqlite import job_lists as lists
from triolet.adapters.sqlite import jobs as sql
from triolet.adapters.sqlite import open_sqlite_store, schema
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
        "priorities": (lanes.NEXT_PRIORITY[False], 2),
        "priorities alone": (lanes.NEXT_PRIORITY[True], 2),
        "due": (lanes.DUE[False], 4),
        "due alone": (lanes.DUE[True], 4),
        "first due": (lanes.FIRST_DUE[False], 2),
        "first due alone": (lanes.FIRST_DUE[True], 2),
        "leases": (sql._FIRST_LEASE, 1),
        "ended leases": (
            "SELECT id FROM jobs WHERE state = 1 AND kind = ? AND lease_until <= ?",
            2,
        ),
        "prune": (sql._PRUNE, 2),
        "withdraw": (sql._WITHDRAW, 2),
        **{f"listed {state.value}": (text, 3) for state, text in lists.LISTED.items()},
        **{f"kinds {state.value}": (text, 0) for state, text in lists.KINDS_IN.items()},
    }
    found = dict(plans(home, statements))
    expected = {
        "priorities": "jobs_waiting (kind=? AND priority<?)",
        "due": "jobs_waiting (kind=? AND priority=? AND due_at<?)",
        "first due": "jobs_waiting (kind=? AND priority=?)",
        "priorities alone": "jobs_alone (kind=? AND priority<?)",
        "due alone": "jobs_alone (kind=? AND priority=? AND due_at<?)",
        "first due alone": "jobs_alone (kind=? AND priority=?)",
        "leases": "jobs_running (kind=?)",
        "ended leases": "jobs_running (kind=? AND lease_until<?)",
        "prune": "jobs_done (finished_at<?)",
        "withdraw": "sqlite_autoindex_jobs_1 (kind=? AND key=?)",
        "listed waiting": "jobs_waiting_ids (kind=? AND rowid<?)",
        "listed running": "jobs_running (kind=?)",
        "listed done": "jobs_done_ids (kind=? AND rowid<?)",
        "listed dead": "jobs_dead (kind=? AND rowid<?)",
        "kinds waiting": "jobs_waiting_ids (kind>?)",
        "kinds running": "jobs_running (kind>?)",
        "kinds done": "jobs_done_ids (kind>?)",
        "kinds dead": "jobs_dead (kind>?)",
    }

    assert {name: plan for name, plan in found.items() if expected[name] not in plan} == {}
    # As many run as nodes hold: they are sorted.
    assert [name for name, plan in found.items() if "TEMP B-TREE" in plan] == ["listed running"]
    walked = ("SCAN jobs", "INTEGER PRIMARY KEY (rowid<?)")
    assert [name for name, plan in found.items() if any(one in plan for one in walked)] == []


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


async def test_a_page_costs_its_rows_however_many_there_are(home):
    """Counted in SQLite's own steps: in each state, of one kind or of all."""
    async with open_at(home) as store:
        taken = {}
        for count in (50, 2000):
            await hold_in_each_state(store.jobs, count)
            taken[count] = [
                await page_steps(store.jobs, state, kind)
                for state in (JobState.WAITING, JobState.DONE, JobState.DEAD)
                for kind in ("", "k")
            ]

        assert taken[2000] == taken[50]


async def test_those_that_run_are_listed_without_a_look_at_the_others(home):
    """As many as nodes hold."""
    async with open_at(home) as store:
        before = await page_steps(store.jobs, JobState.RUNNING, "")
        await hold_in_each_state(store.jobs, 2000)
        assert await page_steps(store.jobs, JobState.RUNNING, "") == before

        assert len(await j.claim(store.jobs, limit=20)) == 20
        assert await page_steps(store.jobs, JobState.RUNNING, "") < 20 * 10


async def hold_in_each_state(jobs, count):
    """Have at least so many jobs that wait, are done and are dead."""
    for start in range(0, count, 1000):
        some = range(start, min(count, start + 1000))
        for state in ("done", "dead", "waits"):
            await jobs.add([j.new(f"{state} {count} {number}") for number in some], now=j.NOW)
            if state != "waits":
                error = "" if state == "done" else "no"
                claimed = await j.claim(jobs, limit=1000)
                await jobs.finish(
                    [Ending(lease=j.lease(job), error=error) for job in claimed], now=j.NOW
                )


async def page_steps(jobs, state, kind):
    """Return how many steps of SQLite's machine a page takes, in tens."""
    count = 0

    def counted():
        nonlocal count
        count += 1

    def work(snapshot):
        snapshot.connection.set_progress_handler(counted, 10)
        lists.listed(snapshot, state=state, kind=kind, after=0, limit=10)
        snapshot.connection.set_progress_handler(None, 0)

    await jobs._read(work)
    return count


@pytest.mark.parametrize("step", ["_JOB_LISTS", "_LOST_JOBS"])
async def test_jobs_of_a_file_of_an_earlier_layout_go_on(home, monkeypatch, step):
    """They are listed and claimed, and none of them counts as lost."""
    before = schema.MIGRATIONS[: schema.MIGRATIONS.index(getattr(schema, step))]
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", before)
        async with open_at(home) as store:
            store._ledger.connection.executemany(
                "INSERT INTO jobs (kind, key, payload, priority, due_at, attempts_max, added_at, "
                "state, attempts, lease_until) VALUES ('k', ?, x'', 0, 1, 3, 1, ?, ?, ?)",
                [("waits", 0, 0, 0), ("runs", 1, 1, j.NOW), ("done", 2, 1, 0), ("dead", 3, 3, 0)],
            )
    async with open_at(home) as store:
        found = {state: j.keys(await store.jobs.listed(state, limit=9)) for state in JobState}
        assert list(found.values()) == [["waits"], ["runs"], ["done"], ["dead"]]
        assert {(job.key, job.lost) for job in await j.claim(store.jobs)} == {
            ("waits", 0),
            ("runs", 1),
        }


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
