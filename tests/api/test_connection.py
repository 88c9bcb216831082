"""One HTTP connection: it ends when its peer leaves, stalls, or asks to; and is HTTP/1.1."""

import socket

import h11
import pytest
import trio
from hypercorn.events import RawData
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from quart import Response

from triolet_api.connection import Http11, end_unless_acknowledged
from triolet_api.giving_way import to_nobody
from triolet_api.http import HttpLimits, make_config

GET = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
# In which somebody is forgotten at once, on a machine that is busy with other things.
PATIENCE_S = 60


@pytest.fixture
async def app(make_app):
    return make_app()


def watched(door):
    """Return an event that tells that a connection has ended."""
    serve, ended = door._serve, trio.Event()

    async def watch(stream):
        await serve(stream)
        ended.set()

    door._serve = watch
    return ended


@pytest.mark.parametrize("upgrade", [b"h2c", b"H2C"])
async def test_http2_is_not_spoken(app, serving, upgrade):
    """A proxy that forwards upgrades would be a tunnel past its own rules."""
    request = (
        b"GET /health/live HTTP/1.1\r\nHost: a\r\nUpgrade: " + upgrade + b"\r\n"
        b"Connection: Upgrade, HTTP2-Settings, close\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    )
    async with serving(app) as host:
        answer = await host.exchange(request)

    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("head", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX: y"])
async def test_a_head_that_does_not_end_is_not_waited_for(app, serving, head, leaping):
    async with serving(app) as host, await host.connect() as stream:
        await stream.send_all(head)
        with leaping(), trio.fail_after(HttpLimits().keep_alive_timeout_s + 1):
            assert await stream.receive_some() == b""


@pytest.mark.parametrize("path", [b"/", b"/nope", b"/health/live"])
async def test_idle_connections_are_closed(app, serving, read_answer, path, leaping):
    """The timeout holds after an answer too, whichever task gave it."""
    async with serving(app) as host:
        for _ in range(5):
            async with await host.connect() as stream:
                await stream.send_all(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
                await read_answer(stream)
                with leaping(), trio.fail_after(HttpLimits().keep_alive_timeout_s + 1):
                    assert await stream.receive_some() == b""


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_who_asks_to_close_is_closed(app, serving, version):
    """A client of the old kind reads until the end."""
    request = b"GET / HTTP/" + version + b"\r\nHost: a\r\nConnection: close\r\n\r\n"
    async with serving(app, limits=HttpLimits(keep_alive_timeout_s=600)) as host:
        for _ in range(5):
            assert (await host.exchange(request)).startswith(b"HTTP/1.1 200")


async def test_a_head_has_an_end(app, serving):
    async with serving(app, limits=HttpLimits(head_bytes_max=1024)) as host:
        stream = await host.connect()
        async with stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nX: " + b"x" * 2000)
            answer = await stream.receive_some()

    assert answer.startswith(b"HTTP/1.1 431")


async def test_who_takes_nothing_is_cut_off(app, serving):
    """Hypercorn sends in a shield; without a deadline it would wait for ever."""

    @app.get("/large")
    async def large():
        return Response(b"x" * 20_000_000)

    async with serving(app, limits=HttpLimits(send_timeout_s=0.05)) as host:
        ended = watched(host.door)
        stream = await host.connect()
        await stream.send_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await ended.wait()
        await stream.aclose()


@pytest.mark.parametrize("asked", [b"", GET])
async def test_who_leaves_is_forgotten_at_once(app, serving, read_answer, asked):
    """Not only at the idle timeout."""
    limits = HttpLimits(keep_alive_timeout_s=600)
    async with serving(app, limits=limits) as host:
        for _ in range(20):
            async with await host.connect() as stream:
                await stream.send_all(asked)
                if asked:
                    await read_answer(stream)
                await stream.send_eof()
                assert await stream.receive_some() == b""


async def test_who_leaves_ends_the_view(app, serving, make_slow):
    """No view runs on for somebody who is gone."""
    slow = make_slow(app)
    async with serving(app) as host:
        stream = await host.connect()
        await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await slow.entered.wait()
        await stream.aclose()
        await slow.ended.wait()


async def test_who_leaves_amid_pipelined_requests_is_forgotten_at_once(app, serving):
    """A request waits for the answer before it, which may fail to be sent."""
    limits = HttpLimits(keep_alive_timeout_s=600)
    async with serving(app, limits=limits) as host:
        ended = watched(host.door)
        stream = await host.connect()
        await stream.send_all(GET * 500)
        await stream.receive_some(1)
        # With answers unread it is a reset, upon which no other answer can be sent.
        await stream.aclose()
        with trio.fail_after(PATIENCE_S):
            await ended.wait()


async def test_a_peer_that_acknowledges_nothing_is_given_up_by_the_system():
    """Where it is TCP; what else may carry HTTP is left alone."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    near, far = socket.socketpair()
    async with listener:
        end_unless_acknowledged(listener.socket, 1.5)
        found = listener.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        end_unless_acknowledged(trio.socket.from_stdlib_socket(near), 1.5)
        end_unless_acknowledged(object(), 1.5)
    near.close()
    far.close()

    assert found == 1500


class Pieces:
    """A connection's other side that keeps what it is given, piece by piece."""

    def __init__(self):
        self.sent = []

    async def send(self, event):
        if isinstance(event, RawData):
            self.sent.append(event.data)


def make_http11(send):
    config, state = make_config(HttpLimits()), ConnectionState({})
    http11 = Http11(None, config, WorkerContext(None), None, state, False, None, None, send)
    http11.prepare(trio.CancelScope(), to_nobody)
    return http11


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (b"2", [b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nhi"]),
        (b"0", [b"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n"]),
        (
            None,
            [b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nhi\r\n", b"0\r\n\r\n"],
        ),
    ],
)
async def test_a_head_waits_only_for_a_body_that_comes_at_once(length, expected):
    """One piece where the length is told; a stream's head goes before its first event."""
    pieces = Pieces()
    http = make_http11(pieces.send)
    http.connection.receive_data(GET)
    assert isinstance(http.connection.next_event(), h11.Request)
    headers = [] if length is None else [(b"content-length", length)]

    await http._send_h11_event(h11.Response(status_code=200, headers=headers))
    if length != b"0":
        await http._send_h11_event(h11.Data(data=b"hi"))
    await http._send_h11_event(h11.EndOfMessage())

    assert pieces.sent == expected


async def test_a_head_without_its_body_goes_with_the_end():
    """`HEAD` is answered by a length that is not sent."""
    pieces = Pieces()
    http = make_http11(pieces.send)
    http.connection.receive_data(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    http.connection.next_event()

    await http._send_h11_event(h11.Response(status_code=200, headers=[(b"content-length", b"2")]))
    assert not pieces.sent
    await http._send_h11_event(h11.EndOfMessage())

    assert pieces.sent == [b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n"]
