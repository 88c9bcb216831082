"""Links: WebSocket seen through two methods; its errors stop here. Real sockets, loopback."""

import datetime as dt
import ipaddress
import json
import ssl
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio_websocket
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from triolet._model.errors import ConfigurationError
from triolet.client import ClientLimits, LinkClosed, WebSocketDialer, connect
from triolet.client._link import websocket_url

# Half of it is what "at once" may take, on a machine that is busy with other things.
LIMITS = ClientLimits(dial_timeout_s=120, close_timeout_s=1)


@asynccontextmanager
async def serving(handler, ssl_context=None):
    """Serve trio-websocket connections; yield the URL."""

    async def accept(request):
        (protocol,) = request.proposed_subprotocols
        async with await request.accept(subprotocol=protocol) as connection:
            await handler(connection)

    async with trio.open_nursery() as nursery:
        serve = partial(trio_websocket.serve_websocket, accept, "127.0.0.1", 0, ssl_context)
        server = await nursery.start(serve)
        yield f"ws://127.0.0.1:{server.port}/ws"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def serving_bytes(answer):
    """Answer each TCP connection with the same bytes and close it; yield the URL."""

    async def accept(stream):
        async with stream:
            await stream.receive_some()
            if answer:
                await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, accept, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/ws"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def linked(url, form="msgpack", ssl_context=None):
    async with trio.open_nursery() as nursery:
        link = await WebSocketDialer(url, form, nursery, LIMITS, ssl_context=ssl_context).dial()
        yield link
        await link.aclose(1000, "")


async def dial(url, form="msgpack", limits=LIMITS):
    """Dial and expect no link; return why."""
    async with trio.open_nursery() as nursery:
        with pytest.raises(LinkClosed) as caught:
            await WebSocketDialer(url, form, nursery, limits).dial()
        return caught.value


async def echo(connection):
    try:
        while True:
            await connection.send_message(await connection.get_message())
    except trio_websocket.ConnectionClosed:
        return


@pytest.mark.parametrize(("form", "kind"), [("msgpack", bytes), ("json", str)])
async def test_payloads_travel_both_ways_in_frames_of_their_format(form, kind):
    seen = []

    async def handler(connection):
        seen.append(connection.subprotocol)
        message = await connection.get_message()
        seen.append(type(message))
        await connection.send_message(message)
        await echo(connection)

    async with serving(handler) as url, linked(url, form) as link:
        for payload in (b"{}", "é".encode() * 50_000):
            await link.send(payload)
            assert payload == await link.receive()

    assert [f"triolet.v1.{form}", kind] == seen


async def test_close_of_the_server_comes_after_its_messages():
    async def handler(connection):
        for number in range(3):
            await connection.send_message(bytes([number]))
        await connection.aclose(4029, '{"retry_after_ms": 5}')

    async with serving(handler) as url, linked(url) as link:
        assert [await link.receive() for _ in range(3)] == [b"\0", b"\1", b"\2"]
        for _ in range(2):
            with pytest.raises(LinkClosed) as caught:
                await link.receive()
            assert (caught.value.code, caught.value.reason) == (4029, '{"retry_after_ms": 5}')
        with pytest.raises(LinkClosed):
            await link.send(b"x")


async def test_our_close_tells_its_code():
    seen = []

    async def handler(connection):
        with pytest.raises(trio_websocket.ConnectionClosed):
            await connection.get_message()
        seen.append((connection.closed.code, connection.closed.reason))

    async with serving(handler) as url, linked(url) as link:
        await link.aclose(1002, "gaps")
        await link.aclose(1000, "again")

    assert seen == [(1002, "gaps")]


async def test_connection_that_just_ends_is_abnormal():
    async def handler(connection):
        await connection._stream.aclose()

    async with serving(handler) as url, linked(url) as link:
        with pytest.raises(LinkClosed) as caught:
            await link.receive()

        assert caught.value.code == 1006


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        (b"", 1006, ""),
        (b"SSH-2.0-no\r\n\r\n", 1006, ""),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 1006, "HTTP 404"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 1006, "HTTP 403"),
        (b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n", 4029, "HTTP 503"),
        (
            b"HTTP/1.1 429 Later\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
            4029,
            '"retry_after_ms": 7000',
        ),
    ],
)
async def test_refused_handshakes_tell_at_once(answer, code, reason):
    """An end without an answer, too: a balancer does that whose server is down."""
    async with serving_bytes(answer) as url:
        with trio.fail_after(LIMITS.dial_timeout_s / 2):
            closed = await dial(url)

    assert closed.code == code
    assert reason in closed.reason


async def test_nobody_listens():
    # The port is taken, so that nobody else listens there, and not listened to.
    with trio.socket.socket() as nobody:
        await nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]

        assert "no connection" in (await dial(f"ws://127.0.0.1:{port}/ws")).reason


async def test_tls_against_plain_text():
    async with serving_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        assert "no connection" in (await dial(url.replace("ws:", "wss:"))).reason


def tls(tmp_path):
    """Return the contexts of a server on 127.0.0.1 and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=certificate.public_bytes(pem).decode())


async def test_tls(tmp_path):
    """A trusted server is spoken to, another one is not."""
    server, client = tls(tmp_path)
    async with (
        serving(echo, server) as url,
        linked(url.replace("ws:", "wss:"), ssl_context=client) as link,
    ):
        await link.send(b"x")
        assert await link.receive() == b"x"
    async with serving(echo, server) as url:
        assert "CERTIFICATE_VERIFY_FAILED" in (await dial(url.replace("ws:", "wss:"))).reason


async def test_handshake_that_hangs_is_given_up():
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        limits = ClientLimits(dial_timeout_s=0.05)
        closed = await dial(f"ws://127.0.0.1:{port}/ws", limits=limits)
        await listener.aclose()
        nursery.cancel_scope.cancel()

    assert closed.reason == "no connection in time"


async def test_server_that_speaks_another_protocol():
    async def accept(request):
        async with await request.accept() as connection:
            await echo(connection)

    async with trio.open_nursery() as nursery:
        serve = partial(trio_websocket.serve_websocket, accept, "127.0.0.1", 0, None)
        server = await nursery.start(serve)
        closed = await dial(f"ws://127.0.0.1:{server.port}/ws")
        nursery.cancel_scope.cancel()

    assert "does not speak" in closed.reason


async def test_pong_due_after_our_close_harms_nobody():
    """trio-websocket raises it in its reading task; a goodbye then waits for no answer."""

    async def ping(connection):
        try:
            while True:
                await connection.ping()
        except trio_websocket.ConnectionClosed:
            return

    async def handler(connection):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ping, connection)
            await echo(connection)
            nursery.cancel_scope.cancel()

    async with serving(handler) as url:
        for _ in range(20):
            async with linked(url) as link:
                await link.send(b"x")
                await link.receive()


@pytest.mark.parametrize("url", ["", "chat.example.com", "ftp://x/", "ws://", "ws:///ws"])
async def test_urls_that_are_none(url):
    async with trio.open_nursery() as nursery:
        with pytest.raises(ConfigurationError):
            WebSocketDialer(url, "json", nursery, LIMITS)


def test_urls():
    assert websocket_url("http://h") == "ws://h/ws"
    assert websocket_url("https://h:1/") == "wss://h:1/ws"
    assert websocket_url("wss://h/chat?x=1") == "wss://h/chat?x=1"


async def test_the_whole_client_over_a_socket():
    """Greet, ask, be thrown out, come back."""
    tokens = []

    async def handler(connection):
        hello = json.loads(await connection.get_message())
        tokens.append(hello["token"])
        welcome = {
            "op": "welcome",
            "session": "s",
            "user": "anna",
            "device": "d",
            "now": 1,
            "heartbeat_s": 25,
            "limits": {},
            "expires_at": 10**15,
        }
        await connection.send_message(json.dumps(welcome))
        try:
            while True:
                request = json.loads(await connection.get_message())
                if request["op"] == "sync":
                    answer = {"op": "ok", "ref": request["ref"], "rooms": [], "gone": []}
                elif len(tokens) == 1:
                    await connection.aclose(4002, "expired")
                    return
                else:
                    answer = {"op": "ok", "ref": request["ref"], "now": 5}
                await connection.send_message(json.dumps(answer))
        except trio_websocket.ConnectionClosed:
            return

    provided = iter(["t1", "t2"])
    async with (
        serving(handler) as url,
        connect(url, token=lambda: next(provided), form="json") as client,
    ):
        assert (await client.ping()).now == 5
        assert client.user == "anna"

    assert tokens == ["t1", "t2"]
