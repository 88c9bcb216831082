"""Laws of `adapters.postgres.pool`: bounded, clean, never an answer for somebody else."""

import random

import pytest
import trio
import trio.testing
from own_time import open_own_time

from triolet._model.errors import OutcomeUnknown, StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.postgres.failures import Refused
from triolet.adapters.postgres.kinds import FLOAT8, INT8, TEXT
from triolet.adapters.postgres.pool import open_pool
from triolet.adapters.postgres.statement import Statement
from triolet.testing.chaos.proxy import open_proxy
from triolet.testing.entropy import CountingEntropy

ADD = Statement("SELECT $1 + 1", INT8)
SLEEP = Statement("SELECT $1 FROM pg_sleep($2)", TEXT, FLOAT8)
SLEEP_WRITING = Statement("SELECT $1 FROM pg_sleep($2)", TEXT, FLOAT8, writes=True)
INSERT = Statement("INSERT INTO cups VALUES ($1)", INT8, writes=True)
COUNT = Statement("SELECT count(*) FROM cups")
CUPS = Statement("CREATE TABLE cups (n int8 PRIMARY KEY)", writes=True)
PATIENCE_S = 60
# Operations that race with their deadlines.
RACES = 2000


def a_pool(url, **bounds):
    return open_pool(url, entropy=CountingEntropy(), limits=Limits(**bounds))


async def settled(pool):
    """Wait until no connection is lent, the recovered ones included."""
    with trio.fail_after(PATIENCE_S):
        while pool.statistics.in_use:  # noqa: ASYNC110 - a count is no event
            await trio.sleep(0.01)


# --- lending ---------------------------------------------------------------------------------


async def test_connections_are_made_as_needed_and_kept(postgres_url):
    """One task needs one, many need as many as there may be, and they stay."""
    async with a_pool(postgres_url, postgres_connections_max=3) as pool:
        for _ in range(5):
            assert [(2,)] == await pool.run(ADD, 1)
        assert 1 == pool.statistics.opened
        async with trio.open_nursery() as nursery:
            for _ in range(9):
                nursery.start_soon(pool.run, SLEEP, "x", 0.05)
        statistics = pool.statistics
        assert (3, 3, 0, 0) == (
            statistics.opened,
            statistics.idle,
            statistics.in_use,
            statistics.waiting,
        )
        assert 14 == statistics.statements == sum(statistics.durations.counts)
        assert 14 == sum(statistics.waits.counts)


async def test_who_waits_too_long_is_sent_away(postgres_url):
    """A request is answered while its client still waits."""
    async with a_pool(postgres_url, postgres_connections_max=1, postgres_wait_s=0.1) as pool:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.run, SLEEP, "x", PATIENCE_S)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(StoreUnavailable, match="free within"):
                await pool.run(ADD, 1)
            nursery.cancel_scope.cancel()
        await settled(pool)
        assert 1 == pool.statistics.timed_out
        assert [(2,)] == await pool.run(ADD, 1)


async def test_a_closed_pool_refuses(postgres_url):
    """Whoever comes after the block's end, and whoever is still inside, leaves in order."""
    async with a_pool(postgres_url) as pool:
        await pool.run(ADD, 1)
    with pytest.raises(StoreUnavailable, match="closed"):
        await pool.run(ADD, 1)
    assert 0 == pool.statistics.idle


async def test_slow_queries_are_logged_without_their_parameters(postgres_url, caplog):
    """What they ask for may be private; what they are is ours."""
    async with a_pool(postgres_url, slow_query_s=0.05) as pool:
        await pool.run(SLEEP, "private", 0.1)
        assert 1 == pool.statistics.slow
        (line,) = [record.getMessage() for record in caplog.records]
        assert "pg_sleep" in line
        assert "private" not in line
        took_s = 1.0
        # On a busy machine one that is quick may be slow, too.
        with trio.fail_after(PATIENCE_S):
            while took_s >= 0.05:
                slow, began = pool.statistics.slow, trio.current_time()
                await pool.run(ADD, 1)
                took_s = trio.current_time() - began
        assert slow == pool.statistics.slow


# --- transactions ----------------------------------------------------------------------------


async def test_a_transaction_is_all_or_nothing(postgres_url):
    """What ends its block well commits; an error of the block's, or of a statement's, undoes."""
    async with a_pool(postgres_url) as pool:
        await pool.run(CUPS)

        async def put(numbers, error=None):
            async with pool.transaction() as transaction:
                for number in numbers:
                    await transaction.run(INSERT, number)
                if error is not None:
                    raise error

        await put([1, 2])
        with pytest.raises(ZeroDivisionError):
            await put([3], ZeroDivisionError())
        with pytest.raises(Refused):
            await put([4, 1])
        assert [(2,)] == await pool.run(COUNT)
        await settled(pool)
        assert 0 == pool.statistics.lost


async def test_a_cancelled_transaction_is_undone(postgres_url):
    """And its connection serves others."""
    async with a_pool(postgres_url, postgres_connections_max=1) as pool:
        await pool.run(CUPS)
        # One that is cancelled while it prepares a statement is made anew.
        await pool.run(SLEEP, "x", 0)
        with trio.CancelScope() as scope:
            async with pool.transaction() as transaction:
                await transaction.run(INSERT, 1)
                scope.deadline = trio.current_time() + 0.1
                await transaction.run(SLEEP, "x", 60)
        assert scope.cancelled_caught
        await settled(pool)
        assert [(0,)] == await pool.run(COUNT)
        assert 1 == pool.statistics.opened


# --- cancellation ----------------------------------------------------------------------------


@pytest.mark.parametrize("prepare", [0, 1])
async def test_nobody_gets_an_answer_of_somebody_else(postgres_url, prepare):
    """Two thousand statements, each with a deadline that may fall anywhere; none is wrong."""
    chance = random.Random(5 + prepare)
    answers, wrong = 0, []

    async def ask(pool, number):
        nonlocal answers
        with trio.move_on_after(chance.choice([0, 0.001, 0.003, 0.01, 0.05, PATIENCE_S])):
            if number % 8:
                got, expected = await pool.run(ADD, number), [(number + 1,)]
            else:
                got, expected = await pool.run(SLEEP, str(number), 0.005), [(str(number),)]
            answers += 1
            wrong.extend([got] if got != expected else [])

    async def ask_many(pool, numbers):
        for number in numbers:
            await ask(pool, number)

    bounds = {"postgres_connections_max": 4, "postgres_wait_s": PATIENCE_S}
    async with a_pool(f"{postgres_url}?prepare={prepare}", **bounds) as pool:
        async with trio.open_nursery() as nursery:
            for first in range(8):
                nursery.start_soon(ask_many, pool, range(first, RACES, 8))
        await settled(pool)
        assert [] == wrong
        # Those with time enough, if no others.
        assert answers >= RACES // 8
        assert [(2,)] == await pool.run(ADD, 1)
        # Recovered, all but those that were cancelled while they prepared: not made anew each.
        assert pool.statistics.opened <= RACES // 20


async def test_whoever_is_cancelled_is_gone_at_once(postgres_url):
    """It does not wait until the server has stopped: that is the pool's to do."""
    bounds = {"postgres_cancel_s": PATIENCE_S}
    async with a_pool(postgres_url, **bounds) as pool, open_own_time() as time:
        await pool.run(SLEEP, "x", 0)
        began = time.now()
        with trio.move_on_after(0.05):
            await pool.run(SLEEP, "x", 60)
        assert time.now() - began < 0.05 + Limits().postgres_cancel_s
        assert 1 == pool.statistics.in_use
        await settled(pool)
        assert (1, 0) == (pool.statistics.idle, pool.statistics.lost)


async def test_an_answer_that_does_not_come_is_given_up(postgres_url):
    """Reading: nothing is known. Writing: it may have been done."""
    async with a_pool(postgres_url, postgres_answer_s=0.1) as pool:
        with pytest.raises(StoreUnavailable, match="no answer"):
            await pool.run(SLEEP, "x", 60)
        with pytest.raises(OutcomeUnknown, match="no answer"):
            await pool.run(SLEEP_WRITING, "x", 60)
        patient = Statement("SELECT pg_sleep(0.3)", within_s=PATIENCE_S)
        assert 1 == len(await pool.run(patient))


# --- servers that go -------------------------------------------------------------------------


@pytest.fixture
def restored(postgres_server):
    """The server, which the test may stop: it runs again afterwards."""
    yield postgres_server
    if not postgres_server.pid:
        postgres_server.start()


async def until_it_works(pool, statement, *parameters):
    """Ask until it is answered; return what was raised until then."""
    raised = []
    with trio.fail_after(PATIENCE_S):
        while True:
            try:
                await pool.run(statement, *parameters)
            except (StoreUnavailable, OutcomeUnknown) as error:
                raised.append(error)
                await trio.sleep(getattr(error, "retry_after_ms", 10) / 1000)
            else:
                return raised


@pytest.mark.parametrize("how", ["stop", "crash", "kill"])
async def test_a_server_that_restarts_under_load_is_found_again(postgres_url, restored, how):
    """Without a restart here: what was acknowledged is there, what failed says how it failed."""
    acknowledged = []
    async with a_pool(postgres_url, postgres_connections_max=4) as pool:
        await pool.run(CUPS)

        async def write(first):
            for number in range(first, 10**9, 4):
                try:
                    await pool.run(INSERT, number)
                except (StoreUnavailable, OutcomeUnknown):
                    await trio.sleep(0.02)
                else:
                    acknowledged.append(number)

        async with trio.open_nursery() as nursery:
            for first in range(4):
                nursery.start_soon(write, first)
            await trio.sleep(0.3)
            await trio.to_thread.run_sync(getattr(restored, how))
            await trio.sleep(0.2)
            before = len(acknowledged)
            await trio.to_thread.run_sync(restored.start)
            with trio.fail_after(PATIENCE_S):
                while len(acknowledged) < before + 40:  # noqa: ASYNC110 - a count is no event
                    await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
        await settled(pool)
        kept = await pool.run(Statement("SELECT n FROM cups"))
        assert set() == set(acknowledged) - {number for (number,) in kept}
        assert pool.statistics.lost >= 1


async def test_a_read_is_asked_again_where_a_session_was_ended(postgres_url, postgres_server):
    """Sessions that an operator, or a restart between two reads, has ended cost no reader."""
    async with a_pool(postgres_url) as pool:
        await pool.run(ADD, 1)
        name = postgres_url.rpartition("/")[2]
        await trio.to_thread.run_sync(
            postgres_server.execute,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )
        assert [(2,)] == await pool.run(ADD, 1)
        assert (2, 1) == (pool.statistics.opened, pool.statistics.lost)


async def test_a_lost_answer_says_what_it_means(postgres_url, postgres_server):
    """A read: nothing was done. A write: it may have been. A transaction: not before COMMIT."""
    async with open_proxy("127.0.0.1", postgres_server.port) as proxy:
        url = postgres_url.replace(str(postgres_server.port), str(proxy.port))

        name = postgres_url.rpartition("/")[2]
        asleep = (
            "SELECT count(*) FROM pg_stat_activity"
            f" WHERE datname = '{name}' AND wait_event = 'PgSleep'"
        )

        async def cut_when_asleep(count):
            with trio.fail_after(PATIENCE_S):
                found = ""
                while found != str(count):
                    found = await trio.to_thread.run_sync(postgres_server.execute, asleep)
            proxy.refuse()
            proxy.cut()

        async def in_transaction():
            async with pool.transaction() as transaction:
                await transaction.run(SLEEP_WRITING, "x", 60)

        # The server's sessions sleep on: they do not look whether anybody is there.
        for count, run, error in [
            (1, lambda: pool.run(SLEEP, "x", 60), StoreUnavailable),
            (2, lambda: pool.run(SLEEP_WRITING, "x", 60), OutcomeUnknown),
            (3, in_transaction, StoreUnavailable),
        ]:
            async with a_pool(url) as pool, trio.open_nursery() as nursery:
                await pool.run(ADD, 1)
                nursery.start_soon(cut_when_asleep, count)
                with pytest.raises(error):
                    await run()
                proxy.heal()


async def test_a_place_that_is_gone_is_tried_by_one_at_a_time(caplog):
    """Fifty tasks cost it a few attempts, and each is told when to come again."""
    raised = []
    async with a_pool("postgresql://127.0.0.1:1/chat") as pool:

        async def ask():
            with pytest.raises(StoreUnavailable) as caught:
                await pool.run(ADD, 1)
            raised.append(caught.value.retry_after_ms)

        with pytest.raises(StoreUnavailable):
            await pool.run(ADD, 1)
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(ask)
        assert pool.statistics.refused <= 3
        assert all(0 < one <= 2000 for one in raised)
        assert (0, 0) == (pool.statistics.in_use, pool.statistics.waiting)
    assert "cannot be reached" in caplog.text


async def test_a_primary_that_became_a_standby_is_left(postgres_url):
    """It still answers, but may not write: the next statement asks for the primary again."""
    async with a_pool(postgres_url) as pool:
        await pool.run(CUPS)
        await pool.run(Statement("SET default_transaction_read_only = on", writes=True))
        with pytest.raises(StoreUnavailable, match="read-only"):
            await pool.run(INSERT, 1)
        assert [] == await until_it_works(pool, INSERT, 1)
        assert 2 == pool.statistics.opened
