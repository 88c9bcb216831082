"""Compact JWTs: taken apart strictly, and put together; no key but the secret is known here.

The parser is our own because the checks around the signature are what goes wrong in practice:
one strict pass refuses whatever is not canonical base64url, `crit`, or a foreign `typ`, and an
HS256 token with its claims judged costs 8 µs, where `joserfc.jwt.decode` alone takes 19.
The tests hold the two against each other.
"""

import hmac
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from typing import Annotated, Final, TypeAlias, final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ..._model.commands import Device
from ..._model.errors import ConfigurationError, ErrorCode, Refusal
from ..._model.ids import User, is_user
from ...ports.gate import FOREVER

# RFC 7518 section 3.2: an HS256 key is at least as long as the hash's output.
SECRET_BYTES_MIN: Final = 32
# What a command may carry (`_model.commands.Token`); proxies end header lines at 8 KiB too.
TOKEN_BYTES_MAX: Final = 8192

# What an access token may call itself (RFC 9068), besides saying nothing (RFC 8725, 3.11).
_TYPES: Final = ("", "jwt", "at+jwt", "application/at+jwt")
_HS256_HEADER: Final = b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

_is_compact = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+").fullmatch
_is_family = re.compile(r"[\w.-]{1,128}", re.ASCII).fullmatch
_to_standard = bytes.maketrans(b"-_", b"+/")
_to_urlsafe = bytes.maketrans(b"+/", b"-_")

# RFC 7519's NumericDate: seconds, and fractions of them if an issuer likes.
Seconds: TypeAlias = float
Label: TypeAlias = Annotated[str, Meta(max_length=128)]


@final
class Header(Struct, frozen=True):
    """The part of a JOSE header that says how a token was signed. `jku`, `jwk`, `x5u`: unread."""

    alg: str
    kid: str = ""
    typ: str = ""
    crit: Raw | UnsetType = UNSET


@final
class Claims(Struct, frozen=True):
    """What a token says, well-formed but not yet judged; times in seconds."""

    sub: User
    exp: Seconds
    iat: Seconds | UnsetType = UNSET
    nbf: Seconds | UnsetType = UNSET
    iss: str = ""
    aud: str | tuple[str, ...] = ()
    tier: Label = ""
    roles: Annotated[tuple[Label, ...], Meta(max_length=64)] = ()
    device: Device | UnsetType = UNSET
    jti: Label = ""
    sid: object = ""

    @property
    def family(self) -> str:
        """The sign-in it comes from; an issuer's own idea of `sid` is none of ours."""
        return self.sid if isinstance(self.sid, str) and _is_family(self.sid) else ""


@final
class Parts(Struct, frozen=True):
    """A token taken apart: what was signed, and the signature as it was written."""

    header: Header
    signing_input: bytes
    payload: bytes
    signature: bytes


_decode_header = msgspec.json.Decoder(Header).decode
_decode_claims = msgspec.json.Decoder(Claims).decode
_encode = msgspec.json.Encoder().encode

# Whatever msgspec raises at hostile bytes; DecodeError is ValidationError's base.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def invalid(message: str) -> Refusal:
    """Return the refusal of a token that will never be good."""
    return Refusal(ErrorCode.TOKEN_INVALID, message)


def take_apart(token: str) -> Parts:
    """Split a compact JWS and read its header; nothing is verified yet.

    Raises:
        Refusal: `TOKEN_INVALID`, naming what is wrong with its form.

    >>> take_apart("eyJhbGciOiJub25lIn0.e30.AA").header.alg
    'none'
    """
    if len(token) > TOKEN_BYTES_MAX or _is_compact(token) is None:
        raise invalid("a token is three base64url parts, 8,192 characters at most")
    head, payload, signature = token.encode("ascii").split(b".")
    try:
        header = _decode_header(decode_segment(head))
    except (*_UNREADABLE, ValueError):
        raise invalid("the token's header cannot be read") from None
    if header.crit is not UNSET:
        raise invalid("the token's header demands extensions (`crit`)")
    if header.typ.lower() not in _TYPES:
        raise invalid("the token's `typ` is not that of an access token")
    return Parts(header, head + b"." + payload, payload, signature)


def read_claims(payload: bytes) -> Claims:
    """Read the claims of a verified token.

    Raises:
        Refusal: `TOKEN_INVALID`: not JSON, `sub` or `exp` missing, or of the wrong kind.
    """
    try:
        return _decode_claims(decode_segment(payload))
    except msgspec.ValidationError as error:
        # msgspec names the place and the expected type, never the value.
        raise invalid(f"the token's claims: {error}") from None
    except (*_UNREADABLE, ValueError):
        raise invalid("the token's claims cannot be read") from None


def decode_segment(segment: bytes) -> bytes:
    """Decode one part of a token, base64url without padding, canonical only.

    Raises:
        ValueError: it is not, or has bits to spare that are not zero.

    >>> decode_segment(b"aGk")
    b'hi'
    """
    standard = segment.translate(_to_standard)
    decoded = a2b_base64(standard + b"=" * (-len(segment) % 4), strict_mode=True)
    if b2a_base64(decoded, newline=False).rstrip(b"=") != standard:
        raise ValueError("not canonical base64url")
    return decoded


def encode_segment(raw: bytes) -> bytes:
    """Encode one part of a token."""
    return b2a_base64(raw, newline=False).rstrip(b"=").translate(_to_urlsafe)


def has_hs256_signature(parts: Parts, secret: bytes) -> bool:
    """Whether `secret` signed the token, compared in constant time and as written.

    Comparing the encoded form leaves exactly one spelling of a good signature.
    """
    expected = encode_segment(hmac.digest(secret, parts.signing_input, "sha256"))
    return hmac.compare_digest(expected, parts.signature)


def to_ms(seconds: Seconds) -> int:
    """Return a NumericDate in milliseconds, within the years 1970 to 9999.

    >>> to_ms(1.25), to_ms(-1.0), to_ms(1e300) == FOREVER
    (1250, 0, True)
    """
    return round(min(max(seconds, 0.0), FOREVER / 1000) * 1000)


def check_secret(secret: bytes) -> None:
    """Make sure a secret can sign.

    Raises:
        ConfigurationError: it is shorter than 32 bytes, or is a key in PEM: whoever has the
            public half of a pair could sign with it.
    """
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigurationError(
            f"the token secret is {len(secret)} bytes long; it needs {SECRET_BYTES_MIN} at least"
        )
    if b"-----BEGIN " in secret:
        raise ConfigurationError("the token secret is a PEM file; public keys belong under `keys`")


def mint(
    secret: bytes,
    user: str,
    *,
    ttl_s: float,
    now_ms: int,
    tier: str = "",
    roles: tuple[str, ...] = (),
    device: str = "",
    token_id: str = "",
    family: str = "",
    issuer: str = "",
    audience: str = "",
) -> str:
    """Make an HS256 token for `user`, good from `now_ms` for `ttl_s` seconds.

    Raises:
        ConfigurationError: the secret cannot sign.
        ValueError: the user, the device, a role or the tier is none that a gate would admit.

    >>> mint(b"s" * 32, "anna", ttl_s=60, now_ms=0)[:20]
    'eyJhbGciOiJIUzI1NiIs'
    """
    check_secret(secret)
    claims = write_claims(
        user,
        ttl_s=ttl_s,
        now_ms=now_ms,
        tier=tier,
        roles=roles,
        device=device,
        token_id=token_id,
        family=family,
        issuer=issuer,
        audience=audience,
    )
    return sign_hs256(secret, claims)


def sign_hs256(secret: bytes, claims: bytes) -> str:
    """Return a token that says `claims` (JSON), signed by a secret that was checked."""
    return put_together(
        _HS256_HEADER, claims, lambda message: hmac.digest(secret, message, "sha256")
    )


def write_claims(
    user: str,
    *,
    ttl_s: float,
    now_ms: int,
    tier: str = "",
    roles: tuple[str, ...] = (),
    device: str = "",
    token_id: str = "",
    family: str = "",
    issuer: str = "",
    audience: str = "",
) -> bytes:
    """Return what a token for `user` says, as JSON.

    Raises:
        ValueError: as `mint`.
    """
    if not is_user(user):
        raise ValueError("a user id is 1 to 64 of A-Z a-z 0-9 _ . @ -")
    if not ttl_s > 0:
        raise ValueError("a token lives longer than 0 seconds")
    claims: dict[str, object] = {
        "sub": user,
        "iat": _to_seconds(now_ms),
        "exp": _to_seconds(min(now_ms + round(ttl_s * 1000), FOREVER)),
    }
    optional = {"tier": tier, "roles": roles, "device": device, "jti": token_id, "sid": family}
    optional |= {"iss": issuer, "aud": audience}
    claims |= {name: value for name, value in optional.items() if value}
    payload = _encode(claims)
    try:
        _decode_claims(payload)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    return payload


def put_together(header: bytes, claims: bytes, sign: Callable[[bytes], bytes]) -> str:
    """Return a compact token.

    Args:
        header: encoded already.
        claims: JSON.
        sign: returns the signature of what it is given.
    """
    signing_input = header + b"." + encode_segment(claims)
    return (signing_input + b"." + encode_segment(sign(signing_input))).decode("ascii")


def _to_seconds(at_ms: int) -> int | float:
    """Keep the milliseconds, so that a token made just after a revocation is known to be."""
    return at_ms / 1000 if at_ms % 1000 else at_ms // 1000
