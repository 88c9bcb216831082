"""The contract of edits, deletions and reactions: what they may point at, and erasure."""

from msgspec import UNSET

from ..._model.entries import Delete, Edit, Message
from ..._model.errors import ErrorCode
from ...ports.store import Appended
from . import drafting as d
from .home import Contract, Home


class TargetContract(Contract):
    """Only a message that is there can be edited, deleted or reacted to."""

    async def test_the_target_must_be_a_message(self, home: Home) -> None:
        """A target that is missing, or no message → `Rejected(NO_SUCH_ENTRY)`."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            await d.append(store, d.edit("a", "anna", "2", 2, "x"))
            await d.append(store, d.react("a", "anna", "3", 2))
            for target in (0, 1, 3, 4, 5, 99):
                outcomes = await store.append(
                    [
                        d.edit("a", "anna", f"e{target}", target, "y"),
                        d.delete("a", "anna", f"d{target}", target),
                        d.react("a", "anna", f"r{target}", target),
                    ]
                )
                for outcome in outcomes:
                    assert d.is_rejected(outcome, ErrorCode.NO_SUCH_ENTRY), target
            assert 4 == (await d.state(store, "a")).head

    async def test_an_erased_message_is_no_target(self, home: Home) -> None:
        """An erased target → `Rejected(NO_SUCH_ENTRY)`, also within the batch that erases it."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            outcomes = await store.append(
                [
                    d.delete("a", "anna", "2", 2),
                    d.edit("a", "anna", "3", 2, "x"),
                    d.delete("a", "anna", "4", 2),
                ]
            )
            assert isinstance(outcomes[0], Appended)
            assert d.is_rejected(outcomes[1], ErrorCode.NO_SUCH_ENTRY)
            assert d.is_rejected(outcomes[2], ErrorCode.NO_SUCH_ENTRY)
            again = await d.append_one(store, d.react("a", "anna", "5", 2))
            assert d.is_rejected(again, ErrorCode.NO_SUCH_ENTRY)

    async def test_a_draft_cannot_erase_twice(self, home: Home) -> None:
        """A draft's facts are judged in order, and fail together."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            twice = d.draft("a", "anna", "2", Delete(2), Delete(2), op="delete")
            assert d.is_rejected(await d.append_one(store, twice), ErrorCode.NO_SUCH_ENTRY)
            assert ["hello"] == d.texts((await d.history(store, "a")).messages)

    async def test_a_message_is_a_target_at_once(self, home: Home) -> None:
        """A message may be edited, reacted to and deleted in the batch that sends it."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            await d.append(
                store,
                d.say("a", "anna", "1", "one"),
                d.edit("a", "anna", "2", 2, "two"),
                d.react("a", "anna", "3", 2),
                d.say("a", "anna", "4", "gone"),
                d.edit("a", "anna", "5", 5, "gone, too"),
                d.delete("a", "anna", "6", 5),
            )
            first, second = (await d.history(store, "a")).messages
            assert ["two", None] == d.texts([first, second])
            assert (["+1"], True) == (list(first.reactions), second.erased)

    async def test_a_fact_may_point_at_its_own_draft(self, home: Home) -> None:
        """Facts are judged on what the draft's earlier facts left."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            await d.append(
                store, d.draft("a", "anna", "1", Message({"text": "x"}), d.react_fact(2))
            )
            (message,) = (await d.history(store, "a")).messages
            assert 1 == message.reactions["+1"].count

    async def test_only_the_author_where_one_is_asked_for(self, home: Home) -> None:
        """A target that is not by `author` → `Rejected(FORBIDDEN)`; None: anybody's."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"), d.say("a", "ben", "1"))
            theirs = d.edit("a", "anna", "2", 3, "x", author="anna")
            assert d.is_rejected(await d.append_one(store, theirs), ErrorCode.FORBIDDEN)
            missing = d.edit("a", "anna", "2", 9, "x", author="anna")
            assert d.is_rejected(await d.append_one(store, missing), ErrorCode.NO_SUCH_ENTRY)
            await d.append(store, d.edit("a", "ben", "2", 3, "x", author="ben"))
            await d.append(store, d.delete("a", "anna", "3", 3, author=None))


class ErasureContract(Contract):
    """`Delete` erases the bodies of the target and of its edits, here and at once."""

    async def test_bodies_are_gone_and_headers_stay(self, home: Home) -> None:
        """Erased messages and edits come with `erased` and without a body; all else stays."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"), d.say("a", "anna", "0"))
            message = Message({"text": "secret"}, reply_to=3, mentions=("ben",))
            await d.append(store, d.draft("a", "anna", "1", message))
            await d.append(store, d.edit("a", "anna", "2", 4, "secret 2"))
            await d.append(store, d.say("a", "ben", "3"), d.edit("a", "anna", "4", 4, "secret 3"))
            before = await store.page("a", after=0, upto=9, limit=9, bytes_max=d.ALL)
            await d.append(store, d.delete("a", "anna", "5", 4))
            after = await store.page("a", after=0, upto=7, limit=9, bytes_max=d.ALL)
            entries = await d.log(store, "a")
            assert Message(reply_to=3, mentions=("ben",), erased=True) == entries[3].fact
            assert Edit(4, erased=True) == entries[4].fact == entries[6].fact
            assert Delete(4) == entries[7].fact
            for old, new in zip(before, after, strict=True):
                is_erased = old.seq in {4, 5, 7}
                assert is_erased == (old.packed != new.packed)
                assert b"secret" not in new.packed
                assert (old.seq, old.n, old.at, old.sender, old.cid, old.kind) == (
                    (new.seq, new.n, new.at, new.sender, new.cid, new.kind)
                )

    async def test_history_shows_an_erased_message_without_its_body(self, home: Home) -> None:
        """The message stays in its place; only its body is gone."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            await d.append(store, *(d.say("a", "anna", str(i), str(i)) for i in range(3)))
            await d.append(store, d.edit("a", "anna", "e", 3, "new"), d.react("a", "anna", "r", 3))
            (whole,) = (await d.history(store, "a", before=4, limit=1)).messages
            await d.append(store, d.delete("a", "anna", "x", 3))
            messages = (await d.history(store, "a")).messages
            assert ["0", None, "2"] == d.texts(messages)
            assert [False, True, False] == [message.erased for message in messages]
            assert UNSET is messages[1].body
            assert (whole.at, whole.n, whole.edited_at, whole.reactions) == (
                (messages[1].at, messages[1].n, messages[1].edited_at, messages[1].reactions)
            )
            assert 3 == (await d.state(store, "a")).n

    async def test_erasure_is_durable(self, home: Home) -> None:
        """An erased body does not come back when the store is opened again."""
        self.require_durable()
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1", "secret"))
            await d.append(store, d.delete("a", "anna", "2", 2))
        async with self.open_store(home) as store:
            (message,) = (await d.history(store, "a")).messages
            assert (True, UNSET) == (message.erased, message.body)
            outcome = await d.append_one(store, d.edit("a", "anna", "3", 2, "x"))
            assert d.is_rejected(outcome, ErrorCode.NO_SUCH_ENTRY)
