"""Laws of `adapters.postgres.migrations`: each step once, all or none, whoever comes first."""

import pytest
import trio

from triolet._model.errors import SchemaTooNew
from triolet._model.limits import Limits
from triolet.adapters.postgres.failures import Refused
from triolet.adapters.postgres.migrations import migrate
from triolet.adapters.postgres.pool import open_pool
from triolet.adapters.postgres.statement import Statement
from triolet.testing.entropy import CountingEntropy

FIRST = "CREATE TABLE cups (n int8 PRIMARY KEY); INSERT INTO cups VALUES (1)"
SECOND = "ALTER TABLE cups ADD COLUMN tea text"
WRONG = "INSERT INTO cups VALUES (2); SELECT nonsense"


async def rows(url, sql):
    async with open_pool(url, entropy=CountingEntropy(), limits=Limits()) as pool:
        return await pool.run(Statement(sql))


async def test_missing_steps_are_run_in_order_and_once(postgres_url):
    """A new database gets all, an old one the rest, a current one none."""
    assert 1 == await migrate(postgres_url, [FIRST], timeout_s=10)
    assert 1 == await migrate(postgres_url, [FIRST, SECOND], timeout_s=10)
    assert 0 == await migrate(postgres_url, [FIRST, SECOND], timeout_s=10)
    assert [(1, None)] == await rows(postgres_url, "SELECT * FROM cups")


async def test_five_nodes_that_start_at_once_run_each_step_once(postgres_url):
    """One does it, slowly; the others wait and find it done."""
    done = []
    slow = [FIRST, "SELECT pg_sleep(0.2)", SECOND]

    async def start():
        done.append(await migrate(postgres_url, slow, timeout_s=30))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(start)

    assert [0, 0, 0, 0, 3] == sorted(done)
    assert [(1, None)] == await rows(postgres_url, "SELECT * FROM cups")


async def test_a_step_that_fails_leaves_the_schema_as_it_was(postgres_url):
    """The steps before it, of the same start, too: an upgrade is there or not."""
    await migrate(postgres_url, [FIRST], timeout_s=10)

    with pytest.raises(Refused, match="nonsense"):
        await migrate(postgres_url, [FIRST, SECOND, WRONG], timeout_s=10)

    assert [(1,)] == await rows(postgres_url, "SELECT * FROM cups")
    assert 1 == await migrate(postgres_url, [FIRST, SECOND], timeout_s=10)


async def test_a_newer_schema_is_refused(postgres_url):
    """Whoever knows fewer steps would write rows that the newer one misreads."""
    await migrate(postgres_url, [FIRST, SECOND], timeout_s=10)

    with pytest.raises(SchemaTooNew, match="newer"):
        await migrate(postgres_url, [FIRST], timeout_s=10)


async def test_parts_of_the_schema_have_numbers_of_their_own(postgres_url):
    """The bus has tables where the store has none, and the other way round."""
    assert 2 == await migrate(postgres_url, [FIRST, SECOND], timeout_s=10)
    assert 1 == await migrate(postgres_url, ["SELECT 1"], timeout_s=10, part="bus")
    assert 0 == await migrate(postgres_url, [FIRST, SECOND], timeout_s=10)


async def test_whoever_is_cancelled_leaves_nothing(postgres_url):
    """The lock and the half of the work go with the connection."""
    with trio.move_on_after(0.3) as scope:
        await migrate(postgres_url, [FIRST, "SELECT pg_sleep(60)"], timeout_s=10)
    assert scope.cancelled_caught

    with trio.fail_after(60):
        assert 1 == await migrate(postgres_url, [FIRST], timeout_s=10)
