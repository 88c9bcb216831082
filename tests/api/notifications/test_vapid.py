"""Law: a push service can tell who sends, by a key that is kept and never shown."""

import stat
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from joserfc import jwt
from joserfc.jwk import ECKey

from triolet._model.errors import ConfigurationError
from triolet_api.notifications.vapid import FILE_NAME, VapidKey, make_or_keep_key

NOW = 1_800_000_000


def test_another_implementation_verifies_the_token() -> None:
    key = VapidKey(ec.generate_private_key(ec.SECP256R1()))
    header = key.authorization(
        "https://push.example.net:8443/send/secret?x=1", subject="mailto:ops@example.org", now=NOW
    )
    token, public = header.removeprefix("vapid t=").split(", k=")
    point = urlsafe_b64decode(public + "==")
    known = ECKey.import_key(
        {"kty": "EC", "crv": "P-256", "x": part(point[1:33]), "y": part(point[33:])}
    )
    read = jwt.decode(token, known, algorithms=["ES256"])

    assert public == key.public
    assert read.header == {"typ": "JWT", "alg": "ES256"}
    assert read.claims == {
        "aud": "https://push.example.net:8443",
        "exp": NOW + 12 * 3600,
        "sub": "mailto:ops@example.org",
    }


def part(data: bytes) -> str:
    from triolet_api.notifications.vapid import base64url

    return base64url(data)


def test_the_first_start_makes_a_key_that_stays(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    made, kept = make_or_keep_key(folder), make_or_keep_key(folder)

    assert made.public == kept.public
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600
    assert [one.name for one in folder.iterdir()] == [FILE_NAME]


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> bytes:
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


@pytest.mark.parametrize(
    "text",
    [
        b"nothing",
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(ec.generate_private_key(ec.SECP256K1())),
        pem(ec.generate_private_key(ec.SECP256R1()), b"hunter2"),
        pem(rsa.generate_private_key(65537, 2048)),
    ],
)
def test_a_key_of_another_kind_is_refused(text: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(text)

    with pytest.raises(ConfigurationError, match=r"vapid\.pem: this is no private key of P-256"):
        make_or_keep_key(tmp_path)


def test_a_key_shows_its_public_half_alone() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    number = private.private_numbers().private_value

    assert str(number) not in repr(VapidKey(private))
    assert VapidKey(private).public in repr(VapidKey(private))
