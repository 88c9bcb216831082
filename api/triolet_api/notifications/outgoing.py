"""Requests to addresses that users name: HTTPS, to public addresses alone, and no further.

The name is resolved once, every address of it is checked, and the connection is made to one of
those very addresses: a name that means something else a moment later reaches nothing. Redirects
are answers like others, proxies of the environment are not used, and of an answer's body only
the beginning is read.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, final
from urllib.parse import urlsplit

import trio
from msgspec import Struct

from .addresses import Network, is_reachable

if TYPE_CHECKING:
    from httpcore import AsyncConnectionPool, AsyncNetworkStream

# As long as anybody's: an endpoint of the great push services has 200 to 500.
URL_CHARACTERS_MAX: Final = 2048
# Of an answer's body: what a log line tells of a refusal.
_BODY_BYTES_MAX: Final = 1024
_CONNECTIONS_MAX: Final = 64
_IDLE_MAX: Final = 16
_IDLE_S: Final = 60.0
_RESOLVE_TIMEOUT_S: Final = 5.0
# Names that are looked up at once: one whose server does not answer holds a thread for half a
# minute, and must hold none that others of this process wait for.
_LOOKUPS_MAX: Final = 16


class RequestFailed(Exception):
    """No answer came: it may be tried again."""


@final
class AddressRefused(Exception):
    """The address is none that may be reached; the text says why, and not where."""


@final
class Answer(Struct, frozen=True):
    """What the other side said.

    Attributes:
        retry_after: the header of that name, or empty.
        body: the beginning of it.
    """

    status: int
    retry_after: str
    body: bytes


def check_url(url: str, *, schemes: Sequence[str] = ("https",)) -> tuple[str, int]:
    """Return the host and the port of a URL that may be asked for.

    Raises:
        AddressRefused: it is too long, of another scheme, names somebody's password, or is none.

    >>> check_url("https://push.example.net/send/abc")
    ('push.example.net', 443)
    """
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused("this is no URL")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("this is no URL") from None
    if parts.scheme not in schemes:
        raise AddressRefused(f"only {' and '.join(schemes)} URLs are asked for")
    if not parts.hostname or "@" in parts.netloc or "\\" in url or "#" in url:
        raise AddressRefused("a URL has a host, and neither a password nor a fragment")
    return parts.hostname, port or (443 if parts.scheme == "https" else 80)


@final
class Outgoing:
    """Asks others over HTTPS; see the module, and `open_outgoing`.

    Args:
        allowed: private networks that may be reached.
        timeout_s: for one request, from resolving to the answer.
        trust: certificates besides the system's, for servers of one's own.
    """

    def __init__(
        self,
        *,
        allowed: Iterable[Network] = (),
        timeout_s: float = 10.0,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self._timeout_s = timeout_s
        self._trust = trust
        self._lookups = trio.CapacityLimiter(_LOOKUPS_MAX)
        self._pool: AsyncConnectionPool | None = None

    async def check(self, url: str) -> None:
        """Refuse a URL that would be refused when it is asked for.

        Raises:
            AddressRefused: it is none, or names an address that may not be reached.
            RequestFailed: its host cannot be resolved.
        """
        await self.resolve(*check_url(url))

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, if all of them may be reached.

        One bad address spoils all: who may put it there means no good with the others.

        Raises:
            AddressRefused: one may not.
            RequestFailed: there is none.
        """
        try:
            with trio.fail_after(_RESOLVE_TIMEOUT_S):
                found = await trio.to_thread.run_sync(
                    partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM),
                    abandon_on_cancel=True,
                    limiter=self._lookups,
                )
        except (OSError, UnicodeError, trio.TooSlowError):
            raise RequestFailed("the host cannot be resolved") from None
        addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        if not addresses:
            raise RequestFailed("the host has no address")
        if not all(is_reachable(address, allowed=self._allowed) for address in addresses):
            raise AddressRefused("the host is in a private network")
        return addresses

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send `body`, and return the answer, whatever its status.

        Raises:
            AddressRefused: it may not be sent there.
            RequestFailed: no answer came in time; it may have arrived all the same.
        """
        import httpcore  # noqa: PLC0415 - 60 ms that a start without a push need not take

        check_url(url)
        if self._pool is None:
            self._pool = _pool(self, self._trust)
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            with trio.fail_after(self._timeout_s):
                async with self._pool.stream("POST", url, headers=sent, content=body) as response:
                    return await _answer(response.status, response.headers, response.aiter_stream())
        except trio.TooSlowError:
            raise RequestFailed("no answer in time") from None
        except (
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            httpcore.ConnectionNotAvailable,
            OSError,
        ) as error:
            # Without its text: a URL may be in it, and that is a secret.
            raise RequestFailed(type(error).__name__) from None

    async def aclose(self) -> None:
        """Close the connections that are kept."""
        if self._pool is not None:
            await self._pool.aclose()


@asynccontextmanager
async def open_outgoing(
    *,
    allowed: Iterable[Network] = (),
    timeout_s: float = 10.0,
    trust: ssl.SSLContext | None = None,
) -> AsyncIterator[Outgoing]:
    """Have an `Outgoing` for as long as the block lasts; see there."""
    outgoing = Outgoing(allowed=allowed, timeout_s=timeout_s, trust=trust)
    try:
        yield outgoing
    finally:
        with trio.move_on_after(1, shield=True):
            await outgoing.aclose()


async def _answer(
    status: int, headers: Sequence[tuple[bytes, bytes]], chunks: AsyncIterator[bytes]
) -> Answer:
    retry_after = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    body = b""
    # Not by `break`: httpcore's generators end with their connection if they are cancelled, and
    # are left to the garbage collector, which cannot wait, if they are only left.
    with trio.CancelScope() as scope:
        async for chunk in chunks:
            body += chunk
            if len(body) >= _BODY_BYTES_MAX:
                scope.cancel()
    return Answer(status, retry_after.decode("latin-1"), body[:_BODY_BYTES_MAX])


def _pool(outgoing: Outgoing, trust: ssl.SSLContext | None) -> "AsyncConnectionPool":
    import httpcore  # noqa: PLC0415 - see `post`

    class Guarded(httpcore.AsyncNetworkBackend):
        """Connects to what was checked."""

        def __init__(self) -> None:
            self._trio = httpcore.TrioBackend()

        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
            local_address: str | None = None,
            socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
        ) -> "AsyncNetworkStream":
            failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
            for address in await outgoing.resolve(host, port):
                try:
                    return await self._trio.connect_tcp(
                        address, port, timeout, local_address, socket_options
                    )
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                    failure = error
            assert failure is not None, "a host has an address"
            raise failure

        async def sleep(self, seconds: float) -> None:
            await trio.sleep(seconds)

    return httpcore.AsyncConnectionPool(
        ssl_context=trust or _trust(),
        max_connections=_CONNECTIONS_MAX,
        max_keepalive_connections=_IDLE_MAX,
        keepalive_expiry=_IDLE_S,
        network_backend=Guarded(),
    )


def _trust() -> ssl.SSLContext:
    """Return whom we trust: the system (`SSL_CERT_FILE` too), and certifi where it has nobody."""
    import certifi  # noqa: PLC0415 - see `Outgoing.post`

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
