"""Laws of HTTP's guard: how often, by whom and from where, and what the answer tells of it."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import trio

from triolet._domain.addresses import AddressRules
from triolet._domain.bans import Ban
from triolet._model.errors import ErrorCode, Refusal
from triolet._model.limits import Limits
from triolet.adapters.memory import MemoryBus, MemoryLimiter, open_memory_store
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.embedded import open_engine
from triolet.ports.gate import FOREVER, Identity
from triolet_api.app import create_app
from triolet_api.dispatch import Dispatcher
from triolet_api.guard import rates
from triolet_api.guard.rates import RATES, Guard
from triolet_api.guard.settings import GuardSettings
from triolet_api.pages.health import Health
from triolet_api.problems import HeadedRefusal

SETTINGS = GuardSettings(read_rate=1, read_burst=5, write_rate=1, write_burst=2, address_factor=2)
HERE, THERE = "192.0.2.1", "198.51.100.1"


def person(user="anna", tier=""):
    return Identity(user=user, expires_at=FOREVER, tier=tier)


@asynccontextmanager
async def open_guarded(settings=SETTINGS, *, limiter=None, limits=None, **engine):
    async with open_engine(addresses=settings.rules(), limits=limits, **engine) as running:
        limiter = limiter or MemoryLimiter()
        yield running, Guard(running.entrance, limiter, running.limits, settings)


@pytest.fixture
async def guard():
    async with open_guarded() as (_, guard):
        yield guard


async def taken(guard, *, address=HERE, identity=None, rate="read"):
    """Ask until it is refused; return the headers told, and the refusal."""
    told = []
    while True:
        try:
            told.append(await guard.check(address=address, identity=identity, rate=rate))
        except Refusal as refusal:
            return told, refusal
        assert len(told) < 1000, "it never ends"


def request(client, **headers):
    from werkzeug.datastructures import Headers

    lines = [(name.replace("_", "-"), one) for name, many in headers.items() for one in many]
    return SimpleNamespace(scope={"client": client}, headers=Headers(lines))


# --- how often -----------------------------------------------------------------------------------


async def test_a_user_has_a_burst_and_a_rate_of_each_class(guard):
    told, refusal = await taken(guard, identity=person())

    assert len(told) == 5
    assert (refusal.code, refusal.retry_after_ms) == (ErrorCode.RATE_LIMITED, 1001)
    assert len((await taken(guard, identity=person(), rate="write"))[0]) == 2
    await trio.sleep(2)
    assert len((await taken(guard, identity=person()))[0]) == 2


async def test_the_answer_tells_how_much_is_left(guard):
    told, _ = await taken(guard, identity=person())

    assert [one["RateLimit-Remaining"] for one in told] == ["4", "3", "2", "1", "0"]
    assert [one["RateLimit-Reset"] for one in told] == ["1", "2", "3", "4", "5"]
    assert {one["RateLimit-Limit"] for one in told} == {"5"}
    assert {one["RateLimit-Policy"] for one in told} == {"5;w=5"}


async def test_who_is_refused_is_told_as_well(guard):
    """Of the quota that is empty, also where it is the bound of whoever is not known yet."""
    _, refusal = await taken(guard, identity=person())
    assert refusal.headers == {
        "RateLimit-Limit": "5",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "5",
        "RateLimit-Policy": "5;w=5",
    }

    told = {}
    for _ in range(1001):
        try:
            await guard.check(address=THERE, identity=None, rate="free")
        except HeadedRefusal as unknown:
            told = dict(unknown.headers)
    assert (told["RateLimit-Limit"], told["RateLimit-Remaining"]) == ("1000", "0")


async def test_users_of_one_address_have_so_much_together_and_the_tightest_is_told(guard):
    passed = [(await taken(guard, identity=person(user)))[0] for user in "abc"]

    assert [len(told) for told in passed] == [5, 5, 0], "twice as much as one"
    assert passed[1][-1]["RateLimit-Remaining"] == "0"
    assert len((await taken(guard, identity=person("c"), address=THERE))[0]) == 5


async def test_who_has_not_signed_in_is_bounded_by_the_address(guard):
    assert len((await taken(guard))[0]) == 10
    assert len((await taken(guard, address="2001:db8::1"))[0]) == 10
    assert len((await taken(guard, address="2001:db8::2"))[0]) == 0
    for address in ("127.0.0.1", "unix"):
        for _ in range(50):
            assert await guard.check(address=address, identity=None, rate="auth") == {}


async def test_tiers_have_more_and_services_all_they_ask_for(guard):
    premium, _ = await taken(guard, identity=person("p", "premium"), address="127.0.0.1")
    assert len(premium) == 25
    assert premium[0]["RateLimit-Limit"] == "25"
    for _ in range(100):
        assert await guard.check(address=HERE, identity=person("s", "service"), rate="read") == {}


async def test_services_are_bounded_if_that_is_configured():
    async with open_guarded(limits=Limits(service_factor=3)) as (_, guard):
        told, _ = await taken(guard, identity=person("s", "service"), address="127.0.0.1")
        assert len(told) == 15


async def test_tokens_that_may_be_bad_are_bounded_by_the_address_too(guard):
    told, refusal = await taken_at_most(guard, 2000, rate="free")
    assert (told, refusal.code) == (1000, ErrorCode.RATE_LIMITED)
    for _ in range(1500):
        await guard.check(address="127.0.0.1", identity=None, rate="free")


async def taken_at_most(guard, count, *, rate):
    for number in range(count):
        try:
            assert await guard.check(address=HERE, identity=None, rate=rate) == {}
        except Refusal as refusal:
            return number, refusal
    raise AssertionError("it never ends")


async def test_every_class_has_a_rate(guard):
    for rate in RATES:
        assert "RateLimit-Limit" in await guard.check(address=HERE, identity=person(), rate=rate)
    assert await guard.check(address=HERE, identity=person(), rate="free") == {}


# --- who may at all ------------------------------------------------------------------------------


async def test_who_is_banned_or_denied_is_refused_on_every_node_within_a_second():
    settings = GuardSettings(deny=("203.0.113.0/24",))
    clock, entropy, bus = SystemClock(), SystemEntropy(), MemoryBus()
    async with (
        open_memory_store(clock=clock, entropy=entropy) as store,
        open_guarded(settings, store=store, bus=bus.join()) as (one, _),
        open_guarded(settings, store=store, bus=bus.join()) as (_, guard),
    ):
        await one.bans.add(Ban(user="ben"))
        await one.bans.add(Ban(network="198.51.100.0/24"))
        await trio.sleep(1)
        for fields in (
            {"address": "203.0.113.9", "identity": None},
            {"address": THERE, "identity": None},
            {"address": THERE, "identity": person("service", "service")},
            {"address": HERE, "identity": person("ben")},
        ):
            for rate in ("free", "read"):
                with pytest.raises(Refusal) as raised:
                    await guard.check(rate=rate, **fields)
                assert raised.value.code is ErrorCode.BANNED
        await guard.check(address=HERE, identity=person(), rate="read")


async def test_what_is_not_there_counts_for_its_address_as_all_else(
    serving, real_time, monkeypatch
):
    """Who is denied or banned, or asks too often, is refused it as they are refused the rest."""
    monkeypatch.setattr(rates, "_ANY_BURST", 5)
    # None comes back meanwhile, however slow the machine is.
    monkeypatch.setattr(rates, "_ANY_RATE", 0.001)
    settings = GuardSettings(trusted_proxies=("127.0.0.1",), deny=("203.0.113.0/24",))
    asked_before = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
    app = create_app()
    async with open_guarded(settings) as (engine, guard):
        Dispatcher(app, admit=engine.admit, guard=guard).add(Health(lambda: ""))
        await engine.bans.add(Ban(network="198.51.100.0/24"))
        async with serving(app) as host, host.client() as client:

            async def answers(address):
                said = {"X-Forwarded-For": address}
                return [
                    await client.request(method, path, headers=said | more)
                    for method, path, more in (
                        ("GET", "/health/live", {}),
                        ("GET", "/nope", {}),
                        ("POST", "/health/live", {}),
                        ("OPTIONS", "/nope", asked_before),
                        ("GET", "/ws", {}),
                    )
                ]

            assert [one.status_code for one in await answers(HERE)] == [200, 404, 405, 204, 426]
            for address in ("203.0.113.9", THERE):
                assert {one.status_code for one in await answers(address)} == {403}
            for one in await answers(HERE):
                assert one.status_code == 429
                assert int(one.headers["retry-after"]) > 100
                assert one.headers["ratelimit-limit"] == "5"
                assert one.headers["ratelimit-remaining"] == "0"
            assert (await client.get("/nope")).status_code == 404, "others go on"


# --- from where ----------------------------------------------------------------------------------


async def test_the_address_is_the_peers_unless_a_trusted_proxy_says_otherwise():
    settings = GuardSettings(trusted_proxies=("10.0.0.0/8",))
    async with open_guarded(settings) as (_, guard):
        said = {"X_Forwarded_For": ["203.0.113.5, 192.0.2.7"]}
        assert guard.address(request(("198.51.100.1", 4711), **said)) == "198.51.100.1"
        assert guard.address(request(("10.0.0.1", 4711), **said)) == "192.0.2.7"
        twice = {"X_Forwarded_For": ["203.0.113.5", "192.0.2.8"]}
        assert guard.address(request(("10.0.0.1", 4711), **twice)) == "192.0.2.8"
        assert guard.address(request(("10.0.0.1", 4711), Forwarded=["for=1.2.3.4"])) == "10.0.0.1"
        assert guard.address(request(("::ffff:198.51.100.1", 1))) == "198.51.100.1"
        assert guard.address(request(None, **said)) == "192.0.2.7"
        assert guard.address(request(None)) == "unix"


async def test_a_proxy_here_that_nobody_named_is_told_of_once(guard, caplog):
    """All who come by it are this machine, so that no limit for addresses holds."""
    said = {"X_Forwarded_For": ["192.0.2.7"]}
    for client, headers in ((HERE, said), ("127.0.0.1", {})):
        guard.address(request((client, 1), **headers))
    assert caplog.records == []
    for _ in range(3):
        assert guard.address(request(("127.0.0.1", 1), **said)) == "127.0.0.1"
    assert ["trusted_proxies" in one.getMessage() for one in caplog.records] == [True]


async def test_rules_are_those_of_the_engine():
    async with open_guarded(GuardSettings(allow=(f"{HERE}/32",), read_burst=1)) as (_, guard):
        for _ in range(20):
            assert await guard.check(address=HERE, identity=None, rate="read") == {}
    assert AddressRules().bounds(HERE)
