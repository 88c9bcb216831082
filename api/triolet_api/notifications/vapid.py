"""RFC 8292: how a push service knows who sends, by a token that the server's own key signs."""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Final, final
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from triolet._model.errors import ConfigurationError

from ..secret import Secret, make_or_keep

FILE_NAME: Final = "vapid.pem"
# A day is the most (RFC 8292, section 2); half of it leaves room for clocks that differ.
TOKEN_TTL_S: Final = 12 * 3600


def base64url(data: bytes) -> str:
    """Return `data` in base64url without padding, as the web's protocols have it.

    >>> base64url(bytes([255, 254]))
    '__4'
    """
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@final
class VapidKey:
    """The key pair that subscriptions are bound to: with another one, all of them are void.

    Attributes:
        public: what a browser subscribes with, in base64url.
    """

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public = base64url(point)

    @classmethod
    def from_pem(cls, pem: bytes) -> "VapidKey":
        """Return the key that a PEM file holds.

        Raises:
            ConfigurationError: it is no private key of P-256, or is encrypted.
        """
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not _is_p256(private):
            raise ConfigurationError("this is no private key of P-256 in PEM")
        return cls(private)

    def __repr__(self) -> str:
        return f"VapidKey({self.public!r})"

    def derived(self, purpose: bytes) -> bytes:
        """Return a secret for something else, which only who has the key can make."""
        number = self._private.private_numbers().private_value.to_bytes(32, "big")
        return hmac.new(number, b"triolet " + purpose, sha256).digest()

    def authorization(self, endpoint: str, *, subject: str, now: int) -> str:
        """Return the header `Authorization` of a push request.

        Args:
            endpoint: where it goes; the token is good for that origin alone.
            subject: whom the push service may ask: `mailto:…` or `https://…`.
            now: s since the epoch.
        """
        parts = urlsplit(endpoint)
        claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": now + TOKEN_TTL_S}
        if subject:
            claims["sub"] = subject
        head = msgspec.json.encode({"typ": "JWT", "alg": "ES256"})
        signed = f"{base64url(head)}.{base64url(msgspec.json.encode(claims))}"
        r, s = decode_dss_signature(self._private.sign(signed.encode(), ec.ECDSA(SHA256())))
        signature = base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return f"vapid t={signed}.{signature}, k={self.public}"


def make_or_keep_key(folder: Path) -> VapidKey:
    """Return the key kept in `folder`; the first start makes it, readable by its owner only.

    Raises:
        ConfigurationError: it cannot be made, read or used.
    """
    kept: Secret = make_or_keep(folder, FILE_NAME, new_pem)
    try:
        return VapidKey.from_pem(kept.reveal())
    except ConfigurationError as error:
        raise ConfigurationError(f"{folder / FILE_NAME}: {error}") from None


def _is_p256(key: ec.EllipticCurvePrivateKey) -> bool:
    return isinstance(key.curve, ec.SECP256R1)


def new_pem() -> bytes:
    """Return a key that nobody has had, in PEM."""
    private = ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
