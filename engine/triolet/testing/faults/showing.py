"""Faults of the way out of the store: fan-out, cursors, the pump, other nodes."""

from collections.abc import Iterable
from typing import Any

import msgspec
import trio

from ..._model.entries import Record
from ..._runtime import cursor as pumping
from ..._runtime import ring
from ..._runtime import room as rooms
from ..._runtime.audience import Audience
from ..._runtime.heads import Heads
from ..._runtime.hub import Hub
from ..._runtime.nodes import Nodes
from ..._runtime.ops import subscriptions
from ..._runtime.pages import Pages
from ..._runtime.room import Cursor, Room
from ..checker import Promise
from ..world import Quality, Step
from .planting import Function, Swap, fault
from .scenes import world

_TALK = world(("send", "send", "reply", "react"))
# Somebody's connection breaks, and others go on.
_AWAY = (
    Step("partition", who=3, pick=0, after_s=0.5),
    Step("reset", who=3),
    *(Step("send", who=who, after_s=0.2) for who in range(6)),
    *(Step(verb, who=0, after_s=0.4) for verb in ("send", "edit", "send", "edit", "react")),
    Step("heal", after_s=1),
)
_RESUME = world(("send", "edit", "react"), last=_AWAY)
# So little at hand that who comes back is read pages, of a few entries.
_PAGES = world(
    ("send", "edit", "react"),
    last=_AWAY,
    limits={"ring_entries_max": 2, "page_entries_max": 4},
)
_SLOW = world(
    ("send", "react"),
    last=tuple(Step("send", who=who % 4, amount=1.0, after_s=0.02) for who in range(12)),
    limits={"outbox_bytes_high": 8192, "outbox_bytes_low": 1024},
    quality=Quality(bandwidth=10_000, buffer_bytes=1024, splits=0.0),
)
_NODES = world(("send", "send", "react"), nodes=2, people=3)
_LATE = world(
    ("send", "send", "react"), first=(Step("drop_bus", pick=1, amount=0.9),), nodes=2, people=3
)


# What a buffer that stands for the log would hold.
_BUFFER_ENTRIES = 3


# --- one order -----------------------------------------------------------------------------


@fault(Promise.ORDER, _TALK)
def an_entry_is_not_fanned_out() -> Iterable[Swap]:
    """Each fifth entry reaches nobody who is live."""

    def make(original: Function) -> Function:
        def apply(self: Room, record: Record) -> object:
            if record.seq % 5:
                return original(self, record)
            audiences, self.audiences = self.audiences, ()  # type: ignore[assignment]
            try:
                return original(self, record)
            finally:
                self.audiences = audiences

        return apply

    yield Swap(Room, "apply", make)


@fault(Promise.ORDER, _TALK)
def who_speaks_json_sees_another_entry() -> Iterable[Swap]:
    """Frames of one format tell something else than those of the other."""

    def make(original: Function) -> Function:
        def encode(record: Record, form: str) -> object:
            if form == "json" and record.kind == "message":
                record = msgspec.structs.replace(record, at=record.at + 1)
            return original(record, form)

        return encode

    yield Swap(ring, "encode_entry", make)


@fault(Promise.ORDER, _TALK)
def two_entries_change_places() -> Iterable[Swap]:
    """Those who speak JSON get each second frame before the first."""
    held: dict[int, tuple[bytes, int]] = {}

    def make(original: Function) -> Function:
        def tell(self: Audience, frame: bytes, position: int) -> None:
            before = held.pop(id(self), None)
            if not self.text or not self.live:
                original(self, frame, position)
            elif before is None:
                held[id(self)] = (frame, position)
            else:
                original(self, frame, position)
                original(self, *before)

        return tell

    yield Swap(Audience, "tell", make)


@fault(Promise.ORDER, _SLOW)
def demotion_loses_one() -> Iterable[Swap]:
    """A cursor that is demoted is left one entry further than it is."""

    def make(original: Function) -> Function:
        def demote(cursor: Cursor, position: int) -> None:
            original(cursor, min(position + 1, cursor.room.head))

        return demote

    yield Swap(rooms, "_demote", make)


@fault(Promise.ORDER, _LATE)
def an_early_entry_does_not_wait() -> Iterable[Swap]:
    """What comes before its predecessors from another node is told at once."""

    def make(original: Function) -> Function:
        def offer(self: Hub, record: Record) -> None:
            room = self.rooms.get(record.room)
            if room is not None and record.seq > room.head + 1:
                room.head = record.seq - 1
            original(self, record)

        return offer

    yield Swap(Hub, "offer", make)


# --- once ----------------------------------------------------------------------------------


@fault(Promise.ONCE, _TALK)
def double_fan_out() -> Iterable[Swap]:
    """What a room tells is told twice."""

    def make(original: Function) -> Function:
        def tell(self: Audience, frame: bytes, position: int) -> None:
            original(self, frame, position)
            original(self, frame, position)

        return tell

    yield Swap(Audience, "tell", make)


@fault(Promise.ONCE, _RESUME)
def a_cursor_is_off_by_one() -> Iterable[Swap]:
    """Who resumes gets the last entry again."""

    def make(original: Function) -> Function:
        def enter(self: Room, cursor: Cursor) -> None:
            if 0 < cursor.position < self.head:
                cursor.position -= 1
            original(self, cursor)

        return enter

    yield Swap(Room, "enter", make)


@fault(Promise.ONCE, _NODES)
def a_lost_doorbell_is_never_made_good() -> Iterable[Swap]:
    """Nodes do not ring each other, and no head is compared with the store's."""

    def ring_no_bell(original: Function) -> Function:
        def ring(self: Nodes, *args: object, **kwargs: object) -> bool:
            del self, args, kwargs
            return True

        del original
        return ring

    def compare_nothing(original: Function) -> Function:
        async def compare(self: Heads, *args: object) -> bool:
            del self, args
            await trio.lowlevel.checkpoint()
            return True

        del original
        return compare

    yield Swap(Nodes, "ring", ring_no_bell)
    yield Swap(Heads, "compare", compare_nothing)


@fault(Promise.ONCE, _LATE)
def what_is_offered_twice_is_told_twice() -> Iterable[Swap]:
    """An entry that a room has already is told again."""

    def make(original: Function) -> Function:
        def offer(self: Hub, record: Record) -> None:
            room = self.rooms.get(record.room)
            if room is not None and record.seq <= room.head:
                item = ring.Item(record)
                for audience in room.audiences:
                    audience.tell(item.frame(audience.text), record.seq - 1)
            original(self, record)

        return offer

    yield Swap(Hub, "offer", make)


# --- the resume window ---------------------------------------------------------------------


@fault(Promise.RESUME, _RESUME)
def edits_are_lost_at_resume() -> Iterable[Swap]:
    """Who was away is not told of edits."""

    def make(original: Function) -> Function:
        def feed(cursor: Cursor, items: Iterable[Any], limits: object) -> None:
            original(cursor, [item for item in items if item.record.kind != "edit"], limits)

        return feed

    yield Swap(pumping, "_feed", make)


@fault(Promise.RESUME, _PAGES)
def a_page_begins_too_late() -> Iterable[Swap]:
    """The first entry of a page is skipped."""

    def make(original: Function) -> Function:
        async def read(self: Pages, *args: object) -> object:
            return (await original(self, *args))[1:]

        return read

    yield Swap(Pages, "read", make)


@fault(Promise.RESUME, _PAGES)
def a_page_has_a_hole() -> Iterable[Swap]:
    """The second entry of a page is skipped."""

    def make(original: Function) -> Function:
        async def read(self: Pages, *args: object) -> object:
            items = await original(self, *args)
            return items[:1] + items[2:]

        return read

    yield Swap(Pages, "read", make)


@fault(Promise.RESUME, _RESUME)
def only_the_last_few_entries_can_be_resumed() -> Iterable[Swap]:
    """The resume window is a buffer of three entries."""

    def make(original: Function) -> Function:
        def begin(room: Room, since: tuple[str, int] | None) -> object:
            if since is not None and room.head - since[1] > _BUFFER_ENTRIES:
                return room.head, False, False
            return original(room, since)

        return begin

    yield Swap(subscriptions, "_begin", make)


# --- rights --------------------------------------------------------------------------------


@fault(
    Promise.RIGHTS,
    world(
        ("send", "read"),
        last=(
            Step("kick", who=0, pick=1, after_s=1),
            *(Step("send", who=0, after_s=0.5) for _ in range(3)),
        ),
    ),
)
def a_removed_member_goes_on_listening() -> Iterable[Swap]:
    """The cursors of who is removed are not closed."""

    def make(original: Function) -> Function:
        def member(self: Room, *args: object, **kwargs: object) -> list[Cursor]:
            original(self, *args, **kwargs)
            return []

        return member

    yield Swap(Room, "member", make)
