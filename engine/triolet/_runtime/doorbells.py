"""Rooms on several nodes: what was committed here is rung elsewhere, and the other way round.

Nothing that is rung is the truth. Entries enter a room through `hub.offer`, which puts them in
order and reads what is missing; a membership without an entry, which nothing orders, is only a
reason to ask the store.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, final

from .._model.entries import Member, Record
from .._model.errors import Refusal
from .._wire.peers import Entries, Floor, Grown, RoomGone, Seated, UserNews
from ..ports.bus import FRAME_BYTES_MAX
from ..ports.store import Appended, Draft, Duplicate, Outcome, RoomDeleted
from .hub import Hub
from .keeping import Keeping
from .nodes import ChannelTest, Nodes, room_channel, user_channel
from .room import Room
from .sequencer import Pending, Sequencer

# What a record has in a frame beside its fact, at most: two long names, a cid, numbers, keys.
_HEADER_BYTES: Final = 512
# A frame is closed above it; what does not fit one at all is only hinted at.
_FRAME_BYTES: Final = FRAME_BYTES_MAX // 4
_RECORD_BYTES_MAX: Final = FRAME_BYTES_MAX - 4 * _HEADER_BYTES


@final
class RoomChannels:
    """See `loading.Channels`."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def follow(self, room: str) -> None:
        """Hear of a room from now on."""
        await self._nodes.follow(room_channel(room))

    def unfollow(self, room: str) -> None:
        """Hear of a room no more."""
        self._nodes.unfollow(room_channel(room))


@final
class _Committed:
    """What a batch did to one room."""

    __slots__ = ("records", "revoking")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.revoking: dict[int, int] = {}


@final
class Doorbells:
    """See the module; told what is committed and removed, and tells the hub what is rung."""

    def __init__(self, nodes: Nodes, hub: Hub, sequencer: Sequencer, keeping: Keeping) -> None:
        self._nodes = nodes
        self._hub = hub
        sequencer.publisher = self
        keeping.floor_moved = self.floor_moved
        keeping.membership_ended = self._membership_ended
        nodes.on_missed.append(hub.compare_heads_soon)
        nodes.on_silence.append(self._silent)
        nodes.handle(Entries, self._entries)
        nodes.handle(Grown, self._grown)
        nodes.handle(Seated, self._seated)
        nodes.handle(Floor, self._floor)
        nodes.handle(RoomGone, self._gone)

    # --- from here -------------------------------------------------------------------------

    def committed(
        self, batch: Sequence[Pending], outcomes: Sequence[Outcome | Refusal], *, is_unsure: bool
    ) -> None:
        """Ring for a batch that was stored, or for what of it may have been stored before."""
        rooms: dict[str, _Committed] = {}
        for pending, outcome in zip(batch, outcomes, strict=True):
            draft = pending.draft
            if isinstance(outcome, Appended):
                self._gather(rooms.setdefault(draft.room, _Committed()), draft, outcome.records)
            elif draft.deletes and self._has_deleted(outcome, is_unsure=is_unsure):
                self._nodes.ring(room_channel(draft.room), RoomGone(draft.room))
            elif is_unsure and isinstance(outcome, Duplicate):
                # By an earlier try of this batch, whose answer was lost: nobody was rung for it.
                self._ring_grown(draft.room, outcome.seq)
        for room, committed in rooms.items():
            self._ring_entries(room, committed)

    @staticmethod
    def _has_deleted(outcome: Outcome | Refusal, *, is_unsure: bool) -> bool:
        return isinstance(outcome, RoomDeleted) or (is_unsure and isinstance(outcome, Duplicate))

    def _gather(self, committed: _Committed, draft: Draft, records: Sequence[Record]) -> None:
        committed.records += records
        if draft.revokes and records:
            committed.revoking[records[0].seq] = draft.acl_ver
        for fact, _ in draft.facts:
            if not isinstance(fact, Member):
                continue
            if not draft.logged:
                self._nodes.ring(room_channel(draft.room), Seated(draft.room, fact.user, fact.role))
            if draft.op != "role":
                self._ring_user(draft.room, fact)

    def _ring_user(self, room: str, fact: Member) -> None:
        if fact.role is None:
            news = UserNews(fact.user, removed=(room,))
        else:
            news = UserNews(fact.user, added=(room,))
        self._nodes.ring(user_channel(fact.user), news)

    def _ring_entries(self, room: str, committed: _Committed) -> None:
        epoch = self._epoch(room)
        for part in _parts(committed.records):
            if len(part[0].packed) > _RECORD_BYTES_MAX:
                self._ring_grown(room, part[0].seq)
                continue
            revoking = [
                (record.seq, committed.revoking[record.seq])
                for record in part
                if record.seq in committed.revoking
            ]
            message = Entries(room, epoch, tuple(part), tuple(revoking))
            self._nodes.ring(room_channel(room), message)

    def _ring_grown(self, room: str, head: int) -> None:
        self._nodes.ring(room_channel(room), Grown(room, self._epoch(room), head))

    def _epoch(self, room: str) -> str:
        loaded = self._hub.rooms.get(room)
        return loaded.epoch if loaded is not None else ""

    def _membership_ended(self, room: str, user: str) -> None:
        self._nodes.ring(user_channel(user), UserNews(user, removed=(room,)))

    def floor_moved(self, room: str, floor: int, floor_n: int) -> None:
        """Retention removed what was up to `floor`."""
        self._nodes.ring(room_channel(room), Floor(room, floor, floor_n))

    # --- from elsewhere --------------------------------------------------------------------

    def _silent(self, is_about: ChannelTest | None) -> None:
        """Of some channels, or of all, nothing is heard: others may have written meanwhile."""
        if is_about is None:
            self._hub.compare_heads_soon()
        else:
            self._hub.compare_heads_soon(lambda room: is_about(room_channel(room)))

    def _entries(self, node: str, message: Entries) -> None:
        del node
        self._hub.when_loaded(message.room, partial(self._take, message))

    def _take(self, message: Entries, room: Room) -> None:
        if not self._is_same_epoch(room, message.epoch):
            return
        revoking = dict(message.revoking)
        for record in message.records:
            if record.seq in revoking:
                self._hub.revoked(room.name, revoking[record.seq], record.seq)
            self._hub.offer(record)

    def _is_same_epoch(self, room: Room, epoch: str) -> bool:
        """Whether both nodes mean the same log; if not, the store says which one there is."""
        if room.epoch != epoch:
            self._hub.compare_heads_soon()
        return room.epoch == epoch

    def _grown(self, node: str, message: Grown) -> None:
        del node
        self._hub.when_loaded(message.room, partial(self._reach, message))

    def _reach(self, message: Grown, room: Room) -> None:
        if self._is_same_epoch(room, message.epoch) and message.head > room.head:
            self._hub.look(room)

    def _seated(self, node: str, message: Seated) -> None:
        del node
        fact = Member(message.user, message.role)
        self._hub.when_loaded(message.room, lambda room: self._hub.seated_elsewhere(room, fact))

    def _gone(self, node: str, message: RoomGone) -> None:
        del node
        # The store says so, too.
        self._hub.when_loaded(message.room, self._hub.look)

    def _floor(self, node: str, message: Floor) -> None:
        del node
        self._hub.when_loaded(
            message.room,
            lambda room: self._hub.floor_moved(room.name, message.floor, message.floor_n),
        )


def _parts(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield records in lists that fit a frame each; one that fits none is alone."""
    part: list[Record] = []
    size = 0
    for record in records:
        weight = len(record.packed) + _HEADER_BYTES
        if part and size + weight > _FRAME_BYTES:
            yield part
            part, size = [], 0
        part.append(record)
        size += weight
    if part:
        yield part
