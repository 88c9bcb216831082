"""Law: a primary that dies under load is followed to its standby, with nothing acknowledged lost.

Real servers with synchronous replication: what a deployment needs that promises to keep what it
acknowledged, whatever dies.
"""

from contextlib import ExitStack

import pytest
import trio

from triolet._model.errors import BusUnavailable, OutcomeUnknown, StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.postgres.bus import open_postgres_bus
from triolet.adapters.postgres.kinds import INT8
from triolet.adapters.postgres.pool import open_pool
from triolet.adapters.postgres.statement import Statement
from triolet.ports.bus import Doorbell
from triolet.testing.contracts.buses import hear_again
from triolet.testing.entropy import CountingEntropy
from triolet.testing.services.postgres import NoPostgres, run_postgres

INSERT = Statement("INSERT INTO cups VALUES ($1)", INT8, writes=True)
PATIENCE_S = 60


@pytest.fixture
def servers():
    """A primary, and a standby that has what was acknowledged."""
    with ExitStack() as stack:
        try:
            primary = stack.enter_context(run_postgres())
        except NoPostgres as error:
            pytest.skip(str(error))
        standby = stack.enter_context(run_postgres(primary=primary))
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.execute("SELECT pg_reload_conf()")
        yield primary, standby


async def test_a_failover_needs_no_restart_and_loses_nothing(servers):
    """The pool and the bus find the new primary by the URL alone."""
    primary, standby = servers
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
    limits, entropy, acknowledged = Limits(), CountingEntropy(), []

    async def write(first):
        for number in range(first, 10**9, 4):
            try:
                await pool.run(INSERT, number)
            except (StoreUnavailable, OutcomeUnknown):
                await trio.sleep(0.02)
            else:
                acknowledged.append(number)

    async def until(is_true):
        with trio.fail_after(PATIENCE_S):
            while not is_true():  # noqa: ASYNC110 - a count is no event
                await trio.sleep(0.02)

    async with (
        open_pool(url, entropy=entropy, limits=limits) as pool,
        open_postgres_bus(url, entropy=entropy, limits=limits) as bus,
        trio.open_nursery() as nursery,
    ):
        await pool.run(Statement("CREATE TABLE cups (n int8 PRIMARY KEY)", writes=True))
        await bus.follow(["tea"])
        for first in range(4):
            nursery.start_soon(write, first)
        await until(lambda: len(acknowledged) >= 40)

        await trio.to_thread.run_sync(primary.kill)
        await trio.to_thread.run_sync(standby.promote)
        before = len(acknowledged)
        await until(lambda: len(acknowledged) >= before + 40)
        nursery.cancel_scope.cancel()

        with trio.CancelScope(shield=True), trio.fail_after(PATIENCE_S):
            kept = await pool.run(Statement("SELECT n FROM cups"))
            assert set() == set(acknowledged) - {number for (number,) in kept}
            assert [] == await hear_again(bus)
            await _ring(bus, Doorbell("tea", b"again"))
            while b"again" not in [one.frame for one in (await bus.receive()).doorbells]:
                pass


async def _ring(bus, doorbell):
    while True:
        try:
            return await bus.ring([doorbell])
        except BusUnavailable:
            await trio.sleep(0.05)
