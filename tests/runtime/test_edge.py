"""Laws of the listener: whose a connection is, and what it may cost before that is known."""

import errno
import logging
import socket

import pytest
import trio
from edge_peer import frame, open_port, request_head
from scene import settled

from triolet._runtime.edge import origin_allowed

pytestmark = pytest.mark.usefixtures("standing_time")

PLAIN = b"POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
async def port():
    """A listening engine without anything behind it."""
    async with open_port() as port:
        yield port


class Behind:
    """What gets all connections that are no WebSockets: it keeps their bytes and answers."""

    def __init__(self):
        self.received = []
        self.peers = []

    async def __call__(self, stream):
        async with stream:
            self.peers.append(stream.socket.getpeername())
            received = b""
            while not received.endswith(b"hello") and (data := await stream.receive_some(7)):
                received += data
            self.received.append(received)
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")


# --- origins ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "expected"),
    [
        ("https://chat.example", "chat.example", (), True),
        ("https://Chat.Example", "chat.example", (), True),
        ("http://chat.example:8000", "chat.example:8000", (), True),
        ("http://chat.example:8000", "chat.example", (), False),
        ("https://evil.example", "chat.example", (), False),
        ("https://chat.example.evil.example", "chat.example", (), False),
        ("https://app.example", "chat.example", ("https://app.example",), True),
        ("http://app.example", "chat.example", ("https://app.example",), False),
        ("https://evil.example", "chat.example", ("*",), True),
        ("null", "chat.example", (), False),
        ("null", "", (), False),
        ("", "", (), False),
    ],
)
async def test_pages_of_the_same_host_or_configured_ones_may_connect(
    origin, host, allowed, expected
):
    assert origin_allowed(origin, host, allowed) is expected


async def test_other_pages_are_told_403_and_reach_no_session():
    async with open_port(origins=["https://app.example"]) as port:
        for origin, status in [
            ("https://app.example", b"101"),
            ("https://chat.example", b"101"),
            ("https://evil.example", b"403"),
        ]:
            caller = await port.dial()
            await caller.send(request_head("/ws", f"Origin: {origin}"))
            assert (await caller.head()).split()[1] == status
        assert len(port.connections()) == 2


# --- heads -----------------------------------------------------------------------------------


async def test_a_head_may_come_in_many_pieces(port):
    caller = await port.dial()
    for byte in request_head():
        await caller.send(bytes((byte,)))
        await settled()

    assert (await caller.head()).startswith(b"HTTP/1.1 101 ")


async def test_what_follows_the_head_reaches_the_session(port):
    """A client need not wait for the 101: whole frames, and the beginning of one."""
    port.gate.knows("anna", "anna")
    caller = await port.dial()
    frames = caller.encoded("hello", token="anna") + caller.encoded("ping")

    await caller.send(request_head() + frames[:-3])
    await caller.head()
    await caller.hear("welcome")
    await caller.send(frames[-3:])

    assert (await caller.hear("ok"))["ref"] == 2


async def test_the_upgrades_token_and_address_reach_the_gate(port):
    """Origin and agent too; the token of the query never stays in the opening."""
    port.gate.knows("secret", "anna")
    caller = await port.dial()
    await caller.upgrade(
        "User-Agent: test/1", "Origin: https://chat.example", path="/ws?token=secret"
    )
    await caller.say("hello")
    await caller.hear("welcome")

    ((token, opening),) = port.gate.asked
    assert token == "secret"
    assert (opening.address, opening.origin, opening.agent) == (
        "127.0.0.1",
        "https://chat.example",
        "test/1",
    )


async def test_of_a_long_agent_as_much_is_kept_as_hello_may_say(port):
    """One of 8 KB would be in memory for as long as the connection, and in no list of sessions."""
    port.gate.knows("secret", "anna")
    caller = await port.dial()
    await caller.upgrade("User-Agent: " + "x" * 7000)
    await caller.say("hello", token="secret")
    await caller.hear("welcome")

    ((_, opening),) = port.gate.asked
    assert opening.agent == "x" * 200


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["endless", "whole"])
async def test_a_head_above_its_limit_is_431(end):
    """Told so that it can be read, although more was sent than is read; then the end."""
    async with open_port(head_bytes_max=1000) as port:
        caller = await port.dial()
        await caller.send(b"GET /ws HTTP/1.1\r\nX: " + b"x" * 5000 + end)

        assert b" 431 " in await caller.head()
        assert await caller.ended()
        caller.hang_up()
        await port.empty()


async def test_a_head_that_is_not_whole_in_time_ends(port):
    """Byte by byte does not help: the time is that of the whole head."""
    caller = await port.dial()
    for byte in request_head()[:20]:
        await caller.send(bytes((byte,)))
        await port.pass_s(port.engine.limits.handshake_timeout_s / 20)

    assert await caller.ended()
    caller.hang_up()
    await port.empty()


@pytest.mark.parametrize("is_reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("sent", [b"", b"GET /w", request_head()[:-1]])
async def test_who_goes_before_the_head_is_whole_leaves_nothing(port, sent, is_reset):
    caller = await port.dial()
    await caller.send(sent)
    await settled()

    if is_reset:
        caller.reset()
    else:
        caller.hang_up()

    await port.empty()
    assert port.engine._departure.edges[0]._others == 0


async def test_who_resets_right_after_the_head_leaves_nothing(port):
    """The 101 meets nobody; the listener goes on."""
    for _ in range(20):
        caller = await port.dial()
        await caller.send(request_head())
        caller.reset()

    await port.empty()
    caller, _ = await port.enter("anna")
    await caller.ask("ping")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("Sec-WebSocket-Protocol: other.v1",), b"400"),
        (("Sec-WebSocket-Version: 12",), b"400"),
        (("Host: second.example",), b"400"),
    ],
)
async def test_a_bad_upgrade_is_told_why(port, lines, status):
    caller = await port.dial()
    await caller.send(request_head("/ws", *lines))

    response = await caller.read_all()

    assert response.split()[1] == status
    caller.hang_up()
    await port.empty()


# --- what is no upgrade ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [PLAIN, request_head("/wss") + b"hello", request_head("/ws", upgrade=False) + b"hello"],
    ids=["post", "path", "get"],
)
async def test_what_is_no_upgrade_goes_on_with_all_its_bytes(request_):
    """Whatever was read to find that out, and what comes later, in one stream."""
    behind = Behind()
    async with open_port(fallback=behind) as port:
        caller = await port.dial()
        await caller.send(request_[:-3])
        await settled()
        await caller.send(request_[-3:])

        assert (await caller.head()).startswith(b"HTTP/1.1 200 ")
        assert await caller.ended()
        assert behind.received == [request_]
        assert behind.peers == [caller.sock.getsockname()]
        caller.hang_up()
        await port.empty()


async def test_with_nothing_behind_it_is_404(port):
    caller = await port.dial()
    await caller.send(PLAIN)

    head = await caller.head()
    body = await caller.read_all()

    assert head.startswith(b"HTTP/1.1 404 ")
    assert f"Content-Length: {len(body)}\r\n".encode() in head
    caller.hang_up()
    await port.empty()


@pytest.mark.parametrize("error", [trio.BrokenResourceError, ConnectionResetError])
async def test_a_connection_that_breaks_behind_ends_alone(error):
    """As any connection of the engine's own does; its socket is closed."""

    async def breaks(stream):
        await stream.receive_some()
        raise error

    async with open_port(fallback=breaks) as port:
        caller = await port.dial()
        await caller.send(PLAIN)

        assert await caller.ended()
        caller.hang_up()
        await port.empty()


# --- how many --------------------------------------------------------------------------------


async def test_connections_beyond_the_limit_are_not_taken():
    """Greeted ones count too; whoever goes makes room."""
    async with open_port(connections_max=3) as port:
        first, _ = await port.enter("anna")
        await port.enter("ben")
        silent = await port.dial()
        await settled()

        assert await (await port.dial()).ended()

        silent.hang_up()
        await settled()
        third, _ = await port.enter("eva")
        assert await (await port.dial()).ended()
        first.hang_up()
        await settled()
        await port.enter("anna")
        await third.ask("ping")


async def test_a_storm_is_taken_whole(port):
    """More at once than are accepted in one turn."""
    callers = [await port.dial() for _ in range(150)]
    for caller in callers:
        await caller.send(request_head())

    for caller in callers:
        assert (await caller.head()).startswith(b"HTTP/1.1 101 ")
    assert len(port.connections()) == 150


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ECONNABORTED])
async def test_a_failing_accept_does_not_end_the_listener(port, monkeypatch, caplog, code):
    """Without file descriptors it waits a moment, and says so; those who knock are taken later."""
    accept, failures = socket.socket.accept, [OSError(code, "no")] * 3

    def fails(self):
        if failures:
            raise failures.pop()
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", fails)
    port.gate.knows("anna", "anna")
    caller = await port.dial()
    await caller.send(request_head() + caller.encoded("hello", token="anna"))
    for _ in range(3):
        await port.pass_s(0.2)

    await caller.head()
    await caller.hear("welcome")
    told = [one.message for one in caplog.records if one.levelno == logging.WARNING]
    if code == errno.EMFILE:
        assert told == [
            "no more connections can be taken: [Errno 24] no",
            "connections are taken again (and 2 more like the last one)",
        ]
    else:
        assert told == []


# --- binding and closing ---------------------------------------------------------------------


async def test_port_0_is_one_that_the_system_chose(port):
    """And two listeners have two."""
    host, number = port.address
    other = await port.engine.listen("127.0.0.1", 0)

    assert host == other[0] == "127.0.0.1"
    assert 0 < number != other[1] > 0


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing(port):
    before = port.left()

    with pytest.raises(OSError, match="in use"):
        await port.engine.listen(*port.address)

    await settled()
    assert port.left() == before


async def test_sockets_that_listen_already_are_served_and_closed_with_the_engine():
    """As a supervisor hands them over."""
    async with open_port() as port:
        sock = socket.create_server(("127.0.0.1", 0))
        port.engine.listen_on([sock])
        with socket.socket() as caller:
            caller.connect(sock.getsockname())
            await settled()

            assert len(port.engine._departure.edges[-1]._greetings) == 1
            assert not sock.getblocking()

    assert sock.fileno() == -1


def require_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"IPv6 is missing: {error}")


async def test_ipv6_is_served_too():
    require_ipv6()
    async with open_port(host="::1") as port:
        caller, connection = await port.enter("anna")
        await caller.ask("ping")

        assert port.address[0] == connection.session.opening.address == "::1"


class TwoAddresses(trio.abc.HostnameResolver):
    """Knows one name, of two addresses."""

    async def getaddrinfo(self, host, port, *wishes):
        assert host == b"twofold"
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)),
            (socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("::1", port, 0, 0)),
        ]

    async def getnameinfo(self, sockaddr, flags):
        raise AssertionError("nobody asks for names")


async def test_every_address_of_a_name_has_the_same_port(port):
    """The first address has it chosen, and is the one told."""
    require_ipv6()
    trio.socket.set_custom_hostname_resolver(TwoAddresses())

    host, number = await port.engine.listen("twofold", 0)

    assert host == "127.0.0.1"
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as sock:
            sock.connect((address, number))


async def test_closing_the_listener_lets_connections_live(port):
    """Also those whose head is still on its way."""
    caller, _ = await port.enter("anna")
    late = await port.dial()
    await late.send(request_head()[:10])
    await settled()

    await port.engine._departure.edges[0].close()

    with pytest.raises(ConnectionRefusedError):
        await port.dial()
    await caller.ask("ping")
    await late.send(request_head()[10:])
    assert (await late.head()).startswith(b"HTTP/1.1 101 ")


async def test_the_end_of_the_engine_ends_those_who_were_not_greeted():
    """Whoever is in the middle of a head, or behind, ends with it."""
    behind = Behind()
    async with open_port(fallback=behind) as port:
        half, plain = await port.dial(), await port.dial()
        await half.send(request_head()[:10])
        await plain.send(PLAIN[:-3])
        await settled()
        port.callers.clear()

    for caller in (half, plain):
        assert await caller.ended()
        caller.hang_up()


async def test_a_response_that_nobody_reads_is_given_up(port):
    caller = await port.dial()
    await caller.send(PLAIN)
    await caller.head()
    await caller.read_all()
    assert port.engine._departure.edges[0]._others == 1

    await port.pass_s(port.engine.limits.close_timeout_s)

    assert port.engine._departure.edges[0]._others == 0


async def test_frames_of_the_first_write_may_be_hostile(port):
    """A broken frame right behind the head is answered as any other one."""
    caller = await port.dial()
    await caller.send(request_head() + frame(b"\xff"))
    await caller.head()

    assert (await caller.closed())[0] == 1007
