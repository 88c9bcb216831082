"""Laws of the guard as it is put together: what is set takes effect where people sign in."""

from contextlib import ExitStack, asynccontextmanager
from functools import partial

import pytest

from triolet._model.errors import ErrorCode, Refusal
from triolet.embedded import open_engine
from triolet.ports.gate import FOREVER, Identity
from triolet.testing.services.redis import NoRedis, run_redis
from triolet_api.auth.attempts import Attempt
from triolet_api.auth.issuing import open_signing
from triolet_api.auth.settings import AuthSettings
from triolet_api.composition import open_api
from triolet_api.guard.captcha import SCRIPTS
from triolet_api.guard.opening import open_guard
from triolet_api.guard.settings import GuardSettings
from triolet_api.guard.siteverify import SiteVerify
from triolet_api.secret import Secret
from triolet_api.settings import Settings

CAPTCHA = {
    "captcha_provider": "turnstile",
    "captcha_site_key": "site",
    "captcha_secret": Secret(b"hush"),
}


pytestmark = pytest.mark.usefixtures("real_time")


@pytest.fixture
def open_client(serving, tmp_path):
    """A client of a server with accounts, and with what is set of the guard."""
    return partial(opened, serving, tmp_path)


@asynccontextmanager
async def opened(serving, tmp_path, **guard):
    settings = Settings(
        data=tmp_path,
        secret=Secret(b"a secret of thirty-two bytes and more"),
        auth=AuthSettings(hash_memory_kib=8192, hash_passes=1),
        guard=GuardSettings(**guard),
    )
    async with (
        open_engine(addresses=settings.guard.rules()) as engine,
        open_api(engine, settings, open_signing(settings)) as api,
        serving(api.app) as host,
        host.client() as client,
    ):
        yield client


async def sign_in(client, path, user="anna", **headers):
    body = {"user": user, "password": "correct horse battery"}
    return await client.post(f"/v1/auth/{path}", json=body, headers=headers)


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, {"provider": "", "site_key": "", "script": ""}),
        (CAPTCHA, {"provider": "turnstile", "site_key": "site", "script": SCRIPTS["turnstile"]}),
    ],
)
async def test_a_page_learns_which_captcha_to_show(open_client, settings, shown):
    async with open_client(**settings) as client:
        answer = await client.get("/v1/auth/captcha")
        assert answer.json() == shown


async def test_registering_takes_a_captcha_where_there_is_one(open_client):
    async with open_client(**CAPTCHA) as client:
        refused = await sign_in(client, "register")
        assert refused.status_code == 403
        assert refused.json()["reason"] == "captcha_required"


async def test_guessing_is_slowed_down_and_told_when_to_come_back(open_client):
    async with open_client() as client:
        statuses = [(await sign_in(client, "login")).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        refused = await sign_in(client, "login")
        assert 25 <= int(refused.headers["Retry-After"]) <= 31


async def test_answers_tell_the_rate_and_what_is_over_it_is_refused(open_client):
    settings = {"auth_rate": 0.1, "auth_burst": 1, "address_factor": 2}
    async with open_client(trusted_proxies=("127.0.0.1",), **settings) as client:
        seen = {"X-Forwarded-For": "192.0.2.1"}
        first = await sign_in(client, "register", **seen)
        second = await sign_in(client, "login", **seen)
        third = await sign_in(client, "login", **seen)

        assert (first.status_code, second.status_code, third.status_code) == (201, 200, 429)
        assert first.headers["RateLimit-Remaining"] == "1"
        assert int(third.headers["Retry-After"]) <= 10
        assert third.headers["RateLimit-Limit"] == "2"
        assert third.headers["RateLimit-Remaining"] == "0"
        assert 8 <= int(third.headers["RateLimit-Reset"]) <= 10
        assert third.headers["RateLimit-Policy"] == "2;w=10"
        other = await sign_in(client, "login", **{"X-Forwarded-For": "192.0.2.2"})
        assert other.status_code == 200


async def test_whose_captchas_are_verified_by_what_is_set():
    async with (
        open_engine() as engine,
        open_guard(engine, GuardSettings(**CAPTCHA), bus="memory:") as guarding,
    ):
        assert isinstance(guarding.logins._captcha, SiteVerify)
    async with open_engine() as engine, open_guard(engine, GuardSettings(), bus="") as guarding:
        assert guarding.logins._captcha is None


# --- several nodes -------------------------------------------------------------------------------


@pytest.fixture
def redis_url():
    with ExitStack() as stack:
        try:
            server = stack.enter_context(run_redis())
        except NoRedis as missing:
            pytest.skip(str(missing))
        yield server.url(prefix="guard")


async def test_nodes_with_one_redis_count_requests_and_guesses_together(redis_url):
    settings = GuardSettings(read_rate=0.01, read_burst=4)
    async with (
        open_engine() as one,
        open_engine() as other,
        open_guard(one, settings, bus=redis_url) as here,
        open_guard(other, settings, bus=redis_url) as there,
    ):
        anna = Identity(user="anna", expires_at=FOREVER)
        asked = {"address": "192.0.2.1", "identity": anna, "rate": "read"}
        left = [
            (await node.guard.check(**asked))["RateLimit-Remaining"]
            for node in (here, there, here, there)
        ]
        assert left == ["3", "2", "1", "0"]
        for node in (here, there):
            with pytest.raises(Refusal) as refused:
                await node.guard.check(**asked)
            assert refused.value.code is ErrorCode.RATE_LIMITED
            assert 90_000 < refused.value.retry_after_ms <= 100_001
        attempt = Attempt(kind="login", user="anna", address="192.0.2.1")
        for node in (here, there, here, there, here):
            await node.logins.check(attempt)
            await node.logins.failed(attempt)
        with pytest.raises(Refusal):
            await there.logins.check(attempt)
        await here.logins.succeeded(attempt)
        await there.logins.check(attempt)
