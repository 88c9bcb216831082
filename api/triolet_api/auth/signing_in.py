"""Signing in, going on, and everything that ends it, as one story over accounts and families.

Whoever changes an account writes it first, and then ends what was begun for it. Whoever begins
something looks at the account once more before handing out tokens, which say that they were made
before that look. So nothing slips through between the two.
"""

from typing import final

from msgspec import Struct

from triolet._model.errors import ErrorCode, Refusal
from triolet._model.ids import subject_of
from triolet.ports.clock import Clock
from triolet.ports.documents import Change
from triolet.ports.people import People

from .accounts import Account, Accounts
from .families import Families, Refreshed, Revoke, as_a_whole
from .issuing import Issuer


@final
class SignedIn(Struct, frozen=True):
    """Somebody who is signed in.

    Attributes:
        access_token: good for `expires_in_s`.
        refresh_token: gets the next ones.
        user: who it is.
    """

    access_token: str
    refresh_token: str
    expires_in_s: int
    user: str


@final
class Device(Struct, frozen=True, kw_only=True):
    """From where somebody signs in, as its user will recognise it."""

    name: str = ""
    agent: str = ""
    network: str = ""


@final
class SigningIn:
    """See the module."""

    def __init__(
        self,
        accounts: Accounts,
        families: Families,
        issuer: Issuer,
        people: People,
        *,
        revoke: Revoke,
        clock: Clock,
    ) -> None:
        self.accounts = accounts
        self.families = families
        self.issuer = issuer
        self._people = people
        self._revoke = revoke
        self._clock = clock

    async def register(
        self, name: str, password: str, device: Device, *, also: tuple[Change, ...] = ()
    ) -> SignedIn:
        """Make an account and sign in; see `Accounts.register` for what it raises."""
        account = await self.accounts.register(name, password, also=also)
        return await self._begin(account, device)

    async def sign_in(self, name: str, password: str, device: Device) -> SignedIn:
        """Sign in by a password; see `Accounts.authenticate` for what it raises."""
        account = await self.accounts.authenticate(name, password)
        return await self._begin(account, device)

    async def _begin(self, account: Account, device: Device) -> SignedIn:
        at = await self._moment(account.user)
        begun = await self.families.begin(
            account.user, device=device.name, agent=device.agent, network=device.network
        )
        # Its roles, too, may be others than they were before its password was compared.
        present = await self.accounts.present(account)
        if present is None:
            await self.families.end(account.user, begun.family.id)
            raise Refusal(ErrorCode.UNAUTHENTICATED, "the account was changed at this moment")
        return self._signed_in(present, begun, at)

    async def refresh(self, token: str) -> SignedIn:
        """Go on by a refresh token.

        Raises:
            Refusal: `TOKEN_INVALID` it is no good; `BANNED` the account is disabled.
            StoreError: ask again.
        """
        now = self._clock.now_ms()
        refreshed = await self.families.refresh(token)
        user = refreshed.family.user
        at = await self._moment(user, now=now)
        account = await self.accounts.find(user)
        if account is None:
            await self.families.end(user, refreshed.family.id)
            raise Refusal(ErrorCode.TOKEN_INVALID, "there is no such account any more")
        if account.disabled:
            await self.families.end(user, refreshed.family.id)
            raise Refusal(ErrorCode.BANNED, "this account is disabled")
        return self._signed_in(account, refreshed, at)

    async def change_password(self, user: str, old: str, new: str, *, family: str) -> None:
        """Change a password by the old one; all other families of the user end.

        Raises:
            Refusal: `UNAUTHENTICATED` the old one is wrong; `INVALID_FIELD` the new one does
                not do; others as `Accounts.authenticate`.
            StoreError: ask again.
        """
        account = await self.accounts.authenticate(user, old)
        # Who leaves in between could not ask again: the old password is none any more.
        with as_a_whole():
            await self.accounts.set_password(account.user, new, known=account)
            await self.families.end_all(account.user, but=family)

    async def end_everywhere(self, user: str) -> None:
        """End all families, sessions and access tokens of a user, wherever they are.

        Raises:
            StoreError: some may be left; ask again.
        """
        await self.families.end_all(user)
        await self._revoke(user)

    async def _moment(self, user: str, *, now: int | None = None) -> int:
        """Return when a token is issued: not before those that were revoked, by any clock."""
        revoked = await self._people.revoked(subject_of(user))
        return max(self._clock.now_ms() if now is None else now, revoked)

    def _signed_in(self, account: Account, begun: Refreshed, at: int) -> SignedIn:
        token = self.issuer.issue(account, begun.family, at=at)
        return SignedIn(token, begun.token, self.issuer.ttl_s, account.user)
