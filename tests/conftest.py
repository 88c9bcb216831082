"""What all tests share: what must not be skipped, npm packages, and servers of others."""

import gc
import logging
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from triolet.testing.services.postgres import NoPostgres, PostgresServer, run_postgres
from triolet.testing.services.redis import NoRedis, RedisServer, run_redis

# Words, comma-separated; a skip whose reason has one of them is a failure: `TESTS_REQUIRE=node`.
# Not `TRIOLET_…`: those are settings, and a server that a test starts refuses unknown ones.
REQUIRED = [word for word in os.environ.get("TESTS_REQUIRE", "").lower().split(",") if word]
NPM_PACKAGES = ("ws", "@msgpack/msgpack")
# Two packages of 200 KiB take a second or two; a machine without a network finds out in time.
NPM_TIMEOUT_S = 180

# Hundreds of tests start processes of ours. Each would compile all of it again, which is 0.5 s of
# the 1.6 s that a start takes, where the caller's environment forbids to keep what is compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let nothing that is required be skipped."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        if any(word in reason.lower() for word in REQUIRED):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: required (TESTS_REQUIRE), yet {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Have a test that configures logs leave the root logger as loud as it was.

    What later ones in the same process capture must not depend on which ones those are.
    """
    level = logging.root.level
    try:
        return (yield)
    finally:
        logging.root.setLevel(level)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files of few tests: those have servers and take long, and none of them is last.

    pytest-xdist's own order is the other way round: at its end one process waits for the other.
    """
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (tests[item.path], item.path))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Take thousands of tests out of the collector's sight: they stay as long as the process.

    To walk them again and again is two thirds of the time of tests that make many objects.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Have each failure named when it happens: a run that is ended tells what it found."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        session.config.pluginmanager.register(Failures(terminal))


class Failures:
    """Names each failure at once, on a line of its own."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            why = report.longreprtext.rstrip().rpartition("\n")[2]
            self._terminal.write_line(f"\n{report.nodeid}: {report.when} failed: {why}")


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which `node` finds `ws` and `@msgpack/msgpack`."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node is missing")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"private": true}')
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *NPM_PACKAGES]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=NPM_TIMEOUT_S)
    except subprocess.SubprocessError as error:
        told = (getattr(error, "stderr", None) or b"").decode(errors="replace")
        pytest.skip(f"Node's packages cannot be installed: {error} {told[-500:]}")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of this process; a test that stops it starts it again."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(run_postgres())
        except NoPostgres as error:
            pytest.skip(str(error))
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Return the URL of an empty database that is one test's own."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for all tests of this process; a test that stops it starts it again."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(run_redis())
        except NoRedis as error:
            pytest.skip(str(error))
        yield server
