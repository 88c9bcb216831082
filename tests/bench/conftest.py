"""Fixtures of the generator's tests."""

import pytest
from bench.peers.triolet import TrioletChannel
from ends import BASE, Ends


@pytest.fixture
def channel() -> TrioletChannel:
    channel = TrioletChannel("room", "anna", "hello")
    channel.base = BASE
    return channel


@pytest.fixture
def ends():
    made = Ends()
    yield made
    for one in made.sockets:
        one.close()
