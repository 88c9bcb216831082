"""Public keys from PEM and JWKS, each bound to the algorithms it may verify.

A key is found by `(alg, kid)`, so a token can only choose among what the operator configured:
an RSA key is never in reach of HS256, and `none` finds nothing.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias, cast, final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import InvalidKeyTypeError, JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from ..._model.errors import ConfigurationError

# Sets in the wild hold two to five keys.
JWKS_KEYS_MAX: Final = 64
# Keys without a name are tried one after the other, at up to 85 µs each.
UNNAMED_KEYS_MAX: Final = 8
# NIST SP 800-131A: less has been disallowed since 2013.
RSA_BITS_MIN: Final = 2048

_public_blocks = re.compile(rb"-----BEGIN ([A-Z ]*PUBLIC KEY)-----.*?-----END \1-----", re.DOTALL)

_AnyKey: TypeAlias = RSAKey | ECKey | OKPKey
# What a foreign library may raise at a key that is none.
_UNUSABLE: Final = (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError)
# Each pair of key type and curve, and what it verifies. EdDSA is the old name of Ed25519
# (RFC 9864); joserfc warns at it, so the algorithms are called by themselves, not by name.
_ALGORITHMS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("RSA", ""): ("RS256",),
    ("EC", "P-256"): ("ES256",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
}


@final
class PublicKey:
    """One key and the algorithms it may verify."""

    __slots__ = ("_key", "algorithms", "kid")

    def __init__(self, key: _AnyKey, algorithms: tuple[str, ...], kid: str) -> None:
        self._key = key
        self.algorithms = algorithms
        self.kid = kid

    def __repr__(self) -> str:
        return f"PublicKey({'|'.join(self.algorithms)}, kid={self.kid!r})"

    def has_signed(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `message` (RS256 25 µs, ES256 85, EdDSA 110)."""
        if algorithm not in self.algorithms:
            return False
        return JWSRegistry.algorithms[algorithm].verify(message, signature, self._key)


@final
class KeyRing:
    """Public keys by algorithm and name."""

    def __init__(self, keys: Sequence[PublicKey]) -> None:
        self._named: dict[tuple[str, str], PublicKey] = {}
        self._of: dict[str, list[PublicKey]] = {}
        self._unnamed: dict[str, list[PublicKey]] = {}
        for key in keys:
            for algorithm in key.algorithms:
                self._add(algorithm, key)

    def _add(self, algorithm: str, key: PublicKey) -> None:
        self._of.setdefault(algorithm, []).append(key)
        if key.kid:
            if (algorithm, key.kid) in self._named:
                raise ConfigurationError(f"two {algorithm} keys are called {key.kid!r}")
            self._named[algorithm, key.kid] = key
            return
        unnamed = self._unnamed.setdefault(algorithm, [])
        if len(unnamed) == UNNAMED_KEYS_MAX:
            raise ConfigurationError(
                f"more than {UNNAMED_KEYS_MAX} {algorithm} keys without a name"
            )
        unnamed.append(key)

    def find(self, algorithm: str, kid: str) -> Sequence[PublicKey]:
        """Return the keys a token may have been signed with.

        The one it names; else those without a name (PEM files), whatever it calls its key;
        else, if it names none, the only one of its algorithm.
        """
        named = self._named.get((algorithm, kid))
        if named is not None:
            return (named,)
        unnamed = self._unnamed.get(algorithm, ())
        only = self._of.get(algorithm, ())
        return only if not unnamed and not kid and len(only) == 1 else unnamed

    def __len__(self) -> int:
        return sum(len(keys) for keys in self._of.values())

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {len(keys)}" for name, keys in self._of.items())
        return f"KeyRing({counts})"


class _JwkSet(msgspec.Struct, frozen=True):
    keys: list[dict[str, object]]


def keys_of_jwks(data: bytes) -> list[PublicKey]:
    """Read a JWK set; keys that are not for signatures, or not for us, are left out.

    Raises:
        ConfigurationError: it is no set, a key of ours is broken or weak, or a private or
            symmetric one lies in it.
    """
    try:
        found = msgspec.json.decode(data, type=_JwkSet).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ConfigurationError("this is no JWK set") from None
    if len(found) > JWKS_KEYS_MAX:
        raise ConfigurationError(f"more than {JWKS_KEYS_MAX} keys")
    keys = []
    for place, jwk in enumerate(found):
        key = _key_of_jwk(jwk, f"key {place} (kid {jwk.get('kid', '')!r})")
        if key is not None:
            keys.append(key)
    return keys


def _key_of_jwk(jwk: dict[str, object], name: str) -> PublicKey | None:
    kty = jwk.get("kty")
    if kty == "oct" or "d" in jwk:
        raise ConfigurationError(f"{name} is not public; a JWK set here holds public keys only")
    if not _is_for_verifying(jwk):
        return None
    curve = "" if kty == "RSA" else jwk.get("crv")
    if not isinstance(kty, str) or not isinstance(curve, str):
        return None
    algorithms = _ALGORITHMS.get((kty, curve), ())
    if "alg" in jwk:
        algorithms = tuple(one for one in algorithms if one == jwk["alg"])
    if not algorithms:
        return None
    kid = jwk.get("kid", "")
    if not isinstance(kid, str):
        raise ConfigurationError(f"{name}: its kid is no string")
    try:
        with _judging_strength_here():
            key = _import(kty, jwk)
    except _UNUSABLE as error:
        raise ConfigurationError(f"{name} is broken: {type(error).__name__}") from None
    return PublicKey(_strong(key, name), algorithms, kid)


def _import(kty: str, jwk: dict[str, object]) -> _AnyKey:
    # joserfc checks the fields' types itself.
    fields = cast("dict[str, str | list[str]]", jwk)
    if kty == "RSA":
        return RSAKey.import_key(fields)
    return ECKey.import_key(fields) if kty == "EC" else OKPKey.import_key(fields)


def _is_for_verifying(jwk: dict[str, object]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )


def keys_of_pem(data: bytes) -> list[PublicKey]:
    """Read the public keys of a PEM file; they have no names, and are tried in their order.

    Raises:
        ConfigurationError: it holds none, one of a kind that verifies neither RS256, ES256
            nor EdDSA, or a private key, which has no business on a server that only verifies.
    """
    if b"PRIVATE KEY-----" in data:
        raise ConfigurationError("this is a private key; give its public half")
    keys = [_key_of_pem(match.group()) for match in _public_blocks.finditer(data)]
    if not keys:
        raise ConfigurationError("there is no PEM public key in it")
    return keys


def _key_of_pem(block: bytes) -> PublicKey:
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            with _judging_strength_here():
                key = kind.import_key(block)
        except InvalidKeyTypeError:
            continue
        except _UNUSABLE as error:
            raise ConfigurationError(f"the key is broken: {type(error).__name__}") from None
        curve = "" if isinstance(key, RSAKey) else key.curve_name
        algorithms = _ALGORITHMS.get((key.key_type, curve))
        if algorithms is not None:
            return PublicKey(_strong(key, "the key"), algorithms, "")
    raise ConfigurationError("keys are RSA, EC P-256 or Ed25519")


@contextmanager
def _judging_strength_here() -> Iterator[None]:
    """Silence joserfc's warning at weak keys; `_strong` refuses them."""
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):
        yield


def _strong(key: _AnyKey, name: str) -> _AnyKey:
    if isinstance(key, RSAKey) and key.public_key.key_size < RSA_BITS_MIN:
        raise ConfigurationError(f"{name} has less than {RSA_BITS_MIN} bits")
    return key
