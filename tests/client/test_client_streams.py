"""Streams: bounded, entries lossless, state coalesced, and gone when dropped."""

import gc

import pytest
import trio
from client_peer import take

from triolet._model.entries import Entry, Message
from triolet._model.errors import Close, ConnectionClosed
from triolet._model.events import Closed, Notice, Receipts, Reset, Signal, Typing
from triolet.client import ClientLimits
from triolet.client.streams import Streams


def entry(seq, room="r"):
    return Entry(room, seq, seq, "ben", seq, f"c{seq}", Message(body={}))


def signal(room="r"):
    return Signal(room=room, kind="k", data={}, from_device="d", sender="ben")


def typing(*users, room="r"):
    return Typing(room=room, users=users, more=False)


class Spaces:
    """Streams that count how often they reported space."""

    def __init__(self, **limits):
        self.count = 0
        self.streams = Streams(ClientLimits(**limits), on_space=self._on_space)

    def _on_space(self):
        self.count += 1


def seqs(events):
    return [event.seq for event in events]


async def test_nobody_listens_means_no_space():
    streams = Spaces().streams
    assert not streams.has_space("r")

    with streams.events():
        assert streams.has_space("r")
    assert not streams.has_space("r")

    with streams.events("other"):
        assert not streams.has_space("r")


async def test_full_until_half_empty():
    spaces = Spaces(stream_events_max=4)
    streams = spaces.streams
    stream = streams.entries("r")
    spaces.count = 0
    for seq in (1, 2, 3):
        streams.push(entry(seq), 1)
    assert streams.has_space("r")
    streams.push(entry(4), 1)

    assert not streams.has_space("r")
    await take(stream, 1)
    assert not streams.has_space("r")
    assert spaces.count == 0
    await take(stream, 1)
    assert streams.has_space("r")
    assert spaces.count == 1


async def test_bytes_are_bounded_too():
    streams = Spaces(stream_bytes_max=100).streams
    stream = streams.entries("r")
    streams.push(entry(1), 60)
    streams.push(entry(2), 60)

    assert not streams.has_space("r")
    await take(stream, 2)
    assert streams.has_space("r")


async def test_one_full_stream_holds_only_its_rooms():
    streams = Spaces(stream_events_max=1).streams
    with streams.events("a") as full, streams.events("b"):
        streams.push(entry(1, "a"), 1)

        assert not streams.has_space("a")
        assert streams.has_space("b")
        assert seqs(await take(full, 1)) == [1]


async def test_state_takes_one_place_however_often_it_changes():
    streams = Spaces(stream_events_max=2).streams
    stream = streams.events()
    for count in range(100):
        streams.push(typing(f"u{count}"), 50)
        streams.push(Receipts(room="r", marks=(("ben", count, count),)), 50)
    streams.push(entry(1), 1)

    assert streams.has_space("r")
    assert [typing("u99"), Receipts(room="r", marks=(("ben", 99, 99),)), entry(1)] == await take(
        stream, 3
    )
    streams.push(typing(), 50)
    assert [typing()] == await take(stream, 1)


async def test_signals_are_dropped_when_full_and_counted():
    streams = Spaces(stream_events_max=2).streams
    stream = streams.events()
    for _ in range(2):
        streams.push(signal(), 1)
    streams.push(signal(), 1)
    streams.push(Notice(kind="announcement"), 1)

    assert streams.dropped == 2
    assert [signal()] * 2 == await take(stream, 2)


async def test_resets_and_closes_are_never_dropped():
    streams = Spaces(stream_events_max=1).streams
    stream = streams.events("r")
    owed = [Reset(room="r", epoch="e", head=1), Closed(room="r", reason="kicked")]
    for event in (entry(1), *owed):
        streams.push(event, 1)

    assert [entry(1), *owed] == await take(stream, 3)


async def test_entry_streams_carry_entries_only():
    streams = Spaces().streams
    stream = streams.entries("r")
    for event in (typing("ben"), entry(1), signal(), entry(2)):
        streams.push(event, 1)

    assert seqs(await take(stream, 2)) == [1, 2]


async def test_room_streams_hear_their_room_and_others_everything():
    streams = Spaces().streams
    one, every = streams.events("a"), streams.events()
    streams.push(entry(1, "a"), 1)
    streams.push(entry(1, "b"), 1)
    streams.push(Notice(kind="announcement"), 1)
    streams.end(None)

    assert [entry(1, "a")] == [event async for event in one]
    assert [entry(1, "a"), entry(1, "b"), Notice(kind="announcement")] == [e async for e in every]


async def test_room_ended_ends_its_streams_after_what_is_buffered():
    streams = Spaces().streams
    one, every = streams.events("a"), streams.events()
    streams.push(entry(1, "a"), 1)
    streams.end_room("a")
    streams.end_room("unknown")
    streams.push(entry(2, "a"), 1)

    assert seqs([event async for event in one]) == [1]
    assert seqs(await take(every, 2)) == [1, 2]


async def test_final_close_is_raised_after_what_is_buffered():
    streams = Spaces().streams
    stream = streams.events()
    streams.push(entry(1), 1)
    streams.end(Close(4003, "banned"))

    assert seqs(await take(stream, 1)) == [1]
    for late in (stream, streams.events("r")):
        with pytest.raises(ConnectionClosed, match="4003 banned"):
            await take(late, 1)


async def test_closed_stream_ends_drops_and_frees():
    spaces = Spaces(stream_events_max=1)
    stream, other = spaces.streams.events(), spaces.streams.events()
    spaces.streams.push(entry(1), 1)
    await take(other, 1)
    spaces.count = 0
    stream.close()
    stream.close()

    assert spaces.count == 1
    assert spaces.streams.has_space("r")
    assert [event async for event in stream] == []


async def test_dropped_streams_are_gone():
    streams = Spaces(stream_events_max=1).streams
    keep = streams.events("r")
    streams.events("r")
    gc.collect()
    streams.push(entry(1), 1)
    await take(keep, 1)

    assert streams.has_space("r")
    del keep
    gc.collect()
    assert not streams.has_space("r")


async def test_waiting_is_woken_and_cancelling_loses_nothing(autojump_clock):
    streams = Spaces().streams
    stream = streams.events()
    with trio.move_on_after(1):
        await take(stream, 1)
    async with trio.open_nursery() as nursery:
        found = []

        async def consume():
            found.extend(await take(stream, 1))

        nursery.start_soon(consume)
        await trio.testing.wait_all_tasks_blocked()
        streams.push(entry(1), 1)

    assert seqs(found) == [1]
    streams.push(entry(2), 1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await take(stream, 1)
    assert seqs(await take(stream, 1)) == [2]


async def test_before_runs_once_and_again_if_it_failed():
    streams = Spaces().streams
    runs = []

    async def before():
        runs.append(1)
        if len(runs) == 1:
            raise OSError

    stream = streams.events("r", before)
    streams.push(entry(1), 1)
    streams.push(entry(2), 1)

    with pytest.raises(OSError):
        await take(stream, 1)
    assert seqs(await take(stream, 2)) == [1, 2]
    assert len(runs) == 2
