"""Laws of asking whoever set a CAPTCHA: it alone says yes; what is no verdict is neither."""

from urllib.parse import parse_qs

import httpx
import pytest
import trio

from triolet_api.guard.captcha import ANSWER_CHARS_MAX, CaptchaUnavailable
from triolet_api.guard.siteverify import SiteVerify
from triolet_api.secret import Secret


def answering(handler):
    return SiteVerify(
        "https://captcha.example/siteverify",
        Secret(b"hush"),
        timeout_s=2,
        transport=httpx.MockTransport(handler),
    )


async def test_the_answer_is_posted_with_the_secret_and_the_address():
    asked = []

    def handler(request):
        asked.append((request.method, str(request.url), parse_qs(request.content.decode())))
        return httpx.Response(200, json={"success": True, "hostname": "chat.example"})

    async with answering(handler) as captcha:
        assert await captcha.verify("an answer&more", "192.0.2.1")
        assert await captcha.verify("another", "")

    method, url, fields = asked[0]
    assert (method, url) == ("POST", "https://captcha.example/siteverify")
    assert fields == {
        "secret": ["hush"], "response": ["an answer&more"], "remoteip": ["192.0.2.1"]
    }  # fmt: skip
    assert "remoteip" not in asked[1][2]


async def test_no_is_no():
    body = {"success": False, "error-codes": ["timeout-or-duplicate"]}
    async with answering(lambda _: httpx.Response(200, json=body)) as captcha:
        assert not await captcha.verify("used", "192.0.2.1")


async def test_what_cannot_be_an_answer_is_not_asked_about():
    def handler(request):
        raise AssertionError("it was asked")

    async with answering(handler) as captcha:
        assert not await captcha.verify("", "192.0.2.1")
        assert not await captcha.verify("x" * (ANSWER_CHARS_MAX + 1), "192.0.2.1")


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(500, json={"success": True}),
        httpx.Response(302, headers={"Location": "https://elsewhere.example"}),
        httpx.Response(200, text="no JSON"),
        httpx.Response(200, json={"success": "yes"}),
        httpx.Response(200, json={}),
        httpx.Response(200, text='{"success": true, "x": "' + "y" * 70_000 + '"}'),
        httpx.Response(200, json={"success": False, "error-codes": ["invalid-input-secret"]}),
    ],
)
async def test_what_is_no_verdict_is_neither_yes_nor_no(response, caplog):
    async with answering(lambda _: response) as captcha:
        with pytest.raises(CaptchaUnavailable):
            await captcha.verify("an answer", "192.0.2.1")

    assert "cannot be verified" in caplog.text
    assert "hush" not in caplog.text
    assert "192.0.2.1" not in caplog.text


async def test_who_does_not_answer_is_not_waited_for():
    async def handler(request):
        await trio.sleep(100)

    async with answering(handler) as captcha:
        began = trio.current_time()
        with pytest.raises(CaptchaUnavailable):
            await captcha.verify("an answer", "192.0.2.1")
        assert trio.current_time() - began <= 2


async def test_an_error_on_the_way_is_none_of_the_verdicts():
    def handler(request):
        raise httpx.ConnectError("refused")

    async with answering(handler) as captcha:
        with pytest.raises(CaptchaUnavailable):
            await captcha.verify("an answer", "192.0.2.1")
