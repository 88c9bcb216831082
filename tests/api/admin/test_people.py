"""What is kept of somebody, over HTTP: handed out whole, erased everywhere, and written down."""

import json

import pytest
import trio
from admin_house import PATIENCE_S, open_house

from triolet._model.errors import StoreUnavailable
from triolet.ports.documents import Change


@pytest.fixture
async def house(serving):
    async with open_house(serving) as house:
        yield house


async def exported(house, user):
    answer = await house.client.get(
        f"/v1/admin/users/{user}/export", headers={"Authorization": "Bearer root"}
    )
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def kept(house):
    """Have anna say something, and keep documents of hers."""
    async with house.engine.connect("anna") as anna:
        await anna.create("group", room="tea", title="Tea", members=["ben"])
        sent = await anna.send("tea", "hello")
        await anna.react("tea", sent.seq, "🙂")
    await house.engine.store.documents.write(
        [
            Change("push/anna/preferences", b"\x80"),
            Change("push/anna/devices", b"\x80"),
            Change("family/anna/f1", b"\x80"),
            Change("push/ben/preferences", b"\x80"),
        ]
    )


async def test_an_export_is_whole_and_holds_no_secret(house):
    await kept(house)
    lines = await exported(house, "anna")

    assert [line["kind"] for line in lines] == [
        "person",
        "room",
        "message",
        "reaction",
        "document",
        "end",
    ]
    assert lines[2]["body"] == {"text": "hello"}
    assert [line["key"] for line in lines if line["kind"] == "document"] == [
        "push/anna/preferences"
    ]


async def test_of_nobody_little_is_kept(house):
    assert [line["kind"] for line in await exported(house, "nobody")] == ["person", "end"]


async def test_who_asks_for_the_head_alone_has_nothing_read(house, monkeypatch):
    asked = []
    monkeypatch.setattr(house.engine, "export", lambda *what: asked.append(what))
    await house.ask("HEAD", "/admin/users/anna/export")
    await house.ask("HEAD", "/admin/users/anna/export", who="ben", status=403)

    assert asked == []


async def test_an_export_is_written_down(house):
    """It changes nothing, and yet nobody shall read another's things unseen."""
    await exported(house, "anna")
    (row,) = (await house.ask("GET", "/admin/audit"))["rows"]

    assert (row["action"], row["target"], row["outcome"]) == (
        "admin-users.export",
        "user=anna",
        "done",
    )


async def test_an_export_that_fails_half_way_has_no_end(house):
    await kept(house)

    async def fail(keys):
        raise StoreUnavailable("gone")

    house.engine.store.documents.read = fail
    text = ""
    with pytest.raises(Exception) as broken:  # noqa: PT012 - however the client says it
        async with house.client.stream(
            "GET", "/v1/admin/users/anna/export", headers={"Authorization": "Bearer root"}
        ) as answer:
            async for piece in answer.aiter_text():
                text += piece

    assert broken.value is not None
    assert '"end"' not in text


async def test_who_is_erased_has_said_nothing_and_is_signed_in_nowhere(house):
    await kept(house)
    await house.ask("DELETE", "/admin/users/anna")
    documents = house.engine.store.documents
    with trio.fail_after(PATIENCE_S):
        while [line["kind"] for line in await exported(house, "anna")] != ["person", "end"]:  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(0.1)

    keys = ["push/anna/preferences", "push/anna/devices", "family/anna/f1", "push/ben/preferences"]
    left = [one is not None for one in await documents.read(keys)]
    assert left == [False, False, False, True]
    async with house.engine.connect("ben") as ben:
        (message,) = (await ben.history("tea")).messages
        assert message.erased


@pytest.mark.parametrize("who", ["anna", None])
async def test_nobody_else_may(house, who):
    """Not even the person: what is their own they ask for by whoever runs this."""
    for method, path in (("GET", "users/anna/export"), ("DELETE", "users/anna")):
        await house.ask(method, f"/admin/{path}", who=who, status=403 if who else 401)
