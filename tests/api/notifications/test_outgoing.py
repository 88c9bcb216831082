"""Law: a request goes to an address that was checked, or to none."""

import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
import trio.testing

from triolet.testing.services.certificates import make_certificates
from triolet_api.notifications.outgoing import (
    AddressRefused,
    Outgoing,
    RequestFailed,
    check_url,
    open_outgoing,
)

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
# In which an answer comes, and threads have begun, on a machine that is busy with other things.
PATIENCE_S = 60
OK = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok"


@asynccontextmanager
async def answering(
    answer: bytes, folder: Path
) -> AsyncIterator[tuple[str, list[bytes], Outgoing]]:
    """An HTTPS server on loopback that answers each request alike; yields its URL."""
    certificates = make_certificates(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.cert, certificates.key)
    heard: list[bytes] = []

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            while data := await stream.receive_some():
                heard.append(data)
                if data.endswith(b"payload"):
                    await stream.send_all(answer)
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        start = partial(trio.serve_ssl_over_tcp, serve, 0, context, host="127.0.0.1")
        (listener,) = await nursery.start(start)
        port = listener.transport_listener.socket.getsockname()[1]
        trust = ssl.create_default_context(cafile=str(certificates.ca))
        async with open_outgoing(allowed=LOOPBACK, trust=trust, timeout_s=PATIENCE_S) as outgoing:
            yield f"https://localhost:{port}/push/1", heard, outgoing
        nursery.cancel_scope.cancel()


async def test_it_sends_and_tells_the_answer(tmp_path: Path) -> None:
    async with answering(OK, tmp_path) as (url, heard, outgoing):
        answers = [await outgoing.post(url, b"payload", {"TTL": "60"}) for _ in range(2)]

    assert [(one.status, one.body) for one in answers] == [(201, b"ok")] * 2
    sent = b"".join(heard)
    assert sent.count(b"POST /push/1 HTTP/1.1\r\n") == 2
    assert b"TTL: 60\r\n" in sent


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 307 Go\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
    async with answering(answer, tmp_path) as (url, _, outgoing):
        assert (await outgoing.post(url, b"payload", {})).status == 307


async def test_of_a_long_answer_the_beginning_is_read(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 400 Bad\r\nretry-after: 7\r\ncontent-length: 9999999\r\n\r\n" + b"x" * 5000
    async with answering(answer, tmp_path) as (url, _, outgoing):
        found = await outgoing.post(url, b"payload", {})

    assert (found.status, found.retry_after, found.body) == (400, "7", b"x" * 1024)


async def test_who_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    async with answering(b"", tmp_path) as (url, _, outgoing):
        outgoing._timeout_s = 0.2
        with pytest.raises(RequestFailed, match="no answer in time"):
            await outgoing.post(url, b"payload", {})


async def test_nonsense_is_no_answer(tmp_path: Path) -> None:
    async with answering(b"nonsense\r\n\r\n", tmp_path) as (url, _, outgoing):
        with pytest.raises(RequestFailed, match="RemoteProtocolError"):
            await outgoing.post(url, b"payload", {})


async def test_a_certificate_of_nobody_known_is_refused(tmp_path: Path) -> None:
    async with answering(OK, tmp_path) as (url, heard, _), open_outgoing(allowed=LOOPBACK) as other:
        with pytest.raises(RequestFailed, match="ConnectError"):
            await other.post(url, b"payload", {})

    assert heard == []


async def test_a_private_network_is_not_reached_by_any_name(tmp_path: Path) -> None:
    async with answering(OK, tmp_path) as (url, heard, _), open_outgoing() as strict:
        for name in ("localhost", "127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"):
            named = url.replace("localhost", name)
            with pytest.raises(AddressRefused, match="the host is in a private network"):
                await strict.check(named)
            with pytest.raises(AddressRefused, match="the host is in a private network"):
                await strict.post(named, b"payload", {})

    assert heard == []


def looking_up(monkeypatch: pytest.MonkeyPatch, getaddrinfo: Callable[..., list[object]]) -> None:
    """Have names looked up by this, here and nowhere else."""
    resolver = SimpleNamespace(getaddrinfo=getaddrinfo, SOCK_STREAM=socket.SOCK_STREAM)
    monkeypatch.setattr("triolet_api.notifications.outgoing.socket", resolver)


async def test_names_that_nobody_answers_for_hold_no_thread_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever subscribes names of their own server's may let it be silent."""
    answer, asked = threading.Event(), []

    def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        answer.wait()
        return [(2, 1, 6, "", ("93.184.216.34", port))]

    looking_up(monkeypatch, getaddrinfo)
    try:
        async with open_outgoing() as strict, trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(strict.check, f"https://push{number}.example.net/1")
            with trio.fail_after(PATIENCE_S):
                while len(asked) < 16:  # noqa: ASYNC110 - threads tell nothing
                    await trio.sleep(0.01)
            await trio.testing.wait_all_tasks_blocked()
            others = trio.to_thread.current_default_thread_limiter()
            assert (len(asked), others.borrowed_tokens) == (16, 0)
            nursery.cancel_scope.cancel()
    finally:
        answer.set()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have names mean one list of addresses after another."""

    def mean(*answers: list[str]) -> None:
        left = list(answers)

        def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
            found = left.pop(0) if len(left) > 1 else left[0]
            return [(2, 1, 6, "", (address, port)) for address in found]

        looking_up(monkeypatch, getaddrinfo)

    return mean


async def test_a_name_that_moves_after_the_check_reaches_nothing(
    tmp_path: Path, names: Callable[..., None]
) -> None:
    """DNS rebinding: public when it is looked at, and loopback when it is connected to."""
    async with answering(OK, tmp_path) as (url, heard, _), open_outgoing() as strict:
        names(["93.184.216.34"], ["127.0.0.1"])
        await strict.check(url)
        with pytest.raises(AddressRefused):
            await strict.post(url, b"payload", {})

    assert heard == []


async def test_one_bad_address_among_good_ones_spoils_them(names: Callable[..., None]) -> None:
    names(["93.184.216.34", "10.0.0.1"])
    async with open_outgoing() as strict:
        with pytest.raises(AddressRefused):
            await strict.check("https://push.example.net/1")


async def test_the_connection_is_made_to_the_address_that_was_checked(
    tmp_path: Path, names: Callable[..., None]
) -> None:
    """The name is asked once: a second, other answer is not heard of; the next address is tried."""
    async with answering(OK, tmp_path) as (url, _, outgoing):
        names(["127.0.0.2", "127.0.0.1"], ["93.184.216.34"])
        assert (await outgoing.post(url, b"payload", {})).status == 201


async def test_a_host_that_is_unknown_may_be_known_later() -> None:
    async with open_outgoing() as outgoing:
        with pytest.raises(RequestFailed, match="cannot be resolved"):
            await outgoing.check("https://push.invalid/1")


@pytest.mark.parametrize(
    "url",
    [
        "http://push.example.net/1",
        "file:///etc/passwd",
        "https://",
        "https:///1",
        "https://anna:secret@push.example.net/1",
        "https://push.example.net:99999/1",
        "https://push.example.net/1#part",
        "https://push.example.net\\@10.0.0.1/",
        "https://push.example.net/a b",
        "https://push.example.net/\n",
        "https://püsh.example.net/",
        "https://[::1/",
        "https://push.example.net/" + "x" * 2048,
        "",
    ],
)
def test_what_is_no_url_of_ours_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url)
