"""What one client may take: connections of an address, and time."""

from contextlib import AsyncExitStack, suppress

import trio
from deploy_scene import BALANCERS, PATIENCE_S, ask, balancing, open_tls, upgrade_head
from listening_post import listening
from test_http2 import Http2, status

CONNECTIONS_MAX = 512
# Of the client's own machine, at once: a listening queue has an end.
_DIALLING = 16


async def _knock(balancer, stack, found):
    """Open a WebSocket; note its status, 0 for a connection that is cut."""
    try:
        stream = await stack.enter_async_context(open_tls(balancer))
        found.append((await ask(stream, upgrade_head(balancer)))[0])
    except (trio.BrokenResourceError, OSError):
        found.append(0)


async def test_one_address_has_a_number_of_connections(posted):
    """Law: beyond it the next one is refused, and the others stay."""
    balancer, _ = posted
    found, refused = [], []
    async with AsyncExitStack() as stack:
        dialling = trio.CapacityLimiter(_DIALLING)

        async def knock():
            async with dialling:
                await _knock(balancer, stack, found)

        async with trio.open_nursery() as nursery:
            for _ in range(CONNECTIONS_MAX):
                nursery.start_soon(knock)
        assert found == [101] * CONNECTIONS_MAX
        await _knock(balancer, stack, refused)
        assert refused[0] in (429, 0)
    # Once they have gone there is room again.
    with trio.fail_after(PATIENCE_S):
        while refused[-1] != 101:
            async with AsyncExitStack() as stack:
                await _knock(balancer, stack, refused)


async def test_http2_does_not_multiply_them(tmp_path, ports, certificate):
    """Law: WebSockets that share a connection count one by one."""
    async with AsyncExitStack() as stack:
        post = await stack.enter_async_context(listening())
        balancer = stack.enter_context(
            balancing("haproxy", tmp_path / "haproxy", ports, certificate, [post.port] * 3)
        )
        found = []
        for _ in range(6):
            stream = await stack.enter_async_context(open_tls(balancer, "h2"))
            client = Http2(stream, "localhost")
            await client.begin()
            found += [status(client, await client.websocket()) for _ in range(90)]
    assert found == [200] * CONNECTIONS_MAX + [429] * (540 - CONNECTIONS_MAX)


async def test_who_does_not_finish_a_head_is_hung_up_on(tmp_path, ports, certificate):
    """Law: a byte now and then keeps nobody's connection; it ends after ten seconds."""
    lasted, dripped = {}, dict.fromkeys(BALANCERS, 0)

    async def dawdle(name):
        folder = tmp_path / name
        with balancing(name, folder, ports, certificate, [ports.held()] * 3) as balancer:
            began = trio.current_time()
            async with open_tls(balancer) as stream, trio.open_nursery() as nursery:

                @nursery.start_soon
                async def drip():
                    with suppress(trio.BrokenResourceError):
                        await stream.send_all(b"GET /ws HTTP/1.1\r\nX-Slow: ")
                        while True:
                            await trio.sleep(0.5)
                            await stream.send_all(b"x")
                            dripped[name] += 1

                with trio.fail_after(PATIENCE_S), suppress(trio.BrokenResourceError):
                    while await stream.receive_some():
                        pass
                lasted[name] = trio.current_time() - began
                nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for name in BALANCERS:
            nursery.start_soon(dawdle, name)
    assert lasted.keys() == BALANCERS.keys()
    for seconds in lasted.values():
        assert seconds > 9
    # Twice a second, or more seldom on a busy machine, where balancers' clocks are late, too.
    for count in dripped.values():
        assert count < 40
