"""A family of refresh tokens: one sign-in on one device, and what each of its tokens is worth.

A refresh token names its user, its family and its generation, and ends in a MAC over them with
the family's salt, by a key of the server's. The store has salt and generation: no token, and
nothing that makes one without the key. So every token that ever was of a family is known for
what it is, however old, at the price of one small document; and whoever only knows a family's
name cannot end it.

What a genuine token is answered (`judge`):

- The present generation: the next one takes its place.
- The one before, within the grace after it was replaced: the same answer again. Its owner did
  not get the first one, or asked in two tabs at once. It gets the *same* next token, so that all
  who hold one go on with one: the family never forks, and whoever comes second after the grace is
  found out. It moves nothing, and the grace is not prolonged by it.
- Any other: it was copied, and nobody can say who is the thief. The family ends.

A thief who asks within the grace of each and every refresh of the victim stays undiscovered; by
the end of the family at the latest (`family_ttl_days`) all must sign in again.
"""

import hmac
import ipaddress
import re
from enum import Enum
from typing import Final, final

from msgspec import Struct
from msgspec.structs import replace

from triolet._model.ids import is_user
from triolet.adapters.tokens import encode_segment

_DAY_MS: Final = 86_400_000
_parts = re.compile(r"([^:]{1,64}):([\w-]{22}):([0-9]{1,9}):([\w-]{43})", re.ASCII).fullmatch


@final
class Family(Struct, frozen=True, kw_only=True):
    """What is kept of a sign-in; times in ms.

    Attributes:
        salt: makes its tokens, with the server's key.
        generation: of the one token that is good.
        used: when the present generation was made.
        network: of whoever signed in.
        ended: it has: no token of it is good.
    """

    user: str
    id: str
    salt: str
    created: int
    used: int
    generation: int = 0
    device: str = ""
    agent: str = ""
    network: str = ""
    ended: bool = False


@final
class RefreshToken(Struct, frozen=True):
    """A token taken apart; whether it is genuine its family has to say."""

    user: str
    family: str
    generation: int
    mac: str


@final
class Verdict(Enum):
    """What a genuine token is worth."""

    ROTATE = "it is the present one"
    REPEAT = "it was replaced a moment ago"
    REUSED = "it was replaced before"
    ENDED = "its family has ended"


def read_refresh_token(text: str) -> RefreshToken | None:
    """Take a refresh token apart; None: it is none.

    >>> read_refresh_token("anna:short:1:x") is None
    True
    """
    found = _parts(text)
    if found is None or not is_user(found[1]):
        return None
    return RefreshToken(found[1], found[2], int(found[3]), found[4])


def write_refresh_token(key: bytes, family: Family, generation: int) -> str:
    """Return the token of a generation; the same one each time."""
    return f"{family.user}:{family.id}:{generation}:{_mac(key, family, generation)}"


def is_genuine(key: bytes, family: Family, token: RefreshToken) -> bool:
    """Whether a token is of this family, of whatever generation."""
    return hmac.compare_digest(_mac(key, family, token.generation), token.mac)


def _mac(key: bytes, family: Family, generation: int) -> str:
    # No part has a colon, so no two families and generations are spelled alike.
    text = f"{family.user}:{family.id}:{generation}:{family.salt}"
    return encode_segment(hmac.digest(key, text.encode(), "sha256")).decode()


def judge(family: Family, generation: int, *, now: int, grace_ms: int) -> Verdict:
    """Say what the genuine token of a generation is worth at `now`; see the module."""
    if family.ended:
        return Verdict.ENDED
    if generation == family.generation:
        return Verdict.ROTATE
    if generation == family.generation - 1 and now - family.used < grace_ms:
        return Verdict.REPEAT
    return Verdict.REUSED


def rotated(family: Family, *, now: int) -> Family:
    """Return the family with the next generation."""
    return replace(family, generation=family.generation + 1, used=now)


def ended(family: Family) -> Family:
    """Return the family with no good token."""
    return replace(family, ended=True)


def expires_at(family: Family, *, refresh_ttl_days: float, family_ttl_days: float) -> int:
    """Return when a family is over by itself, ms."""
    unused = family.used + round(refresh_ttl_days * _DAY_MS)
    return min(unused, family.created + round(family_ttl_days * _DAY_MS))


def network_of(address: str) -> str:
    """Return the network of an address (IPv4 /24, IPv6 /48), as it is shown to its user.

    Whole addresses are not kept: they tell where somebody was.

    >>> network_of("203.0.113.7"), network_of("2001:db8:1:2::3"), network_of("unix")
    ('203.0.113.0/24', '2001:db8:1::/48', '')
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    bits = 24 if found.version == 4 else 48
    return str(ipaddress.ip_network((found, bits), strict=False))
