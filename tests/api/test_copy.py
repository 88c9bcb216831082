"""`triolet copy`: told what it did, exited with a status that means something, and resumed."""

import sqlite3
import subprocess
import sys
from contextlib import chdir

import pytest
import trio
from click.testing import CliRunner

from triolet._model.limits import Limits
from triolet.adapters.sqlite import open_sqlite_store
from triolet.adapters.sqlite.files import sole_server
from triolet.copying import open_target
from triolet.testing.contracts import Home
from triolet.testing.contracts.filling import everything, fill
from triolet_api.cli import cli


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def run():
    def run(*args):
        return CliRunner().invoke(cli, ["copy", *map(str, args)], prog_name="triolet")

    return run


def opened(home):
    return open_sqlite_store(
        home.path / "store.db", clock=home.clock, entropy=home.entropy, limits=Limits()
    )


def url(home):
    return f"sqlite:{home.path / 'store.db'}"


def filled(home):
    async def fill_it():
        async with opened(home) as store:
            await fill(store, home)

    trio.run(fill_it)
    return url(home)


def said(home):
    async def read_it():
        async with opened(home) as store:
            return await everything(store)

    return trio.run(read_it)


def test_a_copy_is_told_section_by_section(run, home):
    there = home.another()
    source = filled(home)

    result = run(source, url(there))

    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines[:10]] == [
        "rooms", "entries", "memberships", "people", "revocations", "cids", "deleted", "documents",
        "jobs", "changed",
    ]  # fmt: skip
    assert lines[0][1] == "7"
    assert all(len(line[-1]) == 32 for line in lines[:10])
    assert result.stdout.endswith(f"{url(there)} holds all that {source} does\n")
    assert said(home) == said(there)


def test_a_difference_is_status_1_and_the_copy_stays_unfinished(run, home, monkeypatch):
    there = home.another()
    source = filled(home)

    async def and_plant(*args):
        await transfer(*args)
        with sqlite3.connect(there.path / "store.db") as connection:
            connection.execute("UPDATE members SET read = read + 1")
        connection.close()

    transfer = sys.modules["triolet_api.copy"].transfer
    monkeypatch.setattr("triolet_api.copy.transfer", and_plant)
    result = run(source, url(there))

    assert result.exit_code == 1
    assert "memberships" in result.output
    assert "in the source" in result.output
    assert "stays unfinished" in result.output
    assert "unfinished copy" in run(url(there), url(home.another())).output


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("sqlite:none.db", "sqlite:new.db", "there is no store at none.db"),
        ("sqlite:one.db", "sqlite:one.db", "the same store"),
        ("memory:", "sqlite:new.db", "cannot be copied"),
        ("mysql://anna:hunter2@host/x", "sqlite:new.db", "is no store"),
    ],
)
def test_what_cannot_be_is_status_2(run, tmp_path, source, target, words):
    with chdir(tmp_path):
        result = run(source, target)

    assert result.exit_code == 2
    assert words in result.output
    assert "hunter2" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_stores_in_use_are_refused(run, home):
    """Either of them, with what to do."""
    source, there = filled(home), home.another()

    with sole_server(home.path / "store.db"):
        result = run(source, url(there))
    assert (result.exit_code, "stop it before you copy" in result.output) == (2, True)
    with sole_server(there.path / "store.db"):
        result = run(source, url(there))
    assert (result.exit_code, "in use by another server" in result.output) == (2, True)


def test_serve_refuses_an_unfinished_copy(home, tmp_path):
    """With a message that says what to do."""
    filled(home)
    there = home.another()

    async def begin():
        from triolet.copying import open_source

        async with open_source(url(home)) as source, open_target(url(there)) as target:
            await target.begin(await source.origin())

    trio.run(begin)
    env = {"TRIOLET_STORE": url(there), "TRIOLET_DATA": str(tmp_path / "data")}
    result = CliRunner().invoke(cli, ["serve", "--port", "0"], env=env)

    assert result.exit_code == 2
    assert "let `triolet copy` finish it, or remove it" in result.output


# The command in small steps, which is killed by itself: after the work of its n-th page but
# before the commit, or behind the commit, or while it compares.
DYING = """
import os, signal, sys
import triolet.copying
from triolet.adapters.postgres import importing as postgres
from triolet.adapters.sqlite import importing as sqlite
from triolet_api import copy
from triolet_api.cli import cli

number, when = int(sys.argv[1]), sys.argv[2]
triolet.copying.ROWS_MAX = 40

def die(at):
    global number
    if when == at:
        number -= 1
        if number <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

def dying(at, function):
    def then(*args, **kwargs):
        function(*args, **kwargs)
        die(at)
    async def then_async(*args, **kwargs):
        await function(*args, **kwargs)
        die(at)
    return then_async if function.__code__.co_flags & 0x80 else then

sqlite.TAKE |= {section: dying("before", take) for section, take in sqlite.TAKE.items()}
postgres.TAKE |= {section: dying("before", take) for section, take in postgres.TAKE.items()}
for target in (sqlite.SqliteTarget, postgres.PostgresTarget):
    target.take = dying("after", target.take)
    target.settle = dying("settled", target.settle)
compare = copy.compare

async def half(*args):
    die("comparing")
    return await compare(*args)

copy.compare = half
cli(sys.argv[3:], prog_name="triolet")
"""
DEATHS = [
    (1, "before"),
    (5, "before"),
    (6, "after"),
    (1, "settled"),
    (1, "comparing"),
    (1, "never"),
]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_copy_that_was_killed_goes_on(home, request, run, kind):
    """`kill -9` in the middle of a transaction and behind one: the copy is the same."""
    there = home.another()
    source = filled(home)
    before = said(home)
    target = url(there) if kind == "sqlite" else request.getfixturevalue("postgres_url")
    codes = []
    for number, when in DEATHS:
        args = (str(number), when, "copy", source, target)
        done = subprocess.run(
            [sys.executable, "-c", DYING, *args],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        codes.append(done.returncode)

    assert codes == [-9] * (len(DEATHS) - 1) + [0], done.stderr
    assert "holds all that" in done.stdout
    if kind == "postgres":
        # Back again, where it can be read as the source was.
        assert run(target, url(there)).exit_code == 0
    assert before == said(there)
