"""Jobs in PostgreSQL keep the contract on a real server, and nobody waits for another."""

import pytest
import trio

from triolet._model.limits import Limits
from triolet.adapters.postgres import open_postgres_store
from triolet.adapters.postgres.kinds import TEXT, TEXTS
from triolet.adapters.postgres.migrations import migrate
from triolet.adapters.postgres.pool import open_pool
from triolet.adapters.postgres.schema import steps
from triolet.adapters.postgres.statement import Statement
from triolet.ports.jobs import Ending, JobState
from triolet.testing.contracts import Home, JobContract
from triolet.testing.contracts import jobbing as j


class TestPostgresJobs(JobContract):
    durable = True

    @pytest.fixture(autouse=True)
    def _databases(self, postgres_server, postgres_template):
        self.urls = {}
        self.new_url = lambda: postgres_server.url(
            postgres_server.create_database(postgres_template)
        )
        yield
        for url in self.urls.values():
            postgres_server.drop_database(url.rsplit("/", 1)[1])

    def open_store(self, home: Home):
        if home.path not in self.urls:
            self.urls[home.path] = self.new_url()
        return open_postgres_store(
            self.urls[home.path], clock=home.clock, entropy=home.entropy, limits=Limits()
        )


# --- several nodes -----------------------------------------------------------------------------

PATIENCE_S = 60
LOCK = Statement("SELECT FROM triolet.jobs WHERE key = $1 FOR UPDATE", TEXT)


def open_node(url, home):
    return open_postgres_store(url, clock=home.clock, entropy=home.entropy, limits=Limits())


async def test_nobody_waits_for_what_another_is_taking(postgres_url, tmp_path):
    """What is locked is passed over, by who claims, withdraws and forgets."""
    home = Home(tmp_path)
    pool = open_pool(postgres_url, entropy=home.entropy, limits=Limits())
    async with open_node(postgres_url, home) as store, pool as other:
        await store.jobs.add([j.new("a"), j.new("b"), j.new("c")], now=j.NOW)
        async with other.transaction() as transaction:
            await transaction.run(LOCK, "a")
            with trio.fail_after(PATIENCE_S):
                assert j.keys(await j.claim(store.jobs, limit=1)) == ["b"]
                assert await store.jobs.withdraw("k", ["a", "c"]) == 1
                assert await store.jobs.prune(done_before=j.FAR, limit=9) == 0
        assert j.keys(await j.claim(store.jobs)) == ["a"]


async def test_nodes_that_claim_and_end_at_once_do_each_job_once(postgres_url, tmp_path):
    """Also while both add what the other has."""
    home, done = Home(tmp_path), []

    async def work(store):
        added = [j.new(str(number)) for number in range(400)]
        await store.jobs.add(added if not done else added[::-1], now=j.NOW)
        while jobs := await j.claim(store.jobs, limit=9):
            endings = [Ending(lease=j.lease(job)) for job in jobs]
            assert all(await store.jobs.finish(endings, now=j.NOW))
            done.extend(j.keys(jobs))

    async with (
        open_node(postgres_url, home) as one,
        open_node(postgres_url, home) as other,
        trio.open_nursery() as nursery,
    ):
        for store in (one, other, one, other):
            nursery.start_soon(work, store)
    assert (len(done), len(set(done))) == (400, 400)


async def test_a_job_costs_the_same_among_many(postgres_url, tmp_path):
    """No call walks the table, also where the plans were made while it was empty."""
    home = Home(tmp_path)
    seen = Statement(
        "SELECT coalesce(seq_tup_read + idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
        " WHERE relname = 'jobs'"
    )
    calls = [
        (f"SELECT count(*) FROM triolet.claim_jobs('{{k}}', {j.NOW}, {j.FAR}, 5, 'x')", 25),
        (f"SELECT count(*) FROM triolet.claim_jobs('{{k}}', {j.NOW}, {j.FAR}, 5, 5, 'x')", 30),
        (f"SELECT count(*) FROM triolet.claim_job_alone('{{l}}', {j.NOW}, {j.FAR})", 6),
        ("SELECT triolet.next_job_due_alone('{l}')", 3),
        ("SELECT triolet.finish_jobs(1, '{3, 5}', '{1, 1}', '{0, 1}', '{x, y}', '{1, 2}')", 8),
        (f"SELECT triolet.extend_jobs('{{3, 5}}', '{{1, 1}}', {j.FAR})", 6),
        ("SELECT triolet.next_job_due('{k}')", 6),
        ("SELECT triolet.withdraw_jobs('k', '{7, 9}')", 4),
        (f"SELECT triolet.prune_jobs({j.FAR}, 5)", 10),
        ("SELECT count(*) FROM triolet.jobs_listed(3::smallint, '', 99999, 5)", 5),
        ("SELECT triolet.add_jobs(1, '{k}', '{new}', '{x}', '{0}', '{1}', '{9}')", 2),
    ]
    statements = [(Statement(sql, writes=True), rows) for sql, rows in calls]
    pool = open_pool(postgres_url, entropy=home.entropy, limits=Limits())
    async with open_node(postgres_url, home) as store, pool as other:
        for _ in range(7):
            for statement, _ in statements:
                await other.run(statement)
        await store.jobs.withdraw("k", ["new"])
        for part in range(3):
            numbers = [str(n) for n in range(1000 * part, 1000 * part + 1000)]
            await store.jobs.add([j.new(n) for n in numbers], now=j.NOW)
            later = [j.new(f"later {n}", due_at=j.FAR, priority=9) for n in numbers]
            await store.jobs.add(later, now=j.NOW)
        await store.jobs.add([j.new(str(n), "l") for n in range(1000)], now=j.NOW)
        for _ in range(3):
            await j.claim(store.jobs, "l", until=j.NOW, limit=1000)
        costs = {}
        for statement, rows in statements:
            async with other.transaction() as transaction:
                found = await transaction.run(seen)
                await transaction.run(statement)
                ((after,),) = await transaction.run(seen)
            costs[statement.sql] = (after - (found[0][0] if found else 0), rows)
        assert {sql: cost for sql, cost in costs.items() if cost[0] > cost[1]} == {}


async def test_jobs_of_an_earlier_schema_go_on(postgres_url, tmp_path):
    """None of them counts as lost; a node that still runs as before takes and ends them, too."""
    home = Home(tmp_path)
    (lost,) = [number for number, step in enumerate(steps()) if "jobs_alone" in step]
    await migrate(postgres_url, steps()[:lost], timeout_s=10)
    old = Statement("SELECT key FROM triolet.claim_jobs($1, 2, 3, 1, 'gone')", TEXTS, writes=True)
    pool = open_pool(postgres_url, entropy=home.entropy, limits=Limits())
    async with pool as node:
        await node.run(
            Statement(
                "INSERT INTO triolet.jobs (id, kind, key, payload, priority, due_at, attempts_max,"
                " added_at, state, attempts, lease_until)"
                " SELECT i, 'k', key, '', 0, 1, 3, 1, i - 1, i - 1, (i - 1) % 2 * 2"
                " FROM unnest(ARRAY['waits', 'runs', 'done', 'dead']) WITH ORDINALITY u(key, i)",
                writes=True,
            )
        )
        async with open_node(postgres_url, home) as store:
            found = [j.keys(await store.jobs.listed(state, limit=9)) for state in JobState]
            assert found == [["waits"], ["runs"], ["done"], ["dead"]]
            assert await node.run(old, ["k"]) == [("waits",)]
            assert [(job.key, job.lost) for job in await j.claim(store.jobs, now=4)] == [
                ("waits", 1),
                ("runs", 1),
            ]
