"""Faults of deleted rooms: who does not hear of it, what is remembered, what is left."""

from collections.abc import Iterable
from typing import Any, Final

import trio

from ..._model.errors import ErrorCode, Refusal
from ..._runtime.gaps import Gaps
from ..._runtime.keeping import Keeping
from ..._runtime.ops import messages
from ..._runtime.room import Room
from ...adapters.memory.held import Held
from ...adapters.memory.room import Room as StoredRoom
from ...adapters.memory.store import MemoryStore
from ...ports.store import Draft, Duplicate
from ...ports.transfer import TombstoneRow
from ..checker import Promise
from ..world import Step
from .planting import Function, Swap, fault
from .scenes import world

# Anna ends the room. What is picked by eights happens where it was: her making it again under
# the same cid, and under another one, too.
_END: Final = (
    Step("delete_room", pick=1, after_s=1),
    Step("subscribe", who=2, pick=8, after_s=0.5),
    Step("send", who=3, pick=8),
    Step("create", who=1, pick=8, after_s=0.5),
    Step("create", who=1, pick=16, after_s=0.5),
)
_ALONE: Final = world(("send", "react"), last=_END)
_NODES: Final = world(("send", "react"), last=_END, nodes=2)


@fault(Promise.GONE, _NODES)
def another_node_keeps_a_deleted_room() -> Iterable[Swap]:
    """A room of which the store knows nothing more stays where it was not deleted."""

    def make(original: Function) -> Function:
        async def meet(self: Gaps, room: Room, stored: tuple[str, int] | None) -> None:
            if stored is not None:
                await original(self, room, stored)

        return meet

    yield Swap(Gaps, "meet", make)


@fault(Promise.GONE, _ALONE)
def a_deleted_room_is_told_from_memory() -> Iterable[Swap]:
    """Its cursors are closed, and whoever asks for it finds it loaded."""

    def make(original: Function) -> Function:
        del original

        def bury(self: Gaps, room: Room) -> None:
            del self
            for cursor in list(room.cursors.values()):
                room.close(cursor, "deleted", room.head)

        return bury

    yield Swap(Gaps, "bury", make)


@fault(Promise.GONE, _ALONE)
def a_name_is_given_again() -> Iterable[Swap]:
    """A room may be called as one that was deleted."""

    def make(original: Function) -> Function:
        def append(self: MemoryStore, draft: Draft, now_ms: int) -> object:
            if draft.create is not None:
                self.held.tombstones.pop(draft.room, None)
            return original(self, draft, now_ms)

        return append

    yield Swap(MemoryStore, "_append", make)


@fault(Promise.GONE, _ALONE)
def a_deleted_room_s_cids_are_remembered() -> Iterable[Swap]:
    """What was stored in a room once answers for it when there is none."""
    kept: dict[tuple[int, str], StoredRoom] = {}

    def keep(original: Function) -> Function:
        def delete(self: Held, room: StoredRoom, tombstone: TombstoneRow) -> None:
            kept[id(self), room.name] = room
            original(self, room, tombstone)

        return delete

    def remember(original: Function) -> Function:
        def first_in(self: Held, room: str, sender: str, cid: str) -> Duplicate | None:
            found = kept.get((id(self), room))
            first = None if found is None else found.cids.get((sender, cid))
            return first or original(self, room, sender, cid)

        return first_in

    yield Swap(Held, "delete", keep)
    yield Swap(Held, "first_in", remember)


@fault(Promise.GONE, _ALONE)
def who_writes_to_a_deleted_room_is_called_no_member() -> Iterable[Swap]:
    """What is refused tells of another reason than that there is no such room."""

    def make(original: Function) -> Function:
        async def write_slowly(asker: Any, command: Any) -> None:
            async with asker.engine.hub.pinned(command.room) as room:
                if room is None:
                    raise Refusal(ErrorCode.NOT_A_MEMBER)
                await original(asker, command)

        return write_slowly

    yield Swap(messages, "_write_slowly", make)


@fault(Promise.ERASED, _ALONE)
def what_a_deleted_room_has_left_is_never_cleared() -> Iterable[Swap]:
    """Nobody can read it, and it is there."""

    def make(original: Function) -> Function:
        del original

        async def clear(self: Keeping) -> None:
            del self
            await trio.lowlevel.checkpoint()

        return clear

    yield Swap(Keeping, "clear", make)
