"""The server dies, or is told to go, while 200 clients send: nothing acknowledged is lost.

Every acknowledged message is in the log once, at the place that was acknowledged; clients come
back by themselves, and each sees every entry of its room once, in order, the same as the others.
"""

from collections import Counter
from contextlib import asynccontextmanager

import trio
from e2e_scene import token

import triolet
from triolet._model.entries import Entry, Message
from triolet._model.events import Notice
from triolet.client import Backoff, State

ROOMS, SEATS = 40, 5
# A restart takes about a second; the usual ceiling of 30 s is for servers that stay away.
QUICK = Backoff(base_s=0.1, ceiling_s=0.4)
# Messages of each client between two blows: with 200 clients, a thousand in all, for some
# send more than they must.
EACH = 3


class Person:
    """One client: what it was acknowledged, what it saw, how its connections ended."""

    def __init__(self, room, seat):
        self.name = f"{room}-{seat}"
        self.room = room
        # By cid, in the order of sending; None: not acknowledged.
        self.sent = {}
        self.entries = []
        self.notices = []
        self.closes = []
        self.client = None

    @property
    def acknowledged(self):
        return sum(seq is not None for seq in self.sent.values())

    @property
    def unanswered(self):
        return len(self.sent) - self.acknowledged

    async def send_until(self, stop):
        while not stop.is_set():
            cid = f"{self.name}.{len(self.sent)}"
            self.sent[cid] = None
            written = await self.client.send(self.room, f"text of {cid}", cid=cid)
            self.sent[cid] = written.seq

    async def listen(self, epoch):
        events = self.client.room(self.room).events(since=(epoch, 0))
        async for event in events:
            if isinstance(event, Entry):
                self.entries.append(event)

    async def heed(self):
        async for event in self.client.events():
            if isinstance(event, Notice):
                self.notices.append(event)

    async def watch_connection(self):
        async for state in self.client.states():
            if state is State.OFFLINE:
                self.closes.append(self.client.last_close.code)


class Crowd:
    """200 people in 40 rooms, in one process."""

    def __init__(self, server, *, silent=0):
        self.server = server
        self.rooms = {
            f"room-{number}": [Person(f"room-{number}", seat) for seat in range(SEATS)]
            for number in range(ROOMS)
        }
        self.people = [person for people in self.rooms.values() for person in people]
        # In each room the last `silent` only listen.
        self.senders = [p for people in self.rooms.values() for p in people[: SEATS - silent]]
        self.listeners = [p for people in self.rooms.values() for p in people[SEATS - silent :]]
        self._stop = trio.Event()
        self._nursery = None
        self._senders_nursery = None

    @asynccontextmanager
    async def talking(self):
        async with trio.open_nursery() as self._nursery:
            await self._seat_everybody()
            async with trio.open_nursery() as senders:
                for person in self.senders:
                    senders.start_soon(person.send_until, self._stop)
                yield
                # What is on its way is waited for: none is given up.
                self._stop.set()
            await self._wait_for(lambda p: len(p.entries) >= self.head(p.room))
            self._nursery.cancel_scope.cancel()

    async def _seat_everybody(self):
        epochs = {}
        async with trio.open_nursery() as nursery:
            for person in self.people:
                await self._nursery.start(self._connect, person)
            for room, people in self.rooms.items():
                nursery.start_soon(self._create, room, people, epochs)
        for person in self.people:
            for run in (person.heed, person.watch_connection):
                self._nursery.start_soon(run)
            self._nursery.start_soon(person.listen, epochs[person.room])

    async def _connect(self, person, *, task_status):
        async with triolet.connect(
            self.server.url, token=token(person.name), device="one", backoff=QUICK
        ) as person.client:
            task_status.started()
            await trio.sleep_forever()

    async def _create(self, room, people, epochs):
        members = [person.name for person in people[1:]]
        created = await people[0].client.create("group", room=room, members=members)
        epochs[room] = created.epoch

    async def _wait_for(self, is_so, people=None):
        while not all(map(is_so, people or self.people)):  # noqa: ASYNC110 - 200 conditions
            await trio.sleep(0.02)

    async def send_on(self):
        """Wait until everybody who sends has been acknowledged more."""
        enough = {person: person.acknowledged + EACH for person in self.senders}
        await self._wait_for(lambda person: person.acknowledged >= enough[person], self.senders)

    async def noticed_the_end(self):
        """Wait until everybody knows that their connection has ended."""
        await self._wait_for(lambda person: person.closes)

    def head(self, room):
        return max(seq for person in self.rooms[room] for seq in person.sent.values() if seq)

    def unanswered(self):
        return [person for person in self.senders if person.unanswered]


async def read_log(server, room):
    """Return a room's messages by a client that was never here, page by page."""
    messages = []
    async with triolet.connect(server.url, token=token(f"{room}-0")) as fresh:
        while True:
            after = messages[-1].seq if messages else 0
            page = await fresh.history(room, after=after, limit=200)
            messages.extend(page.messages)
            if not page.more:
                return messages


async def check(crowd):
    for room, people in crowd.rooms.items():
        log = await read_log(crowd.server, room)
        acknowledged = {
            (person.name, cid): seq for person in people for cid, seq in person.sent.items()
        }
        assert None not in acknowledged.values()
        assert Counter((m.sender, m.cid) for m in log) == Counter(acknowledged.keys())
        assert {(m.sender, m.cid): m.seq for m in log} == acknowledged
        assert all(m.body == {"text": f"text of {m.cid}"} for m in log)
        first = people[0].entries
        assert [entry.seq for entry in first] == list(range(1, crowd.head(room) + 1))
        for person in people[1:]:
            assert person.entries == first
        seen = [(e.seq, e.sender, e.cid, e.fact.body) for e in first if type(e.fact) is Message]
        assert seen == [(m.seq, m.sender, m.cid, m.body) for m in log]


async def test_killed_twice_while_200_clients_send_it_has_every_acknowledged_message_once(
    make_server,
):
    """Law: acknowledged means stored, and a retry with its cid is stored once."""
    server = make_server()
    crowd = Crowd(server)
    retried = []
    async with crowd.talking():
        for _ in range(2):
            await crowd.send_on()
            server.kill()
            retried.append([person.name for person in crowd.unanswered()])
            await trio.to_thread.run_sync(server.start)
        await crowd.send_on()
        statistics = [person.client.statistics() for person in crowd.people]
    assert all(retried)
    assert {one.connections for one in statistics} == {3}
    # The server itself sent nothing twice, and left nothing out.
    assert {(one.duplicates, one.gaps) for one in statistics} == {(0, 0)}
    await check(crowd)


async def test_told_to_go_while_clients_send_it_says_so_and_ends_in_order(make_server):
    """Law: SIGTERM tells clients when to come back, commits what it took, and exits with 0."""
    # On a busy machine 200 clients in one process take longer than a second to say goodbye;
    # whoever does not is cut off, which is another law.
    server = make_server(TRIOLET_LIMIT_CLOSE_TIMEOUT_S="20")
    crowd = Crowd(server, silent=1)
    async with crowd.talking():
        await crowd.send_on()
        assert 0 == await trio.to_thread.run_sync(server.stop)
        await crowd.noticed_the_end()
        closes = [person.closes[0] for person in crowd.senders]
        await trio.to_thread.run_sync(server.start)
        await crowd.send_on()
    # Whoever asked something meanwhile was refused, and has left by itself.
    assert set(closes) <= {1012, 1000}
    for person in crowd.listeners:
        assert [notice.kind for notice in person.notices] == ["draining"]
        assert person.notices[0].retry_after_ms > 0
        assert person.closes[0] == 1012
    await check(crowd)
