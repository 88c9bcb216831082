"""Laws of `adapters.postgres.deleting`: nodes that race for a room agree on when it ended."""

import pytest
import trio

from triolet._model.errors import ErrorCode, StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.postgres import deleting, open_postgres_store
from triolet.adapters.postgres.pool import open_pool
from triolet.adapters.postgres.statement import Statement
from triolet.ports.store import Appended, Duplicate, RoomDeleted, Stale
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


def end(room, sender, cid):
    return d.draft(room, sender, cid, op="delete_room", deletes=True)


def test_a_draft_that_deletes_goes_alone():
    """Between those before it and those behind it, in their order."""
    say, one, other = d.say("a", "anna", "1"), end("a", "anna", "2"), end("b", "anna", "3")
    assert [(say, say), (one,), (other,), (say,)] == list(
        deleting.parts((say, say, one, other, say))
    )
    assert [(say,)] == list(deleting.parts((say,)))
    assert [] == list(deleting.parts(()))


async def test_of_several_nodes_one_deletes_a_room_and_none_makes_it_again(open_node):
    """While others write to it and make it: its log ends once, and nothing comes after that."""
    rooms = [f"r{number}" for number in range(12)]
    ended, refused = [], []

    async def race(store, number):
        for room in rooms:
            batch = [
                d.founding(room, f"u{number}", cid=f"c{number}"),
                d.say(room, f"u{number}", f"s{number}"),
                end(room, f"u{number}", f"e{number}"),
                d.say(room, f"u{number}", f"t{number}"),
            ]
            made, _, gone, late = await store.append(batch)
            assert isinstance(made, Appended) or d.is_rejected(made, ErrorCode.ALREADY_EXISTS)
            assert isinstance(gone, RoomDeleted) or d.is_rejected(gone, ErrorCode.NO_SUCH_ROOM)
            assert d.is_rejected(late, ErrorCode.NO_SUCH_ROOM)
            (ended if isinstance(gone, RoomDeleted) else refused).append(room)

    async with open_node() as one, open_node() as two, open_node() as three:
        async with trio.open_nursery() as nursery:
            for number, store in enumerate((one, two, three)):
                nursery.start_soon(race, store, number)
        assert rooms == sorted(ended, key=rooms.index)
        assert 2 * len(rooms) == len(refused)
        assert {} == await one.heads(rooms)
        gone = []

        async def clear(store):
            while (some := await store.clear_deleted(limit=3)) is not None:
                gone.extend(some)

        async with trio.open_nursery() as nursery:
            for store in (one, two, three):
                nursery.start_soon(clear, store)
        await clear(one)
        assert rooms == sorted((room for room, _ in gone), key=rooms.index)
        for table in ("messages", "others", "members", "inboxes", "heads", "rooms", "cids"):
            count = deleting.Statement(f"SELECT count(*) FROM triolet.{table}")
            assert [(0,)] == await one._pool.run(count), table


async def test_a_batch_with_a_name_that_was_a_deleted_rooms_is_stored_without_it(open_node):
    """The rest of it is stored in one go, and a retry of the deletion is a duplicate."""
    async with open_node() as store:
        await d.append(store, d.founding("a", "anna"), d.founding("b", "anna"))
        await d.append_one(store, end("a", "anna", "end"))
        outcomes = await store.append(
            [
                d.say("b", "anna", "1"),
                d.founding("a", "anna", cid="again"),
                d.founding("c", "anna"),
                end("a", "anna", "end"),
                d.say("c", "anna", "1"),
                d.say("a", "anna", "1"),
            ]
        )
        kinds = [type(outcome).__name__ for outcome in outcomes]
        assert ["Appended", "Rejected", "Appended", "Duplicate", "Appended", "Rejected"] == kinds
        assert d.is_rejected(outcomes[1], ErrorCode.ALREADY_EXISTS)
        assert isinstance(outcomes[3], Duplicate)
        assert d.is_rejected(outcomes[5], ErrorCode.NO_SUCH_ROOM)


async def test_a_deletion_follows_the_log_into_another_generation(open_node):
    """What another node has begun is found by it as by every append: nothing is deleted then."""
    async with open_node() as one, open_node() as other:
        await d.append(one, d.founding("a", "anna"))
        await other.new_generation()
        with pytest.raises(StoreUnavailable, match="another generation"):
            await one.append([end("a", "anna", "end")])
        assert (await other.room("a")) is not None
        stale = d.draft("a", "anna", "end", op="delete_room", deletes=True, acl_ver=3)
        assert Stale() == await d.append_one(other, stale)
        assert isinstance(await d.append_one(other, end("a", "anna", "end")), RoomDeleted)


# What a step touches, of all tables and indexes.
STEP = Statement(
    "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM triolet.clear_deleted(100)", writes=True
)
# 2,000 rows in each table that a room has rows in.
FILL = """
    INSERT INTO triolet.messages (room_id, seq, n, at, sender, cid)
        SELECT {room}, i, i, 1, 'anna', i::text FROM generate_series(100, 2099) i;
    INSERT INTO triolet.others (room_id, seq, n, at, kind, sender, cid)
        SELECT {room}, i, i, 1, 0, 'anna', i::text FROM generate_series(100, 2099) i;
    INSERT INTO triolet.reactions (room_id, target, seq, emoji, usr)
        SELECT {room}, 100 + i % 7, i, 'x', i::text FROM generate_series(100, 2099) i;
    INSERT INTO triolet.reaction_counts (room_id, target, count, emoji)
        SELECT {room}, 100 + i % 7, 1, i::text FROM generate_series(100, 2099) i;
    INSERT INTO triolet.cids (room_id, seq, at, sender, cid, op)
        SELECT {room}, i, 1, (i % 3)::text, i::text, 'send' FROM generate_series(100, 2099) i;
    INSERT INTO triolet.members (room_id, delivered, read, read_n, usr, role)
        SELECT {room}, 0, 0, 0, i::text, 'member' FROM generate_series(100, 2099) i;
    INSERT INTO triolet.inboxes (room_id, usr, room)
        SELECT {room}, i::text, '{name}' FROM generate_series(100, 2099) i
"""


async def test_a_step_costs_the_same_behind_all_that_is_gone(
    postgres_server, postgres_url, tmp_path
):
    """Counted in pages, while somebody still reads what was: so nothing that is gone goes away."""
    home = Home(tmp_path)
    name = postgres_url.rsplit("/", 1)[1]
    arguments = {"clock": home.clock, "entropy": home.entropy, "limits": Limits()}
    pool = open_pool(postgres_url, entropy=home.entropy, limits=Limits())
    async with open_postgres_store(postgres_url, **arguments) as store, pool as other:
        # Once where all is empty: then the plans are made.
        for room in ("first", "a"):
            await d.append(store, d.founding(room, "anna"))
            ((number,),) = await other.run(
                Statement("SELECT max(id) FROM triolet.rooms")  # of the one that was just made
            )
            if room == "a":
                postgres_server.execute(FILL.format(room=number, name=room), name)
            await d.append_one(store, end(room, "anna", "end"))
            async with other.transaction() as reader:
                await reader.run(Statement("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
                await reader.run(Statement("SELECT count(*) FROM triolet.messages"))
                costs = [cost async for cost in step_costs(store)]

    assert len(costs) >= 120
    # Of each table the last steps, beside the dearest of the first ones.
    dearest = max(cost for start in range(0, 120, 20) for cost in costs[start : start + 3])
    assert max(costs) < 1.5 * dearest


async def step_costs(store):
    """Clear all, and yield how many pages each step looked at."""
    while True:
        ((explained,),) = await store._pool.run(STEP)
        plan = explained[0]["Plan"]
        if not plan["Actual Rows"]:
            return
        yield plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
