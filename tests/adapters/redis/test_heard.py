"""Law: what waits is bounded in number and in bytes, and what was forgotten is told."""

import pytest
import trio

from triolet.adapters.redis.heard import QUEUE_BYTES_MAX, QUEUE_DOORBELLS_MAX, Inbox


@pytest.mark.parametrize(
    ("frame", "count"),
    [(b"", QUEUE_DOORBELLS_MAX), (bytes(QUEUE_BYTES_MAX // 4), 4)],
)
async def test_beyond_its_bound_all_is_forgotten(frame, count):
    inbox = Inbox()
    for _ in range(count):
        inbox.put("tea", frame)
    heard = await inbox.take()
    assert (len(heard.doorbells), heard.reconnected) == (count, False)
    for _ in range(count + 1):
        inbox.put("tea", frame)
    inbox.put("tea", b"later")
    heard = await inbox.take()
    assert ([one.frame for one in heard.doorbells][-1:], heard.reconnected) == ([b"later"], True)
    assert len(heard.doorbells) <= 2


async def test_it_is_waited_for(autojump_clock):
    inbox = Inbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.take)
        await trio.testing.wait_all_tasks_blocked()
        inbox.put("tea", b"1")
    with trio.move_on_after(1) as scope:
        await inbox.take()
    assert scope.cancelled_caught
    inbox.miss()
    assert (await inbox.take()).reconnected
