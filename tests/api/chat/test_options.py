"""Who chats: whom the token names, or whoever is named, by the secret of a server nearby."""

import time

import click
import pytest

from triolet._model.errors import ConfigurationError
from triolet.adapters.tokens import mint
from triolet.adapters.tokens.jwt import read_claims, take_apart
from triolet_api.chat.options import who_is
from triolet_api.secret import make_or_keep_secret

SECRET = b"a secret of no less than 32 bytes"


def token(name):
    return mint(SECRET, name, ttl_s=60, now_ms=time.time_ns() // 1_000_000)


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """No settings but the test's own."""
    monkeypatch.chdir(tmp_path)
    for name in ("TRIOLET_TOKEN", "TRIOLET_SECRET", "TRIOLET_CONFIG", "TRIOLET_DATA"):
        monkeypatch.delenv(name, raising=False)


def test_a_token_says_who():
    person = who_is(None, token("anna"))

    assert ("anna", token("anna")[:20]) == (person.name, person.token[:20])


def test_a_token_of_somebody_else_is_refused():
    with pytest.raises(click.UsageError, match="the token is anna's, not ben's"):
        who_is("ben", token("anna"))


def test_what_is_no_token_is_refused():
    with pytest.raises(ConfigurationError, match="token: "):
        who_is(None, "nonsense")


def test_the_secret_of_a_server_nearby_signs(tmp_path):
    make_or_keep_secret(tmp_path / "triolet-data")
    make_or_keep_secret(tmp_path / "other")

    for data in (None, tmp_path / "other"):
        person = who_is("anna", None, data=data)
        assert "anna" == person.name == read_claims(take_apart(person.token()).payload).sub


def test_a_file_with_the_secret_signs(tmp_path):
    (tmp_path / "file").write_bytes(SECRET + b"\n")

    person = who_is("anna", None, secret_file=tmp_path / "file")

    assert token("anna").split(".")[0] == person.token().split(".")[0]


def test_without_a_server_nearby_it_is_said_how_to_have_one():
    with pytest.raises(ConfigurationError, match="start `triolet serve` first"):
        who_is("anna", None)


def test_somebody_who_is_not_named_is_who_is_logged_in(monkeypatch, tmp_path):
    make_or_keep_secret(tmp_path / "triolet-data")
    monkeypatch.setenv("LOGNAME", "carl")

    assert "carl" == who_is(None, None).name


def test_a_name_must_be_one():
    with pytest.raises(click.UsageError, match="is no name"):
        who_is("a b", None)
