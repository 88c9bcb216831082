"""Laws of a stream whose beginning was read already: nobody can tell the difference."""

import trio
from trio.testing import check_half_closeable_stream, memory_stream_pair

from triolet._runtime.prefixed import PrefixedStream


class Socketed(trio.abc.HalfCloseableStream):
    """A stream in memory that says it has a socket."""

    def __init__(self, stream):
        self._stream = stream
        self.socket = "the socket"

    def __getattr__(self, name):
        return getattr(self._stream, name)

    async def send_all(self, data):
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self):
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes=None):
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self):
        await self._stream.send_eof()

    async def aclose(self):
        await self._stream.aclose()


async def test_the_prefix_comes_first_in_pieces_as_asked():
    ours, theirs = memory_stream_pair()
    stream = PrefixedStream(Socketed(ours), b"GET / HTTP/1.1")
    await theirs.send_all(b" and more")

    got = [await stream.receive_some(4), await stream.receive_some(), await stream.receive_some()]

    assert got == [b"GET ", b"/ HTTP/1.1", b" and more"]
    await theirs.aclose()
    assert await stream.receive_some() == b""


async def test_it_is_a_stream_like_any_other():
    async def make():
        ours, theirs = memory_stream_pair()
        return PrefixedStream(Socketed(ours), b""), PrefixedStream(Socketed(theirs), b"")

    await check_half_closeable_stream(make, None)


async def test_addresses_are_asked_of_the_socket():
    ours, _ = memory_stream_pair()

    assert PrefixedStream(Socketed(ours), b"x").socket == "the socket"
