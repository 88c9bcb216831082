"""Law: what is marked as fast starts no process, and whoever adds a test need not think of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import processless
import pytest
from processless import TESTS, Guard, starts_processes

PATIENCE_S = 120
FILES = sorted(TESTS.rglob("test_*.py"))
COMMANDS = {
    "subprocess.Popen": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
    "os.posix_spawn": lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", "pass"], {}),
    "os.system": lambda: os.system("true"),
    "os.fork": os.fork,
}


@pytest.fixture
def write(monkeypatch, tmp_path):
    """Write files of a project; return where the last one is."""

    def write_files(**texts):
        for name, text in texts.items():
            path = tmp_path / "tests" / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return path

    monkeypatch.setattr(processless, "ROOT", tmp_path)
    monkeypatch.setattr(processless, "TESTS", tmp_path / "tests")
    caches = [one for one in vars(processless).values() if hasattr(one, "cache_clear")]
    for one in caches:
        one.cache_clear()
    yield write_files
    for one in caches:
        one.cache_clear()


CONFTEST = """
import pytest
from started import run_server

def place(port):
    return f"127.0.0.1:{port}"

def _serving():
    with run_server() as port:
        yield place(port)

@pytest.fixture
def server():
    yield from _serving()

@pytest.fixture
def client(server):
    return server

@pytest.fixture(name="named")
def _named(server):
    return server

@pytest.fixture
def tea():
    return place(1)
"""
STARTED = "from trio import run_process\n\ndef run_server():\n    ...\n"


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("def test_one():\n    assert True\n", False),
        ("import subprocess\n", True),
        ("def test_one():\n    from subprocess import run\n", True),
        ("import trio\n\nasync def test_one():\n    await trio.lowlevel.open_process([])\n", True),
        ("from started import (\n    run_server,\n)\n", True),
        ("from above import run_server\n", True),
        ("import above\n", True),
        ("def test_one(server):\n    ...\n", True),
        ("def test_one(client):\n    ...\n", True),
        ("@pytest.mark.usefixtures('client')\ndef test_one():\n    ...\n", True),
        ("def test_one(named):\n    ...\n", True),
        ("def test_one(tea, _named, run_server):\n    ...\n", False),
        ("def test_one(tea):\n    ...\n", False),
        ("pytestmark = pytest.mark.processes\n", True),
    ],
)
def test_what_starts_a_process_is_read_off(write, text, starts):
    """Also where a module or a fixture does, by way of others."""
    above = "from started import run_server\n"
    assert (
        starts_processes(write(conftest=CONFTEST, started=STARTED, above=above, test=text))
        is starts
    )


def test_a_fixture_that_asks_for_one_above_it_counts(write):
    folder = write(conftest=CONFTEST, started=STARTED).with_name("deeper")
    folder.mkdir()
    below = "@pytest.fixture\ndef ours(client):\n    return client\n"
    (folder / "conftest.py").write_text(below)
    for name in ("ours", "theirs"):
        (folder / f"test_{name}.py").write_text(f"def test_one({name}):\n    ...\n")

    assert starts_processes(folder / "test_ours.py")
    assert not starts_processes(folder / "test_theirs.py")


def test_what_is_tested_counts_with_what_it_says_itself(monkeypatch, write, tmp_path):
    """Else nothing would be fast that has the server at hand, which can supervise others."""
    test = write(test_near="import triolet_api.near\n", test_far="from triolet_api import far\n")
    folder = tmp_path / "api/triolet_api"
    folder.mkdir(parents=True)
    (folder / "near.py").write_text("from trio.lowlevel import open_process\n")
    (folder / "far.py").write_text("from . import near\n")

    assert starts_processes(test.with_name("test_near.py"))
    assert not starts_processes(test.with_name("test_far.py"))


def test_there_are_files_of_both_kinds():
    """A rule that finds all or none tells nothing."""
    found = {file.relative_to(TESTS).as_posix(): starts_processes(file) for file in FILES}

    assert found["wire/test_codec.py"] is found["api/test_endpoints.py"] is False
    assert found["e2e/test_kill.py"] is found["adapters/postgres/test_store.py"] is True
    assert found[Path(__file__).relative_to(TESTS).as_posix()] is True


@pytest.mark.parametrize("event", COMMANDS)
def test_a_process_is_refused_and_the_way_out_said(event):
    """However it is started; afterwards it is started again."""
    guard = Guard()

    with (
        guard.forbids("test_tea"),
        pytest.raises(pytest.fail.Exception, match="write `pytestmark = ") as told,
    ):
        COMMANDS[event]()

    assert f"test_tea starts a process ({event}" in str(told.value)
    assert subprocess.run([sys.executable, "-c", "pass"], check=False).returncode == 0


HIDDEN = """
from importlib import import_module

def test_one():
    import_module('sub' + 'process').run('true')
"""
TOLD = f"import pytest\npytestmark = pytest.mark.processes\n{HIDDEN}"
NONE = "def test_one():\n    assert True\n"
INI = "[pytest]\ntrio_mode = true\nmarkers =\n    fast: 1\n    processes: 2\n"


def test_the_mark_is_set_and_held_to(tmp_path):
    """By `conftest.py`: what does not look like it fails, and with the other mark is left out."""
    for file in ("conftest.py", "fast/processless.py"):
        shutil.copy(TESTS / file, tmp_path)
    for name, text in {"hidden": HIDDEN, "told": TOLD, "none": NONE}.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    (tmp_path / "pytest.ini").write_text(INI)

    def run(*asked):
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-n", "0", "-q", *asked],
            cwd=tmp_path,
            env=os.environ | {"PYTEST_ADDOPTS": "", "TESTS_REQUIRE": ""},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        ).stdout

    fast, everything = run("-m", "fast"), run()

    assert "test_hidden.py::test_one starts a process (subprocess.Popen" in fast
    assert "1 failed, 1 passed" in fast, fast
    assert "1 failed, 2 passed" in everything, everything
