"""What all tests share: what must not be skipped, npm packages, and servers of others."""

import gc
import logging
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from processless import Guard, starts_processes

from triolet.testing.services.postgres import NoPostgres, PostgresServer, run_postgres
from triolet.testing.services.redis import NoRedis, RedisServer, run_redis

T = TypeVar("T")

# Words, comma-separated; a skip whose reason has one of them is a failure: `TESTS_REQUIRE=node`.
# Not `TRIOLET_…`: those are settings, and a server that a test starts refuses unknown ones.
REQUIRED = [word for word in os.environ.get("TESTS_REQUIRE", "").lower().split(",") if word]
NPM_PACKAGES = ("ws", "@msgpack/msgpack")
# Two packages of 200 KiB take a second or two; a machine without a network finds out in time.
NPM_TIMEOUT_S = 180
TESTS = Path(__file__).parent
# The mark of tests of a module that start no process, and what holds them to it.
FAST = "fast"
GUARD = Guard()
# Of engines as a whole, many at once: they start no process, some of them, and take long.
WHOLE = ("pains", "testing")

# Hundreds of tests start processes of ours. Each would compile all of it again, which is 0.5 s of
# the 1.6 s that a start takes, where the caller's environment forbids to keep what is compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Examples of laws are the same in each run, and none fails for its pace: by itself Hypothesis
# gives each 0.2 s, and all that it draws a second, which a busy machine does not always have.
settings.register_profile(
    "laws",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("laws")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let nothing that is required be skipped, and nothing without a reason."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        if call.excinfo is not None and (told := told_in_a_nursery(call.excinfo.value)):
            report.longrepr = told
        refuse(report, item.nodeid)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let no file be left out, either, for want of what is required; begin where others do not."""
    report = yield
    if report.skipped:
        refuse(report, collector.nodeid)
    if isinstance(collector, pytest.Directory):
        report.result = begun_apart(collector.config, report.result)
    return report


def begun_apart(config: pytest.Config, found: list[T]) -> list[T]:
    """Return what a folder has, from another place on in each of the processes that test.

    Each looks through all files. In a fresh clone none is compiled, which is half of 23 s: where
    they begin apart, each finds compiled what others have compiled meanwhile.
    """
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is None:
        return found
    number = int(worker["workerid"].removeprefix("gw"))
    first = len(found) * number // int(worker["workercount"])
    return [*found[first:], *found[:first]]


def told_in_a_nursery(raised: BaseException) -> tuple[str, int, str] | None:
    """Return where a test was skipped, and why, if that was in a nursery; otherwise None.

    A nursery raises it in a group, for which pytest-trio skips the test once more: with no reason.
    """
    found = raised.__context__
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    if not isinstance(found, pytest.skip.Exception):
        return None
    skipped = pytest.ExceptionInfo.from_exception(found)
    place = skipped.traceback.filter(skipped)[-1]
    return str(place.path), place.lineno + 1, f"Skipped: {found.msg}"


def refuse(report: pytest.TestReport | pytest.CollectReport, name: str) -> None:
    """Make a failure of a skip that has no reason, or the want of something required as its one."""
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    reason = told.removeprefix("Skipped").removeprefix(": ")
    if any(word in reason.lower() for word in REQUIRED):
        report.longrepr = f"{name}: required (TESTS_REQUIRE), yet {reason}"
    elif not reason:
        report.longrepr = f"{name}: skipped without a reason"
    else:
        return
    report.outcome = "failed"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Have a test that configures logs leave the root logger and warnings as they were.

    What later ones in the same process capture must not depend on which ones those are: warnings
    that are captured already are not captured anew, by a test that looks for them.
    One that is marked as fast starts no process meanwhile.
    """
    level, handlers = logging.root.level, list(logging.root.handlers)
    try:
        with GUARD.forbids(item.nodeid) if is_fast(item.path) else nullcontext():
            return (yield)
    finally:
        logging.captureWarnings(capture=False)
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)


def asks_for_fast(config: pytest.Config) -> bool:
    return bool(config.option.markexpr == FAST)


def is_fast(path: Path) -> bool:
    """Whether a file of tests is of a module, and starts no process."""
    return path.relative_to(TESTS).parts[0] not in WHOLE and not starts_processes(path)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where the fast ones are asked for, load no file of others: that would take longer."""
    is_file = collection_path.name.startswith("test_") and collection_path.is_file()
    return (asks_for_fast(config) and is_file and not is_fast(collection_path)) or None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what is fast: whoever adds a test need not think of it."""
    if is_fast(item.path):
        item.add_marker(FAST)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    items: list[pytest.Item],
) -> Generator[None, object, object]:
    """Begin with files of few tests: those have servers and take long, and none of them is last.

    pytest-xdist's own order is the other way round: at its end one process waits for the other.
    Before the others, too, who group tests by their fixtures: all processes have to find one order.
    """
    in_order(items)
    result = yield
    in_order(items)
    return result


def in_order(items: list[pytest.Item]) -> None:
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
