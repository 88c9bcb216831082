"""What an operator does with accounts, whether a server has the store or nobody has.

On PostgreSQL, and where no server runs, the store is opened; what is ended then is felt by
servers with their next look at what is revoked, within `revocations_check_s`. The store on SQLite
is its server's alone: that one is asked over HTTP, through the door in its data folder, with a
token made for the occasion with the secret there.
"""

import http.client
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, final
from urllib.parse import quote, urlsplit

import msgspec
import trio
from msgspec import Struct

from triolet._model.errors import ConfigurationError, ErrorCode, Refusal
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.adapters.tokens import mint
from triolet.adapters.urls import is_shared
from triolet.embedded import open_store

from ..running import FILE_NAME, knock
from ..settings import Settings
from ..token import secret_of
from .accounts import Accounts
from .administering import AccountChange, AccountsPage, AccountToAdd, AccountView, Administering
from .families import Families
from .hashing import Hashing
from .revoking import StoreRevoking

T = TypeVar("T")

# Who an operator is to the server, and in its audit log.
_OPERATOR: Final = "operator"
_TOKEN_TTL_S: Final = 60
_TIMEOUT_S: Final = 30


class Desk(Protocol):
    """See the module; each method raises `Refusal` or `StoreError`."""

    async def add(self, wanted: AccountToAdd) -> AccountView:
        """Make an account."""
        ...

    async def change(self, user: str, change: AccountChange) -> AccountView:
        """Change an account."""
        ...

    async def remove(self, user: str) -> None:
        """Remove an account."""
        ...

    async def page(self, *, after: str, limit: int) -> AccountsPage:
        """Return some accounts by name, those after a name."""
        ...


class _Problem(Struct):
    code: int = ErrorCode.INTERNAL
    detail: str = ""


@final
class Way(Struct, frozen=True):
    """Where a server is, and what makes a connection to it, which its first request opens."""

    where: str
    connect: Callable[[], http.client.HTTPConnection]


@final
class _FolderConnection(http.client.HTTPConnection):
    """A connection through the door in a data folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._folder = folder

    def connect(self) -> None:
        """See `http.client`."""
        sock = knock(self._folder)
        if sock is None:
            raise ConnectionRefusedError("it has ended")
        sock.settimeout(_TIMEOUT_S)
        self.sock = sock


def by_url(url: str) -> Way:
    """Return the way to a server at `http://HOST:PORT`."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    kind = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
    return Way(parts.netloc, partial(kind, parts.hostname or "", parts.port, timeout=_TIMEOUT_S))


def by_folder(folder: Path) -> Way:
    """Return the way to the server that runs on `folder`."""
    return Way(str(folder / FILE_NAME), partial(_FolderConnection, folder))


@final
class HttpDesk:
    """A desk behind a running server's HTTP."""

    def __init__(self, way: Way, token: str) -> None:
        self._way = way
        self._token = token

    async def add(self, wanted: AccountToAdd) -> AccountView:
        """See `Desk`."""
        return await self._ask("POST", "", wanted, AccountView)

    async def change(self, user: str, change: AccountChange) -> AccountView:
        """See `Desk`."""
        said = {
            name: value
            for name, value in msgspec.structs.asdict(change).items()
            if value is not None
        }
        return await self._ask("PATCH", f"/{quote(user, safe='')}", said, AccountView)

    async def remove(self, user: str) -> None:
        """See `Desk`."""
        await self._ask("DELETE", f"/{quote(user, safe='')}", None, None)

    async def page(self, *, after: str, limit: int) -> AccountsPage:
        """See `Desk`."""
        query = f"?limit={limit}&after={quote(after)}"
        return await self._ask("GET", query, None, AccountsPage)

    async def _ask(self, method: str, path: str, body: object, kind: type[T] | Any) -> T:
        def ask() -> tuple[int, bytes]:
            connection = self._way.connect()
            headers = {
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
            }
            data = None if body is None else msgspec.json.encode(body)
            try:
                connection.request(method, f"/v1/admin/accounts{path}", data, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        try:
            status, data = await trio.to_thread.run_sync(ask)
        except (OSError, http.client.HTTPException) as error:
            where = self._way.where
            raise ConfigurationError(f"no server answers at {where}: {error}") from None
        if status >= 400:
            raise _refusal(status, data)
        return msgspec.json.decode(data or b"null", type=kind)


def _refusal(status: int, data: bytes) -> Refusal:
    try:
        problem = msgspec.json.decode(data, type=_Problem)
        return Refusal(ErrorCode(problem.code), problem.detail)
    except (msgspec.DecodeError, ValueError):
        return Refusal(ErrorCode.INTERNAL, f"the server answered with {status}")


@asynccontextmanager
async def open_desk(settings: Settings, url: str = "") -> AsyncIterator[Desk]:
    """Open whichever desk there is; see the module.

    Args:
        settings: of the server.
        url: of a server to be asked in any case.

    Raises:
        ConfigurationError: there is none: the store is a running server's, and that, or its
            secret, is not known.
        StoreError: the store cannot be opened.
    """
    store = settings.store_url.reveal()
    way = by_url(url) if url else None if is_shared(store) else _running(settings.data)
    if way is not None:
        yield HttpDesk(way, _token(settings))
        return
    if store == "memory:":
        raise ConfigurationError("store: nothing is kept in memory once no server runs; start it")
    clock, entropy, auth = SystemClock(), SystemEntropy(), settings.auth
    async with open_store(store, clock=clock, entropy=entropy, limits=settings.limits) as opened:
        documents, hashing = opened.documents, Hashing(auth)
        revoke = StoreRevoking(opened, clock)
        accounts = Accounts(documents, opened, hashing, clock=clock, settings=auth)
        families = Families(
            # No token is made or read here: it is the server that knows how.
            documents,
            revoke,
            clock=clock,
            entropy=entropy,
            settings=auth,
            secret=b"",
        )
        yield Administering(accounts, families, revoke)


def _running(folder: Path) -> Way | None:
    """Return the way to the server that runs on a folder; None: there is none."""
    sock = knock(folder)
    if sock is None:
        return None
    sock.close()
    return by_folder(folder)


def _token(settings: Settings) -> str:
    return mint(
        secret_of(settings).reveal(),
        _OPERATOR,
        ttl_s=_TOKEN_TTL_S,
        now_ms=SystemClock().now_ms(),
        roles=("admin",),
        issuer=settings.issuer,
        audience=settings.audience[0] if settings.audience else "",
    )
