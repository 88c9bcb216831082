"""Jobs in memory keep the contract of every store's jobs; and what no store is ever given."""

import pytest

from triolet.adapters.memory import open_memory_store
from triolet.ports.jobs import NewJob
from triolet.testing.contracts import Home, JobContract


class TestMemoryJobs(JobContract):
    def open_store(self, home: Home):
        return open_memory_store(clock=home.clock, entropy=home.entropy)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": ""},
        {"kind": "x" * 65},
        {"key": ""},
        {"key": "x" * 201},
        {"key": "a\0b"},
        {"key": "\ud800"},
        {"payload": bytes(64 * 1024 + 1)},
        {"priority": 101},
        {"priority": -101},
        {"due_at": -1},
        {"attempts_max": 0},
        {"attempts_max": 1001},
    ],
)
def test_what_is_out_of_its_bounds_is_no_job(fields):
    with pytest.raises(ValueError, match=next(iter(fields)) + "|utf-8"):
        NewJob(**{"kind": "k", "key": "a"} | fields)
