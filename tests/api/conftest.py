"""A listener of our own in front of the door: what the engine's is to it."""

import re
from contextlib import asynccontextmanager, contextmanager
from math import inf
from pathlib import Path

import httpx
import pytest
import trio
from trio.testing import MockClock

from triolet._model.errors import ErrorCode, Refusal
from triolet_api.app import create_app
from triolet_api.dispatch import Dispatcher
from triolet_api.http import open_http_door
from triolet_api.pages.assets import Assets
from triolet_api.pages.health import Health
from triolet_api.pages.settings import WebSettings

# In which whatever was asked is answered, on a machine that is busy with other things.
PATIENCE_S = 60
# What is on its way over a socket has arrived when nobody had anything to do for so long.
LULL_S = 0.05


class Host:
    """The door with a real socket in front of it."""

    def __init__(self, door, port):
        self.door = door
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def client(self, **how):
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=PATIENCE_S, **how)

    async def connect(self):
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def exchange(self, request):
        """Send raw bytes and return all that comes until the server closes."""
        stream = await self.connect()
        async with stream:
            await stream.send_all(request)
            return b"".join([part async for part in stream])


async def read_answer(stream):
    """Read one whole answer and return it: the head, and the body if its length is told."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += await read_some(stream)
    head, _, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    while length and len(body) < int(length[1]):
        body += await read_some(stream)
    return head + b"\r\n\r\n" + body


async def read_some(stream):
    part = await stream.receive_some()
    assert part, "the connection ended within the answer"
    return part


async def is_closed(stream):
    """Whether the other side has closed, in order or not."""
    try:
        return await stream.receive_some() == b""
    except trio.BrokenResourceError:
        return True


@asynccontextmanager
async def serving(app, **how):
    async with trio.open_nursery() as nursery:
        async with open_http_door(app, **how) as door:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, door.serve, listeners)
            yield Host(door, listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


@pytest.fixture(name="serving")
def serving_fixture():
    return serving


def make_app(why_not_ready=lambda: ""):
    """The application with what is at hand of every server."""
    app = create_app()
    Dispatcher(app, admit=nobody).add(Assets(WebSettings()), Health(why_not_ready))
    return app


async def nobody(token, opening):
    raise Refusal(ErrorCode.UNAUTHENTICATED)


@pytest.fixture(name="make_app")
def make_app_fixture():
    return make_app


@pytest.fixture(name="read_answer")
def read_answer_fixture():
    return read_answer


@pytest.fixture(name="is_closed")
def is_closed_fixture():
    return is_closed


def run_under_a_clock_that_can_leap(function, *, clock, instruments):
    del clock
    return trio.run(function, clock=MockClock(rate=1), instruments=instruments)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Give tests that ask for `leaping` a clock that can."""
    here = Path(__file__).parent
    run = run_under_a_clock_that_can_leap
    for item in items:
        if here in item.path.parents and "leaping" in getattr(item, "fixturenames", ()):
            # Before the mark that `trio_mode` has given it: the first one with a runner counts.
            item.add_marker(pytest.mark.trio(run=run), append=False)


@contextmanager
def leaping():
    """Let the clock, which goes as any other, leap for as long as the block lasts.

    There a time that is a law is neither waited for nor lengthened by a busy machine: none passes
    while anybody has something to do, and soon after that it is the next deadline.
    """
    clock = trio.lowlevel.current_clock()
    clock.rate, clock.autojump_threshold = 0, LULL_S
    try:
        yield
    finally:
        clock.rate, clock.autojump_threshold = 1, inf


@pytest.fixture(name="leaping")
def leaping_fixture():
    return leaping


class Slow:
    """A view that can be held while it runs."""

    def __init__(self, app):
        self.entered, self.release, self.ended = trio.Event(), trio.Event(), trio.Event()
        app.add_url_rule("/slow", "slow", self.view)

    async def view(self):
        self.entered.set()
        try:
            await self.release.wait()
            return "done"
        finally:
            self.ended.set()


@pytest.fixture
def make_slow():
    return Slow
