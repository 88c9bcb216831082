"""Hours pass in these tests, and none of them is waited for."""

from functools import cache
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock


def run_in_virtual_time(function, *, clock, instruments):
    """Run a test under a clock that jumps to the next deadline."""
    del clock
    return trio.run(function, clock=MockClock(autojump_threshold=0), instruments=instruments)


@cache
def is_here(path):
    """Whether a file is one of these; asked for each of thousands of tests."""
    return Path(__file__).parent in path.parents


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Give every test here virtual time, but for those with sockets."""
    for item in items:
        is_ours = is_here(item.path) and item.get_closest_marker("trio")
        if is_ours and "real_time" not in item.fixturenames:
            # Before the mark that `trio_mode` has given it: the first one with a runner counts.
            item.add_marker(pytest.mark.trio(run=run_in_virtual_time), append=False)


@pytest.fixture
def real_time():
    """Ask for the real clock: the test has sockets, and waits for what comes over them alone."""
