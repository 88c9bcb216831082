"""The contract of `history`: messages as they read now, page by page."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from ..._domain.fold import REACTION_EMOJIS_MAX, REACTION_USERS_MAX, fold
from ..._model.entries import Reaction
from ...ports.store import Draft, Store
from . import drafting as d
from .home import Contract, Home

USERS = ("anna", "ben", "cleo")
EMOJIS = ("+1", "🙂")

# (what, who, which message or emoji, how many drafts share the batch)
_step = st.tuples(
    st.sampled_from(("say", "say", "edit", "delete", "react", "unreact")),
    st.sampled_from(USERS),
    st.integers(0, 5),
    st.booleans(),
)


class HistoryContract(Contract):
    """Edits, deletions and reactions applied; nothing later than the page is needed."""

    async def test_there_is_no_history_of_no_room(self, home: Home) -> None:
        """None: no such room; a room without messages has an empty history."""
        async with self.open_store(home) as store:
            bounds: dict[str, Any] = {"before": None, "after": None, "limit": 9, "bytes_max": 9}
            assert await store.history("a", "anna", **bounds) is None
            await d.append(store, d.founding("a", "anna"))
            slice_ = await d.history(store, "a")
            assert ((), False, 1) == (slice_.messages, slice_.more, slice_.head)

    async def test_pages_go_back_from_the_end(self, home: Home) -> None:
        """`before`: the last ones with a smaller seq; without it the last of all."""
        async with self.open_store(home) as store:
            await _fill(store, messages=10)
            seqs = d.seqs((await d.history(store, "a")).messages)
            for limit in (1, 2, 3, 5, 10, 11):
                found: list[int] = []
                before = None
                more = True
                while more:
                    slice_ = await d.history(store, "a", before=before, limit=limit)
                    found = d.seqs(slice_.messages) + found
                    before, more = found[0], slice_.more
                    assert len(slice_.messages) <= limit
                assert seqs == found

    async def test_pages_go_forward(self, home: Home) -> None:
        """`after`: the first ones with a greater seq."""
        async with self.open_store(home) as store:
            await _fill(store, messages=10)
            seqs = d.seqs((await d.history(store, "a")).messages)
            for limit in (1, 2, 3, 5, 10, 11):
                found: list[int] = []
                more = True
                while more:
                    after = found[-1] if found else 0
                    slice_ = await d.history(store, "a", after=after, limit=limit)
                    found += d.seqs(slice_.messages)
                    more = slice_.more
                    assert len(slice_.messages) <= limit
                assert seqs == found

    async def test_nothing_is_beyond_the_ends(self, home: Home) -> None:
        """Beyond either end there is nothing, and no more."""
        async with self.open_store(home) as store:
            await _fill(store, messages=3)
            first, *_, last = d.seqs((await d.history(store, "a")).messages)
            for name, seq in (("before", first), ("after", last), ("before", 0), ("after", 99)):
                slice_ = await d.history(store, "a", "anna", **{name: seq})
                assert ((), False) == (slice_.messages, slice_.more)
            assert 3 == len((await d.history(store, "a", before=10_000)).messages)

    async def test_pages_are_bounded_by_bytes(self, home: Home) -> None:
        """Bodies of at most `bytes_max`, but at least one message; `more` tells of the rest."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            await d.append(store, *(d.say("a", "anna", str(i), "x" * 1000) for i in range(6)))
            back = await d.history(store, "a", bytes_max=2500)
            assert ([6, 7], True) == (d.seqs(back.messages), back.more)
            forward = await d.history(store, "a", after=0, bytes_max=2500)
            assert ([2, 3], True) == (d.seqs(forward.messages), forward.more)
            least = await d.history(store, "a", before=4, bytes_max=0)
            assert ([3], True) == (d.seqs(least.messages), least.more)

    async def test_the_latest_edit_is_the_body(self, home: Home) -> None:
        """`body` is the latest edit's, `edited_at` its time; `at` and `cid` stay the message's."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1", "one"))
            (plain,) = (await d.history(store, "a")).messages
            assert UNSET is plain.edited_at
            for text in ("two", "three"):
                home.clock.ms += 1000
                await d.append(store, d.edit("a", "anna", text, 2, text))
            (edited,) = (await d.history(store, "a")).messages
            assert (["three"], home.clock.ms) == (d.texts([edited]), edited.edited_at)
            assert (plain.at, plain.cid, 2, 1) == (edited.at, edited.cid, edited.seq, edited.n)

    async def test_a_reaction_counts_once_a_person(self, home: Home) -> None:
        """Putting twice counts once; taking back what was not put changes nothing."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            await d.append(
                store,
                d.react("a", "cleo", "2", 2),
                d.react("a", "anna", "3", 2),
                d.react("a", "cleo", "4", 2),
                d.react("a", "ben", "5", 2, "🙂"),
                d.react("a", "ben", "6", 2, on=False),
            )
            (message,) = (await d.history(store, "a", "anna")).messages
            assert {
                "+1": Reaction(2, True, ("cleo", "anna")),
                "🙂": Reaction(1, False, ("ben",)),
            } == message.reactions
            await d.append(
                store,
                d.react("a", "cleo", "7", 2, on=False),
                d.react("a", "ben", "8", 2, "🙂", on=False),
            )
            (message,) = (await d.history(store, "a", "ben")).messages
            assert {"+1": Reaction(1, False, ("anna",))} == message.reactions

    async def test_users_are_those_who_put_it_first(self, home: Home) -> None:
        """At most ten users, by when they put it; `count` and `mine` know of all."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            users = [f"user-{99 - i}" for i in range(30)]
            await d.append(store, *(d.react("a", user, "r", 2) for user in users))
            for reader in (users[0], users[-1], "anna"):
                (message,) = (await d.history(store, "a", reader)).messages
                first = tuple(users[:REACTION_USERS_MAX])
                assert {"+1": Reaction(30, reader != "anna", first)} == message.reactions

    async def test_emojis_are_listed_by_code_points(self, home: Home) -> None:
        """At most fifty emojis of a message are listed, the first by code points."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            emojis = [f"e{i:03}" for i in range(REACTION_EMOJIS_MAX + 9)]
            batch = [d.react("a", "ben", emoji, 2, emoji) for emoji in reversed(emojis)]
            await d.append(store, *batch)
            (message,) = (await d.history(store, "a")).messages
            assert emojis[:REACTION_EMOJIS_MAX] == list(message.reactions)

    async def test_history_says_as_of_when_it_is(self, home: Home) -> None:
        """A slice carries the epoch and the head it is folded up to."""
        async with self.open_store(home) as store:
            await _fill(store, messages=3)
            state = await d.state(store, "a")
            slice_ = await d.history(store, "a", limit=1)
            assert (state.epoch, state.head) == (slice_.epoch, slice_.head)

    @settings(
        max_examples=15,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(steps=st.lists(_step, max_size=30))
    async def test_history_is_the_folded_log(
        self, home: Home, steps: list[tuple[str, str, int, bool]]
    ) -> None:
        """The law: folding the raw log gives the history, for every reader and every page."""
        async with self.open_store(home.another()) as store:
            await d.append(store, d.founding("a", *USERS))
            await _carry_out(store, steps)
            entries = await d.log(store, "a")
            for user in USERS:
                assert fold(entries, user) == (await d.history(store, "a", user)).messages
            for message in fold(entries, "anna"):
                slice_ = await d.history(store, "a", after=message.seq - 1, limit=1)
                assert (message,) == slice_.messages


async def _fill(store: Store, *, messages: int) -> None:
    """Fill a room with messages, and other entries between them."""
    await d.append(store, d.founding("a", "anna"))
    for i in range(messages):
        (record,) = await d.append(store, d.say("a", "anna", f"s{i}"))
        others = [d.react("a", "anna", f"r{i}-{j}", record.seq, str(j)) for j in range(i % 3)]
        await d.append(store, *others)


async def _carry_out(store: Store, steps: list[tuple[str, str, int, bool]]) -> None:
    """Write the steps in batches; a target counts the messages sent before."""
    batch: list[Draft] = []
    head = len(USERS)
    sent: list[int] = []
    for number, (what, user, which, ends_batch) in enumerate(steps):
        cid = str(number)
        target = sent[which % len(sent)] if sent else 1
        if what == "say":
            batch.append(d.say("a", user, cid, cid))
        elif what == "edit":
            batch.append(d.edit("a", user, cid, target, cid))
        elif what == "delete":
            batch.append(d.delete("a", user, cid, target))
        else:
            emoji = EMOJIS[which % 2]
            batch.append(d.react("a", user, cid, target, emoji, on=what == "react"))
        if ends_batch or number == len(steps) - 1:
            await store.append(batch)
            batch = []
            records = await store.page("a", after=head, upto=d.ALL, limit=99, bytes_max=d.ALL)
            sent += [record.seq for record in records if record.kind == "message"]
            head += len(records)
