"""Families in the store: begun, refreshed and ended, on whichever node somebody asks.

An ended family stays as a tombstone for as long as an access token of it could live, so that
ending it can be repeated where the store failed in the middle of it. First it is marked, then
its access tokens are revoked: nothing resurrects it in between.
"""

import hmac
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, final

import msgspec
import trio
from msgspec import Struct

from triolet._model.errors import ErrorCode, Refusal, StoreUnavailable
from triolet.ports.clock import Clock, Entropy
from triolet.ports.documents import Change, Document, Documents

from .family import (
    Family,
    RefreshToken,
    Verdict,
    ended,
    expires_at,
    is_genuine,
    judge,
    read_refresh_token,
    rotated,
    write_refresh_token,
)
from .settings import ACCESS_TTL_S_MAX, AuthSettings

# Each try that another writer spoils was a good one of theirs.
_TRIES: Final = 8
_TOMBSTONE_MS: Final = 1000 * (ACCESS_TTL_S_MAX + 300)
# What has to happen as a whole is given so long, also if whoever asked for it has left.
_WHOLE_TIMEOUT_S: Final = 10

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Family).decode


class Revoke(Protocol):
    """Ends access tokens and sessions on all nodes (`Engine.revoke`)."""

    async def __call__(self, user: str, *, family: str = "") -> None:
        """End those of a user, or of one of the user's families."""
        ...


@final
class Refreshed(Struct, frozen=True):
    """A family that goes on, and the token to go on with."""

    family: Family
    token: str


@final
class Families:
    """See the module.

    Args:
        documents: where they are kept, as `family/USER/ID`.
        revoke: ends what an access token has opened.
        secret: the server's; refresh tokens are made with a key of it.
    """

    def __init__(
        self,
        documents: Documents,
        revoke: Revoke,
        *,
        clock: Clock,
        entropy: Entropy,
        settings: AuthSettings,
        secret: bytes,
    ) -> None:
        self._documents = documents
        self._revoke = revoke
        self._clock = clock
        self._entropy = entropy
        self._settings = settings
        self._key = hmac.digest(secret, b"triolet refresh tokens", "sha256")

    async def begin(
        self, user: str, *, device: str = "", agent: str = "", network: str = ""
    ) -> Refreshed:
        """Begin a family; beyond `families_max` the one that was unused for longest ends.

        Raises:
            StoreError: there is none, or one that nobody holds a token of.
        """
        now = self._clock.now_ms()
        family = Family(
            user=user,
            id=self._entropy.token(),
            salt=self._entropy.token(),
            created=now,
            used=now,
            device=device,
            agent=agent,
            network=network,
        )
        held = await self.of(user)
        await self._documents.write([self._change(family, version=0)])
        too_many = len(held) + 1 - self._settings.families_max
        for one in sorted(held, key=lambda one: one.used)[: max(too_many, 0)]:
            await self.end(user, one.id)
        return self._answer(family)

    async def refresh(self, text: str) -> Refreshed:
        """Return what to go on with for a refresh token; see `family.judge`.

        Raises:
            Refusal: `TOKEN_INVALID`: it is no good. If it was used before, its family has ended.
            StoreError: it is as good as before, or was replaced: asking again within the grace
                answers as this would have.
        """
        token, found = await self._find(text)
        for _ in range(_TRIES):
            if token is None or found is None or not self._is_ours(token, found):
                raise _invalid()
            family, now = _decode(found.value), self._clock.now_ms()
            grace_ms = round(1000 * self._settings.reuse_grace_s)
            match judge(family, token.generation, now=now, grace_ms=grace_ms):
                case Verdict.ROTATE:
                    successor = rotated(family, now=now)
                    if await self._documents.write([self._change(successor, found.version)]):
                        return self._answer(successor)
                    (found,) = await self._documents.read([found.key])
                case Verdict.REPEAT:
                    return self._answer(family)
                case Verdict.REUSED | Verdict.ENDED:
                    # Once more where it has ended: the store may have failed in the middle of it.
                    await self.end(family.user, family.id)
                    raise _invalid()
        raise StoreUnavailable("a sign-in is refreshed by too many at once")

    async def end_by(self, text: str) -> None:
        """End the family of a genuine refresh token, whatever its generation; else do nothing.

        Raises:
            StoreError: it may not have ended; ask again.
        """
        token, found = await self._find(text)
        if token is not None and found is not None and self._is_ours(token, found):
            await self.end(token.user, token.family)

    async def end(self, user: str, family_id: str) -> bool:
        """End a family: its tokens are no good, and its sessions end, on every node.

        Returns:
            Whether there was such a family.

        Raises:
            StoreError: it may not have ended; ask again.
        """
        for _ in range(_TRIES):
            (found,) = await self._documents.read([_key(user, family_id)])
            if found is None:
                return False
            change = self._change(ended(_decode(found.value)), found.version)
            with as_a_whole():
                if await self._documents.write([change]):
                    await self._revoke(user, family=family_id)
                    return True
        raise StoreUnavailable("a sign-in is refreshed by too many at once")

    async def end_all(self, user: str, *, but: str = "") -> None:
        """End a user's families; `but`: the one that stays.

        Raises:
            StoreError: some may not have ended; ask again.
        """
        for family in await self.of(user):
            if family.id != but:
                await self.end(user, family.id)

    async def of(self, user: str) -> list[Family]:
        """Return the families of a user that have not ended, the last used first."""
        found: list[Family] = []
        prefix = families_prefix(user)
        page: Sequence[Document] = await self._documents.scan(prefix, limit=1000)
        while page:
            found += [_decode(one.value) for one in page]
            after = page[-1].key
            page = await self._documents.scan(prefix, after=after, limit=1000)
        return sorted((one for one in found if not one.ended), key=lambda one: -one.used)

    async def _find(self, text: str) -> tuple[RefreshToken | None, Document | None]:
        token = read_refresh_token(text)
        if token is None:
            return None, None
        (found,) = await self._documents.read([_key(token.user, token.family)])
        return token, found

    def _is_ours(self, token: RefreshToken, found: Document) -> bool:
        return is_genuine(self._key, _decode(found.value), token)

    def _answer(self, family: Family) -> Refreshed:
        return Refreshed(family, write_refresh_token(self._key, family, family.generation))

    def _change(self, family: Family, version: int) -> Change:
        over_at = expires_at(
            family,
            refresh_ttl_days=self._settings.refresh_ttl_days,
            family_ttl_days=self._settings.family_ttl_days,
        )
        if family.ended:
            over_at = self._clock.now_ms() + _TOMBSTONE_MS
        return Change(_key(family.user, family.id), _encode(family), version, over_at)


@contextmanager
def as_a_whole() -> Iterator[None]:
    """Have what is done inside be done, also where whoever asked for it leaves meanwhile.

    Raises:
        StoreUnavailable: it took too long.
    """
    with trio.move_on_after(_WHOLE_TIMEOUT_S, shield=True) as scope:
        yield
    if scope.cancelled_caught:
        raise StoreUnavailable("the store takes too long")


def families_prefix(user: str) -> str:
    """Return what the keys of a user's families begin with."""
    return f"family/{user}/"


def _key(user: str, family_id: str) -> str:
    return families_prefix(user) + family_id


def _invalid() -> Refusal:
    """Return one answer to all: a thief need not learn that he was found out."""
    return Refusal(ErrorCode.TOKEN_INVALID, "the refresh token is no good: sign in again")
