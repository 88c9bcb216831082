"""Nodes and balancers come and go, and clients do not notice."""

from contextlib import asynccontextmanager

import trio
from deploy_scene import ask, balancing, open_tls, upgrade_head
from listening_post import listening

# HAProxy looks each second, and believes the second failure; it works on a busy machine, too.
FOUND_OUT_S = 90


async def _knock(balancer):
    """Open a WebSocket, and return the status."""
    async with open_tls(balancer) as stream:
        return (await ask(stream, upgrade_head(balancer)))[0]


async def _echo(stream, sent):
    """Send bytes through a WebSocket to a post, and see them come back."""
    got = b""
    await stream.send_all(sent)
    with trio.fail_after(FOUND_OUT_S):
        while len(got) < len(sent):
            got += await stream.receive_some()
    assert got == sent


async def _until(is_so):
    with trio.fail_after(FOUND_OUT_S):
        while not await is_so():  # noqa: ASYNC110 - another process tells nobody
            await trio.sleep(0.05)


async def _has_said(balancer, text):
    return text in balancer.said


async def _is_let_in(balancer):
    return await _knock(balancer) == 101


# --- nodes that leave -----------------------------------------------------------------------


@asynccontextmanager
async def _two_posts(tmp_path, ports, certificate):
    async with listening() as one, listening() as two:
        three = [one.port, two.port, ports.held()]
        with balancing("haproxy", tmp_path / "haproxy", ports, certificate, three) as balancer:
            yield one, two, balancer


async def test_a_node_that_is_not_ready_gets_no_new_clients_and_keeps_the_others(
    tmp_path, ports, certificate
):
    """Law: what HAProxy hears at /health/ready decides on new connections only."""
    async with (
        _two_posts(tmp_path, ports, certificate) as (one, two, balancer),
        open_tls(balancer) as first,
        open_tls(balancer) as second,
    ):
        for stream in (first, second):
            assert (await ask(stream, upgrade_head(balancer)))[0] == 101
        assert [len(post.requests) for post in (one, two)] == [1, 1]
        one.is_ready = False

        async def is_avoided():
            had = len(one.requests)
            assert [await _knock(balancer) for _ in range(4)] == [101] * 4
            return len(one.requests) == had

        await _until(is_avoided)
        for stream in (first, second):
            await _echo(stream, b"still here")


async def test_when_no_node_is_ready_those_that_live_serve(tmp_path, ports, certificate):
    """Law: all nodes are deaf when their bus is gone; clients come in all the same."""
    async with _two_posts(tmp_path, ports, certificate) as (one, two, balancer):
        # Until then the third is believed to be ready, and is what is tried in the end.
        await _until(lambda: _has_said(balancer, "sockets/node3 is DOWN"))
        one.is_ready = two.is_ready = False

        async def is_last_resort():
            assert await _knock(balancer) == 101
            return " live/node" in balancer.said

        await _until(is_last_resort)
        one.is_ready = True

        async def is_usual():
            assert await _knock(balancer) == 101
            return " sockets/node1 " in balancer.said.rsplit(" live/node", 1)[1]

        await _until(is_usual)


# --- a balancer that is reloaded --------------------------------------------------------------


async def test_a_reload_keeps_websockets(posted):
    """Law: the old processes carry what they have, and new ones take what comes."""
    balancer, _ = posted
    async with open_tls(balancer) as stream:
        assert (await ask(stream, upgrade_head(balancer)))[0] == 101
        before = balancer.workers()

        async def is_reloaded():
            # Shortly after its start HAProxy does not heed it.
            balancer.reload()
            await trio.sleep(0.5)
            return not balancer.workers() <= before

        await _until(is_reloaded)
        await _echo(stream, b"still here")
        await _until(lambda: _is_let_in(balancer))
        await _echo(stream, b"and still")
