"""Law: behind a real PgBouncer in transaction mode, what can work works, and the rest is said."""

import random
from contextlib import ExitStack

import pytest
import trio

from triolet._model.errors import ConfigurationError, StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.postgres.bus import open_postgres_bus
from triolet.adapters.postgres.kinds import FLOAT8, INT8, TEXT
from triolet.adapters.postgres.migrations import migrate
from triolet.adapters.postgres.pool import open_pool
from triolet.adapters.postgres.statement import Statement
from triolet.ports.bus import Doorbell
from triolet.testing.contracts.buses import hear
from triolet.testing.entropy import CountingEntropy
from triolet.testing.services.certificates import make_certificates
from triolet.testing.services.pgbouncer import NoPgBouncer, run_pgbouncer

ADD = Statement("SELECT $1 + 1", INT8)
SLEEP = Statement("SELECT $1 FROM pg_sleep($2)", TEXT, FLOAT8)
INSERT = Statement("INSERT INTO cups VALUES ($1)", INT8, writes=True)
PATIENCE_S = 60


@pytest.fixture(params=["transaction"])
def pooled_url(request, postgres_server, postgres_url):
    """The URL of a test's database by way of a pooler."""
    with ExitStack() as stack:
        try:
            port = stack.enter_context(run_pgbouncer(postgres_server, mode=request.param))
        except NoPgBouncer as error:
            pytest.skip(str(error))
        yield f"postgresql://anybody@127.0.0.1:{port}/{postgres_url.rpartition('/')[2]}"


def a_pool(url, **bounds):
    return open_pool(url, entropy=CountingEntropy(), limits=Limits(**bounds))


async def test_statements_and_transactions_work_with_nothing_prepared(pooled_url):
    """Ten connections of ours over three sessions: each transaction keeps to one."""
    async with a_pool(f"{pooled_url}?prepare=0") as pool:
        await pool.run(Statement("CREATE TABLE cups (n int8)"))

        async def work(number):
            assert [(number + 1,)] == await pool.run(ADD, number)
            async with pool.transaction() as transaction:
                await transaction.run(INSERT, number)
                await transaction.run(INSERT, number)

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(work, number)
        assert [(60,)] == await pool.run(Statement("SELECT count(*) FROM cups"))


async def test_cancelling_hits_nobody_else(pooled_url):
    """A pooler passes a cancel request on to the session that is ours, and to no other."""
    chance, wrong, answers = random.Random(8), [], 0

    async def ask(pool, numbers):
        nonlocal answers
        for number in numbers:
            limit_s = 0.06 if number % 2 else PATIENCE_S
            with trio.move_on_after(chance.random() * limit_s if number % 2 else limit_s):
                got = await pool.run(SLEEP, str(number), chance.random() * 0.02)
                answers += 1
                wrong.extend([got] if got != [(str(number),)] else [])

    bounds = {"postgres_connections_max": 6, "postgres_wait_s": PATIENCE_S}
    async with a_pool(f"{pooled_url}?prepare=0", **bounds) as pool:
        async with trio.open_nursery() as nursery:
            for first in range(6):
                nursery.start_soon(ask, pool, range(first, 240, 6))
        assert [] == wrong
        assert answers >= 120


async def test_prepared_statements_say_what_is_to_be_set(pooled_url):
    """PgBouncer before 1.21, or with `max_prepared_statements = 0`, mixes sessions up."""
    raised = []
    async with a_pool(pooled_url) as pool:

        async def work():
            try:
                await pool.run(ADD, 1)
            except StoreUnavailable as error:
                raised.append(str(error))

        for _ in range(5):
            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(work)
        if not raised:
            pytest.skip("this pooler keeps prepared statements apart")
    assert all("prepare=0" in one for one in raised)


async def test_the_schema_is_brought_up_to_date(pooled_url):
    """The lock is the transaction's, so it needs no session."""
    steps = ["CREATE TABLE cups (n int8)", "SELECT pg_sleep(0.1)"]
    done = []

    async def start():
        done.append(await migrate(f"{pooled_url}?prepare=0", steps, timeout_s=PATIENCE_S))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(start)
    assert [0, 0, 0, 0, 2] == sorted(done)


async def test_a_bus_that_would_be_deaf_is_refused(pooled_url):
    """LISTEN goes to a session that is somebody else's a moment later."""
    url = f"{pooled_url}?prepare=0"
    impatient = Limits(canary_timeout_s=1)
    with pytest.raises(ConfigurationError, match="LISTEN"):
        async with open_postgres_bus(url, entropy=CountingEntropy(), limits=impatient):
            pass


@pytest.mark.parametrize("pooled_url", ["session"], indirect=True)
async def test_a_bus_in_session_mode_hears(pooled_url):
    """There a session is ours as long as the connection is."""
    async with open_postgres_bus(pooled_url, entropy=CountingEntropy(), limits=Limits()) as bus:
        await bus.follow(["tea"])
        await bus.ring([Doorbell("tea", b"1")])
        assert [Doorbell("tea", b"1")] == await hear(bus, until=b"1")


async def test_tls_is_as_libpq_does_it(postgres_server, postgres_url, tmp_path):
    """Encrypted where the URL says so; a name that the certificate does not have is refused."""
    certificates = make_certificates(tmp_path)
    with ExitStack() as stack:
        try:
            port = stack.enter_context(run_pgbouncer(postgres_server, certificates=certificates))
        except NoPgBouncer as error:
            pytest.skip(str(error))
        name = postgres_url.rpartition("/")[2]
        url = f"postgresql://anybody@{{}}:{port}/{name}?prepare=0&hostaddr=127.0.0.1&sslmode={{}}"
        verified = f"verify-full&sslrootcert={certificates.ca}"
        async with a_pool(url.format("localhost", verified)) as pool:
            assert [(2,)] == await pool.run(ADD, 1)
        for bad, words in [
            (url.format("elsewhere.example", verified), "does not match host name"),
            (url.format("localhost", "disable"), "SSL required"),
        ]:
            async with a_pool(bad) as pool:
                with pytest.raises(StoreUnavailable, match=words):
                    await pool.run(ADD, 1)
