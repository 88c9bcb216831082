"""A peer that vanishes without a word is noticed on both sides, and nothing is lost by it.

Between client and server stands a path that can be severed: it takes bytes as before, passes
none on, and closes nothing, which is what a dead mobile network looks like.
"""

import pytest
import trio
from e2e_scene import COUNTED, token

import triolet
from triolet._model.entries import Entry, Message
from triolet._model.events import Presence
from triolet.client import Backoff, ClientLimits, State

QUICK = Backoff(base_s=0.1, ceiling_s=0.4)
# Two of them without a sign of life are the end, so that a busy machine may do other things for
# six seconds and nobody is lost but who is meant to be.
HEARTBEAT_S = 3
# Silent for two heartbeats and this: half open.
IMPATIENT = ClientLimits(silence_margin_s=1, close_timeout_s=0.2)
PATIENCE_S = 90
READ_BYTES = 65_536


class Path:
    """A way to a server over TCP; connections that are severed stay open, and silent."""

    def __init__(self, server):
        self._server = server
        self._accepting = trio.CancelScope()
        self._passing = []
        self.url = ""

    async def run(self, *, task_status):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/ws"
        async with trio.open_nursery() as connections:
            with self._accepting:
                task_status.started()
                await trio.serve_listeners(self._join, [listener], handler_nursery=connections)

    async def _join(self, near):
        far = await trio.open_tcp_stream("127.0.0.1", self._server.port)
        async with near, far:
            with trio.CancelScope() as scope:
                self._passing.append(scope)
                async with trio.open_nursery() as both_ways:
                    both_ways.start_soon(self._pass_on, near, far, both_ways)
                    both_ways.start_soon(self._pass_on, far, near, both_ways)
            if scope.cancelled_caught:
                await trio.sleep_forever()

    async def _pass_on(self, source, sink, both_ways):
        async for data in source:
            await sink.send_all(data)
        both_ways.cancel_scope.cancel()

    def sever(self):
        for scope in self._passing:
            scope.cancel()

    def take_no_more(self):
        self._accepting.cancel()


class Person:
    """A client and what it sees."""

    def __init__(self):
        self.client = None
        self.entries = []
        self.statuses = []
        self.closes = []

    async def live(self, name, url, *, task_status):
        async with (
            triolet.connect(url, token=token(name), backoff=QUICK, limits=IMPATIENT) as self.client,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._listen, self.client.events())
            nursery.start_soon(self._watch_connection)
            task_status.started()

    async def _listen(self, events):
        async for event in events:
            if isinstance(event, Entry):
                self.entries.append(event)
            elif isinstance(event, Presence):
                self.statuses += [(user, status) for user, status, _ in event.users]

    async def _watch_connection(self):
        async for state in self.client.states():
            if state is State.OFFLINE:
                self.closes.append(self.client.last_close)

    @property
    def texts(self):
        return [e.fact.body["text"] for e in self.entries if isinstance(e.fact, Message)]


@pytest.fixture
def server(make_server):
    return make_server(
        command=COUNTED, TRIOLET_LIMIT_HEARTBEAT_S=str(HEARTBEAT_S), TRIOLET_LIMIT_GRACE_S="0.3"
    )


async def until(is_so):
    with trio.fail_after(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - some of it is known to the server alone
            await trio.sleep(0.02)


async def test_who_vanishes_is_closed_and_offline_after_the_grace(server, nursery):
    """Law: two heartbeats without a sign of life end a connection, and the presence with it."""
    path, ben, lost = Path(server), Person(), Person()
    await nursery.start(path.run)
    await nursery.start(ben.live, "ben", server.url)
    before = server.counts()
    await nursery.start(lost.live, "lost", path.url)
    room = (await ben.client.direct("lost")).room
    await lost.client.subscribe(room)
    assert [row[:2] for row in (await ben.client.watch(["lost"])).users] == [("lost", "online")]
    path.take_no_more()
    path.sever()
    await until(lambda: ("lost", "offline") in ben.statuses)
    assert ben.statuses == [("lost", "offline")]
    # Nobody answers its farewell, which it waits for a little; then it goes, part after part.
    counted = ("tasks", "open_files", "connections", "watched_sockets", "cursors", "present")
    await until(lambda: all(server.counts()[what] == before[what] for what in counted))
    nursery.cancel_scope.cancel()


async def test_a_client_whose_path_is_severed_comes_back_by_another_and_loses_nothing(
    server, nursery
):
    """Law: a client finds out by itself that its server is silent; what it asked is done once."""
    path, ben, carol = Path(server), Person(), Person()
    await nursery.start(path.run)
    await nursery.start(ben.live, "ben", server.url)
    await nursery.start(carol.live, "carol", path.url)
    room = (await ben.client.direct("carol")).room
    for person in (ben, carol):
        await person.client.subscribe(room)
    await carol.client.send(room, "before")
    await until(lambda: carol.texts == ben.texts == ["before"])
    path.sever()
    answers = []

    async def ask_into_silence():
        answers.append(await carol.client.send(room, "into silence", cid="once"))

    nursery.start_soon(ask_into_silence)
    for number in range(20):
        await ben.client.send(room, f"unheard {number}")
    assert carol.texts == ["before"]
    await until(lambda: answers and len(ben.texts) == len(carol.texts) == 22)
    assert carol.texts == ["before", *(f"unheard {number}" for number in range(20)), "into silence"]
    assert carol.entries == ben.entries
    assert [close.reason for close in carol.closes] == ["the server is silent"]
    assert not answers[0].duplicate
    # The server has let the old connection go as well.
    await until(lambda: server.counts()["connections"] == 2)
    assert (await carol.client.send(room, "into silence", cid="once")).duplicate
    nursery.cancel_scope.cancel()
