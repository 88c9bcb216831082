"""What nodes are backed by, struck for real: a PostgreSQL, a Redis."""

import os
from pathlib import Path

import pytest
import trio

from triolet.testing.chaos.backings import BUS, STORE, Backing
from triolet.testing.chaos.process import ProcessFailed

PATIENCE_S = 60
# Nothing has come for so long: it does not come.
SILENCE_S = 0.3


@pytest.fixture(scope="module")
def postgres(postgres_server):
    return postgres_server


@pytest.fixture(scope="module")
def redis(redis_server):
    return redis_server


def states(pids):
    return [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids]


async def said(port, request, within_s=PATIENCE_S):
    """Return what a Redis server says, or nothing."""
    with trio.move_on_after(within_s):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(request)
            return await stream.receive_some(100)
    return b""


async def test_a_killed_server_is_back_at_its_port(postgres):
    """Law: what was stored is there again."""
    backing = Backing("postgres", STORE, postgres, postgres.crash)
    await trio.to_thread.run_sync(postgres.execute, "CREATE TABLE kept AS SELECT 7 AS n")
    port = backing.port
    await backing.kill()
    with pytest.raises(OSError, match=r"."):
        await trio.open_tcp_stream("127.0.0.1", port)
    await backing.start()
    assert backing.port == port
    assert await trio.to_thread.run_sync(postgres.execute, "SELECT n FROM kept") == "7"


async def test_a_paused_server_stands_still_with_all_its_children(postgres):
    """Law: sessions that are open stand still, too, not only the door."""
    backing = Backing("postgres", STORE, postgres, postgres.crash)
    backing.pause()
    family = list(backing.family())
    try:
        # What waits for a disk stops a moment later.
        with trio.fail_after(PATIENCE_S):
            while states(family) != ["T"] * len(family):  # noqa: ASYNC110 - of other processes
                await trio.sleep(0.01)
        assert len(family) > 3
    finally:
        backing.resume()
    assert await trio.to_thread.run_sync(postgres.execute, "SELECT 1") == "1"


async def test_a_flushed_server_has_forgotten(redis):
    """Law: every key is gone."""
    backing = Backing("redis", BUS, redis, redis.kill)
    assert await said(redis.port, b"SET a 1\r\n") == b"+OK\r\n"
    await backing.flush()
    assert await said(redis.port, b"GET a\r\n") == b"$-1\r\n"


async def test_what_does_not_flush_is_told(redis, autojump_clock, monkeypatch):
    """Law: a fault that did not strike is no fault."""
    backing = Backing("redis", BUS, redis, redis.kill)

    async def hang(*args):
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", hang)
    with pytest.raises(ProcessFailed, match="redis does not flush"):
        await backing.flush()


async def test_nobody_is_signalled_who_has_ended(redis):
    """Law: a server that went while it was paused is no error."""
    backing = Backing("redis", BUS, redis, redis.kill)
    backing.pause()
    assert await said(redis.port, b"PING\r\n", SILENCE_S) == b""
    await backing.kill()
    backing.resume()
    await backing.start()
    assert await said(redis.port, b"PING\r\n") == b"+PONG\r\n"
    assert os.getpid() not in list(backing.family())
