"""Laws of supervision: workers are there, are there again, and leave nothing behind."""

import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest
import trio

from triolet.adapters.system import SystemEntropy
from triolet_api.workers import Supervisor, WorkerLimits

TIMEOUT_S = 60
LIMITS = WorkerLimits(pause_base_s=0.02, pause_ceiling_s=0.1, stable_s=60, kill_s=0.5)
# What workers do, told by a file whose name is their argument; as short as a worker can be.
STAND_IN = """
import os, pathlib, signal, sys, time
def leave(*_):
    global told
    told += 1
    if how != "stubborn" and (how != "slow" or told == 2):
        os._exit(0 if told == 1 else 1)
told = 0
signal.signal(signal.SIGTERM, leave)
how = pathlib.Path(sys.argv[1]).read_text()
if how.startswith("fail"):
    sys.exit(int(how[4:]))
print("starting\\nready", flush=True)
if how == "silent":
    time.sleep(600)
while how != "brief":
    time.sleep(0.05)
    print("bus" if how == "deaf" else "ready", flush=True)
"""


class Play:
    """A supervisor that runs in this process, over stand-ins."""

    def __init__(self, folder, count, limits):
        self.how = folder / "how"
        self.tell("well")
        self.announced = 0
        self.status = None
        self.ended = trio.Event()
        self.supervisor = Supervisor(
            lambda number: [sys.executable, "-S", "-c", STAND_IN, str(self.how), str(number)],
            count,
            entropy=SystemEntropy(),
            limits=limits,
            announce=self._announce,
        )

    def _announce(self):
        self.announced += 1

    def tell(self, how):
        """Say what workers do that start from now on."""
        self.how.write_text(how)

    async def run(self):
        self.status = await self.supervisor.run()
        self.ended.set()

    @property
    def pids(self):
        return [worker.pid for worker in self.supervisor.workers if worker.is_ready]

    async def wait(self, is_so):
        with trio.fail_after(TIMEOUT_S):
            while not is_so():  # noqa: ASYNC110 - of processes and logs
                await trio.sleep(0.01)

    async def all_ready(self, count, but=()):
        await self.wait(lambda: len(self.pids) == count and not set(self.pids) & set(but))
        return self.pids

    async def end(self, which=signal.SIGTERM):
        os.kill(os.getpid(), which)
        with trio.fail_after(TIMEOUT_S):
            await self.ended.wait()
        return self.status


@asynccontextmanager
async def playing(folder, count=2, limits=LIMITS):
    play = Play(folder, count, limits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play.run)
        yield play
        nursery.cancel_scope.cancel()
    assert not play.supervisor.workers


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_is_passed_on_to_all_and_the_end_is_theirs(tmp_path, which):
    """The port is announced once."""
    async with playing(tmp_path, 3) as play:
        pids = await play.all_ready(3)
        assert await play.end(which) == 0

    assert not any(map(is_there, pids))
    assert play.announced == 1


async def test_who_dies_is_there_again_and_the_others_never_were_away(tmp_path, caplog):
    async with playing(tmp_path, 2) as play:
        killed, other = await play.all_ready(2)
        os.kill(killed, signal.SIGKILL)
        pids = await play.all_ready(2, but=[killed])
        assert other in pids
        assert await play.end() == 0

    assert "was ended by signal 9 (Killed); another one starts in" in caplog.text
    assert play.announced == 1


async def test_settings_that_cannot_work_are_not_tried_twice(tmp_path, caplog):
    async with playing(tmp_path, 2) as play:
        play.tell("fail2")
        await play.wait(play.ended.is_set)

    assert play.status == 2
    assert caplog.text.count("another one starts") <= 1
    assert "giving up: worker" in caplog.text


async def test_starts_that_always_fail_end_after_a_while(tmp_path, caplog):
    """With a status of its own, so that whoever started the supervisor knows."""
    async with playing(tmp_path, 2) as play:
        play.tell("fail3")
        await play.wait(play.ended.is_set)

    assert play.status == 1
    assert "giving up: 10 starts in a row have failed; the last worker ended with status 3" in (
        caplog.text
    )
    assert play.announced == 0


async def test_while_another_one_serves_a_failing_start_is_tried_on(tmp_path, caplog):
    async with playing(tmp_path, 2) as play:
        killed, other = await play.all_ready(2)
        play.tell("fail2")
        os.kill(killed, signal.SIGKILL)
        failures = LIMITS.failures_max * 2 + 3
        await play.wait(lambda: caplog.text.count("another one starts") >= failures)
        assert play.pids == [other]
        play.tell("well")
        assert other in await play.all_ready(2)
        assert await play.end() == 0


async def test_pauses_grow_and_are_bounded(tmp_path, monkeypatch):
    """Each is drawn from nothing up to a longest one, which doubles: they spread."""
    drawn = []

    class Entropy:
        def uniform(self, low, high):
            drawn.append((low, high))
            return 0.0

    limits = WorkerLimits(pause_base_s=1, pause_ceiling_s=10, failures_max=8)
    async with playing(tmp_path, 1, limits) as play:
        monkeypatch.setattr(play.supervisor, "_entropy", Entropy())
        play.tell("fail3")
        await play.wait(play.ended.is_set)

    assert drawn == [(0, high) for high in (2, 4, 8, 10, 10, 10, 10)]


async def test_who_is_ready_only_briefly_has_failed_as_well(tmp_path, caplog):
    async with playing(tmp_path, 1) as play:
        play.tell("brief")
        await play.wait(lambda: caplog.text.count("another one starts") >= 3)
        assert play.supervisor._slots[0].failures >= 3


async def test_who_says_nothing_hangs_and_is_killed(tmp_path, caplog):
    limits = WorkerLimits(pause_base_s=0.02, pause_ceiling_s=0.1, silence_s=1)
    async with playing(tmp_path, 1, limits) as play:
        play.tell("silent")
        (pid,) = await play.all_ready(1)
        play.tell("well")
        await play.all_ready(1, but=[pid])
        assert not is_there(pid)

    assert "worker 1 has said nothing for 1 s: killed" in caplog.text


async def test_why_a_worker_is_not_ready_is_told(tmp_path, caplog):
    caplog.set_level("INFO")
    async with playing(tmp_path, 1) as play:
        play.tell("deaf")
        await play.wait(lambda: "worker 1 is ready" in caplog.text)
        await play.wait(lambda: "worker 1 is not ready: bus" in caplog.text)
        assert play.pids == []


async def test_a_second_signal_is_passed_on_too(tmp_path):
    """To those who are still at it: they end at once, and that is no clean end."""
    async with playing(tmp_path, 2) as play:
        play.tell("slow")
        await play.all_ready(2)
        os.kill(os.getpid(), signal.SIGTERM)
        await trio.sleep(0.2)
        assert not play.ended.is_set()
        assert await play.end() == 1


async def test_who_does_not_end_at_once_is_killed(tmp_path, caplog):
    caplog.set_level("INFO")
    async with playing(tmp_path, 1) as play:
        play.tell("stubborn")
        (pid,) = await play.all_ready(1)
        os.kill(os.getpid(), signal.SIGTERM)
        await play.wait(lambda: "SIGTERM: draining" in caplog.text)
        assert await play.end() == 1

    assert "worker 1 does not end: killed" in caplog.text
    assert not is_there(pid)


async def test_each_is_replaced_by_one_that_is_ready_first(tmp_path):
    """So that somebody listens at every moment; twice in a row as well."""
    async with playing(tmp_path, 2) as play:
        for _ in range(2):
            before = await play.all_ready(2)
            fewest = 2
            os.kill(os.getpid(), signal.SIGHUP)
            with trio.fail_after(TIMEOUT_S):
                while set(play.pids) & set(before) or len(play.pids) != 2:
                    fewest = min(fewest, len(play.pids))
                    await trio.sleep(0.005)
            assert fewest == 2
            assert not any(map(is_there, before))
        assert await play.end() == 0


async def test_a_successor_that_does_not_come_up_replaces_nobody(tmp_path, caplog):
    async with playing(tmp_path, 2) as play:
        before = await play.all_ready(2)
        play.tell("fail2")
        os.kill(os.getpid(), signal.SIGHUP)
        await play.wait(lambda: "the successor of worker 1 ended with status 2" in caplog.text)
        assert play.pids == before
        play.tell("well")
        os.kill(os.getpid(), signal.SIGHUP)
        await play.all_ready(2, but=before)
        assert await play.end() == 0


async def test_the_end_may_come_while_they_are_replaced(tmp_path):
    async with playing(tmp_path, 2) as play:
        await play.all_ready(2)
        os.kill(os.getpid(), signal.SIGHUP)
        await play.wait(lambda: len(play.supervisor.workers) == 3)
        pids = [worker.pid for worker in play.supervisor.workers]
        await play.end()

    assert not any(map(is_there, pids))


async def test_who_leaves_already_is_not_hurried_by_the_end(tmp_path):
    """A second signal means at once, and nobody gave it."""
    async with playing(tmp_path, 1) as play:
        play.tell("slow")
        (before,) = await play.all_ready(1)
        play.tell("well")
        os.kill(os.getpid(), signal.SIGHUP)
        await play.all_ready(2)
        await play.wait(lambda: play.supervisor._slots[0].worker.pid != before)
        os.kill(os.getpid(), signal.SIGTERM)
        await play.wait(lambda: len(play.pids) == 1)
        await trio.sleep(0.5)
        assert play.pids == [before]
        assert await play.end() == 1

    assert not is_there(before)


async def test_who_is_cancelled_leaves_nobody_behind(tmp_path):
    async with playing(tmp_path, 2) as play:
        pids = await play.all_ready(2)

    assert not any(map(is_there, pids))
