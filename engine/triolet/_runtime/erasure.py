"""Erasing a user: what they said, did and were here, for everybody and on every node.

What they said is taken back by entries, as if they had deleted each message themselves, so every
client and every node learns of it. Whatever ends it half way, it is simply done again: what was
erased is found erased.
"""

import logging
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, final

import msgspec
import trio
from msgspec import Struct, structs

from .._domain.room import Rights, joins_are_rows, manages
from .._model.entries import Delete, Fact, Member, React
from .._model.errors import ErrorCode, Refusal, StoreError
from .._wire.codec import pack_fact
from ..ports.documents import Change
from ..ports.jobs import Job
from ..ports.store import Draft, Rejected, RoomState, Stale
from .pipeline import store_refusal
from .traces import Traces, all_rooms, traces_in

if TYPE_CHECKING:
    from .engine import Engine

logger = logging.getLogger(__name__)

# Drafts on their way at once: they share a commit, and leave others theirs.
_DRAFTS_AT_ONCE: Final = 64
# Between two of these, so that messages come first.
_PAUSE_S: Final = 0.02
# Rights can change under a draft; more often than this in a row is no accident.
_TRIES_MAX: Final = 5
_KIND: Final = "erase"
# A store of 10^8 entries is read within it.
_TIMEOUT_S: Final = 86_400.0
# It never dies: who asked for it is owed it.
_ATTEMPTS_MAX: Final = 1000
_OPS: Final[dict[type[Fact], str]] = {Delete: "delete", React: "react", Member: "leave"}
# Documents removed by one write.
_DOCUMENTS_PER_WRITE: Final = 100
# Other nodes write when somebody was last seen within a second after they have heard of it.
_LAST_SEEN_S: Final = 2.0


@final
class _Asked(Struct, frozen=True):
    """A job's payload."""

    user: str
    documents: tuple[str, ...]


_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(_Asked).decode


@final
class Erasure:
    """See the module."""

    def __init__(self, engine: "Engine") -> None:
        self._store = engine.store
        self._writer = engine.writer
        self._revoke = engine.revoke
        self._presence = engine.presence
        self._entropy = engine.entropy
        self._limits = engine.limits
        self._jobs = engine.jobs
        self._jobs.handle(_KIND, self._do, concurrency=1, timeout_s=_TIMEOUT_S)

    async def erase(self, user: str, documents: Sequence[str] = ()) -> None:
        """Have a user erased: their sessions at once, all else by a job, which survives a crash.

        Their messages and edits are erased in all rooms, also in those that they have left, their
        reactions taken back, their memberships ended, direct rooms included, and what is kept of
        them as a person is forgotten; that their tokens are revoked is remembered. What stays is
        what is not theirs alone: that there was an entry and by whom, titles that they gave to
        rooms, and their reactions to messages that others have deleted.

        Every log is read once, a little at a time. What was there when it was called will be
        gone; whoever lets them come back meanwhile calls it again.

        Args:
            user: who.
            documents: keys of documents to be removed; of one that ends with a slash, all whose
                keys begin with it.

        Raises:
            StoreUnavailable: nothing will be erased.
            OutcomeUnknown: it may be; asking again is harmless.
            ValueError: more documents than fit a job's 64 KiB.
        """
        await self._revoke(user)
        # Who is erased a second time, within the time that done jobs are remembered, is another.
        key = f"{user}/{self._entropy.token()}"
        payload = _pack(_Asked(user, tuple(documents)))
        await self._jobs.add(_KIND, key, payload, attempts_max=_ATTEMPTS_MAX)

    async def _do(self, job: Job) -> None:
        asked = _unpack(job.payload)
        await self.carry_out(asked.user, asked.documents)

    async def carry_out(self, user: str, documents: Sequence[str] = ()) -> None:
        """Do what `erase` promises, and return when it is done; again, it finds it done.

        Raises:
            StoreError: the rest is left; do it again.
            Refusal: likewise, `STORE_UNAVAILABLE` or `OUTCOME_UNKNOWN`.
        """
        await self._revoke(user)
        async with aclosing(all_rooms(self._store)) as rooms:
            async for name in rooms:
                await self._erase_in(name, user)
        for key in documents:
            await self._remove_documents(key)
        await self._forget(user)

    async def _forget(self, user: str) -> None:
        """Forget the person, once all nodes have ended their sessions and written so."""
        if self._presence.others():
            await trio.sleep(self._limits.revocations_check_s + _LAST_SEEN_S)
        await self._presence.flush()
        await self._store.forget(user)

    # --- in rooms ------------------------------------------------------------------------

    async def _erase_in(self, name: str, user: str) -> None:
        state = await self._store.room(name)
        if state is None:
            return
        async with aclosing(traces_in(self._store, state, user)) as found:
            async for traces in found:
                # Nobody reacts to a message that is gone, so reactions go first.
                await self._write_all(name, user, _reactions(traces))
                await self._write_all(name, user, [Delete(seq) for seq in traces.messages])
        if await self._store.membership(name, user) is not None:
            await self._leave(name, user)

    async def _write_all(self, room: str, user: str, facts: Sequence[Fact]) -> None:
        for start in range(0, len(facts), _DRAFTS_AT_ONCE):
            refusals: list[Refusal] = []
            async with trio.open_nursery() as nursery:
                for fact in facts[start : start + _DRAFTS_AT_ONCE]:
                    draft = self._draft(room, user, fact)
                    nursery.start_soon(self._write_into, draft, refusals)
            if refusals:
                raise refusals[0]
            await trio.sleep(_PAUSE_S)

    async def _write_into(self, draft: Draft, refusals: list[Refusal]) -> None:
        try:
            await self._write(draft)
        except Refusal as refusal:
            refusals.append(refusal)
        except StoreError as error:
            refusals.append(store_refusal(error))

    def _draft(self, room: str, user: str, fact: Fact, *, logged: bool = True) -> Draft:
        return Draft(
            room=room,
            sender=user,
            # Done again, it is found done: there is nothing to be repeated under the same cid.
            cid=self._entropy.token(),
            op=_OPS[type(fact)],
            facts=((fact, pack_fact(fact)),),
            revokes=isinstance(fact, Member),
            logged=logged,
        )

    async def _leave(self, name: str, user: str) -> None:
        membership = await self._store.membership(name, user)
        state = await self._store.room(name)
        if membership is None or state is None:
            return
        most = self._limits.entry_joins_members_max
        is_row = joins_are_rows(_rights(state), entry_joins_members_max=most)
        logged = not is_row or manages(state.kind, membership.role)
        await self._write(self._draft(name, user, Member(user, None), logged=logged))

    async def _write(self, draft: Draft) -> None:
        """Write a draft whatever its room's rights are; what is so already is fine.

        Raises:
            Refusal: it is not stored, or may not be.
        """
        for _ in range(_TRIES_MAX):
            state = await self._store.room(draft.room)
            if state is None:
                return
            outcome = await self._writer.write(structs.replace(draft, acl_ver=state.acl_ver))
            if isinstance(outcome, Refusal):
                raise outcome
            if isinstance(outcome, Rejected) and not _is_so_already(outcome):
                logger.error("%s of %s is left: %s", draft.op, draft.room, outcome.message)
            if not isinstance(outcome, Stale):
                return
        raise Refusal(ErrorCode.STORE_UNAVAILABLE, "rights keep changing", retry_after_ms=1000)

    # --- documents -----------------------------------------------------------------------

    async def _remove_documents(self, key: str) -> None:
        """Remove one document, or all below a key that ends with a slash."""
        documents = self._store.documents
        if not key.endswith("/"):
            await documents.write([Change(key, None)])
            return
        while found := await documents.scan(key, limit=_DOCUMENTS_PER_WRITE):
            await documents.write([Change(one.key, None) for one in found])


def _reactions(traces: Traces) -> list[React]:
    return [React(target, emoji, on=False) for target, emoji in traces.reactions]


def _rights(state: RoomState) -> Rights:
    return Rights(state.kind, state.public, "owner", state.members, state.head)


def _is_so_already(outcome: Rejected) -> bool:
    """Whether what was to be erased is gone: somebody deleted the message, or the room."""
    return outcome.code in (ErrorCode.NO_SUCH_ENTRY, ErrorCode.NO_SUCH_ROOM)
