"""Law: a URL says where a server is; what is shown of it has no password."""

import pytest

from triolet._model.errors import ConfigurationError
from triolet.adapters.redis.address import Address, parse_address


def test_all_parts():
    url = "rediss://anna:se%40cret%2F@[::1]:7000/3?prefix=staging&ca=ca.pem&cert=me.pem&key=me.key"
    assert parse_address(url) == Address(
        host="::1",
        port=7000,
        user="anna",
        password="se@cret/",
        db=3,
        is_tls=True,
        prefix="staging",
        ca="ca.pem",
        cert="me.pem",
        key="me.key",
    )


def test_the_least():
    assert parse_address("redis://cache") == Address(host="cache")
    assert parse_address("redis://:secret@cache/") == Address(host="cache", password="secret")


@pytest.mark.parametrize(
    "url",
    [
        "http://cache",
        "redis:",
        "redis://",
        "redis://:secret@",
        "redis://cache:secret",
        "redis://cache/secret",
        "redis://cache/-1",
        "redis://cache?secret",
        "redis://cache?database=secret",
    ],
)
def test_what_is_none_is_refused_and_not_repeated(url):
    with pytest.raises(ConfigurationError) as caught:
        parse_address(url)
    assert "secret" not in str(caught.value)


def test_no_password_is_shown():
    address = parse_address("redis://anna:secret@cache:7000/1")
    assert f"{address} {address!r}" == "redis://cache:7000/1 redis://cache:7000/1"


def test_certificates_that_cannot_be_read(tmp_path):
    address = parse_address(f"rediss://cache?ca={tmp_path / 'none.pem'}")
    with pytest.raises(ConfigurationError, match="certificates for rediss://cache:6379/0"):
        address.context()
