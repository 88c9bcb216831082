"""RFC 8291: a push message that the push service cannot read, in the coding `aes128gcm`."""

import secrets
from typing import Final, final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct

# A push service takes 4,096 bytes (RFC 8030, section 7.2): these less the head of 86, the mark
# of the end and the tag of 16.
PLAINTEXT_BYTES_MAX: Final = 4096 - 86 - 1 - 16
AUTH_BYTES: Final = 16
# An uncompressed point of P-256.
POINT_BYTES: Final = 65

_RECORD_BYTES: Final = 4096
_CURVE: Final = ec.SECP256R1()


@final
class DeviceKeys(Struct, frozen=True):
    """What a browser made for one subscription.

    Attributes:
        p256dh: its public key, an uncompressed point of P-256.
        auth: 16 bytes that it shares with us alone.
    """

    p256dh: bytes
    auth: bytes

    def __repr__(self) -> str:
        return "DeviceKeys(…)"


def check_keys(keys: DeviceKeys) -> None:
    """Refuse keys that nothing can be encrypted for.

    Raises:
        ValueError: the point is none of the curve, or the secret has another length.

    >>> check_keys(DeviceKeys(bytes(65), bytes(16)))
    Traceback (most recent call last):
    ...
    ValueError: `p256dh` is no point of P-256
    """
    if len(keys.auth) != AUTH_BYTES:
        raise ValueError(f"`auth` is {AUTH_BYTES} bytes")
    try:
        if len(keys.p256dh) != POINT_BYTES:
            raise ValueError
        ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, keys.p256dh)
    except ValueError:
        raise ValueError("`p256dh` is no point of P-256") from None


def encrypt(
    plaintext: bytes,
    keys: DeviceKeys,
    *,
    ephemeral: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes = b"",
) -> bytes:
    """Return the body of a push request: one record that `keys`' owner alone can read.

    Args:
        plaintext: at most `PLAINTEXT_BYTES_MAX`.
        keys: as `check_keys` takes them.
        ephemeral: the sender's key of this one message, and
        salt: its 16 bytes; made here, but where a test repeats a message.

    Raises:
        ValueError: the text is too long.
    """
    if len(plaintext) > PLAINTEXT_BYTES_MAX:
        raise ValueError(f"a push message has at most {PLAINTEXT_BYTES_MAX} bytes")
    ephemeral = ephemeral or ec.generate_private_key(_CURVE)
    salt = salt or secrets.token_bytes(16)
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, keys.p256dh)
    ours = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    info = b"WebPush: info\0" + keys.p256dh + ours
    shared = _derive(keys.auth, ephemeral.exchange(ec.ECDH(), theirs), info, 32)
    key = _derive(salt, shared, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(salt, shared, b"Content-Encoding: nonce\0", 12)
    head = salt + _RECORD_BYTES.to_bytes(4, "big") + bytes([len(ours)]) + ours
    # 2: the last record, and no padding.
    return head + AESGCM(key).encrypt(nonce, plaintext + b"\x02", None)


def _derive(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)
