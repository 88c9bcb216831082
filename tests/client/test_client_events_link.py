"""Laws of the way without WebSocket: a link like any other, whatever carries it."""

from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from triolet import connect
from triolet._model.errors import (
    CloseCode,
    ConfigurationError,
    ConnectionClosed,
    ErrorCode,
    Refusal,
    TrioletError,
)
from triolet._model.limits import Limits
from triolet.client import Backoff, ClientLimits, EventsDialer, LinkClosed, open_client
from triolet.embedded import open_engine
from triolet.ports.gate import FOREVER, Identity
from triolet_api.composition import open_api
from triolet_api.http import open_http_door
from triolet_api.settings import Settings

PATIENCE_S = 60
SOON = Backoff(base_s=0.01, ceiling_s=0.05)


class Names:
    """A gate to which a token is a name, that may end."""

    async def admit(self, token, opening):
        await trio.lowlevel.checkpoint()
        if not token:
            raise Refusal(ErrorCode.UNAUTHENTICATED)
        name, _, expires_at = token.partition("/")
        return Identity(user=name, expires_at=int(expires_at or FOREVER), issued_at=1)

    def may(self, who, action, *, room="", user=""):
        return None


@asynccontextmanager
async def open_house(**limits):
    """Run an engine with its HTTP side on one port; yield it and the URL."""
    async with (
        open_engine(gate=Names(), limits=Limits(**limits)) as engine,
        open_api(engine, Settings()) as api,
        open_http_door(api.app) as door,
    ):
        host, port = await engine.listen("127.0.0.1", 0, fallback=door.serve)
        yield engine, f"http://{host}:{port}"


@asynccontextmanager
async def linked(url, token="anna", limits=None, **how):
    """Have a bare link that has said hello."""
    async with trio.open_nursery() as nursery:
        dialer = EventsDialer(url, nursery, limits or ClientLimits(), **how)
        link = await dialer.dial()
        hello = {"op": "hello", "token": token, "device": "phone"}
        await link.send(msgspec.json.encode(hello))
        yield link
        await link.aclose(1000, "")


async def until(look):
    """Wait for what nothing tells of."""
    while not look():  # noqa: ASYNC110 - as it says
        await trio.sleep(0.01)


async def closed(link):
    """Take everything that is left, and return how it ended."""
    with trio.fail_after(PATIENCE_S):
        try:
            while True:
                await link.receive()
        except LinkClosed as error:
            return error


async def test_a_chat_goes_as_over_a_websocket():
    """Two clients, one of each kind: everything but the carrier is the same."""
    async with (
        open_house() as (_, url),
        connect(url, token="anna", transport="sse") as anna,
        connect(url, token="ben", device="phone") as ben,
    ):
        room = await anna.create("group", members=["ben"])
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                heard = {"anna": [], "ben": []}

                async def listen(client, name):
                    async for entry in client.room(room.room):
                        heard[name].append(entry)
                        if len(heard[name]) == 4:
                            return

                nursery.start_soon(listen, anna, "anna")
                nursery.start_soon(listen, ben, "ben")
                await until(lambda: anna.position(room.room) and ben.position(room.room))
                for number in range(2):
                    await anna.send(room.room, {"n": number})
                    await ben.send(room.room, {"n": number})
        await anna.presence("away")
        page = await anna.history(room.room)
        watching = await anna.watch(["ben"])

    assert heard["anna"] == heard["ben"]
    assert len(page.messages) == 4
    assert watching.users[0][:2] == ("ben", "online")


async def test_a_link_says_what_a_session_says():
    async with open_house() as (engine, url), linked(url) as link:
        with trio.fail_after(PATIENCE_S):
            welcome = msgspec.json.decode(await link.receive())
            await link.send(b'{"op":"ping","ref":1}')
            pong = msgspec.json.decode(await link.receive())
            await link.send(b'{"op":"watch","ref":2,"users":["ben"]}')
            watching = msgspec.json.decode(await link.receive())
            await link.send(b'{"op":"refresh","ref":3,"token":"anna"}')
            refreshed = msgspec.json.decode(await link.receive())

    assert (welcome["user"], welcome["device"]) == ("anna", "phone")
    assert [one["ref"] for one in (pong, watching, refreshed)] == [1, 2, 3]
    assert engine.heartbeat.connections == {}


@pytest.mark.parametrize(
    ("token", "reason", "code"),
    [
        ("", "unauthenticated", CloseCode.UNAUTHENTICATED),
        ("anna", "too_many_sessions", CloseCode.TOO_MANY),
    ],
)
async def test_a_refused_hello_is_told_like_any_other(token, reason, code):
    async with open_house(sessions_per_user_max=1) as (_, url), linked(url) as first:
        with trio.fail_after(PATIENCE_S):
            await first.receive()
            async with linked(url, token) as second:
                error = msgspec.json.decode(await second.receive())
                end = await closed(second)
                with pytest.raises(LinkClosed):
                    await second.send(b'{"op":"ping"}')

    assert (error["reason"], end.code) == (reason, code)


async def test_what_is_no_token_is_not_sent():
    async with open_house() as (_, url), linked(url, "a\nb") as link:
        end = await closed(link)

    assert end.code == CloseCode.UNAUTHENTICATED


async def test_the_end_of_a_session_is_the_link_s():
    async with open_house(drain_window_s=0.1) as (engine, url), linked(url) as link:
        with trio.fail_after(PATIENCE_S):
            await link.receive()
            await engine.drain()
            end = await closed(link)

    assert end.code == CloseCode.DRAINING
    assert "retry_after_ms" in end.reason


async def test_a_token_that_ends_while_asking_asks_for_another_one():
    async with open_house() as (engine, url):
        expires_at = engine.clock.now_ms() + 60_000
        async with linked(url, f"anna/{expires_at}") as link:
            with trio.fail_after(PATIENCE_S):
                await link.receive()
                link._token = ""
                await link.send(b'{"op":"ping","ref":1}')
                with pytest.raises(LinkClosed) as caught:
                    await link.receive()

    assert caught.value.code == CloseCode.UNAUTHENTICATED


async def test_requests_refused_as_a_whole_are_answered_one_by_one():
    async with open_house() as (_, url), linked(url) as link:
        with trio.fail_after(PATIENCE_S):
            await link.receive()
            link._commands_path = "/v1/nowhere"
            await link.send(b'{"op":"ping","ref":1}')
            error = msgspec.json.decode(await link.receive())

    assert (error["op"], error["ref"], error["reason"]) == ("error", 1, "unknown_op")


async def test_requests_go_to_another_server_and_on_a_new_connection_where_one_is_lost():
    async with open_house() as (_, url), linked(url, commands_url=url) as link:
        with trio.fail_after(PATIENCE_S):
            await link.receive()
            for ref in range(2):
                await link.send(b'{"op":"ping","ref":%d}' % ref)
                assert msgspec.json.decode(await link.receive())["ref"] == ref
                await link._commands.aclose()
            await link.send(b'{"op":"signal","ref":9,"room":"tea","kind":"x"}')
            with pytest.raises(LinkClosed) as caught:
                await link.receive()

    assert caught.value.code == 1006


async def test_a_silent_stream_is_half_open():
    limits = ClientLimits(silence_margin_s=0.2)
    async with open_house(heartbeat_s=60) as (_, url), linked(url, limits=limits) as link:
        with trio.fail_after(PATIENCE_S):
            await link.receive()
            link._silence_s = 0.2
            # The wait under way has the old limit; what comes next has the new one.
            await link.send(b'{"op":"watch","ref":1,"users":[]}')
            await link.receive()
            with pytest.raises(LinkClosed) as caught:
                await link.receive()

    assert (caught.value.code, caught.value.reason) == (1006, "the stream is silent")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no http\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\ndata: welcome\n\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ndata: {"op":"welcome"',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    ],
)
async def test_what_is_no_server_of_ours_is_a_lost_connection(answer):
    async def serve(stream):
        async with stream:
            await stream.receive_some()
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        async with linked(f"http://127.0.0.1:{port}") as link:
            end = await closed(link)
        nursery.cancel_scope.cancel()

    assert end.code == 1006


async def test_a_server_that_is_not_there_is_a_lost_connection():
    with pytest.raises(ConnectionClosed):
        async with connect(
            "http://127.0.0.1:9", token="anna", transport="sse", connect_timeout_s=0.2
        ):
            pass
    with pytest.raises(ConfigurationError):
        async with connect("ftp://127.0.0.1", token="anna", transport="sse"):
            pass


async def test_a_cut_stream_comes_back_and_misses_nothing():
    """The client resumes from its positions; what was asked meanwhile is asked again."""
    async with open_house() as (engine, url), trio.open_nursery() as links:
        dialer = EventsDialer(url, links, ClientLimits())
        async with (
            open_client(dialer, token="anna", form="json", backoff=SOON) as anna,
            connect(url, token="ben") as ben,
        ):
            room = (await anna.create("group", members=["ben"])).room
            entries = []
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def listen():
                    async for entry in anna.room(room):
                        entries.append(entry.seq)  # noqa: PERF401 - they are looked at meanwhile

                with trio.fail_after(PATIENCE_S):
                    await until(lambda: anna.position(room))
                    first = None
                    for number in range(9):
                        sent = await ben.send(room, {"n": number})
                        first = first or sent.seq
                        if number % 3 == 1:
                            present = engine.presence.present["anna"]
                            for session in list(present.sessions.values()):
                                session.connection.hang_up()
                    await until(lambda: len(entries) >= 9)
                nursery.cancel_scope.cancel()
        links.cancel_scope.cancel()

    assert entries == list(range(first, first + 9))
    assert issubclass(LinkClosed, TrioletError)
