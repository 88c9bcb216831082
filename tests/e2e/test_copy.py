"""The store moves while its clients wait: on the new one they go on, and notice nothing."""

import sys

import pytest
import trio
from e2e_scene import Server, token

import triolet
from triolet._model.entries import Message
from triolet._model.events import Reset
from triolet.client import Backoff

QUICK = Backoff(base_s=0.1, ceiling_s=0.4)


async def next_text(events):
    """Return the text of the next message, whatever else comes before it but no reset."""
    async for event in events:
        assert not isinstance(event, Reset), event
        if isinstance(getattr(event, "fact", None), Message):
            return event.seq, event.fact.body["text"]
    raise AssertionError("the stream has ended")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_clients_resume_on_the_copy(tmp_path, request, kind):
    """No reset: a client goes on from its position, and a retried cid has its old seq."""
    if kind == "postgres":
        new = request.getfixturevalue("postgres_url")
    else:
        new = f"sqlite:{tmp_path / 'new' / 'triolet.db'}"
    old = f"sqlite:{tmp_path / 'data' / 'triolet.db'}"
    server = await trio.to_thread.run_sync(lambda: Server(tmp_path / "data", TRIOLET_STORE=old))
    try:
        async with (
            triolet.connect(server.url, token=token("anna"), backoff=QUICK) as anna,
            triolet.connect(server.url, token=token("ben"), backoff=QUICK) as ben,
        ):
            made = await anna.create("group", members=["ben"])
            room = made.room
            first = await anna.send(room, {"text": "one"}, cid="c1")
            with ben.room(room).events(since=(made.epoch, 0)) as events:
                assert (first.seq, "one") == await next_text(events)
                await anna.send(room, {"text": "two"}, cid="c2")
                assert "two" == (await next_text(events))[1]

                await trio.to_thread.run_sync(server.stop)
                command = [sys.executable, "-m", "triolet_api", "copy", old, new]
                done = await trio.run_process(
                    command, capture_stdout=True, capture_stderr=True, check=False
                )
                assert 0 == done.returncode, done.stderr
                server.settings["TRIOLET_STORE"] = new
                await trio.to_thread.run_sync(server.start)

                again = await anna.send(room, {"text": "one"}, cid="c1")
                assert (True, first.seq) == (again.duplicate, again.seq)
                await anna.send(room, {"text": "three"}, cid="c3")
                assert (first.seq + 2, "three") == await next_text(events)
    finally:
        await trio.to_thread.run_sync(server.stop)
