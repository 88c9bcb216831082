"""Invites: codes by which so many people may register until some day.

Kept as `invite/HASH`, so that who reads the store cannot use them. One is used in the very write
that makes the account.
"""

import hashlib
from typing import Final, final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from triolet._model.errors import ErrorCode, Refusal
from triolet.ports.clock import Clock, Entropy
from triolet.ports.documents import Change, Documents

_PREFIX: Final = "invite/"


@final
class Invite(Struct, frozen=True, kw_only=True):
    """What is kept of an invite.

    Attributes:
        id: the code's hash.
        by: who made it.
        uses: how many may still register.
        expires_at: when it is over, ms.
    """

    id: str
    by: str
    uses: int
    expires_at: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Invite).decode


@final
class Invites:
    """See the module."""

    def __init__(self, documents: Documents, *, clock: Clock, entropy: Entropy) -> None:
        self._documents = documents
        self._clock = clock
        self._entropy = entropy

    async def make(self, by: str, *, uses: int, ttl_s: float) -> tuple[str, Invite]:
        """Return a new code, which is told this once, and what is kept of it.

        Raises:
            StoreError: nobody holds it.
        """
        code = self._entropy.token()
        expires_at = self._clock.now_ms() + round(1000 * ttl_s)
        invite = Invite(id=_id_of(code), by=by, uses=uses, expires_at=expires_at)
        await self._documents.write([_change(invite, 0)])
        return code, invite

    async def use(self, code: str) -> Change:
        """Return what is to be written with whatever the code is used for.

        Raises:
            Refusal: `FORBIDDEN`: it is none, or none any more.
            StoreError: it could not be looked for.
        """
        (found,) = await self._documents.read([_PREFIX + _id_of(code)])
        if found is None:
            raise Refusal(ErrorCode.FORBIDDEN, "this needs an invite that is still good")
        invite = _decode(found.value)
        if invite.uses <= 1:
            return Change(found.key, None, found.version)
        return _change(replace(invite, uses=invite.uses - 1), found.version)

    async def page(self, *, after: str = "", limit: int) -> list[Invite]:
        """Return invites that are still good, by id.

        Raises:
            StoreError: they could not be read.
        """
        after_key = _PREFIX + after if after else ""
        found = await self._documents.scan(_PREFIX, after=after_key, limit=limit)
        return [_decode(one.value) for one in found]

    async def remove(self, invite_id: str) -> None:
        """Take an invite back; nothing happens where there is none.

        Raises:
            StoreError: it may still be good.
        """
        await self._documents.write([Change(_PREFIX + invite_id, None)])


async def remove_invites_of(documents: Documents, by: str) -> None:
    """Take back whatever somebody has made.

    Raises:
        StoreError: some may still be good.
    """
    after = ""
    while found := await documents.scan(_PREFIX, after=after, limit=1000):
        theirs = [one.key for one in found if _decode(one.value).by == by]
        if theirs:
            await documents.write([Change(key, None) for key in theirs])
        after = found[-1].key


def _change(invite: Invite, version: int) -> Change:
    return Change(_PREFIX + invite.id, _encode(invite), version, invite.expires_at)


def _id_of(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
