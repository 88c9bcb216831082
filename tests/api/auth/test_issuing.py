"""Law: what signs here is made once, kept for its owner alone, and admitted by the gate."""

import stat

import pytest

from triolet._model.errors import ConfigurationError
from triolet._model.limits import Limits
from triolet.adapters.tokens import TokenGate
from triolet.ports.gate import Opening
from triolet.testing.contracts.home import BEGINNING_MS, StandingClock
from triolet_api.auth.accounts import Account
from triolet_api.auth.family import Family
from triolet_api.auth.issuing import KEYS_FILE, Issuer, Signing, open_signing
from triolet_api.auth.settings import AuthSettings
from triolet_api.secret import Secret
from triolet_api.settings import Settings

ACCOUNT = Account(
    user="anna", password="", created=0, password_changed=0, roles=("admin",), tier="premium"
)
FAMILY = Family(user="anna", id="f" * 22, salt="s" * 22, created=0, used=0, device="phone")


def settings_of(folder, **auth):
    return Settings(data=folder, auth=AuthSettings(**auth))


@pytest.mark.parametrize("algorithm", ["HS256", "EdDSA", "ES256"])
async def test_a_token_says_what_the_account_is(tmp_path, algorithm):
    signing = open_signing(settings_of(tmp_path, algorithm=algorithm))
    issuer = Issuer(signing, settings=AuthSettings(), issuer="us", audience="chat")
    gate = TokenGate(
        clock=StandingClock(),
        limits=Limits(),
        secret=signing.secret.reveal(),
        own=signing.ring,
        issuer="us",
        audience=["chat"],
    )
    who = await gate.admit(issuer.issue(ACCOUNT, FAMILY, at=BEGINNING_MS), Opening())
    assert (who.user, who.roles, who.tier) == ("anna", ("admin",), "premium")
    assert (who.device, who.family) == ("phone", "f" * 22)
    assert (who.issued_at, who.expires_at) == (BEGINNING_MS, BEGINNING_MS + 900_000)


async def test_keys_are_made_once_and_kept_for_their_owner(tmp_path):
    settings = settings_of(tmp_path / "data", algorithm="EdDSA")
    first, second = open_signing(settings), open_signing(settings)
    assert first.keys.refresh().public_jwks == second.keys.refresh().public_jwks
    assert stat.S_IMODE((tmp_path / "data" / KEYS_FILE).stat().st_mode) == 0o600


def test_where_only_keys_verify_nothing_signs(tmp_path):
    assert open_signing(Settings(data=tmp_path, jwks=tmp_path / "jwks.json")) is None
    both = Settings(data=tmp_path, jwks=tmp_path / "jwks.json", secret=Secret(b"s" * 32))
    assert open_signing(both) == Signing(Secret(b"s" * 32))
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_of_keys_is_named(tmp_path):
    (tmp_path / KEYS_FILE).write_text("{}")
    with pytest.raises(ConfigurationError, match=KEYS_FILE):
        open_signing(settings_of(tmp_path, algorithm="ES256"))
