"""Addresses: whole only where they are asked for as a whole."""

import pytest

from triolet._model.errors import ConfigurationError
from triolet_api.address import Address
from triolet_api.secret import Secret


def test_neither_text_nor_repr_shows_a_password():
    address = Address("postgresql://anna:hunter2@db/chat")

    assert "hunter2" not in f"{address} {address!r} {[address]}"
    assert address.reveal() == "postgresql://anna:hunter2@db/chat"


def test_it_is_a_value():
    one, same, other = Address("memory:"), Address("memory:"), Address("redis://h")

    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != "memory:"


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("postgresql://db/chat", "postgresql://:a%2Fb@db/chat"),
        ("postgresql:///chat?host=/run", "postgresql://:a%2Fb@/chat?host=/run"),
        ("redis://[::1]:6379", "redis://:a%2Fb@[::1]:6379"),
        ("redis://one,redis://u@two", "redis://:a%2Fb@one,redis://u:a%2Fb@two"),
    ],
)
def test_a_password_is_put_where_urls_have_it(url, whole):
    assert Address(url).with_password(Secret(b"a/b")).reveal() == whole


@pytest.mark.parametrize("url", ["", "memory:", "sqlite:x", "redis://:p@h"])
def test_a_password_too_many_is_refused(url):
    with pytest.raises(ConfigurationError):
        Address(url).with_password(Secret(b"x"))
