"""The application: health, the front page, and every error in one shape."""

import contextlib
import itertools
import logging

import pytest
import trio
from quart import request

from triolet._model.errors import ErrorCode, Refusal
from triolet_api.app import BODY_BYTES_MAX, BODY_TIMEOUT_S
from triolet_api.problems import STATUS_OF

# In which whatever ends has ended, on a machine that is busy with other things.
PATIENCE_S = 60


class Ready:
    def __init__(self):
        self.why_not = ""

    def __call__(self):
        return self.why_not


@pytest.fixture
async def ready():
    return Ready()


@pytest.fixture
async def app(ready, make_app):
    app = make_app(ready)

    @app.get("/bug")
    async def bug():
        raise RuntimeError("token=hunter2")

    @app.get("/refused/<int:code>")
    async def refused(code):
        raise Refusal(ErrorCode(code), "because", retry_after_ms=1500)

    @app.post("/echo")
    async def echo():
        return await request.get_data()

    return app


@pytest.fixture
async def http(app, serving):
    async with serving(app) as host, host.client() as client:
        yield client


def assert_problem(response, status, code):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["status"], problem["code"], problem["reason"]) == (status, code, code.reason)
    assert problem["type"] == "about:blank"
    assert problem["title"]


async def test_live_while_the_process_lives(http, ready):
    ready.why_not = "store"

    response = await http.get("/health/live")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"status": "live"}


async def test_ready_as_the_engine_is(http, ready):
    assert (await http.get("/health/ready")).json() == {"status": "ready"}
    ready.why_not = "store"

    response = await http.get("/health/ready")

    assert (response.status_code, response.json()) == (
        503,
        {"status": "not ready", "reason": "store"},
    )


async def test_every_answer_is_guarded(http):
    """Nothing may be framed, sniffed, cached or told on, and no version is told."""
    for path in ("/", "/assets/style.css", "/health/live", "/nope", "/bug", "/ws"):
        headers = (await http.get(path)).headers

        assert "unsafe" not in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] in ("no-store", "no-cache")
        assert "server" not in headers


class TestErrors:
    async def test_an_unknown_path(self, http):
        assert_problem(await http.get("/nope"), 404, ErrorCode.UNKNOWN_OP)

    async def test_an_unknown_method(self, http):
        response = await http.post("/health/live")

        assert_problem(response, 405, ErrorCode.UNKNOWN_OP)
        assert "GET" in response.headers["allow"]

    async def test_a_bug_tells_nothing(self, http, caplog):
        response = await http.get("/bug")

        assert_problem(response, 500, ErrorCode.INTERNAL)
        assert "hunter2" not in response.text
        assert "Exception on request GET /bug" in caplog.text

    async def test_a_body_that_is_too_large(self, http):
        fits = await http.post("/echo", content=b"x" * BODY_BYTES_MAX)
        assert len(fits.content) == BODY_BYTES_MAX

        response = await http.post("/echo", content=b"x" * (BODY_BYTES_MAX + 1))

        assert_problem(response, 413, ErrorCode.TOO_LARGE)

    async def test_ws_without_upgrade_says_how(self, http):
        response = await http.get("/ws")

        assert_problem(response, 426, ErrorCode.MALFORMED)
        assert response.headers["upgrade"] == "websocket"
        assert response.headers["sec-websocket-version"] == "13"

    async def test_no_query_reaches_the_log(self, http, caplog):
        caplog.set_level(logging.INFO)
        for path in ("/ws", "/bug", "/nope"):
            await http.get(f"{path}?token=hunter3")
        # The client is in this process, too, and what it logs is its own.
        told = [
            caplog.handler.format(record)
            for record in caplog.records
            if record.name.partition(".")[0] not in ("httpx", "httpcore")
        ]

        assert any("/bug" in line for line in told)
        assert not any("hunter3" in line for line in told)

    @pytest.mark.parametrize("code", ErrorCode)
    async def test_a_refusal_keeps_its_code(self, http, code):
        response = await http.get(f"/refused/{code.value}")

        assert_problem(response, STATUS_OF[code], code)
        assert response.json()["detail"] == "because"
        assert response.headers["retry-after"] == "2"
        assert ("www-authenticate" in response.headers) == (response.status_code == 401)


class TestSlowBody:
    """A body that does not end is not waited for, however it is sent, and whoever reads it."""

    HEAD = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n"

    async def test_what_is_waited_is_bounded(self, app):
        assert app.config["BODY_TIMEOUT"] == BODY_TIMEOUT_S <= 60

    @pytest.fixture
    async def host(self, app, serving):
        app.config["BODY_TIMEOUT"] = 0.3
        async with serving(app) as host:
            yield host

    async def answer(self, stream, trickle=()):
        """Return what comes until the server closes, while a body comes byte by byte."""
        async with trio.open_nursery() as nursery:

            async def send():
                with contextlib.suppress(trio.BrokenResourceError):
                    for part in trickle:
                        await stream.send_all(part)
                        await trio.sleep(0.05)

            nursery.start_soon(send)
            got = b""
            # What comes after the end is answered by a reset, upon what was told before.
            with trio.fail_after(PATIENCE_S), contextlib.suppress(trio.BrokenResourceError):
                async for part in stream:
                    got += part
            nursery.cancel_scope.cancel()
        return got

    @pytest.mark.parametrize("trickle", [(), itertools.repeat(b"x")], ids=["silent", "trickling"])
    async def test_it_is_ended(self, host, trickle):
        """By a time for all of it: what trickles in would last for hours."""
        stream = await host.connect()
        async with stream:
            await stream.send_all(self.HEAD % b"/echo")
            got = await self.answer(stream, trickle)

        assert got.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in got

    async def test_where_nobody_reads_it_the_answer_comes_and_the_connection_ends(self, host):
        stream = await host.connect()
        async with stream:
            await stream.send_all(self.HEAD % b"/nowhere")

            assert (await self.answer(stream)).startswith(b"HTTP/1.1 404 ")
