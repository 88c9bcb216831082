"""How a recorded client finds a node."""

import pytest
import trio

from triolet.client._link import LinkClosed
from triolet.testing.chaos.recording import Roaming


class Dialer:
    """Notes that it was asked, and has no link to give, or gives its name."""

    def __init__(self, name, asked, *, is_there=True):
        self.name, self.asked, self.is_there = name, asked, is_there

    async def dial(self):
        await trio.lowlevel.checkpoint()
        self.asked.append(self.name)
        if not self.is_there:
            raise LinkClosed(1006)
        return self.name


async def test_each_link_is_to_the_next_node_also_after_one_that_is_not_there():
    """Law: no sticky session: whoever comes back, comes to another node."""
    asked = []
    dialers = [Dialer(name, asked, is_there=name != "b") for name in "abc"]
    roaming = Roaming(dialers)
    assert await roaming.dial() == "a"
    with pytest.raises(LinkClosed):
        await roaming.dial()
    assert [await roaming.dial() for _ in range(2)] == ["c", "a"]
    assert asked == ["a", "b", "c", "a"]
