"""Token expiry on a live socket: it goes on writing, or reconnects for ever with the old token.

AntaREST #604 (a reconnect loop), planx-new PR #4416 (an expired token keeps writing),
stompjs #560, ansys/saf #118, base PR #2298.
"""

from contextlib import asynccontextmanager

import pytest
import trio
from house import QUICK, until
from scene import VirtualClock

import triolet
from triolet.adapters.memory import MemoryStore
from triolet.adapters.system import SystemEntropy
from triolet.adapters.tokens import TokenGate, mint
from triolet.client import State
from triolet.embedded import Engine

SECRET = b"a secret for tests, of more than 32 bytes"
# The leeway is for clocks that differ; here there is one.
LIMITS = triolet.Limits(token_leeway_s=0, token_notice_s=0.5)


def token(ttl_s):
    return mint(SECRET, "anna", ttl_s=ttl_s, now_ms=VirtualClock().now_ms())


@asynccontextmanager
async def open_engine():
    """An engine whose wall clock goes as the test's own."""
    clock, entropy = VirtualClock(), SystemEntropy()
    store = MemoryStore(clock=clock, entropy=entropy)
    gate = TokenGate(clock=clock, limits=LIMITS, secret=SECRET)
    async with Engine(
        store=store, gate=gate, clock=clock, entropy=entropy, limits=LIMITS
    ) as engine:
        yield engine


async def test_an_expired_token_neither_writes_nor_comes_back(idle_clock):
    """Closed with 4002 at `exp`; a client that has no other token stops."""
    async with open_engine() as engine:
        _host, port = await engine.listen("127.0.0.1", 0)
        url = f"ws://127.0.0.1:{port}"
        async with triolet.connect(url, token=token(1), backoff=QUICK) as anna:
            made = await anna.create("group")
            await until(lambda: anna.state is State.CLOSED)
            assert anna.last_close.code == 4002
            assert anna.statistics().connections == 1
            with pytest.raises(triolet.ConnectionClosed):
                await anna.send(made.room, "too late")
        await until(lambda: engine.statistics().sessions == 0)
        assert (await engine.store.room(made.room)).n == 0


async def test_a_newer_token_comes_over_the_living_connection(idle_clock):
    """Asked for before the end: three lifetimes, one connection, and never an old token twice."""
    given = []

    def provide():
        given.append(token(1.2))
        return given[-1]

    async with open_engine() as engine:
        _host, port = await engine.listen("127.0.0.1", 0)
        url = f"ws://127.0.0.1:{port}"
        async with triolet.connect(url, token=provide, backoff=QUICK) as anna:
            made = await anna.create("group")
            for _ in range(8):
                await trio.sleep(0.4)
                await anna.send(made.room, "still here")
            assert anna.statistics().connections == 1
        assert len(given) >= 3
        assert len(set(given)) == len(given)
