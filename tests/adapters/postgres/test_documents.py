"""Laws of `adapters.postgres.documents`: many nodes, one winner, and no answer that is a guess."""

from contextlib import asynccontextmanager

import pytest
import trio

from triolet._model.errors import OutcomeUnknown, StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.postgres import open_postgres_store
from triolet.adapters.postgres.kinds import TEXT
from triolet.adapters.postgres.pool import open_pool
from triolet.adapters.postgres.statement import Statement
from triolet.ports.documents import Change
from triolet.testing.chaos.proxy import open_proxy
from triolet.testing.contracts import Home

HOLD = Statement("SELECT pg_advisory_xact_lock(73126482, hashtext($1) & 63)", TEXT)
WAITING = Statement(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
LOCKS = Statement("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
DURABLE = Statement("SELECT setting FROM pg_settings WHERE name = 'synchronous_commit'")
PATIENCE_S = 60


@asynccontextmanager
async def a_node(url, home):
    async with open_postgres_store(
        url, clock=home.clock, entropy=home.entropy, limits=Limits()
    ) as store:
        yield store.documents


def a_pool(url, home):
    return open_pool(url, entropy=home.entropy, limits=Limits())


async def until_one_waits(pool):
    with trio.fail_after(PATIENCE_S):
        while await pool.run(WAITING) != [(1,)]:  # noqa: ASYNC110 - a lock is no event
            await trio.sleep(0.01)


async def test_of_two_nodes_one_wins(postgres_url, tmp_path):
    """Both have read the same version; they meet in the database, and only there."""
    home = Home(tmp_path)
    async with a_node(postgres_url, home) as one, a_node(postgres_url, home) as other:
        version = 0
        for number in range(12):
            won = []

            async def write(node, number=number, version=version, won=won):
                if await node.write([Change("a", b"%d" % number, version), Change("b", b"")]):
                    won.append(node)

            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(write, one)
                    nursery.start_soon(write, other)
            assert 1 == len(won)
            (found,) = await other.read(["a"])
            assert b"%d" % number == found.value
            assert found.version > version
            version = found.version


async def test_who_waited_for_a_key_looks_at_what_is_there_now(postgres_url, tmp_path):
    """A writer that was decided on what another one was just changing is told so."""
    home = Home(tmp_path)
    async with a_node(postgres_url, home) as node, a_pool(postgres_url, home) as pool:
        answers = []

        async def write():
            answers.append(await node.write([Change("a", b"late", 0)]))

        async with trio.open_nursery() as nursery, pool.transaction() as transaction:
            await transaction.run(HOLD, "a")
            nursery.start_soon(write)
            await until_one_waits(pool)
            await transaction.run(
                Statement("INSERT INTO triolet.documents VALUES (77, 0, 'a', 'soon')")
            )
        assert [False] == answers
        (found,) = await node.read(["a"])
        assert (b"soon", 77) == (found.value, found.version)


async def test_a_key_that_stays_locked_is_no_wait_for_ever(postgres_url, tmp_path):
    """After two seconds: `StoreUnavailable`, and nothing was changed."""
    home = Home(tmp_path)
    async with a_node(postgres_url, home) as node, a_pool(postgres_url, home) as pool:
        async with pool.transaction() as transaction:
            await transaction.run(HOLD, "a")
            with trio.fail_after(PATIENCE_S), pytest.raises(StoreUnavailable, match="locked"):
                await node.write([Change("b", b""), Change("a", b"")])
            assert [None, None] == await node.read(["a", "b"])
        assert await node.write([Change("b", b""), Change("a", b"")])


async def test_a_lost_answer_may_have_been_a_write(postgres_server, postgres_url, tmp_path):
    """`OutcomeUnknown`; reading finds out that it was, once it is."""
    home = Home(tmp_path)
    async with open_proxy("127.0.0.1", postgres_server.port) as proxy:
        far = postgres_url.replace(str(postgres_server.port), str(proxy.port))
        async with a_node(far, home) as node, a_pool(postgres_url, home) as pool:
            assert await node.write([Change("a", b"1")])

            async def cut_when_it_waits():
                async with pool.transaction() as transaction:
                    await transaction.run(HOLD, "a")
                    holds.set()
                    await until_one_waits(pool)
                    proxy.cut()
                    await is_told.wait()

            holds, is_told = trio.Event(), trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cut_when_it_waits)
                await holds.wait()
                with pytest.raises(OutcomeUnknown):
                    await node.write([Change("a", b"2"), Change("b", b"2")])
                is_told.set()
            with trio.fail_after(PATIENCE_S):
                while (found := await node.read(["a", "b"]))[1] is None:
                    assert b"1" == found[0].value
                    await trio.sleep(0.01)
            assert [b"2", b"2"] == [one.value for one in found]


async def test_a_large_write_holds_few_locks(postgres_url, tmp_path):
    """Its keys are a thousand, and its locks 64 at most: all nodes share a table of them."""
    home = Home(tmp_path)
    async with a_node(postgres_url, home) as node, a_pool(postgres_url, home) as pool:
        keys = [f"k/{number}" for number in range(1000)]
        async with pool.transaction() as transaction:
            await transaction.run(
                Statement(
                    "SELECT triolet.write_documents(0, ARRAY(SELECT 'k/' || i FROM"
                    " generate_series(0, 999) i), NULL, array_fill(0::bigint, ARRAY[1000]),"
                    " array_fill(''::bytea, ARRAY[1000]))",
                    writes=True,
                )
            )
            ((count,),) = await transaction.run(LOCKS)
        assert 0 < count <= 64
        assert all(await node.read(keys))


async def test_what_somebody_writes_is_not_pruned_meanwhile(postgres_url, tmp_path):
    """A document that was about to be removed and was renewed stays; nobody waits for it."""
    home = Home(tmp_path)
    async with a_node(postgres_url, home) as node, a_pool(postgres_url, home) as pool:
        for key in ("a", "b"):
            assert await node.write([Change(key, b"old", expires_at=1)])
        renew = Statement("UPDATE triolet.documents SET expires_at = 0 WHERE key = 'a'")
        async with pool.transaction() as transaction:
            await transaction.run(renew)
            assert 1 == await node.prune(now=2, limit=9)
        assert 0 == await node.prune(now=2, limit=9)
        (found, _) = await node.read(["a", "b"])
        assert b"old" == found.value


async def test_an_acknowledged_write_is_on_the_disk(postgres_url, postgres_server, tmp_path):
    """Whatever the database says of commits: `synchronous_commit` is on where it was off."""
    home, name = Home(tmp_path), postgres_url.rpartition("/")[2]
    postgres_server.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    async with a_pool(postgres_url, home) as pool, a_node(postgres_url, home):
        assert [("off",)] == await pool.run(DURABLE)
        async with pool.transaction() as transaction:
            await transaction.run(
                Statement("SELECT triolet.write_documents(0, '{a}', NULL, '{0}', '{x}')")
            )
            assert [("on",)] == await transaction.run(DURABLE)


async def test_a_document_costs_the_same_among_many(postgres_url, tmp_path):
    """No call walks the table, also where the plans were made while it was empty."""
    home = Home(tmp_path)
    seen = Statement(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
        " WHERE relname = 'documents'"
    )
    calls = [
        ("SELECT triolet.documents_of('{k/7, k/3999}', 1)", 2),
        ("SELECT triolet.documents_between('k/', false, 'k0', 1, 5, false)", 5),
        ("SELECT triolet.documents_between('k/5', true, 'k0', 1, 5, false)", 5),
        ("SELECT triolet.documents_between('k/', false, 'k/5', 1, 5, true)", 5),
        ("SELECT triolet.write_documents(0, '{k/7, x}', '{1, 1}', '{0, 0}', '{a, b}')", 2),
        ("SELECT triolet.write_documents(0, '{k/7, x}', NULL, '{0, 0}', '{a, NULL}')", 2),
        ("SELECT triolet.prune_documents(4010, 5)", 20),
    ]
    statements = [(Statement(sql, writes=True), rows) for sql, rows in calls]
    async with a_node(postgres_url, home) as node, a_pool(postgres_url, home) as pool:
        for _ in range(7):
            for statement, _ in statements:
                await pool.run(statement)
        for part in range(4):
            numbers = range(1000 * part, 1000 * part + 1000)
            changes = [Change(f"k/{n}", bytes(99), expires_at=4000 + n) for n in numbers]
            assert await node.write(changes)
        costs = {}
        for statement, rows in statements:
            async with pool.transaction() as transaction:
                ((before,),) = await transaction.run(seen)
                await transaction.run(statement)
                ((after,),) = await transaction.run(seen)
            costs[statement.sql] = (after - before, rows)
        assert {sql: cost for sql, cost in costs.items() if not 0 < cost[0] <= cost[1]} == {}
