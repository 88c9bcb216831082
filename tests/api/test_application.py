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


async def test_no_url_is_built_of_a_rule(app):
    """Nor are functions compiled that would: Werkzeug makes two a rule, at each start."""
    rules = list(app.url_map.iter_rules())

    assert len(rules) > 5
    for rule in rules:
        with pytest.raises(NotImplementedError, match="no URL is built of it"):
            rule.build({})


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


ASKED_BEFORE = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
OTHERS = [
    ("GET", "/nope", {}, 404),
    ("POST", "/nope", {}, 404),
    ("PUT", "/seen/anna", {}, 405),
    ("OPTIONS", "/seen/anna", {}, 405),
    ("OPTIONS", "/seen/anna", ASKED_BEFORE, 204),
    ("OPTIONS", "/nope", ASKED_BEFORE, 204),
    ("GET", "/quarts/anna", {}, 200),
    ("GET", "/ws", {}, 426),
]


class Checked:
    """A check that lets everybody pass, until it does not."""

    def __init__(self, app):
        self.asked, self.refusal = [], None
        app.check_others(self)

    async def __call__(self, asked):
        self.asked.append((asked.method, asked.path))
        if self.refusal is not None:
            raise self.refusal


@pytest.mark.parametrize("other", OTHERS)
async def test_what_is_for_no_view_passes_the_check_first(app, http, other):
    (method, path, headers, status), checked = other, Checked(app)

    response = await http.request(method, path, headers=headers)

    assert (response.status_code, checked.asked) == (status, [(method, path)])
    checked.refusal = Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=2100)
    response = await http.request(method, path, headers=headers)
    assert (response.status_code, response.headers["retry-after"]) == (429, "3")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_what_is_for_a_view_is_the_views_to_check(app, http):
    checked = Checked(app)

    statuses = [(await http.get(path)).status_code for path in ("/seen/anna", "/refused", "/bug")]

    assert (statuses, checked.asked) == ([200, 403, 500], [])


async def test_who_may_not_ask_is_told_so_before_a_body_is_there(app, serving, read_answer):
    Checked(app).refusal = Refusal(ErrorCode.BANNED)
    async with serving(app) as host, await host.connect() as stream:
        await stream.send_all(b"POST /nope HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")

        assert (await read_answer(stream)).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(("path", "status"), [("/ws", 421), ("/nope", 404)])
async def test_an_upgrade_that_comes_late_passes_it_too(app, serving, read_answer, path, status):
    """On a connection that has carried a request; the listener sees first heads alone."""
    checked = Checked(app)
    upgrade = (
        f"GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
    async with serving(app) as host:
        for refusal, expected in ((None, status), (Refusal(ErrorCode.BANNED), 403)):
            checked.refusal = refusal
            async with await host.connect() as stream:
                await stream.send_all(upgrade)
                assert b"HTTP/1.1 %d" % expected in await read_answer(stream)
    assert checked.asked == [("GET", path)] * 2


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
