"""Laws of `adapters.postgres.waiting`: libpq's steps, each when its socket is ready."""

import socket

import trio
from psycopg.pq import PollingStatus

from triolet.adapters.postgres.waiting import poll, wait_either


class Steps:
    """What libpq would say, and how often it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.near, self.far = socket.socketpair()

    @property
    def socket(self):
        return self.near.fileno()

    def step(self):
        return self.answers.pop(0)

    def close(self):
        self.near.close()
        self.far.close()


async def test_each_step_waits_for_what_it_asked():
    """For writing, then for reading; then it is done, well or badly."""
    for last, expected in ((PollingStatus.OK, True), (PollingStatus.FAILED, False)):
        steps = Steps(PollingStatus.WRITING, PollingStatus.READING, last)
        with trio.move_on_after(0.05) as scope:
            await poll(steps, steps.step)
        # It waits to be read.
        assert scope.cancelled_caught
        assert [last] == steps.answers
        steps.far.send(b"x")
        assert expected == await poll(steps, steps.step)
        steps.close()


async def test_either_will_do():
    """A socket that is full can be read, one that is silent can be written."""
    steps = Steps()
    with trio.fail_after(60):
        await wait_either(steps.socket)
        steps.near.setblocking(False)
        try:
            while True:
                steps.near.send(bytes(65536))
        except BlockingIOError:
            pass
        with trio.move_on_after(0.05) as scope:
            await wait_either(steps.socket)
        assert scope.cancelled_caught
        steps.far.send(b"x")
        await wait_either(steps.socket)
    steps.close()
