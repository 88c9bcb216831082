"""The door: one connection cannot hurt another, and the end is prompt and orderly."""

import inspect
import socket

import pytest
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from quart import Response
from quart_trio import QuartTrio

from triolet_api.http import HttpLimits, make_config, open_http_door

GET = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
# In which what need not be waited for is over, on a machine that is busy with other things.
PATIENCE_S = 60


@pytest.fixture
async def app(make_app):
    return make_app()


@pytest.fixture
async def slow(app, make_slow):
    return make_slow(app)


def test_the_pieces_of_hypercorn_are_as_we_use_them():
    """What is private or undocumented there, and relied on in `http`."""

    def arguments(function):
        return list(inspect.signature(function).parameters)

    protocol = [
        "app",
        "config",
        "context",
        "task_group",
        "state",
        "ssl",
        "client",
        "server",
        "send",
    ]
    assert arguments(TCPServer) == ["app", "config", "context", "state", "stream"]
    assert arguments(Lifespan) == ["app", "config", "state"]
    assert arguments(WorkerContext) == ["max_requests"]
    assert arguments(ASGIWrapper) == ["app"]
    assert arguments(ProtocolWrapper) == [*protocol, "alpn_protocol"]
    assert arguments(H11Protocol) == [
        "connection_state" if name == "state" else name for name in protocol
    ]
    assert arguments(H11Protocol._check_protocol) == ["self", "event"]
    assert inspect.iscoroutinefunction(H11Protocol._check_protocol)
    assert inspect.iscoroutinefunction(TCPServer._read_data)
    assert arguments(TCPServer.protocol_send) == ["self", "event"]
    assert inspect.iscoroutinefunction(TCPServer.run)
    for name in (
        "accesslog",
        "errorlog",
        "h11_max_incomplete_size",
        "include_server_header",
        "keep_alive_timeout",
        "shutdown_timeout",
        "startup_timeout",
        "websocket_max_message_size",
    ):
        assert hasattr(Config, name)
    assert make_config(HttpLimits()).log.access_logger is None


async def test_a_connection_is_kept_for_the_next_request(app, serving, read_answer):
    async with serving(app) as host, await host.connect() as stream:
        for _ in range(3):
            await stream.send_all(GET)
            assert (await read_answer(stream)).startswith(b"HTTP/1.1 200")


async def test_what_was_already_read_comes_first(app, read_answer):
    """The listener has read the head to know whose the connection is."""

    class Prefixed(trio.abc.HalfCloseableStream):
        def __init__(self, inner, prefix):
            self.inner, self.prefix, self.socket = inner, prefix, inner.socket

        async def receive_some(self, max_bytes=None):
            prefix, self.prefix = self.prefix, b""
            return prefix or await self.inner.receive_some(max_bytes)

        async def send_all(self, data):
            await self.inner.send_all(data)

        async def wait_send_all_might_not_block(self):
            await self.inner.wait_send_all_might_not_block()

        async def send_eof(self):
            await self.inner.send_eof()

        async def aclose(self):
            await self.inner.aclose()

    near, far = map(trio.SocketStream, trio_pair())
    async with open_http_door(app) as door, trio.open_nursery() as nursery:
        nursery.start_soon(door.serve, Prefixed(near, GET[:20]))
        await far.send_all(GET[20:])
        assert (await read_answer(far)).startswith(b"HTTP/1.1 200")
        await far.send_eof()
    await far.aclose()


def trio_pair():
    """A connected TCP pair: a socketpair has no port to tell."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    return [trio.socket.from_stdlib_socket(one) for one in (near, far)]


class TestHostileClients:
    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (b"garbage\r\n\r\n", 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET ?x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            (b"GET //x HTTP/1.1\r\nHost: a\r\n\r\n", 404),
            (b"GET /%ff%00%0d%0a HTTP/1.1\r\nHost: a\r\n\r\n", 404),
            (b"GET http://a/health/live HTTP/1.1\r\nHost: a\r\n\r\n", 200),
            (b"GET / HTTP/1.0\r\n\r\n", 200),
        ],
    )
    async def test_odd_requests_are_answered_and_logged_by_nobody(
        self, app, serving, caplog, head, status
    ):
        request = head.replace(b"Host: a", b"Host: a\r\nConnection: close")
        async with serving(app, limits=HttpLimits(keep_alive_timeout_s=600)) as host:
            answer = await host.exchange(request)

        assert answer.startswith(b"HTTP/1.1 %d" % status)
        assert [record for record in caplog.records if record.exc_info] == []

    @pytest.mark.parametrize(
        ("target", "status"), [(b"/nope", 404), (b"?x", 403), (b"/ws?token=x", 421)]
    )
    async def test_websockets_have_no_other_path(self, app, serving, caplog, target, status):
        """The engine takes `/ws` where it opens a connection; any other upgrade is refused."""
        request = (
            b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        async with serving(app, limits=HttpLimits(keep_alive_timeout_s=600)) as host:
            stream = await host.connect()
            async with stream:
                await stream.send_all(request)
                answer = await stream.receive_some()

        assert answer.startswith(b"HTTP/1.1 %d" % status)
        assert [record for record in caplog.records if record.exc_info] == []

    async def test_beyond_the_bound_connections_are_closed(
        self, app, serving, read_answer, is_closed
    ):
        limits = HttpLimits(connections_max=1)
        async with serving(app, limits=limits) as host, await host.connect() as first:
            await first.send_all(GET)
            await read_answer(first)
            async with await host.connect() as second:
                assert await is_closed(second)
            await first.send_all(GET)
            assert (await read_answer(first)).startswith(b"HTTP/1.1 200")

    async def test_a_failing_connection_is_told_and_harms_nobody(
        self, app, serving, read_answer, caplog, monkeypatch
    ):
        async def fail(_self, _event):
            raise RuntimeError("a bug")

        async with serving(app) as host:
            with monkeypatch.context() as patch:
                patch.setattr(H11Protocol, "handle", fail)
                assert await host.exchange(b"x") == b""
            assert "an HTTP connection failed" in caplog.text
            async with await host.connect() as stream:
                await stream.send_all(GET)
                assert (await read_answer(stream)).startswith(b"HTTP/1.1 200")


class TestTheEnd:
    async def test_idle_connections_end_at_once(self, app, serving, read_answer, caplog):
        """By the event, not by their timeout, and not by force."""
        limits = HttpLimits(keep_alive_timeout_s=600, finish_timeout_s=600)
        async with serving(app, limits=limits) as host:
            stream = await host.connect()
            await stream.send_all(GET)
            await read_answer(stream)

            with trio.fail_after(PATIENCE_S):
                await host.door.drain()

            assert await stream.receive_some() == b""
            await stream.aclose()
        assert caplog.text == ""

    async def test_running_requests_finish(self, app, slow, serving):
        limits = HttpLimits(finish_timeout_s=60)
        async with (
            serving(app, limits=limits) as host,
            await host.connect() as stream,
            trio.open_nursery() as nursery,
        ):
            await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            await slow.entered.wait()
            nursery.start_soon(host.door.drain)
            await trio.testing.wait_all_tasks_blocked()
            slow.release.set()

            answer = b"".join([part async for part in stream])

        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"done")

    async def test_they_have_so_long_and_no_longer(self, app, slow, serving, caplog):
        limits = HttpLimits(finish_timeout_s=0.05)
        async with serving(app, limits=limits) as host, await host.connect() as stream:
            await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            await slow.entered.wait()

            await host.door.drain()

            assert slow.ended.is_set()
            assert "1 HTTP connections were cut short" in caplog.text

    async def test_a_peer_that_takes_nothing_does_not_hold_up_the_end(self, app, serving):
        @app.get("/large")
        async def large():
            return Response(b"x" * 20_000_000)

        limits = HttpLimits(finish_timeout_s=0.05, send_timeout_s=600)
        async with serving(app, limits=limits) as host:
            stream = await host.connect()
            await stream.send_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            await stream.receive_some(1)

            with trio.fail_after(PATIENCE_S):
                await host.door.drain()
            await stream.aclose()

    async def test_who_comes_later_is_sent_away(self, app, serving, is_closed):
        async with serving(app) as host:
            await host.door.drain()
            await host.door.drain()

            async with await host.connect() as stream:
                assert await is_closed(stream)

    async def test_cancelling_cuts_everything(self, app, slow):
        """A second signal: nothing is waited for."""
        near, far = map(trio.SocketStream, trio_pair())
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery, open_http_door(app) as door:
                nursery.start_soon(door.serve, near)
                await far.send_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                await slow.entered.wait()
                nursery.cancel_scope.cancel()
        assert slow.ended.is_set()
        await far.aclose()

    async def test_a_failing_host_cuts_everything(self, app, slow):
        near, far = map(trio.SocketStream, trio_pair())
        with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
            async with trio.open_nursery() as nursery, open_http_door(app) as door:
                nursery.start_soon(door.serve, near)
                await far.send_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                await slow.entered.wait()
                raise ZeroDivisionError
        assert slow.ended.is_set()
        await far.aclose()


class TestTheApplicationsLife:
    async def test_it_is_started_and_stopped_once(self, serving):
        app, told = QuartTrio(__name__), []

        @app.while_serving
        async def life():
            told.append("started")
            yield
            told.append("stopped")

        async with serving(app):
            assert told == ["started"]
        assert told == ["started", "stopped"]

    async def test_one_that_does_not_start_is_an_error(self):
        app = QuartTrio(__name__)

        @app.before_serving
        async def fail():
            raise ValueError("no")

        with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="did not start: no")):
            async with open_http_door(app):
                raise AssertionError

    async def test_one_that_knows_no_start_is_an_error(self):
        async def app(scope, receive, send):
            raise TypeError("no lifespan")

        with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="did not start")):
            async with open_http_door(app):
                raise AssertionError

    async def test_one_that_fails_to_stop_is_told(self, serving, caplog):
        app = QuartTrio(__name__)

        @app.after_serving
        async def fail():
            raise ValueError("no")

        async with serving(app):
            pass
        assert "did not stop: no" in caplog.text

    async def test_one_that_does_not_stop_is_left(self, serving, caplog):
        app = QuartTrio(__name__)

        @app.after_serving
        async def hang():
            await trio.sleep_forever()

        async with serving(app, limits=HttpLimits(stop_timeout_s=0.05)):
            pass
        assert "did not stop in time" in caplog.text
