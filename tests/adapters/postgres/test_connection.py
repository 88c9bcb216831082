"""Laws of `adapters.postgres.connection`: an answer is whole, and of who asked; or it is lost."""

import pytest
import trio

from triolet._model.errors import StoreUnavailable
from triolet.adapters.postgres.address import parse
from triolet.adapters.postgres.connection import connect
from triolet.adapters.postgres.failures import Lost, Refused
from triolet.adapters.postgres.kinds import BYTEA, FLOAT8, INT8, TEXT
from triolet.adapters.postgres.statement import Statement
from triolet.testing.chaos.proxy import open_proxy

ADD = Statement("SELECT $1 + 1", INT8)
SLEEP = Statement("SELECT 'slept' FROM pg_sleep($1)", FLOAT8)
TIMEOUT_S = 40


@pytest.fixture
async def connection(postgres_url):
    made = await connect(parse(postgres_url), timeout_s=TIMEOUT_S)
    yield made
    made.close()


async def test_rows_come_with_pythons_types(connection):
    """Numbers, text, bytes, lists; and no rows where there are none."""
    statement = Statement("SELECT 1::int8, 'ä', '\\x00ff'::bytea, ARRAY[1, NULL]::int8[], true")

    assert [(1, "ä", b"\0\xff", [1, None], True)] == await connection.run(statement, [])
    assert [] == await connection.run(Statement("SELECT 1 WHERE false"), [])
    assert [] == await connection.run(Statement("CREATE TABLE cups (n int8)"), [])


@pytest.mark.parametrize("size", [0, 100, 20_000_000])
async def test_any_size_goes_and_comes(connection, size):
    """Also what fills the socket both ways, while the server has something to say."""
    echo = Statement("SELECT $1, noisy(3) FROM generate_series(1, 1)", BYTEA)
    await connection.script(
        "CREATE FUNCTION noisy(n int) RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE WARNING '%', repeat('x', 10000); RETURN n; END $$"
    )
    value = bytes(size)
    assert [(value, 3)] == await connection.run(echo, [value])


async def test_a_refusal_leaves_the_connection_as_it_was(connection):
    """Wrong SQL, a value that is none, a row that is there already."""
    await connection.script("CREATE TABLE cups (n int8 PRIMARY KEY); INSERT INTO cups VALUES (1)")
    insert = Statement("INSERT INTO cups VALUES ($1)", INT8, writes=True)
    for statement, parameters, sqlstate in [
        (Statement("SELECT nonsense"), [], "42703"),
        (insert, [1], "23505"),
        (insert, [2**63], "22000"),
        (Statement("SELECT $1", TEXT), ["\0"], "22021"),
    ]:
        with pytest.raises(Refused) as caught:
            await connection.run(statement, parameters)
        assert sqlstate == caught.value.sqlstate
    assert connection.is_clean
    assert [(2,)] == await connection.run(ADD, [1])


async def test_an_error_at_the_commit_is_an_error(connection):
    """PostgreSQL says that a statement is done before it commits."""
    await connection.script(
        "CREATE TABLE cups (n int8 PRIMARY KEY);"
        "CREATE TABLE teas (n int8 REFERENCES cups DEFERRABLE INITIALLY DEFERRED)"
    )
    insert = Statement("INSERT INTO teas VALUES ($1) RETURNING n", INT8, writes=True)

    with pytest.raises(Refused, match="violates foreign key"):
        await connection.run(insert, [1])
    assert [(0,)] == await connection.run(Statement("SELECT count(*) FROM teas"), [])


async def test_after_a_cancellation_it_is_made_clean(connection):
    """The server is told to stop, and what it answered is for nobody."""
    await connection.run(SLEEP, [0])
    await connection.run(ADD, [0])
    began = trio.current_time()
    for statement, parameters in [(SLEEP, [60]), (ADD, [1])]:
        with trio.CancelScope() as scope:
            scope.deadline = trio.current_time() + (0.1 if statement is SLEEP else 0)
            await connection.run(statement, parameters)
        await connection.recover(within_s=TIMEOUT_S)
        assert connection.is_clean
    assert [(6,)] == await connection.run(ADD, [5])
    assert trio.current_time() - began < TIMEOUT_S


async def test_what_writes_is_never_cancelled_on_the_server(connection):
    """A commit that waits for its standby would be told that it may go on without it."""
    await connection.script("CREATE TABLE cups (n int8)")
    insert = Statement("INSERT INTO cups SELECT 1 FROM pg_sleep($1)", FLOAT8, writes=True)
    await connection.run(insert, [0])
    with trio.move_on_after(0.1) as scope:
        await connection.run(insert, [2])
    assert scope.cancelled_caught
    await connection.recover(within_s=TIMEOUT_S)
    assert connection.is_clean
    assert [(2,)] == await connection.run(Statement("SELECT count(*) FROM cups"), [])


async def test_a_cancelled_transaction_is_rolled_back(connection):
    """Also one whose last statement failed."""
    await connection.script("CREATE TABLE cups (n int8)")
    for broken in (False, True):
        await connection.script("BEGIN; INSERT INTO cups VALUES (1)")
        if broken:
            with pytest.raises(Refused):
                await connection.script("SELECT nonsense")
        assert not connection.is_clean
        await connection.recover(within_s=TIMEOUT_S)
        assert connection.is_clean
        assert [(0,)] == await connection.run(Statement("SELECT count(*) FROM cups"), [])


async def test_what_does_not_become_clean_in_time_is_closed(postgres_url, postgres_server):
    """A server that says nothing holds nobody: it is given up."""
    async with open_proxy("127.0.0.1", postgres_server.port) as proxy:
        url = postgres_url.replace(str(postgres_server.port), str(proxy.port))
        connection = await connect(parse(url), timeout_s=TIMEOUT_S)
        proxy.hold()
        with trio.move_on_after(0.1):
            await connection.run(ADD, [1])
        with trio.fail_after(TIMEOUT_S):
            await connection.recover(within_s=0.3)
        assert connection.is_broken


async def test_a_statement_whose_preparing_was_cancelled_is_not_trusted(postgres_url):
    """Nobody knows whether the server has it: the connection is thrown away."""
    connection = await connect(parse(postgres_url), timeout_s=TIMEOUT_S)
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.run(ADD, [1])
    await connection.recover(within_s=TIMEOUT_S)
    assert connection.is_broken


async def test_a_session_that_is_ended_is_lost(connection, postgres_server, postgres_url):
    """While it answers: it may have been done. While it is idle: there is news."""
    name = postgres_url.rpartition("/")[2]
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"

    async def end_soon():
        await trio.sleep(0.2)
        await trio.to_thread.run_sync(postgres_server.execute, end)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_soon)
        with pytest.raises(Lost):
            await connection.run(SLEEP, [60])
    assert connection.is_broken

    other = await connect(parse(postgres_url), timeout_s=TIMEOUT_S)
    assert not other.has_news()
    await trio.to_thread.run_sync(postgres_server.execute, end)
    with trio.fail_after(TIMEOUT_S):
        while not other.has_news():  # noqa: ASYNC110 - the kernel tells nobody
            await trio.sleep(0.01)
    with pytest.raises(Lost):
        await other.run(ADD, [1])
    other.close()


async def test_a_closed_connection_is_lost_for_whoever_waits(connection):
    """Closing it from another task wakes who waits for its answer."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_close_soon, connection)
        with pytest.raises(Lost):
            await connection.run(SLEEP, [60])
    with pytest.raises(Lost):
        await connection.run(ADD, [1])


async def _close_soon(connection):
    await trio.sleep(0.1)
    connection.close()


async def test_an_unreachable_database_is_said(postgres_url, postgres_server):
    """Nobody listens there; there is no such database; nobody ever answers."""

    async def fails(url, words, timeout_s=TIMEOUT_S):
        with pytest.raises(StoreUnavailable, match=words):
            await connect(parse(url), timeout_s=timeout_s)

    await fails("postgresql://127.0.0.1:1/chat", "refused")
    await fails(postgres_server.url("no_such_database"), "no_such_database")
    silent = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = silent[0].socket.getsockname()[1]
    await fails(f"postgresql://127.0.0.1:{port}/chat", "no answer within", timeout_s=0.2)
    # The next host is tried.
    name = postgres_url.rpartition("/")[2]
    hosts = f"127.0.0.1:{port},127.0.0.1:{postgres_server.port}"
    connection = await connect(parse(f"postgresql://postgres@{hosts}/{name}"), timeout_s=5)
    assert [(2,)] == await connection.run(ADD, [1])
    connection.close()
    await silent[0].aclose()


async def test_notifications_are_waited_for(connection, postgres_url):
    """In the order of their coming, with the process of the server they came from."""
    await connection.script("LISTEN tea")
    other = await connect(parse(postgres_url), timeout_s=TIMEOUT_S)
    ((pid,),) = await other.run(Statement("SELECT pg_backend_pid()"), [])
    await other.script("NOTIFY tea, '1'; NOTIFY tea, '2'")
    with trio.fail_after(TIMEOUT_S):
        while len(connection.notifications) < 2:
            await connection.wait_notified()
            await trio.sleep(0.01)
    assert [(pid, b"1"), (pid, b"2")] == connection.notifications
    other.close()


async def test_it_is_the_primary_that_is_found(postgres_url, postgres_server):
    """`target_session_attrs=read-write` passes over a server that may not write."""
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    with pytest.raises(StoreUnavailable, match="read-only"):
        await connect(parse(f"{postgres_url}?target_session_attrs=read-write"), timeout_s=5)
