"""Laws of `adapters._search`, and that its contract sees what is planted in it."""

from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
from msgspec.structs import replace

from triolet._domain import words
from triolet.adapters import _search
from triolet.adapters.memory import MemoryStore, open_memory_store, room
from triolet.testing.contracts import Home, StoreContract
from triolet.testing.contracts import drafting as d
from triolet.testing.contracts.searching import SearchContract, found, search


class Contract(SearchContract):
    """The contract on a store in memory, which is what faults are planted in."""

    def open_store(self, home: Home):
        return open_memory_store(clock=home.clock, entropy=home.entropy)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@asynccontextmanager
async def filled(home, *texts):
    """A store with a room of these texts, from seq 2 on, that tells what pages it was asked."""
    async with open_memory_store(clock=home.clock, entropy=home.entropy) as store:
        drafts = [d.say("a", "anna", f"s{i}", text) for i, text in enumerate(texts)]
        await d.append(store, d.founding("a", "anna"), *drafts)
        pages = []
        history = store.history

        async def told(*args, **bounds):
            page = await history(*args, **bounds)
            pages.append(len(page.messages))
            return page

        store.history = told
        yield store, pages


def test_every_store_is_proved_to_search():
    assert issubclass(StoreContract, SearchContract)


async def test_no_more_is_read_than_may_be_looked_at(home):
    """Pages of 200, the last as large as is left; a call reads them and no more."""
    async with filled(home, *["milk"] * 1000) as (store, pages):
        slice_ = await search(store, "tea", scan_max=450)
        assert ([200, 200, 50], 552) == (pages, slice_.next_before)
        pages.clear()
        for before, then in ((552, 152), (152, None)):
            slice_ = await search(store, "tea", before=before, scan_max=400)
            assert ((), then) == (slice_.messages, slice_.next_before)
        assert [200, 200, 150] == pages


async def test_reading_ends_when_enough_is_found(home):
    async with filled(home, *["tea"] * 1000) as (store, pages):
        slice_ = await search(store, "tea", limit=3)
        assert ([200], 999) == (pages, slice_.next_before)
        assert [1001, 1000, 999] == d.seqs(slice_.messages)


async def test_a_call_is_bounded_by_bytes(home):
    """As many pages as short messages would take, each of 32 KiB: long ones end it earlier."""
    long = "tea " + "x" * 10_000
    async with filled(home, *[long] * 20) as (store, pages):
        slice_ = await search(store, "milk", scan_max=400)
        assert ([3, 3], 16) == (pages, slice_.next_before)
        assert 20 == len(await found(store, "tea", scan_max=400))


async def test_a_slice_is_of_one_moment(home):
    """An entry that arrives between pages ends a slice: what is older may have changed by it."""
    async with filled(home, *["tea", "milk"] * 150) as (store, pages):
        told = store.history

        async def then_changed(*args, **bounds):
            page = await told(*args, **bounds)
            if len(pages) == 1:
                await d.append(store, d.edit("a", "anna", "e", 2, "milk"))
            return page

        store.history = then_changed
        slice_ = await search(store, "tea")
        assert (301, 102, 100) == (slice_.head, slice_.next_before, len(slice_.messages))
        rest = await search(store, "tea", before=slice_.next_before)
        assert (302, None, 49) == (rest.head, rest.next_before, len(rest.messages))


async def test_others_run_between_pages(home):
    """The engine's thread is given back after each page."""
    async with filled(home, *["milk"] * 1000) as (store, pages), trio.open_nursery() as nursery:
        turns = []

        async def other():
            while True:
                turns.append(len(pages))
                await trio.lowlevel.checkpoint()

        nursery.start_soon(other)
        await search(store, "tea")
        nursery.cancel_scope.cancel()
    # Trio shuffles who is first in each turn.
    assert 4 <= len(turns)
    assert max(after - before for before, after in pairwise(turns)) <= 2


# --- planted ---------------------------------------------------------------------------------


def the_text_as_sent(monkeypatch):
    """Edited messages are found by what they said first."""
    real = _search._text
    first = {}

    def sent(message):
        return first.setdefault((message.cid, message.seq), real(message))

    history = MemoryStore.history

    async def looked_at(*args, **bounds):
        page = await history(*args, **bounds)
        for message in page.messages if page is not None else ():
            sent(message)
        return page

    monkeypatch.setattr(MemoryStore, "history", looked_at)
    monkeypatch.setattr(_search, "_text", sent)


def the_erased_too(monkeypatch):
    """What was erased is kept for searching."""
    monkeypatch.setattr(room.Room, "_erase", lambda self, seq: None)
    change = room.Room._change

    def kept(self, record, fact):
        if record.kind != "delete":
            change(self, record, fact)

    monkeypatch.setattr(room.Room, "_change", kept)


def another_room_too(monkeypatch):
    """What is said in room b is found in room a."""
    history = MemoryStore.history

    async def of_both(self, name, user, **bounds):
        page, other = [await history(self, one, user, **bounds) for one in ("a", "b")]
        if page is None or other is None:
            return page
        return replace(page, messages=other.messages + page.messages)

    monkeypatch.setattr(MemoryStore, "history", of_both)


def any_word(monkeypatch):
    """One of the words is enough."""
    monkeypatch.setattr(
        _search, "holds", lambda text, needed: any(words.holds(text, (one,)) for one in needed)
    )


def parts_of_words(monkeypatch):
    """A part of a word is enough."""
    monkeypatch.setattr(
        _search, "holds", lambda text, needed: all(one in words.folded(text) for one in needed)
    )


def case_counts(monkeypatch):
    monkeypatch.setattr(words, "folded", lambda text: text)


def all_strings(monkeypatch):
    """Every value of a body is a text."""
    monkeypatch.setattr(_search, "_text", lambda message: str(message.body))


def oldest_first(monkeypatch):
    monkeypatch.setattr(_search, "reversed", iter, raising=False)


def one_is_skipped(monkeypatch):
    """The cursor goes one message too far."""
    slice_of = _search.SearchSlice

    def skipping(messages, before, *as_of):
        return slice_of(messages, None if before is None else before - 1, *as_of)

    monkeypatch.setattr(_search, "SearchSlice", skipping)


def it_ends_early(monkeypatch):
    """After one slice there is said to be no more."""
    slice_of = _search.SearchSlice
    monkeypatch.setattr(
        _search, "SearchSlice", lambda messages, _, *as_of: slice_of(messages, None, *as_of)
    )


def no_bound(monkeypatch):
    """A call looks at everything."""
    monkeypatch.setattr(_search, "_sizes", lambda scan_max: [1_000_000])


def another_user(monkeypatch):
    """Everybody sees what one of them does."""
    history = MemoryStore.history
    monkeypatch.setattr(
        MemoryStore, "history", lambda self, name, _, **bounds: history(self, name, "c", **bounds)
    )


@pytest.mark.parametrize(
    ("plant", "seen_by"),
    [
        (the_text_as_sent, "an_edited_message_is_found_by_its_present_text"),
        (the_erased_too, "an_erased_message_is_never_found"),
        (another_room_too, "other_rooms_are_never_searched"),
        (any_word, "all_words_are_needed"),
        (parts_of_words, "it_finds_whole_words"),
        (case_counts, "case_and_accents_do_not_count"),
        (all_strings, "only_texts_are_searched"),
        (oldest_first, "messages_are_as_the_user_sees_them"),
        (another_user, "messages_are_as_the_user_sees_them"),
        (one_is_skipped, "a_slice_is_bounded_by_what_it_returns"),
        (it_ends_early, "a_slice_is_bounded_by_what_it_looks_at"),
        (no_bound, "a_slice_is_bounded_by_what_it_looks_at"),
    ],
)
async def test_the_contract_sees(plant, seen_by, home, monkeypatch):
    """What is planted fails the test that is about it, which passes without."""
    proof = getattr(Contract(), f"test_{seen_by}")
    await proof(home)
    plant(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await proof(home)
