"""Virtual time for the tests of modules that ask for it: `IN_VIRTUAL_TIME = True`."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock


def run_in_virtual_time(function, *, clock, instruments):
    """Run a test under a clock that jumps to the next deadline: nothing ever really sleeps."""
    del clock
    return trio.run(function, clock=MockClock(autojump_threshold=0), instruments=instruments)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Have them run so."""
    here = Path(__file__).parent
    for item in items:
        is_ours = here in item.path.parents and item.get_closest_marker("trio")
        if is_ours and getattr(item.module, "IN_VIRTUAL_TIME", False):
            # Before the mark that `trio_mode` has given it: the first one with a runner counts.
            item.add_marker(pytest.mark.trio(run=run_in_virtual_time), append=False)
