"""Endpoints for admins: accounts and invites."""

from typing import Annotated, Final, TypeAlias, final

from msgspec import Meta, Struct

from triolet._model.errors import ErrorCode

from ..endpoints import Access, Call, endpoint
from .administering import (
    AccountChange,
    AccountsPage,
    AccountToAdd,
    AccountView,
    Administering,
)
from .invites import Invite, Invites
from .names import Name

InviteId: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]

_STORE: Final = (ErrorCode.STORE_UNAVAILABLE, ErrorCode.OUTCOME_UNKNOWN)
_PASSWORD: Final = (ErrorCode.RATE_LIMITED, *_STORE)


@final
class AccountsQuery(Struct, frozen=True):
    """Which page of accounts: those whose names come after `after`."""

    after: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9_.@-]*\Z")] = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


@final
class InviteToMake(Struct, frozen=True, kw_only=True):
    """An invite: how many may register by it, and for how long, in seconds."""

    uses: Annotated[int, Meta(ge=1, le=10_000)] = 1
    ttl_s: Annotated[int, Meta(ge=60, le=31_536_000)] = 604_800


@final
class InviteMade(Struct, frozen=True, kw_only=True):
    """A new invite; its code is told this once."""

    code: str
    id: str
    uses: int
    expires_at: int


@final
class InvitesQuery(Struct, frozen=True):
    """Which page of invites: those whose ids come after `after`."""

    after: InviteId | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


@final
class InvitesPage(Struct, frozen=True):
    """Invites that are still good, by id."""

    invites: tuple[Invite, ...]


@final
class AdminAccounts:
    """Endpoints of accounts, for admins."""

    def __init__(self, administering: Administering) -> None:
        self._administering = administering

    @endpoint("GET", "/v1/admin/accounts", access=Access.ADMIN, rate="admin", refuses=_STORE)
    async def list_all(self, call: Call, query: AccountsQuery) -> AccountsPage:
        """List accounts."""
        del call
        return await self._administering.page(after=query.after, limit=query.limit)

    @endpoint(
        "POST",
        "/v1/admin/accounts",
        access=Access.ADMIN,
        rate="admin",
        status=201,
        refuses=(ErrorCode.ALREADY_EXISTS, *_PASSWORD),
    )
    async def add(self, call: Call, body: AccountToAdd) -> AccountView:
        """Make an account."""
        del call
        return await self._administering.add(body)

    @endpoint(
        "GET",
        "/v1/admin/accounts/{user}",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.NO_SUCH_ENTRY, *_STORE),
    )
    async def show(self, call: Call, user: Name) -> AccountView:
        """Show an account."""
        del call
        return await self._administering.show(user)

    @endpoint(
        "PATCH",
        "/v1/admin/accounts/{user}",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.NO_SUCH_ENTRY, *_PASSWORD),
    )
    async def change(self, call: Call, user: Name, body: AccountChange) -> AccountView:
        """Change an account.

        A new password, and being disabled, end all its sign-ins. A role or a tier that is taken
        away ends its sessions, which may begin again without it, and so does the same once more;
        what is given counts from the next refresh on.
        """
        del call
        return await self._administering.change(user, body)

    @endpoint(
        "DELETE",
        "/v1/admin/accounts/{user}",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.NO_SUCH_ENTRY, *_STORE),
    )
    async def remove(self, call: Call, user: Name) -> None:
        """Remove an account, and end all its sign-ins.

        Its name stays taken, so that nobody else finds its rooms; an admin may give it again.
        """
        del call
        await self._administering.remove(user)


@final
class AdminInvites:
    """Endpoints of invites."""

    def __init__(self, invites: Invites) -> None:
        self._invites = invites

    @endpoint("GET", "/v1/admin/invites", access=Access.ADMIN, rate="admin", refuses=_STORE)
    async def list_all(self, call: Call, query: InvitesQuery) -> InvitesPage:
        """List invites that are still good; their codes are known to nobody here."""
        del call
        found = await self._invites.page(after=query.after or "", limit=query.limit)
        return InvitesPage(tuple(found))

    @endpoint(
        "POST", "/v1/admin/invites", access=Access.ADMIN, rate="admin", status=201, refuses=_STORE
    )
    async def make(self, call: Call, body: InviteToMake) -> InviteMade:
        """Make an invite."""
        code, made = await self._invites.make(call.identity.user, uses=body.uses, ttl_s=body.ttl_s)
        return InviteMade(code=code, id=made.id, uses=made.uses, expires_at=made.expires_at)

    @endpoint(
        "DELETE",
        "/v1/admin/invites/{invite}",
        access=Access.ADMIN,
        rate="admin",
        refuses=_STORE,
    )
    async def remove(self, call: Call, invite: InviteId) -> None:
        """Take an invite back."""
        del call
        await self._invites.remove(invite)
