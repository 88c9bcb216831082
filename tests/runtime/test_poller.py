"""Laws of the selector that all sockets share, and of the tasks that stand in where it cannot."""

import socket
from contextvars import ContextVar
from math import inf

import pytest
import trio
from scene import settled

from triolet._runtime import poller as poller_module
from triolet._runtime.poller import READ, WRITE, Poller

pytestmark = pytest.mark.usefixtures("standing_time")


class Told:
    """Something with a socket, that counts what it is told, up to a number of times."""

    def __init__(self, poller, at_most=1):
        self.sock, self.peer = socket.socketpair()
        self.sock.setblocking(False)
        self.poller = poller
        self.events = 0
        self.at_most = at_most
        self.readable = self.writable = 0

    def watch(self, events):
        self.poller.watch(self, events)

    def on_readable(self):
        self.readable += 1
        if self.readable == self.at_most:
            self.watch(self.events & ~READ)

    def on_writable(self):
        self.writable += 1
        if self.writable == self.at_most:
            self.watch(self.events & ~WRITE)

    def close(self):
        self.watch(0)
        self.sock.close()
        self.peer.close()


@pytest.fixture(params=[True, False], ids=["shared", "apart"])
async def poller(request, nursery):
    """A running poller: one selector for all, or a wait for each."""
    poller = Poller()
    poller.is_shared = poller.is_shared and request.param
    nursery.start_soon(poller.run)
    await settled()
    return poller


@pytest.fixture
async def told(poller):
    told = Told(poller)
    yield told
    told.close()
    await settled()


async def test_it_tells_of_bytes_only_who_watches_for_them(poller, told):
    told.peer.send(b"x")
    await settled()
    assert told.readable == 0

    told.watch(READ)
    await settled()

    assert (told.readable, told.writable) == (1, 0)


async def test_the_end_is_readable(poller, told):
    told.watch(READ)
    told.peer.close()
    await settled()

    assert told.readable == 1


async def test_it_tells_again_as_long_as_there_are_bytes(poller, told):
    """Level-triggered: what is not read is not forgotten."""
    told.at_most = 5
    told.watch(READ)
    told.peer.send(b"x")
    await settled()

    assert told.readable == 5


async def test_both_events_are_watched_apart(poller, told):
    """Giving one up leaves the other; taking it again works as the first time."""
    told.watch(READ | WRITE)
    await settled()
    assert (told.readable, told.writable, told.events) == (0, 1, READ)

    told.peer.send(b"x")
    await settled()
    assert (told.readable, told.writable, told.events) == (1, 1, 0)

    told.readable = told.writable = 0
    told.watch(WRITE)
    told.watch(READ | WRITE)
    await settled()
    assert (told.readable, told.writable) == (1, 1)


async def test_nobody_is_told_after_giving_up(poller, told):
    told.watch(READ | WRITE)
    told.peer.send(b"x")

    told.watch(0)
    await settled()

    assert (told.readable, told.writable) == (0, 0)


async def test_no_change_asks_nothing(poller, told):
    told.watch(0)
    told.watch(READ)
    told.watch(READ)
    told.peer.send(b"x")
    await settled()

    assert told.readable == 1


async def test_a_number_that_is_used_again_is_another_one(poller, told):
    """File descriptors are reused at once; what was said of the old one is gone."""
    told.watch(READ)
    number = told.sock.fileno()
    told.close()
    other = Told(poller)
    assert number in (other.sock.fileno(), other.peer.fileno())

    other.watch(READ)
    other.peer.send(b"x")
    await settled()

    assert (told.readable, other.readable) == (0, 1)
    other.close()


async def test_many_are_told_in_one_look(poller):
    all_told = [Told(poller) for _ in range(50)]
    for one in all_told:
        one.watch(READ)
        one.peer.send(b"x")
    await settled()

    assert [one.readable for one in all_told] == [1] * 50
    for one in all_told:
        one.close()
    await settled()


async def test_one_that_was_given_up_in_the_same_look_is_not_told(poller):
    """Whoever is told first has the other one closed."""

    class Jealous(Told):
        def on_readable(self):
            super().on_readable()
            self.other.watch(0)

    one, other = Jealous(poller), Jealous(poller)
    one.other, other.other = other, one
    for told in (one, other):
        told.watch(READ)
        told.peer.send(b"x")
    await settled()

    assert sorted((one.readable, other.readable)) == [0, 1]
    one.close()
    other.close()
    await settled()


async def test_others_run_between_the_looks_at_a_crowd(nursery):
    """What they were answered need not wait until the last one was read."""
    poller = Poller()
    nursery.start_soon(poller.run)
    await settled()
    crowd = [Told(poller) for _ in range(600)]
    seen = []

    async def look():
        while not seen or seen[-1] < len(crowd):
            seen.append(sum(one.readable for one in crowd))
            await trio.lowlevel.checkpoint()

    for one in crowd:
        one.watch(READ)
        one.peer.send(b"x")
    nursery.start_soon(look)
    await settled()

    # Five looks; tasks of one turn run in any order, so that every other may go unseen.
    assert len({*seen}) >= 3
    assert [one.readable for one in crowd] == [1] * 600
    for one in crowd:
        one.close()
    await settled()


async def test_a_socket_may_change_hands(poller, told):
    """The next owner is told from then on, of the same events; the one before is not."""
    told.watch(READ)
    other = Told(poller)
    other.close()
    other.sock = told.sock

    poller.hand_over(told, other)
    told.events = 0
    told.peer.send(b"x")
    await settled()

    assert (told.readable, other.readable, other.events) == (0, 1, 0)
    assert poller.watched() == 0


async def test_idle_it_never_looks(monkeypatch, nursery):
    """Whatever goes on elsewhere: the selector is asked when a socket is ready, and then once."""
    looks = []
    look = Poller._look
    monkeypatch.setattr(Poller, "_look", lambda self: looks.append(self) or look(self))
    poller = Poller()
    nursery.start_soon(poller.run)
    told = Told(poller)
    told.watch(READ)
    for _ in range(100):
        await trio.lowlevel.checkpoint()
    assert looks == []

    told.peer.send(b"x")
    await settled()

    assert looks == [poller]
    told.close()


@pytest.mark.parametrize("is_shared", [True, False], ids=["shared", "apart"])
async def test_once_it_is_over_there_is_nothing_to_give_up(is_shared):
    """Connections that outlast it, as when the engine fails, need not know."""
    async with trio.open_nursery() as nursery:
        poller = Poller()
        poller.is_shared = poller.is_shared and is_shared
        nursery.start_soon(poller.run)
        told = Told(poller)
        await settled()
        told.watch(READ)
        await settled()
        nursery.cancel_scope.cancel()

    told.watch(READ | WRITE)
    told.close()

    assert (told.readable, told.writable) == (0, 0)


async def test_a_glance_finds_what_is_ready_in_the_middle_of_other_work(nursery, monkeypatch):
    """And, just after a look, asks nobody."""
    poller = Poller()
    nursery.start_soon(poller.run)
    await settled()
    told = Told(poller, at_most=2)
    told.watch(READ)
    told.peer.send(b"x")

    monkeypatch.setattr(poller_module, "_GLANCE_S", inf)
    poller.glance()
    assert told.readable == 0
    monkeypatch.setattr(poller_module, "_GLANCE_S", -1.0)
    poller.glance()
    assert told.readable == 1
    told.close()


async def test_what_a_glance_begins_knows_nothing_of_who_glanced(nursery, monkeypatch):
    """A connection that lives for days would keep a request's context, and log as that request."""
    poller, told_of = Poller(), []
    asked_by = ContextVar("asked_by")
    asked_by.set("the engine")
    nursery.start_soon(poller.run)
    await settled()
    told = Told(poller)
    told.on_readable = lambda: (told.watch(0), told_of.append(asked_by.get()))
    told.watch(READ)
    told.peer.send(b"x")
    asked_by.set("anna")

    monkeypatch.setattr(poller_module, "_GLANCE_S", -1.0)
    poller.glance()
    assert told_of == ["the engine"]
    told.close()
