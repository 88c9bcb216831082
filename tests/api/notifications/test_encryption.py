"""Law: what is encrypted for a device is what RFC 8291 says, and nobody else reads it."""

from base64 import urlsafe_b64decode

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from triolet_api.notifications.encryption import (
    PLAINTEXT_BYTES_MAX,
    DeviceKeys,
    check_keys,
    encrypt,
)

AUTH = bytes(range(16))
PRIVATE = ec.generate_private_key(ec.SECP256R1())
POINT = PRIVATE.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
KEYS = DeviceKeys(POINT, AUTH)


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_it_makes_the_message_of_the_rfcs_appendix() -> None:
    number = int.from_bytes(decoded("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big")
    made = encrypt(
        b"When I grow up, I want to be a watermelon",
        DeviceKeys(
            decoded(
                "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6S"
                "RpkNtoIAiw4"
            ),
            decoded("BTBZMqHH6r4Tts7J_aSIgg"),
        ),
        ephemeral=ec.derive_private_key(number, ec.SECP256R1()),
        salt=decoded("DGv6ra1nlYgDCS1FRnbzlw"),
    )

    assert made == decoded(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLoc"
        "InmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLV"
        "WGNWQexSgSxsj_Qulcy4a-fN"
    )


@given(st.binary(max_size=PLAINTEXT_BYTES_MAX))
def test_another_implementation_reads_it(plaintext: bytes) -> None:
    made = encrypt(plaintext, KEYS)

    assert len(made) <= 4096
    assert plaintext == http_ece.decrypt(made, private_key=PRIVATE, auth_secret=AUTH)


def test_no_two_messages_are_alike() -> None:
    assert encrypt(b"hello", KEYS) != encrypt(b"hello", KEYS)


def test_who_does_not_share_the_secret_reads_nothing() -> None:
    made = encrypt(b"hello", KEYS)

    with pytest.raises(Exception, match=r"."):
        http_ece.decrypt(made, private_key=PRIVATE, auth_secret=bytes(16))


def test_what_no_push_service_takes_is_not_made() -> None:
    with pytest.raises(ValueError, match="at most 3993 bytes"):
        encrypt(bytes(PLAINTEXT_BYTES_MAX + 1), KEYS)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (DeviceKeys(POINT, bytes(15)), "`auth` is 16 bytes"),
        (DeviceKeys(POINT[:-1], AUTH), "no point of P-256"),
        (DeviceKeys(b"\x04" + bytes(64), AUTH), "no point of P-256"),
        (DeviceKeys(b"", AUTH), "no point of P-256"),
    ],
)
def test_keys_that_are_none_are_refused(keys: DeviceKeys, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_keys(keys)


def test_keys_show_themselves_to_nobody() -> None:
    check_keys(KEYS)

    assert repr(KEYS) == "DeviceKeys(…)"
