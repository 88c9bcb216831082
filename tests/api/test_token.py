"""`triolet token`: the same secret as the server's, and claims as asked."""

import pytest
from click.testing import CliRunner
from joserfc import jwt as jose
from joserfc.jwk import OctKey

from triolet_api.cli import cli
from triolet_api.secret import make_or_keep_secret

SECRET = "a secret of thirty-two bytes and more"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*args, **env):
        return CliRunner().invoke(cli, ["token", *args], env=env, prog_name="triolet")

    return run


def claims_of(result, secret=SECRET):
    assert result.exit_code == 0, result.output
    assert result.output.count("\n") == 1
    return jose.decode(result.output.strip(), OctKey.import_key(secret)).claims


def test_a_token_says_what_was_asked(run):
    claims = claims_of(
        run(
            "anna", "--ttl", "60", "--tier", "service", "--role", "admin", "--role", "bot",
            "--device", "cli", TRIOLET_SECRET=SECRET,
        )
    )  # fmt: skip

    assert claims["sub"] == "anna"
    assert round(claims["exp"] - claims["iat"]) == 60
    assert claims["roles"] == ["admin", "bot"]
    assert (claims["tier"], claims["device"]) == ("service", "cli")


def test_by_default_it_is_good_for_a_day(run):
    claims = claims_of(run("anna", TRIOLET_SECRET=SECRET))

    assert round(claims["exp"] - claims["iat"]) == 86_400
    assert set(claims) == {"sub", "iat", "exp"}


def test_the_servers_own_secret_signs(run, tmp_path):
    secret = make_or_keep_secret(tmp_path / "data").reveal()

    assert claims_of(run("anna", "--data", str(tmp_path / "data")), secret)["sub"] == "anna"


def test_issuer_and_audience_are_those_the_server_wants(run):
    claims = claims_of(
        run("anna", TRIOLET_SECRET=SECRET, TRIOLET_ISSUER="me", TRIOLET_AUDIENCE="chat,beta")
    )

    assert (claims["iss"], claims["aud"]) == ("me", "chat")


@pytest.mark.parametrize(
    ("args", "env", "words"),
    [
        (["an na"], {"TRIOLET_SECRET": SECRET}, "a user id is"),
        (["anna", "--ttl", "0"], {"TRIOLET_SECRET": SECRET}, "longer than 0"),
        (["anna", "--device", "a b"], {"TRIOLET_SECRET": SECRET}, "device"),
        (["anna"], {}, "start `triolet serve` first"),
        (["anna"], {"TRIOLET_KEYS": "k.pem"}, "whoever holds the keys"),
        (["anna"], {"TRIOLET_SECRET": "short"}, "TRIOLET_SECRET: "),
        (["anna", "--config", "none.toml"], {}, "none.toml cannot be read"),
    ],
)
def test_what_cannot_be_is_status_2(run, tmp_path, args, env, words):
    result = run(*args, **env)

    assert result.exit_code == 2
    assert words in result.output
    assert list(tmp_path.iterdir()) == []
