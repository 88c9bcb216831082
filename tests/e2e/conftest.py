"""Real server processes, which must end in order and show no traceback."""

from contextlib import ExitStack

import pytest
from e2e_scene import Bystander, running


@pytest.fixture
def make_server(tmp_path):
    """Make servers; at the end each stops in order, and none has shown a traceback."""
    with ExitStack() as stack:

        def make(name="data", **how):
            return stack.enter_context(running(tmp_path / name, **how))

        yield make


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def bystander(server):
    people = Bystander(server)
    people.talk()
    yield people
    people.talk()
    people.close()
