"""Law: who is signed in has what is kept of them, and has it erased, with the password."""

import json

import pytest
import trio
from auth_house import PASSWORD, PATIENCE_S, ended, open_house, reason

from triolet_api.auth.own_data import EXPORTS_MAX


@pytest.fixture
async def house():
    async with open_house() as house:
        yield house


async def leave(house, token, password=PASSWORD):
    return await house.call("DELETE", "/auth/me", token=token, json={"password": password})


async def test_i_get_what_is_kept_of_me(house):
    token = (await house.sign_up())["access_token"]
    async with house.connect(token) as anna:
        await anna.create("group", room="tea", title="Tea")
        await anna.send("tea", "hello")
    answer = await house.call("GET", "/auth/me/export", token=token)

    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["kind"] for line in lines] == ["person", "room", "message", "end"]
    assert lines[0]["user"] == "anna"


async def test_who_asks_for_the_head_alone_has_nothing_read(house, monkeypatch):
    """And none of the exports that there are in ten minutes is spent on it."""
    token = (await house.sign_up())["access_token"]
    asked = []
    monkeypatch.setattr(house.engine, "export", lambda *what: asked.append(what))
    answers = [await house.call("HEAD", "/auth/me/export", token=token) for _ in range(3)]

    said = {(one.status_code, one.headers["content-type"]) for one in answers}
    assert (said, asked) == ({(200, "application/x-ndjson")}, [])


async def test_nobody_has_the_whole_store_read_again_and_again(house):
    """An export reads every log: of one user, and of all at once, there are so many."""
    token = (await house.sign_up())["access_token"]
    for status in (200, 200, 429):
        answer = await house.call("GET", "/auth/me/export", token=token)
        assert answer.status_code == status
    assert 500 < int(answer.headers["Retry-After"]) <= 600

    others = [(await house.sign_up(user))["access_token"] for user in ("ben", "carl", "dora")]
    begun, held = trio.Semaphore(0), trio.Event()
    export = house.engine.export

    async def slow(user, documents):
        begun.release()
        await held.wait()
        async for one in export(user, documents):
            yield one

    house.engine.export = slow
    answers = {}

    async def ask(token):
        answers[token] = await house.call("GET", "/auth/me/export", token=token)

    async with trio.open_nursery() as nursery:
        for token in others[:EXPORTS_MAX]:
            nursery.start_soon(ask, token)
        for _ in range(EXPORTS_MAX):
            await begun.acquire()
        await ask(others[-1])
        held.set()
    assert [answers[token].status_code for token in others] == [200, 200, 429]
    await ask(others[-1])
    assert answers[others[-1]].status_code == 200, "the others have ended"


async def test_i_am_erased_and_signed_in_nowhere(house):
    mine, other = await house.sign_up(), await house.sign_in()
    bens = await house.sign_up("ben")
    async with house.connect(other["access_token"]) as client:
        assert (await leave(house, mine["access_token"])).status_code == 204
        assert await ended(client) == 4001
    for one in (mine, other):
        assert not await house.is_in(one["access_token"])
        assert (await house.refresh(one["refresh_token"])).status_code == 401
    answer = await house.post("/auth/login", user="anna", password=PASSWORD)
    assert reason(answer) == (401, "unauthenticated")
    assert await house.is_in(bens["access_token"])
    with trio.fail_after(PATIENCE_S):
        while await house.engine.store.documents.scan("family/anna/", limit=1):  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(0.05)


@pytest.mark.parametrize(
    ("password", "why"),
    [("wrong horse", (403, "forbidden")), ("", (422, "invalid_field"))],
)
async def test_without_the_password_nothing_happens(house, password, why):
    token = (await house.sign_up())["access_token"]

    assert reason(await leave(house, token, password)) == why
    assert await house.is_in(token)


async def test_who_has_no_account_asks_whoever_gave_the_token(house):
    assert reason(await leave(house, house.root())) == (403, "forbidden")


async def test_nobody_is_handed_anything(house):
    for method, path in (("GET", "/auth/me/export"), ("DELETE", "/auth/me")):
        assert reason(await house.call(method, path)) == (401, "unauthenticated")
