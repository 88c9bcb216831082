"""The application: health, the front page, and every error in one shape."""

from html.parser import HTMLParser

import msgspec
import pytest
from quart import request

from triolet._model.errors import ErrorCode, Refusal
from triolet_api.app import BODY_BYTES_MAX, create_app
from triolet_api.page import front_page
from triolet_api.problems import STATUS_OF, body_of, code_of


class Ready:
    def __init__(self):
        self.now = True

    def __call__(self):
        return self.now


@pytest.fixture
async def ready():
    return Ready()


@pytest.fixture
async def app(ready):
    app = create_app(ready=ready)

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
    ready.now = False

    response = await http.get("/health/live")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"status": "live"}


async def test_ready_as_the_engine_is(http, ready):
    assert (await http.get("/health/ready")).json() == {"status": "ready"}
    ready.now = False

    response = await http.get("/health/ready")

    assert (response.status_code, response.json()) == (503, {"status": "not ready"})


async def test_every_answer_is_guarded(http):
    """Nothing may be framed, sniffed, cached or told on, and no version is told."""
    for path in ("/", "/style.css", "/health/live", "/nope", "/bug", "/ws"):
        headers = (await http.get(path)).headers

        assert "unsafe" not in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
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
        for path in ("/ws", "/bug", "/nope"):
            await http.get(f"{path}?token=hunter3")

        assert "hunter3" not in caplog.text

    @pytest.mark.parametrize("code", ErrorCode)
    async def test_a_refusal_keeps_its_code(self, http, code):
        response = await http.get(f"/refused/{code.value}")

        assert_problem(response, STATUS_OF[code], code)
        assert response.json()["detail"] == "because"
        assert response.headers["retry-after"] == "2"
        assert ("www-authenticate" in response.headers) == (response.status_code == 401)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 418, 422, 429, 500, 502, 503])
    def test_every_status_has_a_code(self, status):
        problem = msgspec.json.decode(body_of(status, code_of(status)))

        assert problem["status"] == status
        assert (problem["code"] >= 5000) == (status >= 500)


class Page(HTMLParser):
    """What a page fetches and does, and its headings."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.fetched, self.inline = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.fetched += [attributes[name] for name in ("src", "href") if name in attributes]
        self.inline += [name for name in attributes if name == "style" or name.startswith("on")]


class TestPage:
    async def test_it_says_how_to_connect(self, http):
        response = await http.get("/")

        page = Page(response.text)
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert f"ws://{response.url.netloc.decode()}/ws" in response.text
        assert "triolet token" in response.text
        assert "triolet chat" in response.text
        assert page.tags.count("h1") == 1
        assert {"main", "title"} <= set(page.tags)
        assert '<html lang="en">' in response.text

    async def test_it_is_all_from_here_and_nothing_inline(self, http):
        response = await http.get("/")

        page = Page(response.text)
        assert page.inline == []
        assert not {"script", "style"} & set(page.tags)
        assert "style-src 'self'" in response.headers["content-security-policy"]
        for path in page.fetched:
            assert path.startswith("/")
            assert (await http.get(path)).status_code == 200
        assert (await http.get("/style.css")).headers["content-type"] == "text/css; charset=utf-8"

    async def test_behind_tls_it_says_so(self, http):
        response = await http.get(
            "/", headers={"X-Forwarded-Proto": "https", "Host": "chat.example"}
        )

        assert "wss://chat.example/ws" in response.text

    @pytest.mark.parametrize(
        "host", ["", '"><script>', "a b", "a/b", "x" * 300, "user@host", "a:b", "[::1", "a\\b"]
    )
    def test_an_odd_host_is_not_repeated(self, host):
        text = front_page(host, is_secure=False)

        assert "ws://localhost/ws" in text
        assert Page(text).tags.count("script") == 0

    @pytest.mark.parametrize("host", ["chat.example", "10.0.0.1:8000", "[::1]:8000", "localhost"])
    def test_a_plain_host_is(self, host):
        assert f"ws://{host}/ws" in front_page(host, is_secure=False)
