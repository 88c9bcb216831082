"""A process that is struck: a shell that says when it is ready."""

import os
import re
import resource
import signal
import socket
import sys
from pathlib import Path

import pytest
import trio

from triolet.testing.chaos.process import Process, ProcessFailed, _served

READY = re.compile(rb"ready on ([0-9]+)")
SCRIPT = "trap 'exit 3' TERM; echo oh >&2; echo ready on 12; while :; do sleep 0.05; done"


def shell(tmp_path, script=SCRIPT):
    return Process(lambda: ["sh", "-c", script], READY, os.environ, tmp_path / "log")


@pytest.fixture
async def process(tmp_path):
    process = shell(tmp_path)
    yield process
    await process.kill()


async def test_it_is_ready_when_it_says_so_and_ends_as_it_is_told(process):
    """Law: `start` returns what was said, `stop` the status, and it may be started again."""
    assert (await process.start())[1] == b"12"
    assert process.pid
    assert await process.stop() == 3
    assert process.pid == 0
    assert (await process.start())[1] == b"12"
    await process.kill()
    assert (process.pid, process.complaints()) == (0, "oh\noh\n")
    # What has ended already needs no end.
    assert await process.stop() == 0


async def test_one_that_ends_before_it_is_ready_is_told_with_its_last_words(tmp_path):
    """Law: no start is waited for in vain."""
    process = shell(tmp_path, "echo no such thing >&2; exit 1")
    with pytest.raises(ProcessFailed, match="no such thing"):
        await process.start()
    assert await process.stop() == 1


async def test_it_can_be_killed_before_it_is_ready(process):
    """Law: `launch` waits for nothing."""
    await process.launch()
    await process.kill()
    assert process.pid == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
async def test_it_is_paused_starved_and_looked_at(process):
    """Law: each fault is seen in the system's own words, and its undoing too."""
    await process.start()
    usage = process.usage()
    assert (usage.threads, usage.sockets) == (1, 0)
    assert usage.resident_kib > 100
    assert usage.files >= 3
    process.pause()
    stopped = await trio.to_thread.run_sync(os.waitid, os.P_PID, process.pid, os.WSTOPPED)
    assert stopped.si_status == signal.SIGSTOP
    process.resume()
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    process.starve(4096)
    assert resource.prlimit(process.pid, resource.RLIMIT_FSIZE) == (4096, hard)
    process.feed()
    assert resource.prlimit(process.pid, resource.RLIMIT_FSIZE) == (hard, hard)
    await process.kill()
    assert process.usage() is None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_who_is_served_is_told_from_what_it_uses_itself():
    """Law: a leak of clients shows, whatever threads have between them, and whom it asks."""
    near, far = socket.socketpair()
    with (
        near,
        far,
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as served,
    ):
        sockets = (listener, served, client, near, far)
        links = [str(Path(f"/proc/self/fd/{one.fileno()}").readlink()) for one in sockets]
        found = _served(Path("/proc/self"), links)
        # Another process's client: its end is none of ours.
        assert list(_served(Path("/proc/self"), links[2:])) == []
    assert [link in found for link in links] == [True, True, False, False, False]
