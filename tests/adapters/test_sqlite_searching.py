"""Laws of `adapters.sqlite.searching`: what a search notes of runs, and that it stays true."""

import random
import sqlite3
from contextlib import asynccontextmanager
from functools import partial

import pytest

from triolet._domain.words import asked
from triolet._model.errors import StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters import _search
from triolet.adapters.sqlite import (
    SqliteStore,
    open_sqlite_source,
    open_sqlite_target,
    runs,
    schema,
    searching,
    upkeep,
)
from triolet.adapters.sqlite.opening import opened
from triolet.copying import transfer
from triolet.testing.contracts import Home
from triolet.testing.contracts import drafting as d
from triolet.testing.contracts.searching import found, search

BOUNDS = {"before": None, "limit": d.ALL, "scan_max": d.ALL}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@asynccontextmanager
async def open_folding(home, *, window_entries=4):
    """A store that folds every few entries."""
    async with opened(
        home.path / "store.db",
        entropy=home.entropy,
        limits=Limits(),
        window_entries=window_entries,
    ) as parts:
        yield SqliteStore(parts, clock=home.clock, entropy=home.entropy)


def known(store):
    """How many runs something is known of."""
    return store._ledger.connection.execute("SELECT count(*) FROM words").fetchone()[0]


async def say(store, *texts):
    """Make the room, say these texts in it from seq 2 on, and have all of it folded."""
    drafts = [d.say("a", "anna", f"s{i}", text) for i, text in enumerate(texts)]
    await d.append(store, d.founding("a", "anna"), *drafts)
    await store._settle()


async def looked(store, words):
    """What one page of a search has looked at, and what there is to note."""
    one = searching.Search("a", "anna", asked(words))
    return await store._read(partial(one.page, before=None, limit=d.ALL))


async def scanned(store, words):
    """All that a search finds that knows nothing."""
    return list((await _search.search(store, "a", "anna", words, **BOUNDS)).messages)


# --- the index and the scan find the same ------------------------------------------------

WORDS = ("tea", "Tea!", "thé", "milk", "steam", "お茶", "東京でお茶", "茶")
QUERIES = ("tea", "milk tea", "the", "茶", "お茶", "steam", "coffee")
STEPS = ("say",) * 9 + ("search",) * 4 + ("edit", "edit", "delete", "prune", "settle")


@pytest.fixture
def small(monkeypatch):
    """Make runs, pages and transactions so small that a short history has many of each."""
    monkeypatch.setattr(runs, "RUN_ENTRIES_MAX", 3)
    monkeypatch.setattr(upkeep, "_SLICE_MIN", 1)
    monkeypatch.setattr(searching, "_RUNS_PASSED_MAX", 2)
    monkeypatch.setattr(searching, "NOTES_PER_STEP", 2)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(8))
async def test_what_is_known_changes_nothing(home, seed):
    """The law: whatever was said, changed, removed and searched before, each search is a scan."""
    chance = random.Random(seed)
    async with open_folding(home) as store:
        await d.append(store, d.founding("a", "anna"))
        for number in range(120):
            await carry_out(store, str(number), chance)
    async with open_folding(home) as store:
        await see_that_they_agree(store, chance)
        await see_that_they_agree(store, chance)


async def carry_out(store, cid, chance):
    """Do something, which may be refused."""
    what = chance.choice(STEPS)
    text = " ".join(chance.choices(WORDS, k=chance.randrange(3)))
    # Older messages as often as all newer ones together.
    target = max((await d.state(store, "a")).head - int(chance.expovariate(0.1)), 2)
    match what:
        case "say":
            await store.append([d.say("a", "anna", cid, text)])
        case "edit":
            await store.append([d.edit("a", "anna", cid, target, text)])
        case "delete":
            await store.append([d.delete("a", "anna", cid, target)])
        case "search":
            await see_that_they_agree(store, chance)
        case "prune":
            await store.prune(older_than=0, entries_max=40, limit=3)
        case "settle":
            await store._settle()


async def see_that_they_agree(store, chance):
    """See that each search finds what a scan does, in slices of any size."""
    for query in QUERIES:
        bounds = {"limit": chance.randint(1, 9), "scan_max": chance.randint(1, 9)}
        assert await scanned(store, query) == await found(store, query, **bounds), query


async def test_runs_that_cannot_hold_the_words_are_not_read_again(home):
    """The first search reads everything, and the next one nothing but what came since."""
    async with open_folding(home) as store:
        await say(store, *["milk"] * 500, "tea", *["milk"] * 500)
        assert [502] == d.seqs(await found(store, "tea"))
        assert (
            known(store)
            == store._ledger.connection.execute(
                "SELECT count(*) FROM places WHERE lane = 0"
            ).fetchone()[0]
        )
        one = await looked(store, "tea")
        assert 502 in d.seqs(one.page.messages)
        assert len(one.page.messages) <= runs.RUN_ENTRIES_MAX
        assert ([], None) == (one.notes, one.page.next_before)
        assert () == (await looked(store, "coffee")).page.messages
        await d.append(store, d.say("a", "anna", "x", "coffee"))
        assert [1003] == d.seqs((await looked(store, "coffee")).page.messages)


async def test_one_call_passes_what_it_need_not_look_at(home):
    """`scan_max` bounds what is looked at: a word that is nowhere is soon known to be."""
    async with open_folding(home) as store:
        await say(store, *["milk"] * 1000)
        assert [] == await found(store, "tea", scan_max=200)
        slice_ = await search(store, "tea", scan_max=1)
        assert ((), None) == (slice_.messages, slice_.next_before)


async def test_a_page_is_bounded_by_the_runs_it_passes(home, monkeypatch):
    """A page says where to go on, though there was nothing in it."""
    monkeypatch.setattr(searching, "_RUNS_PASSED_MAX", 4)
    monkeypatch.setattr(runs, "RUN_ENTRIES_MAX", 10)
    async with open_folding(home) as store:
        await say(store, *["milk"] * 100)
        assert [] == await found(store, "tea")
        one = await looked(store, "tea")
        assert () == one.page.messages
        assert 52 <= one.page.next_before <= 72


async def test_what_is_known_fills_its_pages(home, monkeypatch):
    """Though the newest runs are noted first: with half of each page empty it were twice that."""
    monkeypatch.setattr(runs, "RUN_ENTRIES_MAX", 1)
    async with open_folding(home, window_entries=1000) as store:
        await say(store, *(" ".join(f"w{i}x{j}" for j in range(400)) for i in range(300)))
        execute = store._ledger.connection.execute
        (before,) = execute("PRAGMA page_count").fetchone()
        assert [] == await found(store, "tea")
        (after,) = execute("PRAGMA page_count").fetchone()
        assert (300, 300 * 1200) == execute(
            "SELECT count(*), sum(length(packed)) FROM words"
        ).fetchone()
        assert after - before <= 300 / 3 * 1.2


async def test_runs_are_passed_in_their_order(home):
    """Nothing is sorted, and each run is found by its number: a page costs what it looks at."""
    async with open_folding(home) as store:
        await say(store, "milk")
        one = searching.Search("a", "anna", asked("tea milk"))
        plan = store._ledger.connection.execute(
            f"EXPLAIN QUERY PLAN {one._candidates}", (1, 9, 0, 0, b"", b"")
        )
        steps = [detail for *_, detail in plan]
        assert 3 == len(steps)
        assert steps[0].startswith("SEARCH p USING PRIMARY KEY (room_id=? AND lane=?")
        for name, step in zip("wr", steps[1:], strict=True):
            assert step.startswith(f"SEARCH {name} USING INTEGER PRIMARY KEY (rowid=?)")


# --- what is known stays true ------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [d.edit("a", "anna", "e", 4, "tea"), d.delete("a", "anna", "e", 4)],
    ids=["edit", "delete"],
)
async def test_a_change_takes_what_was_known_of_the_run_away(home, monkeypatch, change):
    """In its own transaction: of that run, and of no other."""
    monkeypatch.setattr(runs, "RUN_ENTRIES_MAX", 2)
    async with open_folding(home, window_entries=100) as store:
        await say(store, *["milk"] * 8)
        assert [] == await found(store, "tea")
        assert 4 == known(store)
        await d.append(store, change)
        assert 3 == known(store)
        await d.append(store, d.edit("a", "anna", "e2", 2, "tea"), d.edit("a", "anna", "e3", 3, ""))
        assert 2 == known(store)
        assert 2 in d.seqs(await found(store, "tea"))
        assert 4 == known(store)


@pytest.mark.parametrize("how", ["delete", "edit", "prune", "delete_room"])
async def test_what_was_known_of_what_is_gone_is_not_left_in_the_file(home, how):
    """`secure_delete`: digests of words are overwritten with them, wherever they were."""
    secret = " ".join(f"word{number}" for number in range(60))
    async with open_folding(home) as store:
        await say(store, secret, *["milk"] * 8)
        assert [2] == d.seqs(await found(store, "word7"))
        digests = [searching._digest(f"word{number}") for number in range(60)]
        (packed,) = store._ledger.connection.execute(
            "SELECT packed FROM words ORDER BY run LIMIT 1"
        ).fetchone()
        assert all(one in packed for one in digests)
        if how == "delete":
            await d.append(store, d.delete("a", "anna", "d", 2))
        elif how == "edit":
            await d.append(store, d.edit("a", "anna", "d", 2, "tea"))
        elif how == "prune":
            assert await store.prune(older_than=0, entries_max=4, limit=100)
        else:
            await d.append_one(store, d.draft("a", "anna", "x", op="delete_room", deletes=True))
            while await store.clear_deleted(limit=100) is not None:
                pass
    left = (home.path / "store.db").read_bytes()
    assert packed not in left
    assert packed[:60] not in left


@pytest.mark.parametrize("what", ["edit", "delete", "delete_room"])
async def test_what_has_changed_since_it_was_read_is_not_noted(home, what):
    """A note is of the run and the edits that were read, and of no later ones."""
    change = {
        "edit": d.edit("a", "anna", "e", 2, "tea"),
        "delete": d.delete("a", "anna", "e", 2),
        "delete_room": d.draft("a", "anna", "x", op="delete_room", deletes=True),
    }[what]
    async with open_folding(home) as store:
        await say(store, "milk", "milk")
        notes = (await looked(store, "tea")).notes
        assert 1 == len(notes)
        await d.append_one(store, change)
        if what == "delete_room":
            while await store.clear_deleted(limit=100) is not None:
                pass
        await store._write(partial(searching.keep, store._ledger, notes))
        assert 0 == known(store)


async def test_a_run_with_too_many_words_is_always_read(home, monkeypatch):
    """That much is noted, so that its words are not counted by each search."""
    monkeypatch.setattr(searching, "_PARTS_MAX", 2)
    async with open_folding(home) as store:
        await say(store, "milk and tea")
        for _ in range(2):
            assert [2] == d.seqs(await found(store, "tea"))
            assert [] == await found(store, "coffee")
        assert 1 == known(store)
        assert [] == (await looked(store, "tea")).notes


async def test_a_search_is_right_though_nothing_can_be_kept(home, monkeypatch, caplog):
    """What was found is answered, and that nothing was kept is told in the log."""

    def fail(*_):
        raise sqlite3.OperationalError("database or disk is full")

    async with open_folding(home) as store:
        await say(store, "milk", "tea")
        monkeypatch.setattr(searching, "keep", fail)
        assert [3] == d.seqs(await found(store, "tea"))
        assert [StoreUnavailable] == [record.exc_info[0] for record in caplog.records]
        monkeypatch.undo()
        assert [3] == d.seqs(await found(store, "tea"))
        assert 1 == known(store)


# --- stores that know nothing yet --------------------------------------------------------


async def test_a_file_of_an_earlier_layout_is_searched(home, monkeypatch):
    """Nothing is known of what it holds until it is searched."""
    before = schema.MIGRATIONS[: schema.MIGRATIONS.index(schema._WORDS)]
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", before)
        async with open_folding(home) as store:
            await say(store, "milk", "tea")
    async with open_folding(home) as store:
        assert 0 == known(store)
        for _ in range(2):
            assert [3] == d.seqs(await found(store, "tea"))
        assert 1 == known(store)


async def test_a_copy_is_searched(home):
    """What is known stays behind; the copy finds the same, and knows it then."""
    there = home.another()
    async with open_folding(home) as store:
        await say(store, "milk", "tea", "milk")
        await d.append(store, d.edit("a", "anna", "e", 4, "more tea"))
        expected = await found(store, "tea")
    source = open_sqlite_source(home.path / "store.db", entropy=home.entropy, limits=Limits())
    target = open_sqlite_target(there.path / "store.db", entropy=home.entropy)
    async with source as ours, target as theirs:
        await transfer(ours, theirs)
        await theirs.finish()
    async with open_folding(there) as store:
        assert 0 == known(store)
        for _ in range(2):
            assert expected == await found(store, "tea")
        assert 1 == known(store)
