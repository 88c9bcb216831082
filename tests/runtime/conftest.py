"""A stage for every test: an engine over a scripted store, in virtual time, left spotless."""

import sys
from functools import cache
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

# `scene` lies beside the tests that share it.
sys.path.append(str(Path(__file__).parent))

from scene import open_scene


def run_in_virtual_time(function, *, clock, instruments):
    """Run a test under a clock that jumps to the next deadline: nothing ever really sleeps."""
    del clock
    return trio.run(function, clock=MockClock(autojump_threshold=0), instruments=instruments)


def run_while_time_stands(function, *, clock, instruments):
    """Run a test under a clock that the test alone moves: bytes on sockets take no time."""
    del clock
    return trio.run(function, clock=MockClock(), instruments=instruments)


@cache
def is_here(path):
    """Whether a file is one of these; asked for each of thousands of tests."""
    return Path(__file__).parent in path.parents


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Give every test here virtual time, but for those with real sockets."""
    for item in items:
        is_ours = is_here(item.path) and item.get_closest_marker("trio")
        if is_ours and "real_time" not in item.fixturenames:
            is_standing = "standing_time" in item.fixturenames
            run = run_while_time_stands if is_standing else run_in_virtual_time
            # Before the mark that `trio_mode` has given it: the first one with a runner counts.
            item.add_marker(pytest.mark.trio(run=run), append=False)


@pytest.fixture
def real_time():
    """Ask for the real clock: the test has sockets, and waits for events alone."""


@pytest.fixture
def standing_time():
    """Ask for a clock that only the test moves: it has sockets, and deadlines too."""


@pytest.fixture
async def scene():
    """An engine with the usual limits; when the test ends it has left nothing behind."""
    async with open_scene() as scene:
        yield scene
