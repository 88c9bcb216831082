"""A server of one's own: started, killed, started again, and gone in every case."""

import os
import socket
import sys

import pytest
import trio

from triolet_api.demo import server as module
from triolet_api.demo.server import ServerFailed, open_server


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_comes_back_to_the_same_port_and_data(tmp_path):
    async with open_server(tmp_path) as server:
        await server.start()
        first, port = server.pid, server.port
        await server.kill()
        assert 0 == server.pid
        assert not is_running(first)
        await server.start()
        assert port == server.port
        assert server.pid not in (0, first)
        last = server.pid
        assert f"ws://127.0.0.1:{port}/ws" == server.url

    assert not is_running(last)
    assert (tmp_path / "triolet.db").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can hold it for a server")
async def test_nobody_takes_its_port_while_it_is_down(tmp_path):
    """Neither before its first start nor between two."""
    async with open_server(tmp_path) as server:
        for _ in range(2):
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", server.port))
            with socket.socket() as caller, pytest.raises(ConnectionRefusedError):
                caller.connect(("127.0.0.1", server.port))
            await server.start()
            await server.kill()


async def test_it_ends_with_an_error_too(tmp_path):
    pids = []

    async def fail():
        async with open_server(tmp_path) as server:
            await server.start()
            pids.append(server.pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert [False] == [is_running(pid) for pid in pids]


async def test_it_ends_when_cancelled_while_it_starts(tmp_path):
    with trio.CancelScope() as scope:
        async with open_server(tmp_path) as server, trio.open_nursery() as nursery:
            nursery.start_soon(server.start)
            while not server.pid:
                await trio.lowlevel.checkpoint()
            pid = server.pid
            scope.cancel()

    assert not is_running(pid)


async def test_a_server_that_does_not_start_says_why(tmp_path):
    async with open_server(tmp_path, TRIOLET_STORE="nonsense:") as server:
        with pytest.raises(ServerFailed, match="TRIOLET_STORE"):
            await server.start()


async def test_a_server_that_says_nothing_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "START_TIMEOUT_S", 0)
    async with open_server(tmp_path) as server:
        with pytest.raises(ServerFailed, match="was silent for 0 s"):
            await server.start()
        pid = server.pid

    assert not is_running(pid)


async def test_one_that_does_not_leave_in_order_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STOP_TIMEOUT_S", 0)
    async with open_server(tmp_path) as server:
        await server.start()
        pid = server.pid

    assert not is_running(pid)


async def test_settings_of_our_own_environment_are_not_its_business(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIOLET_STORE", "nonsense:")
    async with open_server(tmp_path) as server:
        await server.start()
