"""Laws of the engine inside another service: stores by URL, and clients without a socket."""

import sys

import pytest
import trio

from triolet._model.entries import Entry, Message
from triolet._model.errors import (
    ConfigurationError,
    ConnectionClosed,
    ErrorCode,
    Refusal,
)
from triolet._model.limits import Limits
from triolet.adapters.memory import MemoryBus, MemoryLimiter, open_memory_store
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.embedded import ClosedGate, open_bus, open_engine, open_limiter, open_store
from triolet.ports.gate import FOREVER, Action, Identity, Opening

PATIENCE_S = 60


def store_at(url):
    return open_store(url, clock=SystemClock(), entropy=SystemEntropy(), limits=Limits())


def bus_of(url, store):
    return open_bus(url, store=store, entropy=SystemEntropy(), limits=Limits())


class RecordingGate:
    """Notes who asks for what, and forbids one action."""

    def __init__(self, forbidden=None):
        self.asked = []
        self._forbidden = forbidden

    async def admit(self, token, opening):
        raise AssertionError("nobody asks who an in-process user is")

    def may(self, who, action, *, room="", user=""):
        self.asked.append((who, action))
        return False if action is self._forbidden else None


# --- stores ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["", "memory", "memory:x", "sqlite:", "mysql://db/chat", "/a/path", "SQLITE:x"]
)
async def test_a_url_that_names_no_store_is_an_error_that_says_what_does(url):
    with pytest.raises(ConfigurationError, match=r"^store: .* is no store: those are") as caught:
        async with store_at(url):
            pass

    assert repr(url) in str(caught.value)


async def test_what_an_adapter_needs_is_named_if_it_is_not_installed(monkeypatch):
    """By the extra that brings it, and not before it is asked for."""
    opened = {
        "postgres": store_at("postgresql://db/x"),
        "redis": bus_of("redis://h", "postgresql://db/x"),
    }
    for extra, opening in opened.items():
        monkeypatch.setitem(sys.modules, f"triolet.adapters.{extra}", None)
        with pytest.raises(ConfigurationError, match=rf"install `triolet\[{extra}\]`"):
            async with opening:
                pass


async def test_memory_is_forgotten_and_files_are_not(tmp_path):
    """A relative or absolute path; its directory is made."""
    for url, kept in (("memory:", []), (f"sqlite:{tmp_path}/data/chat.db", ["tea"])):
        async with open_engine(url) as engine, engine.connect("anna") as anna:
            await anna.create("group", room="tea")

        async with open_engine(url) as engine, engine.connect("anna") as anna:
            assert [item.room for item in (await anna.rooms()).rooms] == kept


async def test_data_in_use_is_an_error_that_says_where(tmp_path):
    """The first one goes on, and when it has ended the data can be had."""
    url = f"sqlite:{tmp_path}/chat.db"
    async with store_at(url) as first:
        with pytest.raises(ConfigurationError, match="in use by another server") as caught:
            async with open_engine(url):
                pass
        assert await first.room("tea") is None

    assert str(tmp_path) in str(caught.value)
    async with open_engine(url):
        pass


async def test_a_store_of_ones_own_outlives_the_engine():
    """The engine neither opens nor closes it, and leaves in it what was said."""
    async with open_memory_store(clock=SystemClock(), entropy=SystemEntropy()) as store:
        for number in range(2):
            async with open_engine(store) as engine, engine.connect("anna") as anna:
                if number == 0:
                    await anna.create("group", room="tea")
                assert engine.store is store
                await anna.send("tea", f"message {number}")

        state = await store.room("tea")
    assert (state.n, state.members) == (2, 1)


# --- the gate --------------------------------------------------------------------------------


async def test_the_closed_gate_admits_nobody_and_decides_nothing():
    gate = ClosedGate()

    with pytest.raises(Refusal) as caught:
        await gate.admit("a token", Opening(address="127.0.0.1"))

    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    who = Identity(user="anna", expires_at=FOREVER)
    assert [gate.may(who, action, room="tea") for action in Action] == [None] * len(Action)


async def test_without_a_gate_nobody_comes_in_over_a_socket():
    """They are refused like anybody without a token; the in-process user goes on."""
    async with open_engine() as engine, engine.connect("anna") as anna:
        pipe = engine.open_pipe(Identity(user="", expires_at=FOREVER))
        pipe.session.identity = None
        await pipe.send(b"\x82\xa2op\xa5hello\xa5token\xa1t")

        with trio.fail_after(PATIENCE_S):
            assert b"unauthenticated" in await pipe.receive()
            with pytest.raises(trio.EndOfChannel):
                await pipe.receive()

        assert pipe.close.code == 4001
        await anna.ping()


# --- in-process clients ----------------------------------------------------------------------


async def test_the_host_vouches_for_user_device_and_roles():
    """No token is asked; roles reach the gate as a token's would, and what it says counts."""
    gate = RecordingGate(forbidden=Action.CREATE)
    async with (
        open_engine(gate=gate) as engine,
        engine.connect("anna", device="desk", roles=("staff", "admin")) as anna,
    ):
        with pytest.raises(Refusal) as caught:
            await anna.create("group")
        welcome = anna.welcome

    assert caught.value.code is ErrorCode.FORBIDDEN
    assert (welcome.user, welcome.device) == ("anna", "desk")
    ((who, action),) = gate.asked
    assert (who.user, who.roles, who.tier, action) == (
        "anna",
        ("staff", "admin"),
        "service",
        Action.CREATE,
    )


async def test_a_device_that_was_not_named_gets_a_name_of_its_own():
    async with (
        open_engine() as engine,
        engine.connect("anna") as one,
        engine.connect("anna") as other,
    ):
        assert one.welcome.device != other.welcome.device


async def test_in_process_users_are_exempt_from_rates():
    """The host is trusted: what it sends in a burst is not refused."""
    limits = Limits(commands_rate=1, commands_burst=2)
    async with open_engine(limits=limits) as engine, engine.connect("anna") as anna:
        assert engine.limits is limits
        for _ in range(10):
            await anna.ping()


async def test_messages_reach_other_clients(autojump_clock):
    async with (
        open_engine() as engine,
        engine.connect("anna") as anna,
        engine.connect("ben") as ben,
    ):
        await anna.create("group", room="tea", members=["ben"])
        room = ben.room("tea")
        await room.subscribe()
        await anna.send("tea", "hello")
        with trio.fail_after(60):
            entry = await anext(aiter(room))

    assert (entry.sender, entry.fact.body) == ("anna", {"text": "hello"})


async def test_a_client_that_outlives_the_engine_is_over_for_good(autojump_clock):
    """It comes back to nothing: what waits, and what is asked later, raises `ConnectionClosed`."""
    outcomes = []
    connected, over = trio.Event(), trio.Event()

    async def outlive(engine):
        async with engine.connect("anna") as anna:
            connected.set()
            await over.wait()
            for _ in range(2):
                with trio.fail_after(60), pytest.raises(ConnectionClosed) as caught:
                    await anna.ping()
                outcomes.append(str(caught.value))

    async with trio.open_nursery() as nursery:
        async with open_engine() as engine:
            nursery.start_soon(outlive, engine)
            await connected.wait()
        over.set()

    assert outcomes == ["closed with 4001 the engine has ended"] * 2


async def test_an_engine_that_has_ended_takes_nobody():
    async with open_engine() as engine:
        pass

    with pytest.raises(ConnectionClosed, match="the engine has ended"):
        async with engine.connect("anna"):
            pass
    assert not engine.ready()


async def test_errors_of_the_block_come_out_as_they_are():
    """Neither the engine nor its clients wrap them in groups."""
    with pytest.raises(ZeroDivisionError):
        async with open_engine() as engine, engine.connect("anna"):
            raise ZeroDivisionError


async def test_an_error_beside_a_cancellation_comes_out_as_it_is():
    """What the tasks of the engine were cancelled by does not wrap it."""

    async def fail_cancelled():
        with trio.CancelScope() as scope:
            async with open_engine() as engine:
                engine.open_pipe(Identity(user="anna", expires_at=FOREVER))
                scope.cancel()
                try:
                    await trio.sleep_forever()
                finally:
                    raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_cancelled()


# --- buses by URL ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("store", "bus", "words"),
    [
        ("memory:", "redis://h", "^bus: nodes that a bus joins need one store on PostgreSQL"),
        ("sqlite:x", "postgresql:", "^bus: nodes that a bus joins need one store on PostgreSQL"),
        ("sqlite:x", "amqp://h", "^bus: nodes that a bus joins need one store on PostgreSQL"),
        ("postgresql://db/x", "amqp://h", "^bus: 'amqp://h' is no bus: those are"),
        ("postgresql://db/x", "redis://", "^bus: 'redis://' is no bus: those are"),
        ("postgresql://db/x", "redis://a,memory:", "^bus: .* is no bus: those are"),
        ("", "postgresql:", "this store has no URL"),
    ],
)
async def test_a_bus_that_is_none_or_of_no_use_is_an_error(store, bus, words):
    with pytest.raises(ConfigurationError, match=words):
        async with bus_of(bus, store):
            pass


async def test_one_node_has_no_bus():
    for store in ("memory:", "sqlite:x", ""):
        for url in ("memory:", ""):
            async with bus_of(url, store) as bus:
                assert bus is None


async def test_a_shared_store_without_a_network_bus_is_told_of_and_looked_at(caplog):
    """A second node may be there, if only while one server follows another."""
    async with bus_of("memory:", "postgresql://anna:hunter2@db/chat") as bus:
        assert bus is not None

    assert "there should be one node on postgresql://anna:***@db/chat" in caplog.text


async def test_errors_of_urls_show_no_password():
    for opening in (store_at("mysql://u:hunter2@h/d"), bus_of("amqp://u:hunter2@h", "")):
        with pytest.raises(ConfigurationError, match=r"u:\*\*\*@h") as caught:
            async with opening:
                pass
        assert "hunter2" not in str(caught.value)


# --- several engines -------------------------------------------------------------------------


async def test_engines_that_share_a_store_and_a_bus_are_one_deployment():
    """What is sent to one comes to who is connected to the other."""
    bus = MemoryBus()
    async with (
        store_at("memory:") as store,
        open_engine(store, bus=bus.join()) as one,
        open_engine(store, bus=bus.join()) as other,
        one.connect("anna") as anna,
        other.connect("ben") as ben,
    ):
        await anna.create("group", room="tea", members=["ben"])
        await ben.subscribe("tea")
        # A stream tells what comes from its opening on.
        with trio.fail_after(PATIENCE_S), ben.events() as events:
            written = await anna.send("tea", {"text": "hello"})
            async for event in events:
                if isinstance(event, Entry):
                    break
        assert (event.seq, event.fact) == (written.seq, Message(body={"text": "hello"}))
    assert bus.followers == {}


# --- limiters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "memory:", "postgresql:", "postgresql://db/chat"])
async def test_a_node_without_redis_bounds_alone(url):
    async with open_limiter(url, entropy=SystemEntropy(), limits=Limits()) as limiter:
        assert isinstance(limiter, MemoryLimiter)
