"""Laws of `adapters.postgres.retention`: old things go step by step, beside what is written."""

import pytest
import trio

from triolet._model.limits import Limits
from triolet.adapters.postgres import open_postgres_store, retention
from triolet.testing.contracts import Home
from triolet.testing.contracts import drafting as d


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def open_node(postgres_server, postgres_template, home):
    name = postgres_server.create_database(postgres_template)
    yield lambda: open_postgres_store(
        postgres_server.url(name), clock=home.clock, entropy=home.entropy, limits=Limits()
    )
    postgres_server.drop_database(name)


async def test_what_was_folded_of_removed_messages_goes_too(open_node, monkeypatch):
    """Reactions to messages below the floor go in steps of their own; those above stay."""
    monkeypatch.setattr(retention, "ROWS_PER_STEP", 3)
    async with open_node() as store:
        await d.append(store, d.founding("a", "anna"))
        await d.append(store, d.say("a", "anna", "1"), d.say("a", "anna", "2"))
        for target in (2, 3):
            batch = [d.react("a", f"u{i}", f"{target}", target, f"e{i}") for i in range(5)]
            await d.append(store, *batch)
        assert [("a", 2, 1)] == await store.prune(older_than=0, entries_max=11, limit=99)
        counts = [
            await store._pool.run(retention.Statement(f"SELECT count(*) FROM triolet.{table}"))
            for table in ("reactions", "reaction_counts")
        ]
        assert [[(5,)], [(5,)]] == counts
        (message,) = (await d.history(store, "a")).messages
        assert 5 == len(message.reactions)


async def test_nodes_prune_beside_each_other_and_beside_writes(open_node, monkeypatch):
    """Two nodes prune while a third one writes: only prefixes go, and no entry is lost."""
    monkeypatch.setattr(retention, "ROWS_PER_STEP", 5)
    rooms = [f"r{i}" for i in range(4)]
    async with open_node() as one, open_node() as other, open_node() as writer:
        await d.append(writer, *(d.founding(room, "anna") for room in rooms))

        async def prune(store):
            for _ in range(15):
                await store.prune(older_than=0, entries_max=10, limit=20)

        async def write():
            for i in range(40):
                await d.append(writer, *(d.say(room, "anna", str(i)) for room in rooms))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(prune, one)
            nursery.start_soon(prune, other)
            nursery.start_soon(write)
        while await one.prune(older_than=0, entries_max=10, limit=99):
            pass
        for room in rooms:
            state = await d.state(one, room)
            assert (41, 31, 40, 30) == (state.head, state.floor, state.n, state.floor_n)
            assert list(range(32, 42)) == d.seqs(await d.log(one, room))
