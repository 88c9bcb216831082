"""Verbs of the bad way, each seen from both of its ends."""

import pytest
import trio

from triolet.testing.chaos.proxy import open_proxy
from triolet.testing.services.processes import held_port

PATIENCE_S = 60
# Nothing has come for so long: it does not come.
SILENCE_S = 0.05


class Far:
    """The server at the far end: what it heard; it says what it is told to."""

    def __init__(self):
        self.port = 0
        self.heard = b""
        self.streams = []
        self.ends = []
        self.stirred = trio.Event()

    async def run(self, *, task_status):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._serve, [listener])

    async def _serve(self, stream):
        self.streams.append(stream)
        self.stir()
        try:
            async for data in stream:
                self.heard += data
                self.stir()
            self.ends.append("end")
        except trio.BrokenResourceError:
            self.ends.append("reset")
        self.stir()
        await trio.sleep_forever()

    def stir(self):
        self.stirred.set()
        self.stirred = trio.Event()

    async def until(self, is_so):
        with trio.fail_after(PATIENCE_S):
            while not is_so():
                await self.stirred.wait()


@pytest.fixture
async def far(nursery):
    far = Far()
    await nursery.start(far.run)
    return far


@pytest.fixture
async def proxy(far):
    async with open_proxy("127.0.0.1", far.port) as proxy:
        yield proxy


async def connect(proxy):
    return await trio.open_tcp_stream("127.0.0.1", proxy.port)


@pytest.fixture
async def near(proxy, far):
    async with await connect(proxy) as near:
        await far.until(lambda: far.streams)
        yield near


async def read(stream, count):
    data = b""
    with trio.fail_after(PATIENCE_S):
        while len(data) < count:
            part = await stream.receive_some()
            assert part, data
            data += part
    return data


async def is_silent(stream):
    with trio.move_on_after(SILENCE_S) as scope:
        await stream.receive_some()
    return scope.cancelled_caught


async def is_reset(stream):
    with trio.fail_after(PATIENCE_S), pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    return True


async def test_it_passes_bytes_both_ways_and_their_end(far, near):
    """Law: with no verb said, it is a way like any other, half-closed connections included."""
    await near.send_all(b"up")
    await far.streams[0].send_all(b"down")
    assert await read(near, 4) == b"down"
    await near.send_eof()
    await far.until(lambda: far.ends)
    assert (far.heard, far.ends) == (b"up", ["end"])
    await far.streams[0].send_all(b"last")
    assert await read(near, 4) == b"last"
    await far.streams[0].send_eof()
    assert await near.receive_some() == b""


async def test_cut_resets_both_sides(far, proxy, near):
    """Law: `cut` is a reset, not an end in order."""
    proxy.cut()
    assert await is_reset(near)
    await far.until(lambda: far.ends)
    assert far.ends == ["reset"]
    async with await connect(proxy) as other:
        await far.streams[-1].send_all(b"")
        await far.until(lambda: len(far.streams) == 2)
        await far.streams[1].send_all(b"again")
        assert await read(other, 5) == b"again"


async def test_cut_after_some_bytes_tears_a_message(far, proxy, near):
    """Law: the client gets as many bytes as were said, and then a reset."""
    proxy.cut(after_bytes=3)
    await far.streams[0].send_all(b"whole")
    assert await read(near, 3) == b"who"
    assert await is_reset(near)


@pytest.mark.parametrize("way", ["up", "down"])
async def test_what_is_held_comes_later_in_order_and_the_other_way_goes_on(far, proxy, near, way):
    """Law: `hold` loses nothing, and holds what it was told to hold."""
    proxy.hold(way)
    await near.send_all(b"one")
    await far.streams[0].send_all(b"one")
    if way == "down":
        await far.until(lambda: far.heard == b"one")
        assert await is_silent(near)
        await far.streams[0].send_all(b"two")
        proxy.release()
        assert await read(near, 6) == b"onetwo"
    else:
        assert await read(near, 3) == b"one"
        assert far.heard == b""
        await near.send_all(b"two")
        proxy.release()
        await far.until(lambda: far.heard == b"onetwo")


async def test_what_is_severed_is_lost_without_a_word_until_healed(far, proxy, near):
    """Law: half open: no byte, no end, no reset; healing resets what has lost bytes."""
    proxy.sever()
    await near.send_all(b"lost")
    await far.streams[0].send_all(b"lost")
    assert await is_silent(near)
    async with await connect(proxy) as new:
        await new.send_all(b"lost")
        assert await is_silent(new)
        assert len(far.streams) == 1
        # Its end is not passed on either.
        await near.send_eof()
        await trio.sleep(SILENCE_S)
        assert (far.heard, far.ends, proxy.connections) == (b"", [], 2)
        proxy.heal()
        assert await is_reset(near)
        assert await is_reset(new)
    await far.until(lambda: far.ends == ["reset"])
    async with await connect(proxy) as other:
        await other.send_all(b"heard")
        await far.until(lambda: far.heard == b"heard")


async def test_delay_is_a_longer_way_not_a_thinner_one(far, proxy, near):
    """Law: all that was sent at once comes at once, so much later."""
    proxy.delay(1.5)
    began = trio.current_time()
    for _ in range(5):
        await near.send_all(b"x")
        await trio.sleep(0.002)
    await far.until(lambda: far.heard)
    assert trio.current_time() - began >= 1.5
    await far.until(lambda: far.heard == b"xxxxx")
    # Five delays one after the other would be 7.5 s; the difference is for a busy machine.
    assert trio.current_time() - began < 7


async def test_a_trickle_passes_so_many_bytes_a_second_until_healed(far, proxy, near):
    """Law: what is left when it heals comes at once."""
    proxy.trickle(5000)
    began = trio.current_time()
    await near.send_all(b"x" * 100_000)
    await far.until(lambda: len(far.heard) >= 500)
    assert trio.current_time() - began >= 0.06
    assert len(far.heard) < 100_000
    proxy.heal()
    await far.until(lambda: len(far.heard) == 100_000)
    # At that pace it would have been 20 s.
    assert trio.current_time() - began < 15


async def test_refused_are_the_new_ones(far, proxy, near):
    """Law: `refuse` resets who connects, and lets go on who is there."""
    proxy.refuse()
    async with await connect(proxy) as other:
        assert await is_reset(other)
    await near.send_all(b"here")
    await far.until(lambda: far.heard == b"here")
    assert len(far.streams) == 1


async def test_where_nobody_listens_the_client_is_reset():
    """Law: a dead server looks dead through it."""
    with held_port() as port:
        async with open_proxy("127.0.0.1", port) as proxy, await connect(proxy) as near:
            assert await is_reset(near)


async def test_at_its_end_no_connection_is_left(far):
    """Law: its connections end with its block, the severed ones too."""
    async with open_proxy("127.0.0.1", far.port) as proxy:
        near = await connect(proxy)
        await far.until(lambda: far.streams)
        proxy.sever()
        silent = await connect(proxy)
        await trio.sleep(0.01)
    assert proxy.connections == 0
    for stream in (near, silent):
        async with stream:
            assert await stream.receive_some() == b""
