"""Laws of a connection without a socket: the same session, both ends bounded, and a clean end."""

import msgspec
import pytest
import trio
from scene import open_scene, settled

from triolet._model.commands import Ping
from triolet._model.errors import Close
from triolet._model.events import Pong
from triolet._runtime.pipeline import HANDLERS
from triolet._runtime.session import Session


async def test_a_message_goes_from_one_end_to_the_other(scene):
    """What one member sends, every subscriber gets, the sender's own session included."""
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben)

    sent = await anna.send("tea", "hello", cid="c1")
    heard = [await one.next("entry") for one in (anna, ben)]

    assert (sent["room"], sent["seq"], sent["duplicate"]) == ("tea", head + 1, False)
    assert heard[0] == heard[1]
    assert heard[0]["body"] == {"text": "hello"}


async def test_both_directions_are_bounded(scene):
    """Who sends faster than the engine takes waits; who does not read holds its own messages."""
    anna, ben = await scene.enter("anna", tier="service"), await scene.enter("ben")
    await scene.room("tea", anna, ben)
    step = scene.store.script("history", before=True)
    await anna.say("history", room="tea")
    sent = 0
    with trio.move_on_after(1):
        for _ in range(1000):
            await anna.say("ping")
            sent += 1
    assert sent <= 65
    step.release()

    ben.stop_reading()
    for _ in range(200):
        await anna.send("tea")
    assert ben.pipe._from_engine.statistics().current_buffer_used <= 64
    ben.reading.set()
    await settled()
    assert len(ben.seqs("tea")) == 200


async def test_who_never_reads_from_the_first_moment_is_closed(scene):
    """Also when that moment is zero on the clock."""
    anna = await scene.enter("anna")
    await scene.room("tea", anna)
    anna.stop_reading()
    for _ in range(100):
        await anna.say("ping")
    await settled()
    assert trio.current_time() == anna.session.outbox.blocked_since == 0
    await trio.sleep(scene.limits.stall_s + 2)

    assert anna.session.is_gone
    anna.reading.set()
    assert await anna.ended() == 4008


async def test_hanging_up_ends_the_session(scene):
    anna = await scene.enter("anna")
    anna.pipe.hang_up()
    await settled()

    assert anna.session.is_gone
    assert anna.pipe.close == Close(1000, "")


async def test_after_the_engines_close_the_client_gets_what_was_sent_and_then_the_end(scene):
    anna = await scene.enter("anna")
    anna.stop_reading()
    for _ in range(10):
        await anna.say("ping")
    await settled()
    anna.session.close(Close(1012, "come back"))
    await settled()
    assert anna.session.is_gone
    anna.reading.set()

    assert await anna.ended() == 1012
    assert len(anna.all("ok")) == 10
    with pytest.raises(trio.BrokenResourceError):
        await anna.pipe.send(b"\x80")
    with pytest.raises(trio.EndOfChannel):
        await anna.pipe.receive()


async def test_a_client_that_takes_nothing_does_not_hold_up_the_end():
    async with open_scene() as scene:
        anna, ben = await scene.enter("anna"), await scene.enter("ben", tier="service")
        await scene.room("tea", anna, ben)
        anna.stop_reading()
        for _ in range(200):
            await ben.send("tea")
        anna.session.close(Close(1012, "come back"))
        await trio.sleep(scene.limits.close_timeout_s + 0.1)

        assert anna.session.is_gone
        assert anna.pipe.close is not None
        assert anna.session.outbox.size == 0


async def test_a_pipe_that_is_never_used_is_closed(scene):
    anna = scene.pipe("anna")

    assert await anna.ended() == 4009


async def test_the_end_of_the_engine_is_the_end_of_the_pipe():
    async with open_scene(inspect=False) as scene:
        anna = await scene.enter("anna")
        pipe = scene.engine.open_pipe(anna.session.identity)

    assert anna.pipe.close is not None
    assert pipe.close is not None
    with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
        await pipe.send(msgspec.msgpack.encode({"op": "hello"}))


async def test_a_bug_ends_one_connection_and_is_told(scene, monkeypatch, caplog):
    """What a handler raises unexpectedly is logged and closes its own session with 1011."""
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    await scene.room("tea", anna, ben)

    def broken(session, command):
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(HANDLERS, Ping, broken)
    await anna.say("ping")
    await settled()

    assert await anna.ended() == 1011
    assert "a bug" in caplog.text
    assert (await ben.send("tea", "still here", cid="c9"))["op"] == "ok"


async def test_a_pipe_ends_with_an_engine_that_is_cancelled():
    """No flusher is left then: nobody waits for one, and what is owed is handed over."""
    with trio.CancelScope() as scope:
        async with open_scene(inspect=False) as scene:
            anna = await scene.enter("anna")
            anna.session.write(Pong(ref=1, now=5))
            scope.cancel()
            await trio.sleep_forever()

    assert anna.pipe.close.code == 1000
    assert msgspec.msgpack.decode(anna.pipe._from_engine.receive_nowait())["now"] == 5


async def test_an_end_that_fails_keeps_no_engine_from_ending(monkeypatch):
    """It is told, and the connection is forgotten all the same."""

    def fail(session):
        raise RuntimeError("a bug in the end")

    async def live():
        async with open_scene() as scene:
            await scene.enter("anna")
            monkeypatch.setattr(Session, "end", fail)
            raise KeyError("the block ends")

    with pytest.raises(BaseExceptionGroup) as caught:
        await live()

    assert caught.group_contains(RuntimeError, match="a bug in the end")
