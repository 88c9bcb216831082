"""Keys that sign tokens which others can verify: EdDSA and ES256, by several keys in turn.

All keys of a set verify, the newest signs: as soon as all servers, and whoever else verifies by
their public halves, have had the time to read it. The old ones stay until what they have signed
has expired.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias, final

import msgspec
import trio
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey
from joserfc.jws import JWSRegistry
from msgspec import Struct

from ..._model.errors import ConfigurationError
from .jwks import JWKS_CHECK_S, stamp_of
from .jwt import encode_segment, put_together
from .keys import KeyRing, keys_of_jwks

SigningAlgorithm: TypeAlias = Literal["EdDSA", "ES256"]

_CURVES: Final[dict[SigningAlgorithm, str]] = {"EdDSA": "Ed25519", "ES256": "P-256"}
_PRIVATE: Final = ("d", "key_ops", "added")
# A new key signs when everybody knows it: servers look every three seconds, others are told to
# every five minutes.
SETTLE_MS: Final = 360_000
# No access token lives longer than an hour; this is more than enough.
_KEPT_MS: Final = 86_400_000

_log = logging.getLogger("triolet.tokens")


class _PrivateSet(Struct, frozen=True):
    keys: list[dict[str, str]]


class _Signer(Struct, frozen=True):
    added_at: int
    header: bytes
    sign: Callable[[bytes], bytes]


@final
class SigningKeys:
    """A private JWK set; a member `added` says since when (ms) a key is in it.

    Attributes:
        ring: what verifies the tokens that its keys sign.
        public_jwks: the same, to be shown.
    """

    def __init__(self, jwks: Sequence[dict[str, str]]) -> None:
        if not jwks:
            raise ConfigurationError("there is no key that signs")
        self._jwks = list(jwks)
        self.public_jwks = tuple(
            {name: value for name, value in jwk.items() if name not in _PRIVATE} for jwk in jwks
        )
        self.ring = KeyRing(keys_of_jwks(msgspec.json.encode({"keys": self.public_jwks})))
        signers = [_signer(jwk) for jwk in jwks]
        self._signers = sorted(signers, key=lambda one: one.added_at)

    def __repr__(self) -> str:
        return f"SigningKeys({self.ring})"

    def sign(self, claims: bytes, *, now_ms: int) -> str:
        """Return a token that says `claims` (JSON), signed by the newest key that all know."""
        known = [one for one in self._signers if one.added_at <= now_ms - SETTLE_MS]
        signer = known[-1] if known else self._signers[0]
        return put_together(signer.header, claims, signer.sign)

    def rotated(self, key: dict[str, str], *, now_ms: int) -> "SigningKeys":
        """Return these keys and a new one, without those that have signed nothing for a day."""
        last = self._signers[-1].added_at
        stays = [jwk for jwk in self._jwks if _added(jwk) == last or last > now_ms - _KEPT_MS]
        return SigningKeys([*stays, key])

    def private_set(self) -> bytes:
        """Return the set with its private halves, as JSON: for its file alone."""
        return msgspec.json.format(msgspec.json.encode({"keys": self._jwks}))


@final
class SigningKeysFile:
    """A private JWK set's file, read again when it changes; looked at every few seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = stamp_of(path)
        self._keys = _read(path)
        self._check_at = -float("inf")

    def refresh(self) -> SigningKeys:
        """Return the present keys; where they cannot be read, those that there were."""
        now = trio.current_time()
        if now >= self._check_at:
            self._check_at = now + JWKS_CHECK_S
            stamp = stamp_of(self.path)
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._keys = _read(self.path)
                except ConfigurationError as error:
                    _log.warning("the keys that sign stay as they were: %s", error)
        return self._keys


def _read(path: Path) -> SigningKeys:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return read_signing_keys(data)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def read_signing_keys(data: bytes) -> SigningKeys:
    """Read a private JWK set.

    Raises:
        ConfigurationError: it is none, or holds a key that cannot sign.
    """
    try:
        found = msgspec.json.decode(data, type=_PrivateSet).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ConfigurationError("this is no JWK set of private keys") from None
    for place, jwk in enumerate(found):
        if not jwk.get("kid") or not jwk.get("d"):
            raise ConfigurationError(f"key {place} has no `kid`, or is not private")
    return SigningKeys(found)


def new_signing_key(algorithm: SigningAlgorithm, *, now_ms: int = 0) -> dict[str, str]:
    """Return a new private key as a JWK, which is called by its thumbprint (RFC 7638)."""
    made: ECKey | OKPKey
    if algorithm == "EdDSA":
        made = OKPKey.generate_key("Ed25519", private=True)
    else:
        made = ECKey.generate_key("P-256", private=True)
    jwk = {name: str(value) for name, value in made.as_dict(private=True).items()}
    more = {"kid": made.thumbprint(), "use": "sig", "alg": algorithm, "added": str(now_ms)}
    return jwk | more


def _added(jwk: dict[str, str]) -> int:
    added = jwk.get("added", "0")
    return int(added) if added.isdecimal() else 0


def _algorithm_of(jwk: dict[str, str]) -> SigningAlgorithm:
    for algorithm, curve in _CURVES.items():
        if jwk.get("crv") == curve:
            return algorithm
    raise ConfigurationError("the key that signs is neither Ed25519 nor P-256")


def _signer(jwk: dict[str, str]) -> _Signer:
    algorithm = _algorithm_of(jwk)
    kind = OKPKey if algorithm == "EdDSA" else ECKey
    try:
        key = kind.import_key(dict(jwk))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"a key that signs is broken: {type(error).__name__}") from None
    header = msgspec.json.encode({"alg": algorithm, "typ": "JWT", "kid": jwk["kid"]})
    sign = JWSRegistry.algorithms[algorithm].sign
    return _Signer(_added(jwk), encode_segment(header), lambda message: sign(message, key))
