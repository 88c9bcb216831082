"""Laws of a loaded room: one frame for all, a bounded ring, members that are counted right."""

import msgspec
import pytest
from scene import settled

from triolet._domain.cursor import CursorState
from triolet._model.entries import Delete, Edit, Member, Message, Meta, Record
from triolet._model.events import Signal, Typing
from triolet._runtime.flusher import Flusher
from triolet._runtime.outbox import Outbox
from triolet._runtime.room import Cursor, Room
from triolet._wire.codec import pack_fact, unpack_fact
from triolet._wire.websocket import frame_payloads
from triolet.ports.store import Membership, RoomState

KINDS = {Message: "message", Edit: "edit", Delete: "delete", Member: "member", Meta: "meta"}
HIGH = 1000


class Listener:
    """A session as a room sees it."""

    def __init__(self, flusher, user="anna", *, text=False):
        self.user = user
        self.outbox = Outbox(flusher, text=text, bytes_low=10)
        self.room = None
        self.behind = []
        self.ended = []

    def fall_behind(self, cursor):
        self.behind.append(cursor)

    def subscription_ended(self, cursor, event):
        self.ended.append(event)

    def frames(self):
        """Return what is in the outbox, once all that was told has been put there."""
        self.room.settle()
        return list(self.outbox.ordinary or ())

    def events(self):
        read = msgspec.json.decode if self.outbox.text else msgspec.msgpack.decode
        return [read(payload) for frame in self.frames() for payload, _ in frame_payloads(frame)]


@pytest.fixture
def flusher():
    return Flusher()


def make(flusher, *users, public=False, complete=True, ring_entries_max=5, ring_bytes_max=10_000):
    state = RoomState(
        room="tea",
        kind="group",
        title="Tea",
        public=public,
        epoch="e1",
        lineage=(("e1", 1),),
        head=0,
        n=0,
        floor=0,
        floor_n=0,
        acl_ver=0,
        members=len(users),
    )
    room = Room(
        state,
        flusher,
        outbox_bytes_high=HIGH,
        ring_entries_max=ring_entries_max,
        ring_bytes_max=ring_bytes_max,
    )
    room.complete = complete
    for user in users:
        room.sit(user, Membership(user=user, role="member"))
    return room


def write(room, fact, sender="anna"):
    record = Record(
        "tea",
        room.head + 1,
        room.n + isinstance(fact, Message),
        KINDS[type(fact)],
        sender,
        1,
        "c",
        pack_fact(fact),
    )
    room.apply(record)
    return record


def follow(room, listener, *, live=True):
    listener.room = room
    seat = room.seats.get(listener.user) or room.sit(listener.user, None)
    cursor = Cursor(listener, room, seat, room.head)
    room.enter(cursor)
    if live:
        room.go_live(cursor)
    return cursor


def live(room):
    return [cursor for audience in room.audiences for cursor in audience.live.values()]


def text(number):
    return Message({"text": str(number)})


# --- fan-out ---------------------------------------------------------------------------------


def test_all_of_one_format_get_the_same_bytes_object(flusher):
    """Encoded once: a thousand subscribers hold one frame."""
    room = make(flusher, "anna")
    listeners = [Listener(flusher) for _ in range(3)] + [Listener(flusher, text=True)]
    for listener in listeners:
        follow(room, listener)

    write(room, text("hello"))

    first, second, third, other = [listener.frames()[0] for listener in listeners]
    assert first is second is third
    assert [listener.events() for listener in listeners] == [listeners[0].events()] * 4
    assert first[0] == 0x82
    assert other[0] == 0x81


def test_a_format_nobody_speaks_is_not_encoded(flusher):
    room = make(flusher, "anna")
    follow(room, Listener(flusher))
    write(room, text("hello"))

    assert room.ring.items[0]._text is None


def test_who_has_no_room_for_an_entry_falls_behind_before_it(flusher):
    """Checked before adding: the outbox never passes its high mark by entries."""
    room = make(flusher, "anna")
    slow, fast = Listener(flusher), Listener(flusher)
    cursors = [follow(room, listener) for listener in (slow, fast)]
    slow.outbox.post(b"x" * (HIGH - 20))

    write(room, text("too much"))
    write(room, text("more"))
    room.settle()

    assert [cursor.state for cursor in cursors] == [CursorState.BEHIND, CursorState.LIVE]
    assert cursors[0].position == 0
    assert slow.behind == [cursors[0]]
    assert len(slow.frames()) == 1
    assert [event["seq"] for event in fast.events()] == [1, 2]


def test_a_state_that_has_no_room_makes_a_cursor_catch_up_from_the_head(flusher):
    room = make(flusher, "anna")
    slow = Listener(flusher)
    cursor = follow(room, slow)
    write(room, text(1))
    room.settle()
    slow.outbox.post(b"x" * HIGH)

    room.tell(Typing(room="tea", users=("ben",), more=False))
    room.settle()

    assert (cursor.state, cursor.position) == (CursorState.BEHIND, 1)


def test_states_are_told_to_live_cursors_alone(flusher):
    room = make(flusher, "anna")
    listeners = [Listener(flusher), Listener(flusher, text=True), Listener(flusher)]
    cursors = [follow(room, one, live=index < 2) for index, one in enumerate(listeners)]
    event = Typing(room="tea", users=("ben",), more=False)

    room.tell(event)
    room.tell(event, only=cursors)

    assert [len(listener.events()) for listener in listeners] == [2, 2, 0]
    assert listeners[0].events() == listeners[1].events()


def test_signals_are_dropped_above_half_of_the_outbox_in_any_state(flusher):
    room = make(flusher, "anna")
    full, free, behind = (Listener(flusher) for _ in range(3))
    cursors = [follow(room, one, live=one is not behind) for one in (full, free, behind)]
    full.outbox.post(b"x" * (HIGH // 2))

    room.signal(Signal(room="tea", kind="call", data={}, from_device="d", sender="ben"), to=cursors)

    assert [len(one.frames()) for one in (full, free, behind)] == [1, 1, 1]
    assert free.events() == behind.events() != []
    assert [cursor.state for cursor in cursors[:2]] == [CursorState.LIVE] * 2


def test_a_signal_comes_after_what_was_told_before_it(flusher):
    room = make(flusher, "anna")
    listener = Listener(flusher)
    cursor = follow(room, listener)
    write(room, text(1))

    room.signal(Signal(room="tea", kind="call", data={}, from_device="d", sender="b"), to=[cursor])

    assert [event["op"] for event in listener.events()] == ["entry", "signal"]


def test_who_comes_or_goes_gets_what_was_told_while_they_were_there(flusher):
    """Told, but not written yet: a live cursor's position is the head for all that."""
    room = make(flusher, "anna")
    first, second = Listener(flusher), Listener(flusher)
    cursor = follow(room, first)
    write(room, text(1))
    follow(room, second)
    write(room, text(2))
    room.leave(cursor)
    write(room, text(3))

    assert [event["seq"] for event in first.events()] == [1, 2]
    assert [event["seq"] for event in second.events()] == [2, 3]


def test_a_reload_leaves_behind_who_was_live_where_they_were_told_up_to(flusher):
    room = make(flusher, "anna")
    listeners = [Listener(flusher), Listener(flusher, text=True)]
    cursors = [follow(room, listener) for listener in listeners]
    write(room, text(1))

    room.displace(1)

    assert [[event["seq"] for event in one.events()] for one in listeners] == [[1], [1]]
    assert [(one.state, one.position) for one in cursors] == [(CursorState.BEHIND, 1)] * 2
    assert live(room) == []


# --- the ring --------------------------------------------------------------------------------


def test_the_ring_is_bounded_in_entries(flusher):
    room = make(flusher, "anna", ring_entries_max=5)
    for number in range(20):
        write(room, text(number))

    assert [item.record.seq for item in room.ring.items] == [16, 17, 18, 19, 20]


def test_the_ring_is_bounded_in_bytes(flusher):
    room = make(flusher, "anna", ring_entries_max=100, ring_bytes_max=2000)
    for _ in range(20):
        write(room, text("x" * 300))
        assert room.ring.bytes <= 2000

    assert 2 <= len(room.ring) <= 6
    assert room.ring.items[-1].record.seq == 20


def test_what_the_ring_forgets_is_accounted_for(flusher):
    room = make(flusher, "anna")
    for number in range(9):
        write(room, text("x" * number))
    write(room, Edit(6, {"text": "longer than before, by far"}))
    write(room, Delete(6))

    while len(room.ring):
        room.ring.forget_oldest()
    room.ring.forget_oldest()

    assert room.ring.bytes == 0


def test_a_deletion_takes_the_bodies_out_of_the_ring(flusher):
    """The message and its edits, in both formats, though the frames were made already."""
    room = make(flusher, "anna", ring_entries_max=9)
    for form in (False, True):
        follow(room, Listener(flusher, text=form))
    write(room, text("secret"))
    write(room, Edit(1, {"text": "secret, edited"}))
    write(room, text("harmless"))
    write(room, Edit(3, {"text": "harmless, edited"}))
    before = room.erasures

    write(room, Delete(1))

    kept = [unpack_fact(item.record.packed) for item in room.ring.items]
    assert [getattr(fact, "erased", None) for fact in kept] == [True, True, False, False, None]
    frames = [item.frame(text=form) for item in room.ring.items for form in (False, True)]
    assert not any(b"secret" in frame for frame in frames)
    assert any(b"harmless, edited" in frame for frame in frames)
    assert room.erasures == before + 1


# --- members ---------------------------------------------------------------------------------


def test_members_of_a_complete_room_are_always_counted(flusher):
    """A room that knows all its members knows a new one when it sees one."""
    room = make(flusher, "anna")
    counts = []
    for fact in (
        Member("ben", "member"),
        Member("ben", "admin"),
        Member("cleo", "reader"),
        Member("ben", None),
        Member("ben", None),
        Member("nobody", None),
    ):
        write(room, fact)
        counts.append(room.members)

    assert counts == [2, 2, 3, 2, 2, 2]
    assert list(room.seats) == ["anna", "cleo"]


def test_members_of_a_large_room_are_uncertain_after_a_stranger_moves(flusher):
    """Whether it was a member before is the store's to say."""
    room = make(flusher, "anna", complete=False)

    write(room, Member("ben", "member"))

    assert room.members is None
    assert "ben" not in room.seats
    assert room.moves == [("ben", True)]


def test_a_new_members_marks_start_at_the_head(flusher):
    room = make(flusher, "anna")
    write(room, text(1))
    write(room, text(2))

    write(room, Member("ben", "member"))

    seat = room.seats["ben"]
    assert (seat.delivered, seat.read, seat.read_n) == (3, 3, 2)


def test_sending_moves_the_senders_marks(flusher):
    room = make(flusher, "anna", "ben")

    write(room, text(1), sender="ben")

    ben, anna = room.seats["ben"], room.seats["anna"]
    assert (ben.delivered, ben.read, ben.read_n) == (1, 1, 1)
    assert (anna.delivered, anna.read) == (0, 0)


def test_who_is_removed_gets_that_entry_and_then_the_end(flusher):
    """CLOSED after that entry; nothing later reaches them, and others go on."""
    room = make(flusher, "anna", "ben")
    anna, ben = Listener(flusher), Listener(flusher, "ben")
    follow(room, anna)
    cursor = follow(room, ben)
    write(room, text(1))

    write(room, Member("ben", None))
    write(room, text(2))

    assert [event["seq"] for event in ben.events()] == [1, 2]
    assert [(e.reason, e.seq) for e in ben.ended] == [("removed", 2)]
    assert [event["seq"] for event in anna.events()] == [1, 2, 3]
    assert cursor.state is CursorState.CLOSED
    assert list(room.cursors) == [anna]


def test_all_cursors_of_a_removed_member_end_whatever_their_state(flusher):
    room = make(flusher, "anna", "ben")
    listeners = [Listener(flusher, "ben") for _ in range(3)]
    for index, listener in enumerate(listeners):
        follow(room, listener, live=index > 0)
    listeners[2].outbox.post(b"x" * HIGH)

    write(room, Member("ben", None))

    assert [len(listener.ended) for listener in listeners] == [1, 1, 1]
    assert (room.cursors, live(room)) == ({}, [])


def test_a_demoted_member_goes_on_reading(flusher):
    room = make(flusher, "anna", "ben")
    ben = Listener(flusher, "ben")
    follow(room, ben)

    write(room, Member("ben", "reader"))

    assert ben.ended == []
    assert room.seats["ben"].role == "reader"


def test_a_room_that_hides_ends_its_visitors(flusher):
    room = make(flusher, "anna", public=True)
    anna, visitor = Listener(flusher), Listener(flusher, "vera")
    follow(room, anna)
    follow(room, visitor)

    write(room, Meta(title="Secret tea", public=False))

    assert (room.title, room.public) == ("Secret tea", False)
    assert (len(anna.ended), len(visitor.ended)) == (0, 1)
    assert [event["kind"] for event in visitor.events()] == ["meta"]


def test_a_member_who_leaves_a_public_room_reads_on_as_a_visitor(flusher):
    room = make(flusher, "anna", "ben", public=True)
    ben = Listener(flusher, "ben")
    follow(room, ben)

    write(room, Member("ben", None))

    assert ben.ended == []
    assert room.seats["ben"].role is None


def test_seats_are_retired_when_nobody_needs_them(flusher):
    """Visitors always, members where the room does not keep them all, never under a cursor."""
    room = make(flusher, "anna", "ben")
    visitor = Listener(flusher, "vera")
    cursor = follow(room, visitor)
    room.retire_seat("vera")
    assert "vera" in room.seats
    room.leave(cursor)
    for user in ("vera", "anna", "nobody"):
        room.retire_seat(user)
    assert list(room.seats) == ["anna", "ben"]

    room.complete = False
    room.retire_seat("anna")

    assert list(room.seats) == ["ben"]


async def test_leaving_is_final(flusher):
    """CLOSED is terminal: whatever happens to the cursor later, it is not live again."""
    room = make(flusher, "anna")
    listener = Listener(flusher)
    cursor = follow(room, listener)

    room.leave(cursor)
    room.leave(cursor)
    room.close(cursor, "removed", 1)
    room.go_live(cursor)
    write(room, text(1))
    await settled()

    assert listener.frames() == listener.ended == []
    assert live(room) == []
