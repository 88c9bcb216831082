"""Bans: of users and of networks, seen, made and lifted; in force on every node within a second."""

from typing import Annotated, TypeAlias, final

from msgspec import Meta, Struct

from triolet._domain.addresses import address_of, network_of
from triolet._domain.bans import REASON_CHARS_MAX, Ban
from triolet._model.errors import ErrorCode, Refusal
from triolet._model.ids import User
from triolet._runtime.engine import Engine

from ..endpoints import Access, Call, endpoint

# `10.0.0.0/8`, `2001:db8::/32`, or one address; what it is exactly, is for the engine to say.
Network: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?\Z")]
Reason: TypeAlias = Annotated[str, Meta(max_length=REASON_CHARS_MAX, pattern=r"^[^\x00]*\Z")]
# A key of a ban.
_KEY = r"^(ban/(user|network)/[A-Za-z0-9_.@:/-]{1,64})?\Z"


@final
class BansQuery(Struct, frozen=True):
    """Which page: bans behind `after`, which is `next`."""

    after: Annotated[str, Meta(max_length=80, pattern=_KEY)] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


@final
class BanRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A ban of a user or of a network.

    Attributes:
        by: who has banned.
        at: when (ms).
        until: when it ends (ms); absent: never.
    """

    by: str
    at: int
    user: str = ""
    network: str = ""
    reason: str = ""
    until: int = 0


@final
class BansPage(Struct, frozen=True, omit_defaults=True):
    """Bans, networks before users; `next`: where the next page begins, if there may be one."""

    bans: tuple[BanRow, ...]
    next: str = ""


@final
class NewBan(Struct, frozen=True):
    """Whom to ban: a user or a network; `until` (ms): for good if it is absent."""

    user: User | None = None
    network: Network | None = None
    reason: Reason = ""
    until: Annotated[int, Meta(ge=0, lt=2**53)] = 0


@final
class BannedQuery(Struct, frozen=True):
    """Whose ban: a user's or a network's."""

    user: User | None = None
    network: Network | None = None


@final
class AdminBans:
    """Endpoints of bans."""

    def __init__(self, engine: Engine) -> None:
        self._bans = engine.bans

    @endpoint(
        "GET",
        "/v1/admin/bans",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.STORE_UNAVAILABLE,),
    )
    async def list_all(self, call: Call, query: BansQuery) -> BansPage:
        """List bans that hold."""
        del call
        found = await self._bans.list(after=query.after, limit=query.limit)
        after = found[-1].key if len(found) == query.limit else ""
        return BansPage(tuple(map(_row, found)), after)

    @endpoint(
        "POST",
        "/v1/admin/bans",
        access=Access.ADMIN,
        rate="admin",
        status=201,
        refuses=(
            ErrorCode.INVALID_FIELD,
            ErrorCode.TOO_LARGE,
            ErrorCode.RATE_LIMITED,
            ErrorCode.STORE_UNAVAILABLE,
            ErrorCode.OUTCOME_UNKNOWN,
        ),
    )
    async def ban(self, call: Call, body: NewBan) -> BanRow:
        """Ban a user or a network: their sessions end, and they come in no more.

        On every node within a second. An earlier ban of the same is replaced. Nobody bans
        themselves.
        """
        user, network = body.user or "", body.network or ""
        if user == call.identity.user or _holds(network, call.address):
            raise Refusal(ErrorCode.INVALID_FIELD, "this would ban yourself")
        ban = Ban(
            user=user,
            network=network,
            reason=body.reason,
            by=call.identity.user,
            until=body.until,
        )
        return _row(await self._bans.add(ban))

    @endpoint(
        "DELETE",
        "/v1/admin/bans",
        access=Access.ADMIN,
        rate="admin",
        refuses=(
            ErrorCode.INVALID_FIELD,
            ErrorCode.NO_SUCH_ENTRY,
            ErrorCode.RATE_LIMITED,
            ErrorCode.STORE_UNAVAILABLE,
            ErrorCode.OUTCOME_UNKNOWN,
        ),
    )
    async def lift(self, call: Call, query: BannedQuery) -> None:
        """Lift the ban of a user or of a network."""
        del call
        if not await self._bans.lift(user=query.user or "", network=query.network or ""):
            raise Refusal(ErrorCode.NO_SUCH_ENTRY, "there is no such ban")


def _holds(network: str, address: str) -> bool:
    """Whether a network holds an address; no network holds none."""
    try:
        return bool(network) and address_of(address) in network_of(network)
    except ValueError:
        return False  # the engine says what is wrong with it


def _row(ban: Ban) -> BanRow:
    return BanRow(
        user=ban.user,
        network=ban.network,
        reason=ban.reason,
        by=ban.by,
        at=ban.at,
        until=ban.until,
    )
