"""Laws of `adapters.postgres.reading`: what is asked costs its answer, however much there is."""

import pytest
import trio

from triolet._model.limits import Limits
from triolet.adapters.postgres import open_postgres_store
from triolet.adapters.postgres.statement import Statement
from triolet.ports.people import Person, Revocation
from triolet.ports.store import Mark
from triolet.testing.contracts import Home
from triolet.testing.contracts import drafting as d

# Rows beside those that are asked for, in each table.
CROWD = 3000
FILL = f"""
INSERT INTO triolet.rooms (born, public, name, kind, title)
    SELECT 1, false, 'crowd-' || i, 'group', '' FROM generate_series(1, {CROWD}) i;
INSERT INTO triolet.heads
    SELECT id, 50, 50, 1, 0, 1 FROM triolet.rooms WHERE name LIKE 'crowd-%';
INSERT INTO triolet.members SELECT id, 1, 1, 1, 'zoe', 'member' FROM triolet.rooms;
INSERT INTO triolet.inboxes SELECT id, 'zoe', name FROM triolet.rooms;
INSERT INTO triolet.members SELECT a.id, 1, 1, 1, 'crowd-' || i, 'member'
    FROM triolet.rooms a, generate_series(1, {CROWD}) i WHERE a.name = 'a';
INSERT INTO triolet.messages SELECT id, s, s, 1, 'x', 'x' || s
    FROM triolet.rooms, generate_series(1, 50) s WHERE name LIKE 'crowd-1%';
INSERT INTO triolet.cids SELECT id, s, 1, 'x', 'x' || s, 'send'
    FROM triolet.rooms, generate_series(1, 50) s WHERE name LIKE 'crowd-1%';
INSERT INTO triolet.others SELECT a.id, 1000 + s, 20, 1, 3, 3, 'x', 'x' || s, 'x'
    FROM triolet.rooms a, generate_series(1, {CROWD}) s WHERE a.name = 'a';
UPDATE triolet.rooms SET members = members + {CROWD} WHERE name = 'a';
UPDATE triolet.heads h SET head = 1000 + {CROWD} FROM triolet.rooms r
    WHERE r.id = h.room_id AND r.name = 'a';
INSERT INTO triolet.reactions SELECT a.id, 3, 1000 + s, 'crowd', 'user-' || s
    FROM triolet.rooms a, generate_series(1, {CROWD}) s WHERE a.name = 'a';
INSERT INTO triolet.reaction_counts SELECT a.id, 3, {CROWD}, 'crowd' FROM triolet.rooms a
    WHERE a.name = 'a';
INSERT INTO triolet.reaction_counts SELECT id, s, 1, 'x' FROM triolet.rooms,
    generate_series(1, 50) s WHERE name LIKE 'crowd-1%';
INSERT INTO triolet.people SELECT 1, 'user-' || i, '' FROM generate_series(1, {CROWD}) i;
INSERT INTO triolet.revocations SELECT 1, 'user-' || i FROM generate_series(1, {CROWD}) i;
"""
# Rows that scans have looked at, whole ones and those of indexes, as the server has counted them.
FLUSH = Statement("SELECT pg_stat_force_next_flush()")
LOOKED_AT = Statement("""
    SELECT t.relname::text, t.seq_tup_read + (
        SELECT coalesce(sum(i.idx_tup_read), 0)::bigint FROM pg_stat_user_indexes i
        WHERE i.relid = t.relid)
    FROM pg_stat_user_tables t WHERE t.schemaname = 'triolet'
""")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def questions(store):
    """Every question, by name."""
    bounds = {"limit": 10, "bytes_max": 10_000}
    return {
        "room": lambda: store.room("a"),
        "rooms": lambda: store.rooms(["a", "b"], members_max=10),
        "heads": lambda: store.heads(["a", "b"]),
        "members": lambda: store.members("a", after="b", limit=10),
        "membership": lambda: store.membership("a", "anna"),
        "page": lambda: store.page("a", after=4, upto=20, **bounds),
        "page of others": lambda: store.page("a", after=1000, upto=2000, **bounds),
        "last": lambda: store.history("a", "anna", before=None, after=None, **bounds),
        "before": lambda: store.history("a", "anna", before=9, after=None, **bounds),
        "after": lambda: store.history("a", "anna", before=None, after=1, **bounds),
        "find": lambda: store.find("a", "anna", "3"),
        "n_at": lambda: store.n_at("a", 9),
        "inbox": lambda: store.inbox("zoe", after="b", limit=10),
        "inbox_of": lambda: store.inbox_of("zoe", ["b", "a"]),
        "positions": lambda: store.positions("zoe", limit=10),
        "marks": lambda: store.marks("a", seq=1, after=None, limit=10),
        "acquainted": lambda: store.acquainted("anna", ["ben", "zoe", "none"]),
        "people": lambda: store.people(["anna", "ben"]),
        "revoked": lambda: store.revoked("anna", "sid:anna:f"),
        "revocations": lambda: store.revocations(since=0, after="b", limit=10),
        "revocations lately": lambda: store.revocations(since=2, after="b", limit=10),
        # What is written is found before, too.
        "append": lambda: store.append(
            [
                d.say("a", "anna", "new"),
                d.edit("a", "anna", "e", 4, "x"),
                d.delete("a", "anna", "d", 5),
                d.react("a", "anna", "r1", 3, "crowd"),
                d.react("a", "anna", "r2", 3, "crowd", on=False),
                d.seat("a", "anna", "m", "cleo", "member"),
            ]
        ),
        "put_marks": lambda: store.put_marks(
            [Mark(room="a", user="anna", delivered=9, read=9, read_n=9)]
        ),
        "put_people": lambda: store.put_people([Person("anna", "", 7)]),
        "revoke": lambda: store.revoke(Revocation("anna", 7)),
        "forget_revocations": lambda: store.forget_revocations(older_than=1, limit=10),
        "prune_cids": lambda: store.prune_cids(older_than=1, limit=10),
    }


async def test_nothing_is_found_by_looking_at_everything(postgres_server, postgres_template, home):
    """No question reads a table that grows from one end to the other, whatever was planned when.

    Plans are made on empty tables first, and kept while they fill: each question is asked before
    and after. What was scanned is counted by the server, not estimated.
    """
    name = postgres_server.create_database(postgres_template)
    url = postgres_server.url(name)
    limits = Limits(postgres_connections_max=1)
    async with open_postgres_store(
        url, clock=home.clock, entropy=home.entropy, limits=limits
    ) as store:
        for ask in questions(store).values():
            await ask()
        await d.append(store, d.founding("a", "anna", "ben"), d.founding("b", "anna"))
        await d.append(store, *(d.say("a", "anna", str(i)) for i in range(20)))
        for _ in range(2):
            for ask in questions(store).values():
                await ask()
        await trio.to_thread.run_sync(postgres_server.execute, FILL, name)
        for question, ask in questions(store).items():
            before = await looked_at(store)
            await ask()
            after = await looked_at(store)
            rows = {table: after[table] - before[table] for table in after}
            assert [] == [(question, *row) for row in rows.items() if row[1] >= CROWD // 10]
    postgres_server.drop_database(name)


async def looked_at(store):
    for pool in (store._pool, store._appender._pool):
        # It counts when the session is idle next.
        await pool.run(FLUSH)
        await pool.run(FLUSH)
    return dict(await store._pool.run(LOOKED_AT))
