"""The contract of `search`: messages found by the words they hold now."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..._domain.words import asked, holds
from ..._model.entries import FoldedMessage, Message
from ...ports.store import SearchSlice, Store
from . import drafting as d
from .home import Contract, Home

_texts = st.lists(st.sampled_from(("tea", "Tea!", "thé", "milk", "steam")), max_size=3)
# (what, the text it says, which message it is about)
_step = st.tuples(
    st.sampled_from(("say", "say", "edit", "delete", "react")),
    _texts.map(" ".join),
    st.integers(0, 9),
)


class SearchContract(Contract):
    """All words, whole words, present texts, this room; bounded, and never ending early."""

    async def test_there_is_nothing_to_search_in_no_room(self, home: Home) -> None:
        """None: no such room; a room without messages has nothing, and no more."""
        async with self.open_store(home) as store:
            bounds: dict[str, Any] = {"before": None, "limit": 9, "scan_max": 9}
            assert await store.search("a", "anna", "tea", **bounds) is None
            await d.append(store, d.founding("a", "anna"))
            slice_ = await search(store, "tea")
            assert ((), None, 1) == (slice_.messages, slice_.next_before, slice_.head)

    async def test_it_finds_whole_words(self, home: Home) -> None:
        """Newest first; whatever stands around a word is no part of it, all else is."""
        async with self.open_store(home) as store:
            await _say(store, "tea", "steam", "no", "(tea)", "team", "a-tea_b", "tea2")
            assert ["a-tea_b", "(tea)", "tea"] == d.texts(await found(store, "tea"))
            assert ["team"] == d.texts(await found(store, "team"))

    async def test_case_and_accents_do_not_count(self, home: Home) -> None:
        """Neither in a text nor in what is asked, composed or decomposed."""
        said = ("Thé Zürich", "THE ZURICH", "the\u0301 zu\u0308rich", "\u24c9he \u2124ürich")
        async with self.open_store(home) as store:
            await _say(store, *said, "tee Zurich")
            for query in ("the zurich", "ZÜRICH thé", "zu\u0308rich THE\u0301"):
                assert list(reversed(said)) == d.texts(await found(store, query))
            await d.append(store, d.say("a", "anna", "straße", "Straße"))
            assert ["Straße"] == d.texts(await found(store, "STRASSE"))

    async def test_all_words_are_needed(self, home: Home) -> None:
        """In any order, wherever they are; a word asked for twice is asked for once."""
        async with self.open_store(home) as store:
            await _say(store, "tea", "milk", "milk and tea", "tea, no milk", "tea milks")
            for query in ("tea milk", "milk tea", "milk, tea; Milk"):
                assert ["tea, no milk", "milk and tea"] == d.texts(await found(store, query))

    async def test_it_finds_parts_of_what_has_no_spaces(self, home: Home) -> None:
        """A word of a script without spaces is found inside a run of letters."""
        async with self.open_store(home) as store:
            await _say(store, "你好世界", "世", "東京でお茶")
            assert ["你好世界"] == d.texts(await found(store, "世界"))
            assert ["東京でお茶"] == d.texts(await found(store, "お茶 東京"))

    async def test_an_edited_message_is_found_by_its_present_text(self, home: Home) -> None:
        """By the latest edit's words, not by former ones, and as it reads now."""
        async with self.open_store(home) as store:
            await _say(store, "tea")
            await d.append(store, d.edit("a", "anna", "e1", 2, "milk"))
            assert [] == await found(store, "tea")
            assert ["milk"] == d.texts(await found(store, "milk"))
            await d.append(store, d.edit("a", "anna", "e2", 2, "tea again"))
            assert [] == await found(store, "milk")
            assert list((await d.history(store, "a")).messages) == await found(store, "tea")

    async def test_an_erased_message_is_never_found(self, home: Home) -> None:
        """Neither by its text nor by that of its edits."""
        async with self.open_store(home) as store:
            await _say(store, "tea", "tea", "tea")
            await d.append(store, d.edit("a", "anna", "e", 3, "milk tea"))
            await d.append(store, d.delete("a", "anna", "d1", 2), d.delete("a", "anna", "d2", 3))
            assert [4] == d.seqs(await found(store, "tea"))
            assert [] == await found(store, "milk")

    async def test_other_rooms_are_never_searched(self, home: Home) -> None:
        """What is said elsewhere is not found here."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("b", "anna"), d.say("b", "anna", "b", "tea elsewhere"))
            await _say(store, "milk here")
            await d.append(store, d.say("b", "anna", "b2", "milk elsewhere"))
            assert [] == await found(store, "tea")
            assert ["milk here"] == d.texts(await found(store, "milk"))

    async def test_only_texts_are_searched(self, home: Home) -> None:
        """`text` of a body, where that is a string; titles, names and reactions are none."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "tea"))
            bodies: tuple[dict[str, Any], ...] = (
                {"text": 7},
                {"text": ["tea"]},
                {"title": "tea"},
                {"text": {"text": "tea"}},
                {"text": "tea", "more": [1]},
                {},
            )
            facts = [Message(body) for body in bodies]
            await d.append(store, d.draft("a", "tea", "tea", *facts))
            await d.append(store, d.react("a", "anna", "r", 3, "tea"))
            assert [{"text": "tea", "more": [1]}] == [m.body for m in await found(store, "tea")]

    async def test_messages_are_as_the_user_sees_them(self, home: Home) -> None:
        """With reactions, `mine` among them, as in `history`."""
        async with self.open_store(home) as store:
            await _say(store, "tea", "milk", "tea")
            await d.append(store, d.react("a", "ben", "r", 2))
            for user in ("anna", "ben"):
                slice_ = await search(store, "tea", user)
                first, _, last = (await d.history(store, "a", user)).messages
                assert (last, first) == slice_.messages
                assert (user == "ben") is slice_.messages[1].reactions["+1"].mine

    async def test_a_slice_says_as_of_when_it_is(self, home: Home) -> None:
        """It carries the epoch and the head of all that it says."""
        async with self.open_store(home) as store:
            await _say(store, "tea", "milk")
            await store.new_generation()
            state = await d.state(store, "a")
            slice_ = await search(store, "tea")
            assert (state.epoch, state.head) == (slice_.epoch, slice_.head)

    async def test_a_slice_is_bounded_by_what_it_returns(self, home: Home) -> None:
        """At most `limit`; `next_before` goes on where it ended, and is None at the end."""
        async with self.open_store(home) as store:
            await _say(store, *("tea" if i % 3 else "milk" for i in range(20)))
            expected = d.seqs(await found(store, "tea"))
            assert 13 == len(expected)
            for limit in (1, 2, 3, 12, 13, 14):
                seqs: list[int] = []
                before = None
                while True:
                    slice_ = await search(store, "tea", before=before, limit=limit)
                    seqs += d.seqs(slice_.messages)
                    before = slice_.next_before
                    if before is None:
                        break
                    assert limit == len(slice_.messages)
                assert expected == seqs

    async def test_a_slice_is_bounded_by_what_it_looks_at(self, home: Home) -> None:
        """At most `scan_max` messages that may hold the words, and other entries do not count."""
        async with self.open_store(home) as store:
            await _say(store, *["tea"] * 5)
            await d.append(store, *(d.react("a", "ben", str(i), 2, str(i)) for i in range(9)))
            seen = [await search(store, "tea", scan_max=scan_max) for scan_max in range(1, 7)]
            assert [1, 2, 3, 4, 5, 5] == [len(one.messages) for one in seen]
            assert [6, 5, 4, 3, None, None] == [one.next_before for one in seen]

    async def test_a_slice_goes_on_where_nothing_was_found(self, home: Home) -> None:
        """Messages without the words are looked at like others, or passed, and lead further."""
        async with self.open_store(home) as store:
            await _say(store, "tea", "milk", "tea", "milk", "milk")
            for _ in range(2):
                for scan_max in range(1, 7):
                    slice_ = await search(store, "tea", scan_max=scan_max)
                    expected = [seq for seq in (4, 2) if seq >= (slice_.next_before or 0)]
                    assert expected == d.seqs(slice_.messages)
                    assert (slice_.next_before or 0) <= 7 - scan_max
                    assert [4, 2] == d.seqs(await found(store, "tea", scan_max=scan_max))

    async def test_it_begins_before_a_seq(self, home: Home) -> None:
        """`before`: only those with a smaller seq, whether there is a message at it or not."""
        async with self.open_store(home) as store:
            await _say(store, "tea", "tea", "tea")
            for before, count in ((0, 0), (2, 0), (3, 1), (4, 2), (99, 3)):
                slice_ = await search(store, "tea", before=before)
                assert [4, 3, 2][3 - count :] == d.seqs(slice_.messages)
                assert slice_.next_before is None

    async def test_what_is_asked_is_bounded(self, home: Home) -> None:
        """No word, too many, too long, or bounds below 1: ValueError, and nothing is read."""
        wrong = ("", " .,_-", "a b c d e f g h i", "x" * 65, "a" + " " * 1024)
        async with self.open_store(home) as store:
            await _say(store, "a b c d e f g h", "x" * 64)
            for query in wrong:
                with pytest.raises(ValueError, match=r"a search|a word"):
                    await search(store, query)
            for bounds in ({"limit": 0}, {"scan_max": 0}):
                with pytest.raises(ValueError, match="at least 1"):
                    await search(store, "tea", "anna", **bounds)
            assert [2] == d.seqs(await found(store, "a b c d e f g h A"))
            assert [3] == d.seqs(await found(store, "x" * 64))

    @settings(
        max_examples=12,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        steps=st.lists(_step, max_size=20),
        query=st.sampled_from(("tea", "TEA milk", "the")),
        limit=st.integers(1, 4),
        scan_max=st.integers(1, 6),
    )
    async def test_it_is_the_history_with_these_words(
        self, home: Home, steps: list[tuple[str, str, int]], query: str, limit: int, scan_max: int
    ) -> None:
        """The law: whatever the bounds, all slices together are what `history` has of it."""
        async with self.open_store(home.another()) as store:
            await d.append(store, d.founding("a", "anna"))
            for number, step in enumerate(steps):
                await _carry_out(store, str(number), step)
            messages = (await d.history(store, "a")).messages
            expected = [one for one in messages if holds(_text(one), asked(query))]
            assert expected[::-1] == await found(store, query, limit=limit, scan_max=scan_max)


async def search(store: Store, query: str, user: str = "anna", **fields: Any) -> SearchSlice:
    """Return a slice of what is found in a room that exists; all unless said otherwise."""
    bounds = {"before": None, "limit": d.ALL, "scan_max": d.ALL, **fields}
    slice_ = await store.search("a", user, query, **bounds)
    assert slice_ is not None, "a"
    return slice_


async def found(store: Store, query: str, **fields: Any) -> list[FoldedMessage]:
    """Return all that is found, slice by slice."""
    slice_ = await search(store, query, **fields)
    messages = [*slice_.messages]
    while slice_.next_before is not None:
        slice_ = await search(store, query, before=slice_.next_before, **fields)
        messages += slice_.messages
    return messages


async def _say(store: Store, *texts: str) -> None:
    """Make the room and say these texts in it, from seq 2 on."""
    drafts = (d.say("a", "anna", f"s{i}", text) for i, text in enumerate(texts))
    await d.append(store, d.founding("a", "anna"), *drafts)


async def _carry_out(store: Store, cid: str, step: tuple[str, str, int]) -> None:
    """Do one step; what is about no message, or an erased one, is refused."""
    what, text, which = step
    one = {
        "say": d.say("a", "anna", cid, text),
        "edit": d.edit("a", "anna", cid, 2 + which, text),
        "delete": d.delete("a", "anna", cid, 2 + which),
        "react": d.react("a", "anna", cid, 2 + which),
    }[what]
    await store.append([one])


def _text(message: FoldedMessage) -> str:
    return str(message.body["text"]) if isinstance(message.body, dict) else ""
