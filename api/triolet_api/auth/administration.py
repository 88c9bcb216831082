"""Endpoints for admins: accounts and invites. `triolet user` asks them, too.

What is taken from somebody takes effect within a second: their sessions end, and begin again with
what they still may, if anything.
"""

from typing import Annotated, Final, TypeAlias, final

from msgspec import Meta, Struct

from triolet._model.errors import ErrorCode, Refusal

from ..endpoints import Access, Call, endpoint
from .accounts import Account
from .families import Revoke
from .invites import Invite, Invites
from .names import Name
from .passwords import Password
from .signing_in import SigningIn

Label: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}\Z")]
Roles: TypeAlias = Annotated[tuple[Label, ...], Meta(max_length=32)]
Tier: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{0,64}\Z")]
InviteId: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]

_STORE: Final = (ErrorCode.STORE_UNAVAILABLE, ErrorCode.OUTCOME_UNKNOWN)
_PASSWORD: Final = (ErrorCode.RATE_LIMITED, *_STORE)


@final
class AccountsQuery(Struct, frozen=True):
    """Which page of accounts: those whose names come after `after`."""

    after: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9_.@-]*\Z")] = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


@final
class AccountView(Struct, frozen=True, kw_only=True):
    """An account; times in ms."""

    user: str
    roles: tuple[str, ...]
    tier: str
    created: int
    password_changed: int
    disabled: bool


@final
class AccountsPage(Struct, frozen=True):
    """Accounts by name; `after`: asks for the next page, empty: there is none."""

    accounts: tuple[AccountView, ...]
    after: str


@final
class AccountToAdd(Struct, frozen=True, kw_only=True):
    """An account that an admin makes; reserved names are free to them."""

    user: Name
    password: Password
    roles: Roles = ()
    tier: Tier = ""


@final
class AccountChange(Struct, frozen=True, kw_only=True):
    """What is to become of an account; what is absent stays."""

    password: Password | None = None
    roles: Roles | None = None
    tier: Tier | None = None
    disabled: bool | None = None


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

    def __init__(self, signing_in: SigningIn, revoke: Revoke) -> None:
        self._signing_in = signing_in
        self._accounts = signing_in.accounts
        self._revoke = revoke

    @endpoint("GET", "/v1/admin/accounts", access=Access.ADMIN, rate="admin", refuses=_STORE)
    async def list_all(self, call: Call, query: AccountsQuery) -> AccountsPage:
        """List accounts."""
        del call
        found, last = await self._accounts.page(after=query.after.lower(), limit=query.limit)
        return AccountsPage(tuple(map(_shown, found)), last)

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
        added = await self._accounts.add(body.user, body.password, roles=body.roles, tier=body.tier)
        return _shown(added)

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
        return _shown(await self._find(user))

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
        away ends its sessions, which may begin again without it; what is given counts from the
        next refresh on.
        """
        del call
        account = await self._find(user)
        if body.roles is not None or body.tier is not None:
            before = account
            account = await self._accounts.set_standing(user, roles=body.roles, tier=body.tier)
            if not set(before.roles) <= set(account.roles) or before.tier not in ("", account.tier):
                await self._revoke(account.user)
        if body.password is not None:
            account = await self._accounts.set_password(user, body.password)
            await self._signing_in.end_everywhere(account.user)
        if body.disabled is not None:
            account = await self._accounts.set_disabled(user, disabled=body.disabled)
            if body.disabled:
                await self._signing_in.end_everywhere(account.user)
        return _shown(account)

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
        account = await self._accounts.remove(user)
        await self._signing_in.end_everywhere(account.user)

    async def _find(self, name: str) -> Account:
        account = await self._accounts.find(name)
        if account is None:
            raise Refusal(ErrorCode.NO_SUCH_ENTRY, "there is no such account")
        return account


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


def _shown(account: Account) -> AccountView:
    return AccountView(
        user=account.user,
        roles=account.roles,
        tier=account.tier,
        created=account.created,
        password_changed=account.password_changed,
        disabled=account.disabled,
    )
