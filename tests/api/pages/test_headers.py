"""Headers: nothing is framed, sniffed or told on, and only configured sites may ask."""

import pytest

from triolet_api.app import create_app
from triolet_api.pages.headers import policy
from triolet_api.pages.settings import WebSettings

ALLOWED, OTHER = "https://chat.example", "https://evil.example"


@pytest.fixture
def asking(serving):
    async def ask(method, headers, **settings):
        app = create_app(WebSettings(**settings), origins=[ALLOWED])

        @app.route("/", methods=["GET", "PUT"])
        async def page():
            return "page"

        async with serving(app) as host, host.client() as client:
            return await client.request(method, "/", headers=headers)

    return ask


class TestTls:
    async def test_over_tls_browsers_come_by_tls_alone(self, asking):
        response = await asking("GET", {"X-Forwarded-Proto": "https"})

        assert response.headers["strict-transport-security"] == "max-age=31536000"

    @pytest.mark.parametrize(("proto", "days"), [("http", 365), ("https", 0)])
    async def test_else_nothing_is_said(self, asking, proto, days):
        response = await asking("GET", {"X-Forwarded-Proto": proto}, hsts_days=days)

        assert "strict-transport-security" not in response.headers


class TestFrames:
    async def test_nobody_frames_us(self, asking):
        response = await asking("GET", {})

        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-frame-options"] == "DENY"

    async def test_but_who_may(self, asking):
        response = await asking("GET", {}, frame_ancestors=("'self'", ALLOWED))

        said = response.headers["content-security-policy"]
        assert f"frame-ancestors 'self' {ALLOWED}" in said
        assert "x-frame-options" not in response.headers


class TestOtherSites:
    async def test_an_allowed_one_reads_the_answer(self, asking):
        response = await asking("GET", {"Origin": ALLOWED})

        assert response.headers["access-control-allow-origin"] == ALLOWED
        assert "RateLimit" in response.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in response.headers
        assert response.headers["vary"] == "Origin"

    async def test_another_one_does_not(self, asking):
        response = await asking("GET", {"Origin": OTHER})

        assert "access-control-allow-origin" not in response.headers
        assert response.headers["vary"] == "Origin"

    @pytest.mark.parametrize("origin", [ALLOWED, OTHER])
    async def test_a_browser_asks_beforehand(self, asking, origin):
        asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}

        response = await asking("OPTIONS", asked)

        assert response.status_code == 204
        is_allowed = "PUT" in response.headers.get("access-control-allow-methods", "")
        assert is_allowed == (origin == ALLOWED)
        assert (response.headers.get("access-control-allow-origin") == ALLOWED) == is_allowed

    async def test_options_alone_are_no_method_of_ours(self, asking):
        assert (await asking("OPTIONS", {"Origin": ALLOWED})).status_code == 405


def test_a_policy_forbids_what_is_not_said():
    said = policy(WebSettings(), script_src="'nonce-x'", form_action="'self'")

    assert said.split("; ") == [
        "script-src 'nonce-x'",
        "form-action 'self'",
        "default-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
