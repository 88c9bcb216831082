"""Laws of a worker's end: how it is goes out, and when nobody listens any more it leaves."""

import os
import signal

import trio

from triolet_api.worker import supervised

# In which a signal has come, on a machine that is busy with other things.
PATIENCE_S = 60


class Pipes:
    """The supervisor's ends, and the worker's."""

    def __init__(self):
        self.look_in, self.lifeline = os.pipe()
        self.report, self.tell_to = os.pipe()

    def close(self, *ends):
        for end in ends or ("look_in", "lifeline", "report", "tell_to"):
            if getattr(self, end) >= 0:
                os.close(getattr(self, end))
                setattr(self, end, -1)


async def test_how_it_is_is_told_when_it_changes_and_now_and_then(autojump_clock):
    pipes, word = Pipes(), "starting"
    async with supervised(lambda: word, look_in=pipes.look_in, tell_to=pipes.tell_to):
        await trio.sleep(1)
        word = "ready"
        await trio.sleep(1)
        assert os.read(pipes.report, 100) == b"starting\nready\n"
        await trio.sleep(11)
        assert os.read(pipes.report, 100) == b"ready\nready\n"
    pipes.close()


async def test_without_its_supervisor_it_leaves_as_if_it_was_told(monkeypatch):
    """The pipe ends with it, however it ended; what is told then goes nowhere."""
    told = []
    monkeypatch.setattr(os, "kill", lambda pid, which: told.append((pid, which)))
    pipes = Pipes()
    async with supervised(lambda: "ready", look_in=pipes.look_in, tell_to=pipes.tell_to):
        pipes.close("lifeline", "report")
        with trio.fail_after(PATIENCE_S):
            while not told:  # noqa: ASYNC110 - by a signal
                await trio.sleep(0.01)
        await trio.sleep(0.5)

    assert told == [(os.getpid(), signal.SIGTERM)]
    pipes.close("look_in", "tell_to")
