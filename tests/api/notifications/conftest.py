"""Virtual time for the tests of modules that ask for it: `IN_VIRTUAL_TIME = True`."""

from functools import cache
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock


def run_in_virtual_time(function, *, clock, instruments):
    """Run a test under a clock that jumps to the next deadline: nothing ever really sleeps."""
    del clock
    return trio.run(function, clock=MockClock(autojump_threshold=0), instruments=instruments)


@cache
def is_here(path):
    """Whether a file is one of these; asked for each of thousands of tests."""
    return Path(__file__).parent in path.parents


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Have them run so."""
    for item in items:
        is_ours = is_here(item.path) and item.get_closest_marker("trio")
        if is_ours and getattr(item.module, "IN_VIRTUAL_TIME", False):
            # Before the mark that `trio_mode` has given it: the first one with a runner counts.
            item.add_marker(pytest.mark.trio(run=run_in_virtual_time), append=False)
