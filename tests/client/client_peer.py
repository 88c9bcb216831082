"""A scripted server for the client's tests, in memory: no socket, no thread, no real time.

The test plays the engine, word by word, on the other end of each link the client dials.
It speaks JSON by the standard library, so that the codec is not tested against itself.
"""

import json
import math
from contextlib import asynccontextmanager

import trio

from triolet._model.errors import TrioletError
from triolet.client import ClientLimits, LinkClosed, State, open_client

USER = "anna"


class FakeEntropy:
    """Chance that can be foretold: tokens are counted, draws are a fixed share of the range."""

    def __init__(self, share=0.5):
        self.share = share
        self.draws = []
        self._tokens = 0

    def token(self):
        self._tokens += 1
        return f"minted-{self._tokens}"

    def uniform(self, low, high):
        self.draws.append((low, high))
        return low + (high - low) * self.share


class MemoryLink:
    """The client's end of a conversation."""

    def __init__(self, conversation):
        self._conversation = conversation

    async def send(self, payload):
        await trio.lowlevel.checkpoint()
        await self._conversation.writable.wait()
        if self._conversation.closing is not None:
            raise LinkClosed(*self._conversation.closing)
        self._conversation.heard.send_nowait(json.loads(payload))

    async def receive(self):
        said = await self._conversation.said.receive()
        if isinstance(said, LinkClosed):
            self._conversation.saying.send_nowait(said)
            raise said
        return said

    async def aclose(self, code, reason):
        await trio.lowlevel.checkpoint()
        self._conversation.end(code, reason)


class Conversation:
    """One connection, from the server's end."""

    def __init__(self):
        self.saying, self.said = trio.open_memory_channel(math.inf)
        self.heard, self.hearing = trio.open_memory_channel(math.inf)
        self.link = MemoryLink(self)
        # How the server has closed, or None.
        self.closing = None
        # How the client has closed, once it has.
        self.left = None
        self.gone = trio.Event()
        self.writable = trio.Event()
        self.writable.set()

    def end(self, code, reason):
        if self.left is None:
            self.left = (code, reason)
            self.gone.set()

    def say(self, op, **fields):
        self.saying.send_nowait(json.dumps({"op": op, **fields}).encode())

    def say_bytes(self, payload):
        self.saying.send_nowait(payload)

    def ok(self, request, **fields):
        self.say("ok", ref=request["ref"], **fields)

    def written(self, request, seq, *, duplicate=False):
        """Answer a durable request."""
        self.ok(request, room=request["room"], seq=seq, at=seq, duplicate=duplicate)

    def error(self, request, code, reason, **fields):
        self.say("error", ref=request["ref"], code=code, reason=reason, message="no", **fields)

    def close(self, code, reason=""):
        self.closing = (code, reason)
        self.saying.send_nowait(LinkClosed(code, reason))

    async def hear(self, op):
        """Return the client's next message, which must be of this op."""
        message = await self.hearing.receive()
        assert op == message["op"], message
        return message

    def hear_nothing(self):
        """Make sure that the client has said nothing more."""
        try:
            raise AssertionError(f"unexpected: {self.hearing.receive_nowait()}")
        except trio.WouldBlock:
            pass

    async def welcome(self, **fields):
        hello = await self.hear("hello")
        known = {
            "session": "s",
            "user": USER,
            "device": "phone",
            "now": 1_000_000,
            "heartbeat_s": 25,
            "limits": {},
            "expires_at": 10**15,
        }
        self.say("welcome", **{**known, **fields})
        return hello

    async def grant(self, room, *, head=0, epoch="e1", **fields):
        """Answer the next request, which must be a subscription to this one room."""
        request = await self.hear("subscribe")
        assert request["room"] == room
        self.ok(request, **row(room, head=head, epoch=epoch, **fields))
        return request

    async def resume(self, *rows, receipts=True):
        """Play the client's own requests of a reconnection: sync, then its rooms."""
        sync = await self.hear("sync")
        self.ok(sync, rooms=[], gone=[])
        if not rows:
            return []
        request = await self.hear("subscribe")
        self.ok(request, rooms=list(rows))
        return request["rooms"]

    def entry(self, room, seq, text="", **fields):
        known = {"n": seq, "at": seq, "cid": f"c{seq}", "from": "ben", "kind": "message"}
        body = {"text": text or f"m{seq}"}
        self.say("entry", **{"room": room, "seq": seq, "body": body, **known, **fields})


def row(room, *, head=0, epoch="e1", **fields):
    """Return where a subscription starts, as the server says it."""
    known = {
        "room": room,
        "epoch": epoch,
        "head": head,
        "floor": 0,
        "role": "member",
        "recovered": True,
        "unread": 0,
        "read": 0,
        "members": 2,
        "typing": [],
    }
    return {**known, **fields}


class Server:
    """A dialer whose links end at the test."""

    def __init__(self):
        self._dialled, self._waiting = trio.open_memory_channel(math.inf)
        self.dials = 0
        self.dial_times = []
        # How the next dials fail, first in first out.
        self.refusals = []

    async def dial(self):
        await trio.lowlevel.checkpoint()
        self.dials += 1
        self.dial_times.append(trio.current_time())
        if self.refusals:
            raise self.refusals.pop(0)
        conversation = Conversation()
        self._dialled.send_nowait(conversation)
        return conversation.link

    async def accept(self):
        """Return the next connection."""
        return await self._waiting.receive()


@asynccontextmanager
async def connected(server, **options):
    """Be connected: yield the client and the first conversation, greeted."""
    options = {"token": "t", "entropy": FakeEntropy(), "limits": ClientLimits(), **options}
    welcome = options.pop("welcome", {})
    async with open_client(server, form="json", start_offline=True, **options) as client:
        conversation = await server.accept()
        await conversation.welcome(**welcome)
        await client.wait_online()
        yield client, conversation


class Answer:
    """What came of a request that runs in the background."""

    def __init__(self):
        self.value = None
        self.error = None
        self.scope = trio.CancelScope()
        self.done = trio.Event()


@asynccontextmanager
async def asking(request, *arguments, **options):
    """Ask while the block plays the server; the answer is there when the block has ended."""
    answer = Answer()

    async def run():
        with answer.scope:
            try:
                answer.value = await request(*arguments, **options)
            except TrioletError as error:
                answer.error = error
        answer.done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield answer


async def take(stream, count):
    """Return the next events of a stream."""
    return [await stream.__anext__() for _ in range(count)]


async def subscribed(client, conversation, room, **fields):
    """Have the client follow a room."""
    async with asking(client.subscribe, room) as answer:
        await conversation.grant(room, **fields)
    return answer.value


async def offline(client, conversation):
    """Lose the connection and be there before the next one is dialled."""
    conversation.close(1006)
    await conversation.gone.wait()
    assert client.state is State.OFFLINE
