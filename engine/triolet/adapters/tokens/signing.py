"""Keys that sign tokens which others can verify: EdDSA and ES256, by several keys in turn.

The first key of a set signs, all of them verify: a new one is put in front of the old, which stays
until what it has signed has expired.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias, final

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey
from joserfc.jws import JWSRegistry
from msgspec import Struct

from ..._model.errors import ConfigurationError
from .jwt import encode_segment, put_together
from .keys import PublicKey, keys_of_jwks

SigningAlgorithm: TypeAlias = Literal["EdDSA", "ES256"]

_CURVES: Final[dict[SigningAlgorithm, str]] = {"EdDSA": "Ed25519", "ES256": "P-256"}
_PRIVATE: Final = ("d", "key_ops")


class _PrivateSet(Struct, frozen=True):
    keys: list[dict[str, str]]


@final
class SigningKeys:
    """A private JWK set.

    Attributes:
        public: what verifies the tokens that its keys sign.
        public_jwks: the same, to be shown.
    """

    def __init__(self, jwks: Sequence[dict[str, str]]) -> None:
        if not jwks:
            raise ConfigurationError("there is no key that signs")
        self._jwks = list(jwks)
        self.public_jwks = tuple(
            {name: value for name, value in jwk.items() if name not in _PRIVATE} for jwk in jwks
        )
        self.public: list[PublicKey] = keys_of_jwks(msgspec.json.encode({"keys": self.public_jwks}))
        first = self._jwks[0]
        self.algorithm = _algorithm_of(first)
        self._sign = _signer(first, self.algorithm)
        header = {"alg": self.algorithm, "typ": "JWT", "kid": first["kid"]}
        self._header = encode_segment(msgspec.json.encode(header))

    def __repr__(self) -> str:
        return f"SigningKeys({self.algorithm}, {len(self._jwks)})"

    def sign(self, claims: bytes) -> str:
        """Return a token that says `claims` (JSON), signed by the first key."""
        return put_together(self._header, claims, self._sign)

    def private_set(self) -> bytes:
        """Return the set with its private halves, as JSON: for its file alone."""
        return msgspec.json.format(msgspec.json.encode({"keys": self._jwks}))


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


def new_signing_key(algorithm: SigningAlgorithm) -> dict[str, str]:
    """Return a new private key as a JWK, which is called by its thumbprint (RFC 7638)."""
    made: ECKey | OKPKey
    if algorithm == "EdDSA":
        made = OKPKey.generate_key("Ed25519", private=True)
    else:
        made = ECKey.generate_key("P-256", private=True)
    jwk = {name: str(value) for name, value in made.as_dict(private=True).items()}
    return {**jwk, "kid": made.thumbprint(), "use": "sig", "alg": algorithm}


def _algorithm_of(jwk: dict[str, str]) -> SigningAlgorithm:
    for algorithm, curve in _CURVES.items():
        if jwk.get("crv") == curve:
            return algorithm
    raise ConfigurationError("the key that signs is neither Ed25519 nor P-256")


def _signer(jwk: dict[str, str], algorithm: SigningAlgorithm) -> Callable[[bytes], bytes]:
    kind = OKPKey if algorithm == "EdDSA" else ECKey
    try:
        key = kind.import_key(dict(jwk))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"the key that signs is broken: {type(error).__name__}") from None
    return lambda message: JWSRegistry.algorithms[algorithm].sign(message, key)
