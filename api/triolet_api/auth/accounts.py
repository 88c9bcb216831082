"""Accounts: who may sign in by a password, and as what.

One is a document, `account/NAME`, in which the name is lower case. A name that was removed stays
taken: whoever had it next would find its former owner's rooms. Only an operator gives it again.
"""

from collections.abc import Callable, Sequence
from typing import Final, final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from triolet._model.errors import ErrorCode, Refusal, StoreUnavailable
from triolet.ports.clock import Clock
from triolet.ports.documents import Change, Document, Documents
from triolet.ports.people import People

from .hashing import Hashing
from .names import account_name, check_free_to_take
from .passwords import check_password
from .settings import AuthSettings

_PREFIX: Final = "account/"
# Each try that another writer spoils was a good one of theirs.
_TRIES: Final = 8


@final
class Account(Struct, frozen=True, kw_only=True):
    """What is kept of somebody who may sign in; times in ms.

    Attributes:
        password: its hash.
        era: grows by whatever ends all that was before: a new password, being disabled.
        removed: the name stays, so that nobody else gets it.
    """

    user: str
    password: str
    created: int
    password_changed: int
    roles: tuple[str, ...] = ()
    tier: str = ""
    era: int = 0
    disabled: bool = False
    removed: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Account).decode


@final
class Accounts:
    """See the module.

    Args:
        documents: where they are kept.
        people: who has been here by tokens from elsewhere; their names are not for others.
        hashing: of passwords.
        clock: when something is made.
        settings: what a password must be.
    """

    def __init__(
        self,
        documents: Documents,
        people: People,
        hashing: Hashing,
        *,
        clock: Clock,
        settings: AuthSettings,
    ) -> None:
        self._documents = documents
        self._people = people
        self._hashing = hashing
        self._clock = clock
        self._length_min = settings.password_length_min

    # --- looking -----------------------------------------------------------------------

    async def find(self, name: str) -> Account | None:
        """Return the account of a name in any case, if there is one.

        Raises:
            StoreError: it could not be looked for.
        """
        found = await self._read(name)
        account = None if found is None else _decode(found.value)
        return None if account is None or account.removed else account

    async def page(self, *, after: str = "", limit: int) -> tuple[list[Account], str]:
        """Return accounts by name, and the last name that was looked at; empty: there are no more.

        Raises:
            StoreError: they could not be read.
        """
        after_key = _PREFIX + after if after else ""
        found = await self._documents.scan(_PREFIX, after=after_key, limit=limit)
        accounts = [_decode(one.value) for one in found]
        last = accounts[-1].user if len(found) == limit else ""
        return [one for one in accounts if not one.removed], last

    async def present(self, account: Account) -> Account | None:
        """Return an account as it is now; None: what was begun for it has been ended meanwhile.

        Raises:
            StoreError: it could not be looked for.
        """
        found = await self.find(account.user)
        is_same = found is not None and _is_same(found, account)
        return found if is_same else None

    async def authenticate(self, name: str, password: str) -> Account:
        """Return the account of somebody who knows its password.

        The work is the same whether there is such an account: one hash is compared.

        Raises:
            Refusal: `UNAUTHENTICATED` there is none, or it is not its password; `BANNED` it is,
                and the account is disabled; `RATE_LIMITED` too many sign in.
            StoreError: it could not be looked for.
        """
        account = await self.find(name)
        known = None if account is None else account.password
        verdict = await self._hashing.verify(known, password)
        if account is None or not verdict.is_right:
            raise Refusal(ErrorCode.UNAUTHENTICATED, "the name or the password is wrong")
        if account.disabled:
            raise Refusal(ErrorCode.BANNED, "this account is disabled")
        if verdict.renewed is not None:
            await self._renew(account, verdict.renewed)
        return account

    # --- making and changing -----------------------------------------------------------

    async def register(self, name: str, password: str, *, also: Sequence[Change] = ()) -> Account:
        """Make an account for whoever comes first.

        Args:
            name: in any case.
            password: it must do.
            also: what is written with it, or it is not made.

        Raises:
            Refusal: `INVALID_FIELD` the name or the password does not do; `ALREADY_EXISTS` the
                name is somebody's, or was; `RATE_LIMITED` too many sign in.
            StoreError: it was not made, or that is not known: try to sign in.
        """
        user = account_name(name)
        check_free_to_take(user)
        check_password(password, name=user, length_min=self._length_min)
        if await self._read(user) is not None or await self._has_been_here(user):
            raise _taken(user)
        account = await self._new(user, password)
        if await self._documents.write([_change(account, 0), *also]):
            return account
        if await self._read(user) is not None:
            raise _taken(user)
        raise StoreUnavailable("what goes with this account was changed: try again")

    async def add(
        self, name: str, password: str, *, roles: Sequence[str] = (), tier: str = ""
    ) -> Account:
        """Make an account as an operator: under any name that no account has now.

        Raises:
            Refusal, StoreError: as `register`.
        """
        user = account_name(name)
        check_password(password, name=user, length_min=self._length_min)
        found = await self._read(user)
        former = None if found is None else _decode(found.value)
        if former is not None and not former.removed:
            raise _taken(user)
        account = replace(await self._new(user, password), roles=tuple(roles), tier=tier)
        if former is not None:
            account = replace(account, era=former.era + 1)
        if not await self._documents.write([_change(account, found.version if found else 0)]):
            raise _taken(user)
        return account

    async def set_password(
        self, name: str, password: str, *, known: Account | None = None
    ) -> Account:
        """Give an account another password.

        Args:
            name: whose.
            password: the new one.
            known: what whoever asks knows of it: where its password was changed meanwhile, or
                it was disabled, they know the wrong one. None: it makes no difference.

        Raises:
            Refusal: `NO_SUCH_ENTRY` there is no such account; `UNAUTHENTICATED` it is not as
                it is known; the others as `register`.
            StoreError: it is not known which one it has.
        """
        user = account_name(name)
        check_password(password, name=user, length_min=self._length_min)
        hashed, now = await self._hashing.hash(password), self._clock.now_ms()

        def change(one: Account) -> Account:
            if known is not None and not _is_same(one, known):
                raise Refusal(ErrorCode.UNAUTHENTICATED, "the account was changed at this moment")
            return replace(one, password=hashed, password_changed=now, era=one.era + 1)

        return await self._alter(user, change)

    async def set_disabled(self, name: str, *, disabled: bool) -> Account:
        """Let somebody in no more, or again.

        Raises:
            Refusal: `NO_SUCH_ENTRY`.
            StoreError: it is not known how it is.
        """
        return await self._alter(name, lambda one: replace(one, disabled=disabled, era=one.era + 1))

    async def set_standing(
        self, name: str, *, roles: Sequence[str] | None = None, tier: str | None = None
    ) -> tuple[Account, Account]:
        """Give an account other roles or another tier; None: they stay.

        Returns:
            The account as it was, and as it is.

        Raises:
            Refusal, StoreError: as `set_disabled`.
        """
        before: Account | None = None

        def change(one: Account) -> Account:
            nonlocal before
            before = one
            return replace(
                one,
                roles=one.roles if roles is None else tuple(roles),
                tier=one.tier if tier is None else tier,
            )

        after = await self._alter(name, change)
        assert before is not None, "it was changed"
        return before, after

    async def remove(self, name: str) -> Account:
        """Remove an account; its name stays taken.

        Raises:
            Refusal, StoreError: as `set_disabled`.
        """
        return await self._alter(name, _removed)

    async def _alter(self, name: str, change: Callable[[Account], Account]) -> Account:
        return await _alter(self._documents, name, change)

    async def _renew(self, account: Account, hashed: str) -> None:
        """Keep the hash of the present parameters, unless the password was changed meanwhile."""

        def change(one: Account) -> Account:
            return replace(one, password=hashed) if one.password == account.password else one

        await self._alter(account.user, change)

    async def _new(self, user: str, password: str) -> Account:
        hashed, now = await self._hashing.hash(password), self._clock.now_ms()
        return Account(user=user, password=hashed, created=now, password_changed=now)

    async def _has_been_here(self, user: str) -> bool:
        (person,) = await self._people.people([user])
        return person.last_seen > 0

    async def _read(self, name: str) -> Document | None:
        return await _read(self._documents, name)


async def close_account(documents: Documents, user: str) -> None:
    """Remove the account of a user, if they have one, as `Accounts.remove`.

    Raises:
        StoreError: it may still be there.
    """
    found = await _read(documents, user)
    # Names of users from elsewhere may differ from an account's in case alone.
    account = None if found is None else _decode(found.value)
    if account is None or account.removed or account.user != user:
        return
    try:
        await _alter(documents, user, _removed)
    except Refusal as refusal:
        # Somebody else has removed it meanwhile.
        if refusal.code is not ErrorCode.NO_SUCH_ENTRY:
            raise


async def _alter(documents: Documents, name: str, change: Callable[[Account], Account]) -> Account:
    for _ in range(_TRIES):
        found = await _read(documents, name)
        account = None if found is None else _decode(found.value)
        if found is None or account is None or account.removed:
            raise Refusal(ErrorCode.NO_SUCH_ENTRY, "there is no such account")
        changed = change(account)
        if await documents.write([_change(changed, found.version)]):
            return changed
    raise StoreUnavailable("an account is changed by too many at once")


async def _read(documents: Documents, name: str) -> Document | None:
    (found,) = await documents.read([_PREFIX + name.lower()])
    return found


def _is_same(one: Account, other: Account) -> bool:
    """Whether nothing lies between them that ends what was begun for an account."""
    return (one.created, one.era) == (other.created, other.era)


def _change(account: Account, version: int) -> Change:
    return Change(_PREFIX + account.user, _encode(account), version)


def _removed(account: Account) -> Account:
    """Return what is left of an account: its name, and that there was one."""
    return Account(
        user=account.user,
        password="",
        created=account.created,
        password_changed=account.password_changed,
        era=account.era + 1,
        disabled=account.disabled,
        removed=True,
    )


def _taken(user: str) -> Refusal:
    return Refusal(ErrorCode.ALREADY_EXISTS, f"the name {user} is taken")
