"""Law: `triolet user` does on the line what it says, beside a running server and without one."""

import pytest
import trio
from click.testing import CliRunner

from triolet_api.auth.settings import AuthSettings
from triolet_api.cli import cli
from triolet_api.serve import open_server
from triolet_api.settings import Settings

FAST = {"TRIOLET_AUTH_HASH_MEMORY_KIB": "8192", "TRIOLET_AUTH_HASH_PASSES": "1"}


@pytest.fixture
def user(tmp_path):
    """Run `triolet user …` on the folder, and return the result."""
    (tmp_path / "password").write_text("correct horse\n")

    def run(*args, status=0):
        where = ["--data", str(tmp_path / "data")]
        result = CliRunner().invoke(cli, ["user", *args, *where], env=FAST)
        assert result.exit_code == status, result.output
        return result.output

    run.password = ("--password-file", str(tmp_path / "password"))
    run.data = tmp_path / "data"
    return run


def story(user):
    """The first admin, and what else an operator does."""
    assert user("add", "Root", "--role", "admin", *user.password).split("\t")[:2] == [
        "root",
        "admin",
    ]
    said = user("add", "anna", "--generate")
    assert said.startswith("anna\t-\t-\t")
    assert len(said.partition("password: ")[2].strip()) == 22
    assert user("add", "anna", *user.password, status=1).count("\n") == 1
    assert user("roles", "anna", "helper", "--tier", "premium").split("\t")[1:3] == [
        "helper",
        "premium",
    ]
    assert user("disable", "anna").endswith("\tdisabled\n")
    assert not user("enable", "anna").endswith("\tdisabled\n")
    assert user("password", "anna", *user.password).startswith("anna\t")
    assert [line.split("\t")[0] for line in user("list").splitlines()] == ["anna", "root"]
    assert user("remove", "anna", "--yes") == "anna is removed\n"
    assert user("remove", "anna", "--yes", status=1).count("\n") == 1
    assert user("list").startswith("root\t")


def test_where_no_server_runs(user):
    story(user)


async def test_beside_a_running_server(user):
    """It is asked, for its store is its own; what it knows afterwards says so."""
    settings = Settings(
        data=user.data, port=0, auth=AuthSettings(hash_memory_kib=8192, hash_passes=1)
    )
    async with open_server(settings) as server:
        await trio.to_thread.run_sync(story, user)
        found = await server.engine.store.documents.scan("account/", limit=9)
        assert [one.key for one in found] == ["account/anna", "account/root"]
        audit = await server.engine.store.documents.scan("audit/", limit=9)
        assert len(audit) == 9
        assert b"correct horse" not in b"".join(one.value for one in audit)


@pytest.mark.parametrize(
    "args",
    [
        ("add", "anna"),
        ("add", "an na", "--generate"),
        ("add", "anna", "--generate", "--role", "a b"),
        ("add", "anna", "--generate", "--password-file", "x"),
        ("add", "anna", "--password-file", "/nowhere/at/all"),
    ],
)
def test_what_is_asked_wrongly(user, args):
    """Also where there is nobody to type a password."""
    user(*args, status=2)
    assert not user.data.exists()
