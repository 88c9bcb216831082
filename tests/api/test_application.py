"""Our way through Quart-Trio: views that are given their request, and what goes Quart's own way."""

import pytest
import trio
from quart import Response, has_request_context, request

from triolet._model.errors import ErrorCode, Refusal
from triolet_api.app import BODY_BYTES_MAX, create_app


@pytest.fixture
async def app():
    app = create_app()

    async def seen(asked, name):
        context = "context" if has_request_context() else "none"
        return Response(f"{asked.method} {name} {context}", content_type="text/plain")

    async def body(asked):
        return Response(await asked.get_data(), content_type="text/plain")

    async def refused(asked):
        del asked
        raise Refusal(ErrorCode.FORBIDDEN, "because")

    async def bug(asked):
        del asked
        raise RuntimeError("hunter2")

    async def bugs(asked):
        del asked
        async with trio.open_nursery(strict_exception_groups=True):
            raise Refusal(ErrorCode.FORBIDDEN, "among others")

    async def streamed(asked):
        del asked

        async def parts():
            yield b"one "
            yield b"two"

        return Response(parts(), content_type="text/plain")

    app.add_view("/seen/<name>", "seen", seen, method="GET")
    app.add_view("/body", "body", body, method="POST")
    app.add_view("/streamed", "streamed", streamed, method="GET")
    for view in (refused, bug, bugs):
        app.add_view(f"/{view.__name__}", view.__name__, view, method="GET")

    @app.get("/quarts/<name>")
    async def quarts(name):
        return f"{request.method} {name}"

    return app


@pytest.fixture
async def http(app, serving):
    async with serving(app) as host, host.client() as client:
        yield client


async def test_a_view_is_given_its_request_and_nothing_else_is_made(http):
    assert (await http.get("/seen/anna")).text == "GET anna none"
    assert (await http.get("/seen/a%20b")).text == "GET a b none"


async def test_a_head_is_answered_without_its_body(http):
    response = await http.head("/seen/anna")

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len("HEAD anna none"))
    assert (await http.get("/seen/anna")).text == "GET anna none", "the connection is kept"


async def test_a_view_of_quarts_own_is_called_as_quart_does(http):
    assert (await http.get("/quarts/anna")).text == "GET anna"


async def test_a_body_that_is_streamed_comes_whole(http):
    response = await http.get("/streamed")

    assert (response.text, response.headers.get("content-length")) == ("one two", None)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/seen/anna", 200),
        ("/streamed", 200),
        ("/quarts/anna", 200),
        ("/nope", 404),
        ("/body", 405),
        ("/refused", 403),
        ("/bugs", 403),
        ("/bug", 500),
    ],
)
async def test_each_answer_has_its_headers_once(http, path, status):
    response = await http.get(path)

    assert response.status_code == status
    for name in ("content-security-policy", "x-content-type-options", "cache-control"):
        assert len(response.headers.get_list(name)) == 1


async def test_a_failure_is_logged_as_quart_does_and_forgotten(app, http, caplog):
    response = await http.get("/bug")

    assert response.json()["code"] == ErrorCode.INTERNAL
    assert "hunter2" not in response.text
    assert "Exception on request GET /bug" in caplog.text
    assert "RuntimeError: hunter2" in caplog.text
    assert not app._failures


async def test_a_body_that_is_too_large_is_refused_where_it_is_read(app, http):
    assert (await http.post("/body", content=b"x" * BODY_BYTES_MAX)).status_code == 200

    response = await http.post("/body", content=b"x" * (BODY_BYTES_MAX + 1))

    assert (response.status_code, response.json()["code"]) == (413, ErrorCode.TOO_LARGE)
    assert not app._failures
