"""A token ends: its session is told and closed with 4002, and who has another one goes on."""

import time

import pytest
import trio
from e2e_scene import Raw, token

import triolet
from triolet._model.entries import Entry, Message
from triolet.client import Backoff, State

QUICK = Backoff(base_s=0.1, ceiling_s=0.4)
# Between two steps of a test a busy machine does other things for a second or two.
TTL_S = 6
# In which a session that is told of its end has another, or an entry has come.
PATIENCE_S = 90


@pytest.fixture
def strict_server(make_server):
    """A server that gives nobody a leeway, and tells nobody beforehand."""
    return make_server(TRIOLET_LIMIT_TOKEN_LEEWAY_S="0.001", TRIOLET_LIMIT_TOKEN_NOTICE_S="0")


def short(user):
    return token(user, ttl_s=TTL_S)


def hello(server, hello_token):
    raw = Raw(server)
    raw.send(op="hello", token=hello_token)
    welcome = raw.next()
    assert welcome["op"] == "welcome", welcome
    return raw, welcome["expires_at"]


def test_at_its_end_a_session_is_closed_with_4002_and_a_refreshed_one_is_not(strict_server):
    """Law: `refresh` moves the end; the close frame is really sent, at the end and not before."""
    lasting, first_end = hello(strict_server, short("ben"))
    refreshed = lasting.ask(op="refresh", token=token("ben"))
    assert refreshed["expires_at"] > first_end
    ending, ends_at = hello(strict_server, short("anna"))
    code, messages = ending.wait_close()
    assert (code, messages) == (4002, [])
    assert int(time.time() * 1000) >= ends_at >= first_end
    # Its first token had ended before.
    assert lasting.ask(op="ping")["op"] == "ok"
    for raw in (ending, lasting):
        raw.close()


def test_a_session_is_told_before_its_end_and_may_be_refreshed_by_its_own_user_only(make_server):
    server = make_server(TRIOLET_LIMIT_TOKEN_LEEWAY_S="0.001", TRIOLET_LIMIT_TOKEN_NOTICE_S="3600")
    raw, ends_at = hello(server, short("anna"))
    notice = raw.next()
    assert (notice["op"], notice["kind"]) == ("notice", "token_expiring")
    assert notice["expires_at"] == ends_at
    assert raw.refused(op="refresh", token=token("ben")) == "token_invalid"
    assert raw.wait_close()[0] == 4002
    raw.close()


async def test_a_client_that_is_told_beforehand_refreshes_and_stays(make_server):
    """Law: with a provider, a token that is about to end is replaced without a reconnection."""
    server = make_server(TRIOLET_LIMIT_TOKEN_LEEWAY_S="0.001", TRIOLET_LIMIT_TOKEN_NOTICE_S="3600")
    given = [token("anna"), short("anna")]

    async with triolet.connect(server.url, token=given.pop, backoff=QUICK) as anna:
        ends_at = anna.welcome.expires_at
        with trio.fail_after(PATIENCE_S):
            while (await anna.ping()).now <= ends_at:  # noqa: ASYNC110 - the clock's
                await trio.sleep(0.05)
        assert anna.statistics().connections == 1
    assert given == []


async def test_a_client_with_a_provider_comes_back_with_a_new_token_and_loses_nothing(
    strict_server, nursery
):
    """Law: 4002 means come back with another token; nothing is lost by it, or done twice."""
    asked, closes, entries = [], [], []

    def provide():
        asked.append(short("anna"))
        return asked[-1]

    async def listen(events):
        async for event in events:
            if isinstance(event, Entry) and isinstance(event.fact, Message):
                entries.append(event)  # noqa: PERF401 - it is looked at all the while

    async def watch_connection():
        async for state in anna.states():
            if state is State.OFFLINE:
                closes.append(anna.last_close.code)  # noqa: PERF401 - likewise

    async with (
        triolet.connect(strict_server.url, token=provide, backoff=QUICK) as anna,
        triolet.connect(strict_server.url, token=token("ben")) as ben,
    ):
        room = (await ben.direct("anna")).room
        nursery.start_soon(listen, anna.events())
        nursery.start_soon(watch_connection)
        await anna.subscribe(room)
        sent = []
        # Until the token has ended twice; each of them sends all the time.
        while len(closes) < 2:
            for sender in (ben, anna):
                text = f"text {len(sent)}"
                sent.append((text, (await sender.send(room, text)).seq))
                await trio.sleep(0.01)
        with trio.fail_after(PATIENCE_S):
            while len(entries) < len(sent):  # noqa: ASYNC110 - a list of the test's own
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert [(entry.fact.body["text"], entry.seq) for entry in entries] == sent
    assert set(closes) == {4002}
    assert len(asked) > 2
