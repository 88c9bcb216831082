"""What an operator does with accounts, whether a server has the store or nobody has.

On PostgreSQL, and where no server runs, the store is opened; what is ended then is felt by
servers with their next look at what is revoked, within `revocations_check_s`. The store on SQLite
is its server's alone: that one is asked over HTTP, with a token made for the occasion with the
secret in its data folder.
"""

import http.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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

from ..running import where
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
class HttpDesk:
    """A desk behind a running server's HTTP."""

    def __init__(self, url: str, token: str) -> None:
        self._url = urlsplit(url)
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
            is_tls = self._url.scheme == "https"
            kinds = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
            connection = kinds(self._url.hostname or "", self._url.port, timeout=_TIMEOUT_S)
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
            where_to = self._url.netloc
            raise ConfigurationError(f"no server answers at {where_to}: {error}") from None
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
        ConfigurationError: there is none: the store is a running server's, and where that is,
            or its secret, is not known.
        StoreError: the store cannot be opened.
    """
    store = settings.store_url.reveal()
    url = url or (await _running(settings) if not is_shared(store) else "")
    if url:
        yield HttpDesk(url, _token(settings))
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


async def _running(settings: Settings) -> str:
    """Return the URL of the server that has the folder's store; empty: there is none."""
    address = where(settings.data)
    if not address:
        return ""
    url = urlsplit(f"//{address}")
    try:
        stream = await trio.open_tcp_stream(url.hostname or "", url.port or 0)
    except OSError:
        return ""
    await stream.aclose()
    return f"http://{address}"


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
