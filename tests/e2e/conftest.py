"""Real server processes, which must end in order and show no traceback."""

import signal

import pytest
from e2e_scene import Bystander, Server


@pytest.fixture
def make_server(tmp_path):
    """Make servers; at the end each stops in order, and none has shown a traceback."""
    made = []

    def make(name="data", **how):
        server = Server(tmp_path / name, **how)
        made.append(server)
        return server

    yield make
    for server in made:
        status = server.stop()
        assert "Traceback" not in server.said, server.said
        assert status in (0, -signal.SIGKILL), server.said


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
