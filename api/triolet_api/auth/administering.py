"""What admins do with accounts: over HTTP, and by `triolet user`.

What is taken from somebody takes effect at once: their sessions end, and begin again with what
they still may, if anything.
"""

from typing import Annotated, TypeAlias, final

from msgspec import Meta, Struct

from triolet._model.errors import ErrorCode, Refusal

from .accounts import Account, Accounts
from .families import Families, Revoke
from .names import Name
from .passwords import Password

Label: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}\Z")]
Roles: TypeAlias = Annotated[tuple[Label, ...], Meta(max_length=32)]
Tier: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{0,64}\Z")]


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
class Administering:
    """See the module."""

    def __init__(self, accounts: Accounts, families: Families, revoke: Revoke) -> None:
        self._accounts = accounts
        self._families = families
        self._revoke = revoke

    async def page(self, *, after: str, limit: int) -> AccountsPage:
        """Return some accounts by name, those after a name.

        Raises:
            StoreError: they could not be read.
        """
        found, last = await self._accounts.page(after=after.lower(), limit=limit)
        return AccountsPage(tuple(map(_shown, found)), last)

    async def show(self, user: str) -> AccountView:
        """Return an account.

        Raises:
            Refusal: `NO_SUCH_ENTRY`.
            StoreError: it could not be read.
        """
        return _shown(await self._find(user))

    async def add(self, wanted: AccountToAdd) -> AccountView:
        """Make an account; see `Accounts.add` for what it raises."""
        added = await self._accounts.add(
            wanted.user, wanted.password, roles=wanted.roles, tier=wanted.tier
        )
        return _shown(added)

    async def change(self, user: str, change: AccountChange) -> AccountView:
        """Change an account, and end what it does not allow any more.

        Raises:
            Refusal: `NO_SUCH_ENTRY`, or `INVALID_FIELD`: the password does not do.
            StoreError: some of it may have happened; ask again.
        """
        account = await self._find(user)
        if change.roles is not None or change.tier is not None:
            account = await self._set_standing(user, change)
        if change.password is not None:
            account = await self._accounts.set_password(user, change.password)
            await self._end(account)
        if change.disabled is not None:
            account = await self._accounts.set_disabled(user, disabled=change.disabled)
            if change.disabled:
                await self._end(account)
        return _shown(account)

    async def remove(self, user: str) -> None:
        """Remove an account, and end all its sign-ins.

        Raises:
            Refusal: `NO_SUCH_ENTRY`.
            StoreError: some of it may have happened; ask again.
        """
        # First, too: where that fails there still is an account to ask again about.
        await self._end(await self._find(user))
        await self._end(await self._accounts.remove(user))

    async def _set_standing(self, user: str, change: AccountChange) -> Account:
        before, account = await self._accounts.set_standing(
            user, roles=change.roles, tier=change.tier
        )
        # Where nothing changes it may have been the store that failed between the two, before.
        if before == account or not _is_only_given(before, account):
            await self._revoke(account.user)
        return account

    async def _end(self, account: Account) -> None:
        await self._families.end_all(account.user)
        await self._revoke(account.user)

    async def _find(self, name: str) -> Account:
        account = await self._accounts.find(name)
        if account is None:
            raise Refusal(ErrorCode.NO_SUCH_ENTRY, "there is no such account")
        return account


def _is_only_given(before: Account, after: Account) -> bool:
    """Whether no role and no tier was taken."""
    return set(before.roles) <= set(after.roles) and before.tier in ("", after.tier)


def _shown(account: Account) -> AccountView:
    return AccountView(
        user=account.user,
        roles=account.roles,
        tier=account.tier,
        created=account.created,
        password_changed=account.password_changed,
        disabled=account.disabled,
    )
