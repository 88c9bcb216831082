"""Triolet's rooms by the thousand: who writes in which, who follows which, and what came of it.

Room r is followed by one connection, r modulo their number. With more rooms than connections
each writes in the rooms that it follows; with fewer, several write in each. So however many
rooms there are, a message is one acknowledgement and one delivery.
"""

import random
from collections.abc import Sequence
from typing import Final, NamedTuple, final

import msgspec

from ..errors import Unexpected
from ..load.asking import Asker
from ..load.frames import BINARY, masked
from . import Step
from .triolet_crowd import Entry, Found, Ok, read

_encode: Final = msgspec.msgpack.Encoder().encode
# Rooms of one `subscribe`.
_BATCH: Final = 200


class Message(NamedTuple):
    """A message on its way, and the room it was said in."""

    cid: str
    room: int


def user_of(writer: int) -> str:
    """Return the user of a connection."""
    return f"writer-{writer:05d}"


def room_name(room: int) -> str:
    """Return what a room is called."""
    return f"room-{room:06d}"


@final
class Rooms:
    """All rooms and writers of a run, and where each room stands."""

    def __init__(self, count: int, writers: int, text: str, seed: int) -> None:
        self.count = count
        self.text = text
        self.numbers = {room_name(room): room for room in range(count)}
        # By room: its head as its follower has seen it.
        self.heads: dict[int, int] = {}
        # Messages said, by cid: their room. Taken out when they are delivered.
        self.said: dict[str, int] = {}
        # Places that were acknowledged and not yet delivered, or delivered and not acknowledged.
        self.acknowledged: dict[str, int] = {}
        self.delivered: dict[str, int] = {}
        self.deliveries = 0
        self.writers = [Writer(self, writer, writers, seed) for writer in range(writers)]

    def meet(self, cid: str, seq: int, here: dict[str, int], there: dict[str, int]) -> None:
        """Hold what an acknowledgement says of a message against its delivery.

        Raises:
            Unexpected: they differ.
        """
        other = there.pop(cid, None)
        if other is None:
            here[cid] = seq
        elif other != seq:
            raise Unexpected(f"{cid} lies at {other} and at {seq}")

    def verify(self) -> dict[str, int]:
        """Return counts of what was verified, once all is settled.

        Raises:
            Unexpected: something was not acknowledged, or not delivered.
        """
        open_ones = len(self.said), len(self.acknowledged), len(self.delivered)
        if any(open_ones):
            raise Unexpected(
                "{} were not delivered, {} not so, {} not acknowledged".format(*open_ones)
            )
        return {"acknowledged": self.deliveries, "delivered": self.deliveries}


@final
class Writer(Asker):
    """See `Asker`: a question is a message, its answer the acknowledgement."""

    def __init__(self, rooms: Rooms, number: int, writers: int, seed: int) -> None:
        self._rooms = rooms
        self.user = user_of(number)
        self._number = number
        self._chance = random.Random(seed + number)
        self.follows = range(number, rooms.count, writers)
        self._writes_in: Sequence[int] = self.follows or (number % rooms.count,)
        # Who else writes in the rooms this one makes.
        self.guests = range(number + rooms.count, writers, rooms.count) if self.follows else ()
        self._count = 0
        self._asked: Message | None = None

    def prepare(self, *, are_made: bool) -> list[Step]:
        """Return what makes the rooms that this one follows, unless they are, and follows them."""
        making = [] if are_made else [self._make(room) for room in self.follows]
        parts = [self.follows[at : at + _BATCH] for at in range(0, len(self.follows), _BATCH)]
        return making + [self._follow(part) for part in parts]

    def _make(self, room: int) -> Step:
        name = room_name(room)
        command = {"op": "create", "ref": 0, "cid": name, "room": name, "kind": "group"}
        command["members"] = [user_of(guest) for guest in self.guests]
        return Step(masked(BINARY, _encode(command)), lambda payload: self._is_ok(payload, room))

    def _is_ok(self, payload: bytes, room: int) -> bool:
        head = msgspec.msgpack.decode(payload)
        if head["op"] in ("feed", "receipts", "typing"):
            return False
        if head["op"] != "ok" or head.get("room") != room_name(room):
            raise Unexpected(f"{room_name(room)} was not made: {head}")
        return True

    def _follow(self, part: Sequence[int]) -> Step:
        rooms = [(room_name(room), "", 0) for room in part]

        def is_followed(payload: bytes) -> bool:
            found = msgspec.msgpack.decode(payload)
            if found["op"] in ("feed", "receipts", "typing"):
                return False
            rows = found.get("rooms", ())
            if [row.get("room") for row in rows] != [name for name, _, _ in rooms]:
                raise Unexpected(f"{self.user} follows nothing: {found}")
            for room, row in zip(part, rows, strict=True):
                self._rooms.heads[room] = row["head"]
            return True

        command = {"op": "subscribe", "ref": 0, "rooms": rooms}
        return Step(masked(BINARY, _encode(command)), is_followed)

    def ask(self) -> bytes:
        """See `Asker.ask`."""
        self._count += 1
        room = self._chance.choice(self._writes_in)
        cid = f"{self._number}-{self._count}"
        self._asked = Message(cid, room)
        self._rooms.said[cid] = room
        command = {"op": "send", "ref": self._count, "room": room_name(room), "cid": cid}
        return masked(BINARY, _encode(command | {"body": {"text": self._rooms.text}}))

    def take(self, payload: bytes) -> bool:
        """See `Asker.take`."""
        found = read(payload)
        if isinstance(found, Entry):
            self._deliver(found)
        elif found is not None:
            self._acknowledge(found)
            return True
        return False

    def _acknowledge(self, found: Found) -> None:
        asked, self._asked = self._asked, None
        if (
            asked is None
            or not isinstance(found, Ok)
            or (found.ref, found.room, found.duplicate)
            != (self._count, room_name(asked.room), False)
        ):
            raise Unexpected(f"{self.user} was told {found}")
        rooms = self._rooms
        rooms.meet(asked.cid, found.seq, rooms.acknowledged, rooms.delivered)

    def _deliver(self, found: Entry) -> None:
        rooms = self._rooms
        room = rooms.numbers.get(found.room, -1)
        sender = user_of(int(found.cid.partition("-")[0]))
        if (
            room not in self.follows
            or rooms.said.pop(found.cid, None) != room
            or found.seq != rooms.heads[room] + 1
            or (found.sender, found.body.text) != (sender, rooms.text)
        ):
            raise Unexpected(f"{self.user} got {found}")
        rooms.heads[room] = found.seq
        rooms.deliveries += 1
        rooms.meet(found.cid, found.seq, rooms.delivered, rooms.acknowledged)

    @property
    def is_settled(self) -> bool:
        """See `Asker.is_settled`."""
        return not self._rooms.said
