"""Laws of `adapters.postgres.told`: what lives for a moment is cleared away after it."""

import pytest
import trio

from triolet._model.limits import Limits
from triolet.adapters.postgres import told
from triolet.adapters.postgres.migrations import migrate
from triolet.adapters.postgres.pool import open_pool
from triolet.adapters.postgres.statement import Statement
from triolet.testing.entropy import CountingEntropy

COUNTS = Statement(
    "SELECT (SELECT count(*) FROM triolet_leases), (SELECT count(*) FROM triolet_states),"
    " (SELECT count(*) FROM triolet_frames)"
)
AGE = Statement("UPDATE triolet_frames SET at = at - interval '2 minutes'", writes=True)
PATIENCE_S = 60


@pytest.fixture
async def pool(postgres_url):
    await migrate(postgres_url, told.STEPS, timeout_s=10, part="bus")
    async with open_pool(postgres_url, entropy=CountingEntropy(), limits=Limits()) as pool:
        yield pool


async def test_a_lease_that_begins_clears_what_lapsed_ones_left(pool):
    """Nobody ends the lease of a node that was killed."""
    await pool.run(told.TAKE, "a:1", 0.01)
    await pool.run(told.TAKE, "b:1", 60.0)
    await pool.run(told.PUT, "b:1", [], ["carl", "dora"], [b"1", b"2"])
    await pool.run(Statement("INSERT INTO triolet_states VALUES ('carl', 'a:1', 'x')"))
    await trio.sleep(0.02)

    await pool.run(told.TAKE, "a:2", 60.0)

    assert [(2, 2, 0)] == await pool.run(COUNTS)
    assert [("a:2",), ("b:1",)] == await pool.run(told.LIVING)


async def test_five_nodes_that_start_at_once_do_not_wait_for_each_other(pool):
    """Each clears what no other clears already; no deadlock."""
    for i in range(20):
        await pool.run(told.TAKE, f"old:{i}", 0.001)
    await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        for i in range(5):
            nursery.start_soon(pool.run, told.TAKE, f"new:{i}", 60.0)

    assert [(5, 0, 0)] == await pool.run(COUNTS)


async def test_long_frames_are_kept_for_a_minute(pool):
    """Whoever rings after it clears them away."""
    await pool.run(told.RING_LONG, ["a."], [b"1"])
    await pool.run(told.RING_LONG, ["a."], [b"2"])
    assert [(0, 0, 2)] == await pool.run(COUNTS)
    await pool.run(AGE)

    await pool.run(told.RING_LONG, ["x", "a.", "y"], [None, b"3", None])

    assert [(0, 0, 1)] == await pool.run(COUNTS)
    assert [(3, b"3")] == await pool.run(Statement("SELECT id, frame FROM triolet_frames"))
    assert [(b"3",)] == await pool.run(told.FETCH, 3)
