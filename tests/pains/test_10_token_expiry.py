"""Token expiry on a live socket: it goes on writing, or reconnects for ever with the old token.

AntaREST #604 (a reconnect loop), planx-new PR #4416 (an expired token keeps writing),
stompjs #560, ansys/saf #118, base PR #2298.
"""

import time

import pytest
import trio
from house import QUICK, until

import triolet
from triolet.adapters.system import SystemClock
from triolet.adapters.tokens import TokenGate, mint
from triolet.client import State

SECRET = b"a secret for tests, of more than 32 bytes"
# The leeway is for clocks that differ; here there is one.
LIMITS = triolet.Limits(token_leeway_s=0, token_notice_s=0.5)


def token(ttl_s):
    return mint(SECRET, "anna", ttl_s=ttl_s, now_ms=time.time_ns() // 1_000_000)


def gate():
    return TokenGate(clock=SystemClock(), limits=LIMITS, secret=SECRET)


async def test_an_expired_token_neither_writes_nor_comes_back():
    """Closed with 4002 at `exp`; a client that has no other token stops."""
    async with triolet.open_engine(gate=gate(), limits=LIMITS) as engine:
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


async def test_a_newer_token_comes_over_the_living_connection():
    """Asked for before the end: three lifetimes, one connection, and never an old token twice."""
    given = []

    def provide():
        given.append(token(1.2))
        return given[-1]

    async with triolet.open_engine(gate=gate(), limits=LIMITS) as engine:
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
