"""Handing a user what is kept of them, and nothing of anybody else."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, final

from .._model.exported import (
    Exported,
    ExportedDocument,
    ExportedMessage,
    ExportedPerson,
    ExportedReaction,
    ExportedRoom,
)
from ..ports.store import RoomState, Store
from .traces import all_rooms, traces_in

# Messages and documents of one read.
_MESSAGES_PER_READ: Final = 200
_BYTES_PER_READ: Final = 256 * 1024
_DOCUMENTS_PER_READ: Final = 100


@final
class Export:
    """See the module."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def export(
        self, user: str, documents: Sequence[str] = ()
    ) -> AsyncGenerator[Exported, None]:
        """Yield what is kept of a user: first the person, then room by room, then documents.

        Of a room they are in, or have said something in, first the room is told and then what
        they said, their messages as they read now, and their reactions. Every log is read once.

        Whoever does not go on to the end closes it (`contextlib.aclosing`).

        Args:
            user: who.
            documents: keys; of one that ends with a slash, all whose keys begin with it.

        Raises:
            StoreError: it could not be read.
        """
        yield await self._person(user)
        async with aclosing(all_rooms(self._store)) as rooms:
            async for name in rooms:
                async with aclosing(self._in_room(name, user)) as found:
                    async for one in found:
                        yield one
        for key in documents:
            async with aclosing(self._documents(key)) as some:
                async for document in some:
                    yield document

    async def _person(self, user: str) -> ExportedPerson:
        (person,) = await self._store.people([user])
        return ExportedPerson(
            user=user,
            status=person.status,
            visible_to=person.visible_to,
            last_seen=person.last_seen,
            revoked=await self._store.revoked(user),
        )

    async def _in_room(self, name: str, user: str) -> AsyncGenerator[Exported, None]:
        state = await self._store.room(name)
        if state is None:
            return
        membership = await self._store.membership(name, user)
        is_told = False
        if membership is not None:
            is_told = True
            yield ExportedRoom(
                room=name,
                room_kind=state.kind,
                title=state.title,
                role=membership.role,
                delivered=membership.delivered,
                read=membership.read,
            )
        async with aclosing(traces_in(self._store, state, user)) as found:
            async for traces in found:
                if not is_told:
                    is_told = True
                    yield _left(state)
                async with aclosing(self._messages(state, user, traces.messages)) as messages:
                    async for message in messages:
                        yield message
                for (target, emoji), (_, at) in traces.reactions.items():
                    yield ExportedReaction(room=name, target=target, emoji=emoji, at=at)

    async def _messages(
        self, state: RoomState, user: str, seqs: Sequence[int]
    ) -> AsyncGenerator[ExportedMessage, None]:
        """Yield messages of the user's as they read now."""
        wanted = dict.fromkeys(seqs)
        while wanted:
            first = next(iter(wanted))
            page = await self._store.history(
                state.room,
                user,
                before=None,
                after=first - 1,
                limit=_MESSAGES_PER_READ,
                bytes_max=_BYTES_PER_READ,
            )
            if page is None or not page.messages:
                return
            last = page.messages[-1].seq
            for message in page.messages:
                if message.seq in wanted and message.sender == user and not message.erased:
                    assert isinstance(message.body, dict), "what is not erased has a body"
                    yield ExportedMessage(
                        room=state.room,
                        seq=message.seq,
                        at=message.at,
                        body=message.body,
                        edited_at=message.edited_at,
                        reply_to=message.reply_to,
                        mentions=message.mentions,
                    )
            wanted = {seq: None for seq in wanted if seq > last}

    async def _documents(self, key: str) -> AsyncGenerator[ExportedDocument, None]:
        documents = self._store.documents
        if not key.endswith("/"):
            (found,) = await documents.read([key])
            if found is not None:
                yield ExportedDocument(key=found.key, value=found.value)
            return
        after = ""
        while some := await documents.scan(key, after=after, limit=_DOCUMENTS_PER_READ):
            for one in some:
                yield ExportedDocument(key=one.key, value=one.value)
            after = some[-1].key


def _left(state: RoomState) -> ExportedRoom:
    return ExportedRoom(room=state.room, room_kind=state.kind, title=state.title, role=None)
