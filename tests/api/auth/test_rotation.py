"""Law: `triolet keys --rotate` adds a key that a running server takes up by itself."""

import stat

import pytest
from click.testing import CliRunner

from triolet_api.auth.issuing import KEYS_FILE, open_signing
from triolet_api.auth.settings import AuthSettings
from triolet_api.cli import cli
from triolet_api.settings import Settings


@pytest.fixture
def keys(tmp_path):
    def run(*args, algorithm="EdDSA", status=0):
        env = {"TRIOLET_AUTH_ALGORITHM": algorithm}
        result = CliRunner().invoke(cli, ["keys", "--data", str(tmp_path), *args], env=env)
        assert result.exit_code == status, result.output
        return result.output.splitlines()

    return run


def test_a_new_key_beside_the_old_one(tmp_path, keys):
    open_signing(Settings(data=tmp_path, auth=AuthSettings(algorithm="EdDSA")))
    (first,) = keys()
    assert first.startswith("EdDSA ")
    rotated = keys("--rotate", algorithm="ES256")
    assert rotated[0] == first
    assert rotated[1].startswith("ES256 ")
    assert keys() == rotated
    assert stat.S_IMODE((tmp_path / KEYS_FILE).stat().st_mode) == 0o600
    assert sorted(one.name for one in tmp_path.iterdir()) == ["secret", KEYS_FILE]


def test_where_there_are_none(keys):
    assert "HS256" in keys(algorithm="HS256", status=2)[0]
    assert KEYS_FILE in keys(status=2)[0]
