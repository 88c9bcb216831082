"""Laws of `_wire.handshake`: one answer per head, whichever way it is reached."""

import doctest
import gc
import logging
import time
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from triolet._wire import handshake
from triolet._wire.handshake import Accepted, Rejected, RequestHead, answer, is_upgrade, parse_head

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SECRET = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.signature"
BASE = {
    "Host": "chat.example:8000",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}
CHROME = BASE | {
    "Pragma": "no-cache",
    "Cache-Control": "no-cache",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.0.0",
    "Origin": "https://chat.example",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-GB,en;q=0.9",
    "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
    "Sec-WebSocket-Protocol": "triolet.v1.msgpack, triolet.v1.json",
}
FIREFOX = CHROME | {"Connection": "keep-alive, Upgrade", "X-Forwarded-For": "192.0.2.1, 10.0.0.1"}
NODE = BASE | {"Upgrade": "WebSocket", "Connection": "upgrade"}
Headers = dict[str, str] | list[tuple[str, str]]


def head_of(headers: Headers, start: str = "GET /ws HTTP/1.1") -> bytes:
    """A request head."""
    pairs = headers.items() if isinstance(headers, dict) else headers
    lines = [start, *(f"{name}: {value}" for name, value in pairs), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def ask(head: bytes) -> Accepted | Rejected:
    """Answer; Origins are allowed when they are of the host, without its port."""
    return answer(head, origin_allowed=lambda o, host: o == "https://" + host.partition(":")[0])


def ask_slowly(head: bytes) -> Accepted | Rejected:
    """Answer with the fast way closed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handshake, "parse_head", lambda _head: None)
        return ask(head)


def accepted(head: bytes) -> Accepted:
    result = ask(head)
    assert isinstance(result, Accepted), result.response
    return result


def rejected(head: bytes) -> Rejected:
    result = ask(head)
    assert isinstance(result, Rejected)
    return result


@pytest.mark.parametrize("headers", [BASE, CHROME, FIREFOX, NODE])
def test_common_heads_take_the_fast_way(headers: Headers, monkeypatch: pytest.MonkeyPatch) -> None:
    """What browsers and libraries send never reaches ServerProtocol."""
    monkeypatch.setattr(handshake, "ServerProtocol", None)

    assert accepted(head_of(headers)).host == "chat.example:8000"


def test_the_answer_is_the_one_of_the_rfc() -> None:
    """RFC 6455, 1.3: its own key gives its own accept value."""
    line = b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

    assert line in accepted(head_of(BASE)).response


@pytest.mark.parametrize("subprotocol", [None, "triolet.v1.json", "triolet.v1.msgpack"])
def test_an_independent_client_is_satisfied(subprotocol: str | None) -> None:
    """`websockets`' client opens on our 101, with its subprotocol (or none) and no extension."""
    offered = subprotocol and [subprotocol]
    client = ClientProtocol(parse_uri("ws://chat.example/ws"), subprotocols=offered)
    client.send_request(client.connect())
    result = accepted(b"".join(client.data_to_send()))
    client.receive_data(result.response)

    assert client.handshake_exc is None
    assert client.state is OPEN
    assert client.subprotocol == subprotocol
    assert client.extensions == []
    assert result.text == (subprotocol != "triolet.v1.msgpack")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("triolet.v1.msgpack, triolet.v1.json", "triolet.v1.msgpack"),
        ("triolet.v1.json,triolet.v1.msgpack", "triolet.v1.json"),
        ("triolet.v9.json, triolet.v1.json", "triolet.v1.json"),
        (", triolet.v9.json,, triolet.v1.msgpack ,", "triolet.v1.msgpack"),
    ],
)
def test_the_first_known_subprotocol_is_chosen(offered: str, chosen: str) -> None:
    """RFC 6455, 4.1: the client lists by preference, so its first known one is taken."""
    result = accepted(head_of(BASE | {"Sec-WebSocket-Protocol": offered}))

    assert result.response.endswith(f"\r\nSec-WebSocket-Protocol: {chosen}\r\n\r\n".encode())
    assert result.text == (chosen == "triolet.v1.json")


def test_repeated_lists_are_one_list() -> None:
    """RFC 9110, 5.3: a list may come in several headers, from several proxies for instance."""
    name = "Sec-WebSocket-Protocol"
    headers = [*BASE.items(), (name, "chat"), (name, "triolet.v1.msgpack")]
    hops = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "10.0.0.1")]
    result = accepted(head_of(headers + hops))

    assert (result.text, result.forwarded_for) == (False, "192.0.2.1, 10.0.0.1")


@pytest.mark.parametrize("offered", ["chat", "TRIOLET.V1.JSON", "triolet.v1", "a, b", "", "a b"])
def test_unknown_subprotocols_only_are_refused(offered: str) -> None:
    """Offered, and none known: 400."""
    assert rejected(head_of(BASE | {"Sec-WebSocket-Protocol": offered})).status == 400


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://chat.example", 101), ("https://evil.example", 403), ("null", 403), ("", 403)],
)
def test_an_origin_must_be_allowed(origin: str, status: int) -> None:
    """An Origin, when present, is asked about together with the Host; refused: 403."""
    result = ask(head_of(BASE | {"Origin": origin}))

    assert result.response.startswith(f"HTTP/1.1 {status} ".encode())
    if isinstance(result, Accepted):
        assert result.origin == origin


def test_a_missing_origin_asks_nobody() -> None:
    """Only browsers send an Origin; others are not asked for one."""
    assert isinstance(answer(head_of(BASE), origin_allowed=lambda _o, _h: 1 / 0 > 0), Accepted)


@pytest.mark.parametrize(
    ("query", "authorization", "token"),
    [
        ("", None, None), ("?token=", None, None), ("?token", None, None), ("?tokens", None, None),
        ("?token=a.b-c_d", None, "a.b-c_d"), ("?token=first&token=second", None, "first"),
        ("?x=1&token=a%2Bb%3d&y", None, "a+b="), ("?token=a+b", None, "a+b"),
        ("?token=%ff", None, "\ufffd"), ("", "Bearer a.b", "a.b"), ("", "bearer   a.b", "a.b"),
        ("", "Bearer", None), ("?token=a", "Bearer b", "b"), ("?token=a", "Basic dTpw", "a"),
    ],
)  # fmt: skip
def test_the_token_is_found(query: str, authorization: str | None, token: str | None) -> None:
    """`Authorization: Bearer` first (its scheme in any case), else `?token=`, percent-decoded."""
    headers = BASE if authorization is None else BASE | {"Authorization": authorization}
    head = head_of(headers, f"GET /ws{query} HTTP/1.1")

    assert accepted(head).token == token
    assert ask_slowly(head) == ask(head)


def test_what_the_listener_wants_to_know_is_told() -> None:
    """Host, Origin, User-Agent and the raw X-Forwarded-For come along, or None."""
    told, silent = accepted(head_of(FIREFOX)), accepted(head_of(BASE))

    assert (told.host, told.origin) == ("chat.example:8000", "https://chat.example")
    assert told.user_agent == "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.0.0"
    assert told.forwarded_for == "192.0.2.1, 10.0.0.1"
    assert (silent.origin, silent.user_agent, silent.forwarded_for) == (None, None, None)


@pytest.mark.parametrize("name", ["Host", "Authorization", "Origin", "Sec-WebSocket-Key"])
def test_a_second_word_is_refused(name: str) -> None:
    """RFC 9112, 3.2 and its like: two values where one counts are 400, not a choice."""
    headers = CHROME | {"Authorization": "Bearer a"}

    assert rejected(head_of([*headers.items(), (name, headers[name])])).status == 400


def without(name: str) -> bytes:
    return head_of({key: value for key, value in BASE.items() if key != name})


@pytest.mark.parametrize(
    ("clause", "status", "head"),
    [
        ("4.2.1 GET", 405, head_of(BASE, "POST /ws HTTP/1.1")),
        ("4.2.1 HTTP/1.1", 505, head_of(BASE, "GET /ws HTTP/1.0")),
        ("4.2.1 Host", 400, without("Host")),
        ("4.2.1 Upgrade", 426, without("Upgrade")),
        ("4.2.1 Upgrade: websocket", 426, head_of(BASE | {"Upgrade": "h2c"})),
        ("4.2.1 Connection", 426, without("Connection")),
        ("4.2.1 Connection: Upgrade", 426, head_of(BASE | {"Connection": "keep-alive"})),
        ("4.2.1 a list of tokens", 400, head_of(BASE | {"Connection": "a b, Upgrade"})),
        ("4.2.1 Sec-WebSocket-Key", 400, without("Sec-WebSocket-Key")),
        ("4.2.1 a key of 16 bytes", 400, head_of(BASE | {"Sec-WebSocket-Key": "c2hvcnQ="})),
        ("4.2.1 a key in base64", 400, head_of(BASE | {"Sec-WebSocket-Key": "!" * 24})),
        ("4.2.1 Sec-WebSocket-Version", 400, without("Sec-WebSocket-Version")),
        ("4.2.1 version 13", 400, head_of(BASE | {"Sec-WebSocket-Version": "8"})),
        ("9112 5.2 no folding", 400, head_of(BASE | {"X-A": "b\r\n folded"})),
        ("9112 5.1 no blank before the colon", 400, head_of(BASE | {"X-A ": "b"})),
        ("9112 2.2 CR LF", 400, head_of(BASE).replace(b"\r\n", b"\n")),
        ("9110 5.5 no NUL", 400, head_of(BASE | {"X-A": "a\0b"})),
        ("9110 5.5 no DEL", 400, head_of(BASE | {"X-A": "a\x7fb"})),
        ("9112 6.1 no body", 400, head_of(BASE | {"Transfer-Encoding": "chunked"})),
        ("9112 6.2 no body", 400, head_of(BASE | {"Content-Length": "1"})),
        ("no line above 8 KiB", 431, head_of(BASE | {"X-A": "b" * 9_000})),
        ("no target above 8 KiB", 414, head_of(BASE, f"GET /ws?{'a' * 9_000} HTTP/1.1")),
        ("no more than 128 headers", 431, head_of(BASE | {f"X-{n}": "" for n in range(130)})),
        ("not HTTP", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        ("no end", 400, head_of(BASE)[:-2]),
        ("one head only", 400, head_of(BASE) + b"\x81\x80\0\0\0\0"),
        ("nothing", 400, b""),
    ],
)
def test_a_bad_upgrade_is_refused(clause: str, status: int, head: bytes) -> None:
    """RFC 6455, 4.2.1: what is missing or wrong is refused, by a whole HTTP response."""
    result = rejected(head)
    fields, _, body = result.response.partition(b"\r\n\r\n")
    start, *lines = fields.split(b"\r\n")

    assert result.status == status, clause
    assert start.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close" in lines
    assert b"Content-Length: %d" % len(body) in lines
    assert (b"Allow: GET" in lines) == (status == 405)
    assert (b"Upgrade: websocket" in lines) == (status == 426)
    assert ask_slowly(head) == result


def test_a_client_reads_our_refusal() -> None:
    """`websockets`' client takes the response as HTTP, status and body."""
    client = ClientProtocol(parse_uri("ws://chat.example/ws"), origin="https://evil.example")
    client.send_request(client.connect())
    client.receive_data(rejected(b"".join(client.data_to_send())).response)

    assert isinstance(client.handshake_exc, InvalidStatus)
    assert client.handshake_exc.response.status_code == 403
    assert client.handshake_exc.response.body == b"This Origin is not allowed.\n"


def test_an_odd_but_valid_head_is_accepted() -> None:
    """The slow way accepts what the fast way leaves to it: lists with gaps, an empty body."""
    odd = {"Connection": ", Upgrade,, x", "Content-Length": "0", "X-Y": "\u00e9"}

    assert accepted(head_of(BASE | odd)).response == accepted(head_of(BASE)).response


NAMES = st.sampled_from([*FIREFOX, "Authorization", "Content-Length", "Transfer-Encoding", "X-New"])
VALUES = st.sampled_from([
    "", "13", "8", KEY, KEY[:-1], "websocket", "WebSocket, h2c", "Upgrade", "keep-alive, upgrade",
    "keep-alive", "a b", ",upgrade", "triolet.v1.json", "chat , triolet.v1.msgpack", "a/b", "0",
    "https://chat.example", "https://evil.example", "Bearer x", " padded\t", "\xff", "a\x7fb",
    "a\rb",
])  # fmt: skip
Edits = list[tuple[str, str, str]]
EDITS = st.lists(st.tuples(st.sampled_from(["set", "add", "drop", "case"]), NAMES, VALUES))


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(st.sampled_from([BASE, CHROME, FIREFOX]), EDITS, st.integers(0, 9_999), st.integers(0, 255))
def test_both_ways_answer_alike(headers: Headers, edits: Edits, at: int, flip: int) -> None:
    """Heads edited and damaged at will get one answer from both ways, byte by byte.

    And a 101 only where a plain ServerProtocol gives one, with the same accept value.
    """
    pairs = list(headers.items())
    for verb, name, value in edits:
        if verb == "add":
            pairs.append((name, value))
        elif verb == "drop":
            pairs = [pair for pair in pairs if pair[0] != name]
        elif verb == "case":
            pairs = [(n.swapcase() if n == name else n, v) for n, v in pairs]
        else:
            pairs = [(n, value if n == name else v) for n, v in pairs]
    head = bytearray(head_of(pairs, f"GET /ws?token={SECRET} HTTP/1.1"))
    if at < len(head):
        head[at] ^= flip
    check_one_answer(bytes(head))


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=80))
def test_noise_is_refused(noise: bytes) -> None:
    """Nothing that is sent in place of a head raises, or is accepted."""
    check_one_answer(noise + b"\r\n\r\n")
    check_one_answer(b"GET /ws HTTP/1.1\r\n" + noise + b"\r\n\r\n")

    assert ask(noise + b"\r\n\r\n").response[:12] != b"HTTP/1.1 101"


def check_one_answer(head: bytes) -> None:
    result = ask(head)
    assert ask_slowly(head) == result
    if isinstance(result, Accepted):
        plain = ServerProtocol()
        plain.receive_data(head)
        (request,) = plain.events_received()
        response = plain.accept(request)
        assert response.status_code == 101
        assert response.headers["Sec-WebSocket-Accept"].encode() in result.response


@pytest.mark.parametrize(
    "head",
    [
        head_of(BASE), head_of(NODE), head_of(CHROME, f"GET /ws?token={SECRET} HTTP/1.1"),
        head_of(BASE, "GET /ws HTTP/1.0"), head_of(BASE | {"Upgrade": "h2c, websocket"}),
        without("Sec-WebSocket-Key"),
    ],
)  # fmt: skip
def test_upgrades_on_the_path_are_ours(head: bytes) -> None:
    """A WebSocket upgrade on `/ws`, with any query and even if faulty, is the edge's."""
    assert is_upgrade(head)
    assert is_upgrade(head.replace(b"/ws", b"/chat/ws"), path="/chat/ws")


@pytest.mark.parametrize(
    "head",
    [
        head_of(BASE, "GET /wsx HTTP/1.1"), head_of(BASE, "GET /ws/ HTTP/1.1"), b"GET /ws", b"",
        head_of(BASE, "POST /ws HTTP/1.1"), without("Upgrade"), head_of(BASE | {"Upgrade": "h2c"}),
        head_of({"Host": "a", "X": "Upgrade: websocket"}), head_of(BASE, "GET /w HTTP/1.1"),
    ],
)  # fmt: skip
def test_anything_else_is_not(head: bytes) -> None:
    """Every other request goes to HTTP, unread."""
    assert not is_upgrade(head)


def test_a_head_is_parsed_as_it_stands() -> None:
    """Names come in lower case, values without outer blanks, the target whole."""
    head = parse_head(b"GET /ws?a=b HTTP/1.1\r\nHost:a\r\nX-Y: \t b c\xff \r\nEmpty:\r\n\r\n")

    assert head == RequestHead(b"/ws?a=b", {b"host": b"a", b"x-y": b"b c\xff", b"empty": b""})


@pytest.mark.parametrize("filler", [" ", "\t", "a", "\xff", " \t", ": ", ",", ", ", "a,", "a "])
@pytest.mark.parametrize("name", ["Host", "Connection", "Upgrade", "Sec-WebSocket-Protocol"])
def test_a_hostile_head_costs_no_more_than_another(filler: str, name: str) -> None:
    """No pattern tries again and again: 8 KiB of anything takes well under 100 ms of CPU."""
    for end in ("", "\x01", "\xff", "b c"):
        head = head_of(BASE | {name: (filler * 7_900)[:7_900] + end})
        began = time.process_time()
        ask(head)
        is_upgrade(head)
        assert time.process_time() - began < 0.1


@pytest.mark.parametrize("start", [f"GET /ws?token={SECRET} HTTP/1.1", "GET /ws HTTP/1.1"])
def test_the_token_is_in_no_repr_and_no_log(start: str, caplog: pytest.LogCaptureFixture) -> None:
    """Rule 19: with every logger at DEBUG, neither way prints the token, and no repr holds it."""
    caplog.set_level(logging.DEBUG)
    head = head_of(CHROME | {"Authorization": f"Bearer {SECRET}"}, start)
    bad = head.replace(b"13", b"12")

    shown = [ask(head), ask_slowly(head), parse_head(head), ask(bad), ask(bad + b"\0")]

    assert SECRET not in repr(shown)
    assert SECRET not in caplog.text


@pytest.mark.parametrize("edit", [{"Content-Length": "0"}, {"Upgrade": "h2c"}, {"A ": ""}])
def test_the_slow_way_leaves_no_garbage(edit: Headers, monkeypatch: pytest.MonkeyPatch) -> None:
    """ServerProtocol (4.6 KB, a cycle) is gone with the answer, without the garbage collector."""
    made: list[weakref.ref[ServerProtocol]] = []

    class Watched(ServerProtocol):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)
            made.append(weakref.ref(self))

    monkeypatch.setattr(handshake, "ServerProtocol", Watched)
    gc.disable()
    try:
        ask(head_of(BASE | edit))
        assert [protocol() for protocol in made] == [None]
    finally:
        gc.enable()


def test_the_examples_are_true() -> None:
    """Each docstring's example runs as printed."""
    assert doctest.testmod(handshake).failed == 0
