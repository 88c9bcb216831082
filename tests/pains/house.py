"""A real engine on a real port, and a way to it that can be made bad."""

from contextlib import asynccontextmanager

import trio

import triolet
from triolet._model.limits import Limits
from triolet.client import Backoff
from triolet.ports.gate import FOREVER, Identity
from triolet.testing.chaos.proxy import open_proxy

QUICK = Backoff(base_s=0.02, ceiling_s=0.1)
# On a machine that is busy with other things.
PATIENCE_S = 90


class NameGate:
    """Whose token is a name has that name."""

    async def admit(self, token, opening):
        await trio.lowlevel.checkpoint()
        return Identity(user=token, expires_at=FOREVER, tier="service")

    def may(self, who, action, *, room="", user=""):
        """Leave it to the engine's own rules."""


class House:
    """An engine that listens, and clients of it."""

    def __init__(self, engine, proxy, port):
        self.engine = engine
        self.proxy = proxy
        self.port = port

    def connect(self, user, *, straight=False, token=None, **how):
        """Connect by way of the proxy; `straight`: past it."""
        port = self.port if straight else self.proxy.port
        how = {"backoff": QUICK, **how}
        return triolet.connect(f"ws://127.0.0.1:{port}", token=token or user, **how)


@asynccontextmanager
async def open_house(store="memory:", *, gate=None, **limits):
    async with (
        triolet.open_engine(store, gate=gate or NameGate(), limits=Limits(**limits)) as engine,
        trio.open_nursery() as nursery,
    ):
        host, port = await engine.listen("127.0.0.1", 0)
        async with open_proxy(host, port) as proxy:
            yield House(engine, proxy, port)
        nursery.cancel_scope.cancel()


async def read(client, room, epoch, count):
    """Return the first `count` entries of a room, from its beginning."""
    found = []
    with trio.fail_after(PATIENCE_S):
        async for entry in client.room(room).entries(since=(epoch, 0)):
            found.append(entry)
            if len(found) == count:
                return found
    return found


async def until(condition):
    """Wait until something is true."""
    with trio.fail_after(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - on both sides of a socket
            await trio.sleep(0.01)
