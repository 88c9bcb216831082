"""Closes: when to come back, when not to, with which token, and after how long."""

from itertools import pairwise

import pytest
import trio
from client_peer import FakeEntropy, Server, asking, connected, offline, subscribed, take

from triolet._model.errors import ConnectionClosed, ErrorCode, Refusal
from triolet._model.events import Notice
from triolet.client import Backoff, ClientLimits, LinkClosed, State, open_client

BACKOFF = Backoff(base_s=1, ceiling_s=8, stable_s=10)


class Provider:
    """Gives t1, t2, … or raises what `failures` holds."""

    def __init__(self, *failures):
        self.asked = 0
        self.failures = list(failures)

    def __call__(self):
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return f"t{self.asked}"


@pytest.mark.parametrize("code", [4001, 4003])
async def test_final_closes_end_everything(autojump_clock, code):
    server = Server()
    async with connected(server) as (client, conversation):
        stream = client.events()
        await subscribed(client, conversation, "r")
        conversation.entry("r", 1)
        async with asking(client.send, "r", "hi") as answer:
            await conversation.hear("send")
            conversation.close(code, "go away")

        assert (answer.error.code, answer.error.reason) == (code, "go away")
        assert client.state is State.CLOSED
        assert (await take(stream, 1))[0].seq == 1
        with pytest.raises(ConnectionClosed, match=f"{code} go away"):
            await take(stream, 1)
        for late in (client.ping, client.wait_online):
            with pytest.raises(ConnectionClosed, match=f"{code} go away"):
                await late()
        await trio.sleep(1000)
        assert server.dials == 1


async def test_4002_without_a_provider_is_final(autojump_clock):
    server = Server()
    async with connected(server, token="t") as (client, conversation):
        conversation.close(4002, "expired")
        with pytest.raises(ConnectionClosed, match="4002"):
            async for _ in client.events():
                pass

        assert client.state is State.CLOSED


async def test_4002_asks_the_provider_and_comes_back(autojump_clock):
    server = Server()
    provider = Provider()
    async with open_client(server, form="json", token=provider, start_offline=True):
        first = await server.accept()
        assert (await first.welcome())["token"] == "t1"
        first.close(4002)
        second = await server.accept()

        assert (await second.welcome())["token"] == "t2"


async def test_other_closes_keep_the_token(autojump_clock):
    server = Server()
    provider = Provider()
    async with open_client(server, form="json", token=provider, start_offline=True):
        for _ in range(3):
            conversation = await server.accept()
            assert (await conversation.welcome())["token"] == "t1"
            conversation.close(1006)

    assert provider.asked == 1


async def test_token_known_to_have_expired_is_not_shown_again(autojump_clock):
    server = Server()
    async with open_client(server, form="json", token=Provider(), start_offline=True):
        first = await server.accept()
        await first.welcome(now=1_000_000, expires_at=1_005_000)
        await trio.sleep(6)
        first.close(1006)
        second = await server.accept()

        assert (await second.welcome())["token"] == "t2"


async def test_token_of_ones_own_that_expired_is_shown_until_it_is_refused(autojump_clock):
    server = Server()
    async with open_client(server, form="json", token="t", start_offline=True) as client:
        first = await server.accept()
        await first.welcome(now=1_000_000, expires_at=1_005_000)
        await trio.sleep(6)
        first.close(1006)
        await refuse_hello(server, 1002, "token_expired", (4002,))
        with pytest.raises(ConnectionClosed, match="4002"):
            await client.ping()


async def test_provider_may_be_async(autojump_clock):
    server = Server()

    async def provider():
        await trio.sleep(1)
        return "late"

    async with open_client(server, form="json", token=provider, start_offline=True):
        assert (await (await server.accept()).welcome())["token"] == "late"


async def test_provider_that_fails_is_asked_again(autojump_clock, caplog):
    server = Server()
    provider = Provider(OSError("no network"))
    async with open_client(server, form="json", token=provider, start_offline=True):
        assert (await (await server.accept()).welcome())["token"] == "t2"

    assert "the token provider failed" in caplog.text


async def test_provider_that_hangs_is_given_up(autojump_clock):
    server = Server()
    asked = []

    async def provider():
        asked.append(trio.current_time())
        if len(asked) == 1:
            await trio.sleep_forever()
        return "t"

    async with open_client(server, form="json", token=provider, start_offline=True):
        await (await server.accept()).welcome()

    assert asked[1] - asked[0] >= ClientLimits().token_timeout_s


async def test_provider_that_refuses_is_final(autojump_clock):
    refusal = Refusal(ErrorCode.UNAUTHENTICATED, "logged out")
    with pytest.raises(ConnectionClosed, match="logged out"):
        async with open_client(Server(), form="json", token=Provider(refusal)):
            raise AssertionError


async def test_token_expiring_is_renewed_on_the_connection(autojump_clock):
    server = Server()
    async with open_client(server, form="json", token=Provider(), start_offline=True) as client:
        first = await server.accept()
        await first.welcome()
        await client.wait_online()
        events = client.events()
        first.say("notice", kind="token_expiring", expires_at=5)
        refresh = await first.hear("refresh")
        first.ok(refresh, expires_at=10**15)
        first.close(1006)

        assert refresh["token"] == "t2"
        assert [Notice(kind="token_expiring", expires_at=5)] == await take(events, 1)
        assert (await (await server.accept()).welcome())["token"] == "t2"


async def test_renewal_that_fails_leaves_the_connection(autojump_clock, caplog):
    server = Server()
    provider = Provider()
    async with open_client(server, form="json", token=provider, start_offline=True) as client:
        first = await server.accept()
        await first.welcome()
        await client.wait_online()
        provider.failures = [OSError()]
        first.say("notice", kind="token_expiring", expires_at=5)
        async with asking(client.ping):
            first.ok(await first.hear("ping"), now=1)

    assert "the token was not renewed" in caplog.text


async def test_refreshed_token_is_shown_from_then_on(autojump_clock):
    server = Server()
    async with connected(server, token="old") as (client, first):
        async with asking(client.refresh, "new") as answer:
            first.ok(await first.hear("refresh"), expires_at=10**15)
        first.close(1006)

        assert answer.value.expires_at == 10**15
        assert (await (await server.accept()).welcome())["token"] == "new"


async def refuse_hello(server, code, reason, close, **fields):
    """Refuse the next connection."""
    conversation = await server.accept()
    await conversation.hear("hello")
    conversation.say("error", code=code, reason=reason, message="no", **fields)
    conversation.close(*close)


async def enter(answer, server, **options):
    """Enter and leave a client, and keep what went wrong."""
    try:
        async with open_client(server, form="json", **options) as client:
            answer.append(client.state)
    except ConnectionClosed as error:
        answer.append((error.code, error.reason))


async def test_token_refreshed_offline_is_shown_at_once(autojump_clock):
    server = Server()
    async with connected(server, token="old") as (client, first):
        await offline(client, first)
        async with asking(client.refresh, "new"):
            second = await server.accept()
            assert (await second.welcome())["token"] == "new"
            await second.resume()
            second.ok(await second.hear("refresh"), expires_at=10**15)


@pytest.mark.parametrize("close", [(1006,), (1005,), None])
@pytest.mark.parametrize(
    ("code", "reason", "meant"),
    [
        (1001, "unauthenticated", 4001),
        (1003, "token_invalid", 4001),
        (1002, "token_expired", 4002),
        (1004, "banned", 4003),
        (1999, "novelty", 4001),
    ],
)
async def test_refused_hello_is_final_even_if_the_close_is_mute(
    autojump_clock, code, reason, meant, close
):
    server, answer = Server(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(enter, answer, server)
        await refuse_hello(server, code, reason, close or (meant,))

    assert [(meant, "no")] == answer


@pytest.mark.parametrize(
    ("code", "reason", "close", "fields"),
    [
        (4001, "rate_limited", (4029, '{"retry_after_ms": 20000}'), {}),
        (4001, "rate_limited", (4029, ""), {"retry_after_ms": 20_000}),
        (4003, "too_many_sessions", (1006, ""), {"retry_after_ms": 20_000}),
        (5002, "shutting_down", (1012, ""), {"retry_after_ms": 20_000}),
    ],
)
async def test_refused_hello_says_when_to_come_back(autojump_clock, code, reason, close, fields):
    server, answer = Server(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(enter, answer, server)
        await refuse_hello(server, code, reason, close, **fields)
        await (await server.accept()).welcome()

    assert answer == [State.ONLINE]
    assert server.dial_times[1] - server.dial_times[0] >= 20


async def test_what_a_refused_hello_meant_is_forgotten_with_its_connection(autojump_clock):
    """Else a dial that fails later would be taken for the refusal."""
    server, answer = Server(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(enter, answer, server)
        await refuse_hello(server, 4001, "rate_limited", (4029, ""), retry_after_ms=1)
        server.refusals = [LinkClosed(1006, "refused")]
        await (await server.accept()).welcome()

    assert answer == [State.ONLINE]


async def test_attempts_are_jittered_exponentially(autojump_clock):
    """With the greatest draw, the waits are the ceilings."""
    server = Server()
    server.refusals = [LinkClosed(1006, "refused")] * 6
    async with open_client(
        server, form="json", backoff=BACKOFF, entropy=FakeEntropy(1), start_offline=True
    ):
        await server.accept()

    times = server.dial_times
    assert [after - before for before, after in pairwise(times)] == [1, 2, 4, 8, 8, 8]


async def test_short_lived_connections_do_not_reset_the_backoff(autojump_clock):
    server = Server()
    async with open_client(
        server, form="json", backoff=BACKOFF, entropy=FakeEntropy(1), start_offline=True
    ):
        for lived_s in (0, 0, 0, 20, 0):
            conversation = await server.accept()
            await conversation.welcome()
            await trio.sleep(lived_s)
            conversation.close(1006)
        await server.accept()

    times = server.dial_times
    assert [after - before for before, after in pairwise(times)] == [1, 2, 4, 21, 2]


@pytest.mark.parametrize(
    ("code", "reason"), [(1012, ""), (4029, '{"retry_after_ms": 1}'), (1006, "")]
)
async def test_draining_notice_says_when_to_come_back(autojump_clock, code, reason):
    server = Server()
    async with connected(server) as (client, first):
        events = client.events()
        first.say("notice", kind="draining", retry_after_ms=7000)
        assert [Notice(kind="draining", retry_after_ms=7000)] == await take(events, 1)
        closed_at = trio.current_time()
        first.close(code, reason)
        await (await server.accept()).welcome()
        await client.wait_online()

        assert server.dial_times[1] - closed_at >= 7


async def test_hint_holds_for_one_wait_only(autojump_clock):
    server = Server()
    async with connected(server) as (_, first):
        first.close(4029, '{"retry_after_ms": 60000}')
        second = await server.accept()
        await second.welcome()
        closed_at = trio.current_time()
        second.close(1006)
        await server.accept()

        assert server.dial_times[2] - closed_at < 60


async def test_entering_waits_for_the_welcome(autojump_clock):
    server, answer = Server(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(enter, answer, server)
        conversation = await server.accept()
        await conversation.hear("hello")
        conversation.close(1006)
        await (await server.accept()).welcome()

    assert answer == [State.ONLINE]


async def test_entering_gives_up_in_time_and_says_why(autojump_clock):
    server, answer = Server(), []
    server.refusals = [LinkClosed(1006, "no connection: refused")] * 1000
    await enter(answer, server, connect_timeout_s=12)

    ((code, reason),) = answer
    assert code == 1006
    assert "12 s" in reason
    assert "no connection: refused" in reason
    assert trio.current_time() < 13


async def test_entering_offline_does_not_wait(autojump_clock):
    server, answer = Server(), []
    await enter(answer, server, start_offline=True)

    assert answer == [State.CONNECTING]
