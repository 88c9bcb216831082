"""Laws of the native connection: real sockets, and a clock that a test moves."""

import select
import socket

import pytest
import trio
from edge_peer import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    close_payload,
    frame,
    open_port,
    request_head,
)
from scene import NOW_MS, settled

from triolet._runtime import native
from triolet._runtime.poller import Poller
from triolet._wire import frames

pytestmark = pytest.mark.usefixtures("standing_time")


@pytest.fixture
async def port():
    """A listening engine with the usual limits."""
    async with open_port() as port:
        yield port


def counted_looks(monkeypatch):
    """Return a list that grows by one whenever the engine's selector is asked."""
    looks = []
    look = Poller._look

    def counted(self):
        looks.append(self)
        return look(self)

    monkeypatch.setattr(Poller, "_look", counted)
    return looks


async def turns(count):
    for _ in range(count):
        await trio.lowlevel.checkpoint()


# --- reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [True, False])
async def test_a_frame_may_be_cut_anywhere(port, text):
    """What arrives in two reads is one message, wherever the cut; other frames may follow it."""
    caller, _ = await port.enter("anna", text=text)
    for cut in range(1, len(caller.encoded("ping"))):
        data = caller.encoded("ping") + frame(b"hi", opcode=PING) + caller.encoded("ping")
        await caller.send(data[:cut])
        await settled()
        await caller.send(data[cut:])

        answers = sorted([await caller.frame() for _ in range(3)])

        opcode = TEXT if text else BINARY
        assert [(opcode, 2), (PONG, 1)] == [
            (opcode, sum(one == opcode for one, _ in answers)),
            (PONG, answers.count((PONG, b"hi"))),
        ]


async def test_a_stream_may_come_byte_by_byte(port):
    caller = await port.dial()
    port.gate.knows("anna", "anna")
    stream = request_head() + caller.encoded("hello", token="anna") + caller.encoded("ping")
    for byte in stream:
        await caller.send(bytes((byte,)))
        await settled()

    await caller.head()
    await caller.hear("welcome")

    assert (await caller.hear("ok"))["ref"] == 2


async def test_many_requests_in_one_read_are_answered_in_order(port):
    caller, _ = await port.enter("anna")
    asked = b"".join(caller.encoded(op) for op in ("ping", "rooms", "ping", "rooms", "ping"))

    await caller.send(asked)

    assert [(await caller.hear("ok"))["ref"] for _ in range(5)] == [2, 3, 4, 5, 6]


async def test_a_busy_connection_is_not_read_and_wakes_nobody(port, monkeypatch):
    """While a request waits for the store, what comes waits in the kernel; then it is taken."""
    caller, connection = await port.enter("anna")
    step = port.store.script("inbox", before=True)
    waiting = await caller.say("rooms")
    await step.entered.wait()
    looks = counted_looks(monkeypatch)

    refs = [await caller.say("ping") for _ in range(3)]
    # Not `settled`, which would wait for a selector that spins until it no longer does.
    await turns(200)

    # One look finds the bytes; after it there is none.
    assert len(looks) == 1
    assert await caller.is_silent()
    assert port.left()["watched"] == port.before["watched"]
    assert connection.sock.recv(1, socket.MSG_PEEK)

    step.release()
    assert [(await caller.hear("ok"))["ref"] for _ in range(4)] == [waiting, *refs]
    assert port.left()["watched"] == port.before["watched"] + 1


async def test_a_busy_connection_is_still_written_to(port):
    """Entries reach a subscriber whose own request waits for the store."""
    caller, _ = await port.enter("anna")
    await port.room("tea", caller, "ben")
    await caller.ask("subscribe", room="tea")
    step = port.store.script("inbox", before=True)
    await caller.say("rooms")
    await step.entered.wait()
    ben, _ = await port.enter("ben")

    await ben.ask("send", room="tea", body={"text": "hello"})

    assert (await caller.hear("entry"))["body"] == {"text": "hello"}
    step.release()
    await caller.hear("ok")


async def test_what_came_with_a_busy_read_keeps_its_order(port):
    """Requests behind a held one in the same read, and behind that in later reads."""
    caller, _ = await port.enter("anna")
    step = port.store.script("inbox", before=True)
    together = caller.encoded("rooms") + caller.encoded("ping") + caller.encoded("rooms")
    await caller.send(together + caller.encoded("ping")[:7])
    await step.entered.wait()
    caller._refs -= 1
    await caller.send(caller.encoded("ping")[7:])
    await settled()
    step.release()

    assert [(await caller.hear("ok"))["ref"] for _ in range(4)] == [2, 3, 4, 5]


class Kept(bytes):
    """Bytes that tell how many of them are alive."""

    alive = 0

    def __new__(cls, data):
        cls.alive += 1
        return super().__new__(cls, data)

    def __del__(self):
        Kept.alive -= 1


async def test_a_parked_connection_keeps_nothing_of_what_it_read(port, monkeypatch):
    """Neither the read nor the payloads, by whichever way they were handled."""
    read, unmask = native.NativeConnection._read, frames.apply_mask
    monkeypatch.setattr(
        native.NativeConnection,
        "_read",
        lambda self: None if (data := read(self)) is None else Kept(data),
    )
    monkeypatch.setattr(frames, "apply_mask", lambda data, mask: Kept(unmask(data, mask)))
    start = native.NativeConnection.start
    monkeypatch.setattr(
        native.NativeConnection, "start", lambda self, unread: start(self, Kept(unread))
    )
    port.gate.knows("anna", "anna")
    caller = await port.dial()
    # What comes together with the request head is no exception.
    await caller.send(request_head() + caller.encoded("hello", token="anna"))
    await caller.head()
    await caller.hear("welcome")
    await settled()
    assert Kept.alive == 0
    await port.room("tea", caller)
    bulk = {"text": "x" * 12_000}

    await caller.ask("ping")
    assert Kept.alive == 0
    await caller.ask("send", room="tea", body=bulk)
    await settled()
    assert Kept.alive == 0
    # Awaited, and with another request behind it.
    await caller.send(caller.encoded("history", room="tea") + caller.encoded("ping"))
    await caller.hear("ok")
    await caller.hear("ok")
    await settled()
    assert Kept.alive == 0
    # Half a frame is kept by the reader alone.
    await caller.send(caller.encoded("send", room="tea", body=bulk)[:5000])
    await settled()
    assert Kept.alive == 0


# --- closing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "echoed"),
    [(b"", b""), (close_payload(1000, "bye"), close_payload(1000, "bye"))],
    ids=["empty", "bye"],
)
async def test_a_clients_close_is_echoed_and_nothing_after_it_is_read(port, payload, echoed):
    caller, connection = await port.enter("anna")

    await caller.send(frame(payload, opcode=CLOSE) + caller.encoded("ping"))

    assert await caller.frame() == (CLOSE, echoed)
    caller.sock.shutdown(socket.SHUT_WR)
    assert connection.session.is_gone
    caller.hang_up()
    await port.empty()


async def test_what_was_asked_before_a_close_is_answered_before_it(port):
    caller, _ = await port.enter("anna")

    await caller.send(caller.encoded("rooms") + frame(close_payload(1000), opcode=CLOSE))

    await caller.hear("ok")
    assert await caller.closed() == (1000, "")
    assert await caller.ended()
    await port.empty_of_connections()


async def test_our_close_waits_for_its_echo(port):
    """Until it comes the stream stays open; then it ends at once."""
    caller, connection = await port.enter("anna")

    await port.engine.revoke("anna")

    assert await caller.closed() == (4001, "revoked")
    assert await caller.is_silent()
    assert connection.session.is_gone
    # What the client says meanwhile is not heard.
    await caller.send(caller.encoded("ping"))
    assert await caller.is_silent()
    await caller.send(frame(close_payload(4001), opcode=CLOSE))
    assert await caller.ended()


async def test_a_peer_that_never_echoes_holds_us_for_a_second(port):
    caller, _ = await port.enter("anna")
    await port.engine.revoke("anna")
    await caller.closed()
    assert await caller.is_silent()

    port.clock.jump(port.engine.limits.close_timeout_s)

    assert await caller.ended()
    await port.empty_of_connections()


async def test_after_a_close_frame_comes_nothing(port):
    """Not even a ping, however long the last second is."""
    caller, connection = await port.enter("anna")
    await port.engine.revoke("anna")
    await caller.closed()

    connection.beat(trio.current_time() + 30)

    assert await caller.is_silent()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x02hi", 1002),
        (b"\x8f\x80" + bytes(4), 1002),
        (frame(b"hi", opcode=BINARY), 1003),
        (frame(b"\xff"), 1007),
        (frame(b"x" * 128 * 1024 + b"x"), 1009),
    ],
    ids=["unmasked", "opcode", "type", "utf-8", "size"],
)
async def test_a_broken_rule_is_answered_with_its_code(port, sent, code):
    caller, _ = await port.enter("anna")

    await caller.send(sent)

    assert (await caller.closed())[0] == code
    assert await caller.ended()
    caller.hang_up()
    await port.empty()


async def test_who_goes_on_sending_hears_why_it_was_closed(port):
    """Bytes left unread would turn our close into a reset, which takes the close frame along."""
    caller, _ = await port.enter("anna")
    size = 8_000_000  # more than both sides' kernels keep
    await caller.send(bytes((0x81, 0xFF)) + size.to_bytes(8, "big") + bytes(4 + size))

    assert (await caller.closed())[0] == 1009
    assert await caller.ended()


async def test_errors_come_before_the_close(port):
    caller = await port.dial()
    await caller.upgrade()

    await caller.say("hello", token="nobody")

    assert (await caller.hear("error"))["reason"] == "token_invalid"
    assert (await caller.closed())[0] == 4001


async def test_no_hello_in_time_is_4009(port):
    caller = await port.dial()
    await caller.upgrade()

    await port.pass_s(port.engine.limits.hello_timeout_s)

    assert await caller.closed() == (4009, "no hello in time")


async def test_an_expired_token_is_4002_whatever_the_connection_waits_for(port):
    """Written in a second of its own, also in the middle of a request."""
    caller, _ = await port.enter("anna", expires_at=NOW_MS + 50_000)
    assert (await caller.hear_in(port, 2, "notice"))["kind"] == "token_expiring"
    step = port.store.script("inbox", before=True)
    await caller.say("rooms")
    await step.entered.wait()

    await port.pass_s(50)

    assert await caller.closed() == (4002, "token expired")


async def test_the_end_of_the_engine_is_1012():
    """Told to everybody; who does not answer holds the end up for a second and no longer."""
    async with open_port() as port:
        caller, connection = await port.enter("anna")
        port.callers.remove(caller)

    assert await caller.closed() == (1012, "the server is leaving")
    assert await caller.ended()
    assert connection.sock.fileno() == -1
    caller.hang_up()


# --- peers that go ---------------------------------------------------------------------------


async def greeted(port):
    caller = await port.dial()
    await caller.upgrade()
    return caller


async def in_a_frame(port):
    caller, _ = await port.enter("anna")
    await caller.send(caller.encoded("ping")[:4])
    return caller


async def in_a_request(port):
    caller, _ = await port.enter("anna")
    port.step = port.store.script("inbox", before=True)
    await caller.send(caller.encoded("rooms") + caller.encoded("ping"))
    await port.step.entered.wait()
    return caller


async def in_a_hello(port):
    caller = await greeted(port)
    await caller.say("hello", token="nobody")
    return caller


async def with_a_subscription(port):
    caller, _ = await port.enter("anna")
    await port.room("tea", caller)
    await caller.ask("subscribe", room="tea")
    await caller.ask("typing", room="tea", on=True)
    return caller


async def blocked(port):
    caller, connection = await port.enter("anna", receive_bytes=4096)
    await flood(port, caller, connection)
    return caller


async def in_our_close(port):
    caller, _ = await port.enter("anna")
    await port.engine.revoke("anna")
    await caller.closed()
    return caller


POINTS = (greeted, in_a_frame, in_a_request, in_a_hello, with_a_subscription, blocked, in_our_close)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.__name__)
@pytest.mark.parametrize("is_reset", [False, True], ids=["end", "reset"])
async def test_a_peer_that_goes_leaves_nothing_behind(port, point, is_reset):
    """No file, watch, task, connection or byte, wherever it was; others go on."""
    other, _ = await port.enter("ben")
    port.before = port.left()
    caller = await point(port)
    await settled()
    connection = port.connections()[-1]

    if is_reset:
        caller.reset()
    else:
        caller.hang_up()
    await settled()
    if point is in_a_request:
        port.step.release()
    # A hint that is lost, a ping that meets nobody: whatever time brings.
    await port.pass_s(2)

    await port.empty()
    assert connection.session.is_gone
    assert connection.outbox.size == 0
    await other.ask("ping")


async def test_a_write_that_fails_ends_the_request_that_is_waited_for(port):
    """Nobody is left to hear its answer, so it is not waited for."""
    caller, _ = await port.enter("anna")
    await port.room("tea", caller, "ben")
    await caller.ask("subscribe", room="tea")
    ben, _ = await port.enter("ben")
    connection, _ = port.connections()
    step = port.store.script("inbox", before=True)
    await caller.say("rooms")
    await step.entered.wait()

    caller.reset()
    await settled()
    await ben.ask("send", room="tea", body={})
    await settled()

    assert step.left.is_set()
    assert connection.session.is_gone
    assert len(port.connections()) == 1


async def test_many_short_lives_leave_nothing_behind(port):
    """In three ways to go."""
    for number in range(60):
        caller, _ = await port.enter(f"user-{number}")
        if number % 3 == 0:
            await caller.send(frame(close_payload(1000), opcode=CLOSE))
            await caller.closed()
        if number % 3 == 1:
            caller.reset()
        caller.hang_up()

    await port.empty()
    assert port.engine.flusher.is_idle


async def test_the_end_of_the_core_takes_every_socket_along():
    """Also when one of the engine's own tasks fails, before the connections have ended."""

    async def fail():
        raise RuntimeError("a bug")

    ended = []

    async def live():
        async with open_port() as port:
            ended.append((port.engine, (await port.enter("anna"))[1]))
            port.clock.autojump_threshold = 0
            port.engine.spawn(fail)
            await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await live()

    assert caught.group_contains(RuntimeError, match="a bug")
    assert not caught.group_contains((KeyError, ValueError))
    ((engine, connection),) = ended
    assert connection.sock.fileno() == -1
    assert engine.heartbeat.connections == {}


# --- writing ---------------------------------------------------------------------------------


async def flood(port, caller, connection, count=200):
    """Have a subscriber fall behind a room that says more than its socket takes."""
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await port.room("tea", caller, "ben")
    await caller.ask("subscribe", room="tea")
    ben, _ = await port.enter("ben")
    for number in range(count):
        text = f"{number} " + "x" * 5000
        await ben.ask("send", room="tea", body={"text": text})
    ben.hang_up()
    await settled()
    assert connection.outbox.blocked_since is not None


async def test_short_writes_resume_in_order(port):
    """Through a small buffer come all entries, once each, though the outbox never held them all."""
    caller, connection = await port.enter("anna", receive_bytes=4096)
    await flood(port, caller, connection)
    assert connection.outbox.size <= port.engine.limits.outbox_bytes_high

    heard = [await caller.hear("entry") for _ in range(200)]

    seqs = [one["seq"] for one in heard]
    assert seqs == list(range(seqs[0], seqs[0] + 200))
    assert [int(one["body"]["text"].split()[0]) for one in heard] == list(range(200))
    await caller.ask("ping")
    assert (connection.outbox.size, connection.outbox.blocked_since) == (0, None)


@pytest.mark.parametrize("is_last", [False, True], ids=["alone", "behind a request"])
async def test_who_sends_pings_and_does_not_read_is_not_read(port, is_last):
    """Pongs fill an outbox as answers do: beyond its mark, one read more and not a byte else."""
    caller, connection = await port.enter("anna", receive_bytes=4096)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    most = port.engine.limits.outbox_bytes_high + native._READ_BYTES + len(frame(b""))
    ping = frame(b"x" * 125, opcode=PING)
    unsent = memoryview((caller.encoded("ping") if is_last else b"") + ping * 40_000)
    sizes = []
    while unsent:
        try:
            unsent = unsent[caller.sock.send(unsent[: native._READ_BYTES]) :]
        except BlockingIOError:
            await settled()
            if not select.select([], [caller.sock], [], 0.1)[1]:
                break
        await settled()
        sizes.append(connection.outbox.size)

    assert unsent, "all of a flood was read"
    assert port.engine.limits.outbox_bytes_high < max(sizes) <= most


@pytest.mark.parametrize("is_together", [True, False], ids=["together", "apart"])
async def test_who_asks_and_does_not_read_is_not_read(port, is_together):
    """A full outbox stops the reading of its socket; taking the answers resumes it."""
    caller, connection = await port.enter("anna", receive_bytes=4096)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await port.room("tea", caller)
    for _ in range(20):
        await caller.ask("send", room="tea", body={"text": "x" * 10_000})
    asked = 30
    questions = [caller.encoded("history", room="tea") for _ in range(asked)]
    for question in [b"".join(questions)] if is_together else questions:
        await caller.send(question)
        await settled()

    page = port.engine.limits.page_bytes_max
    assert connection.session.is_busy()
    assert connection.outbox.size < port.engine.limits.outbox_bytes_high + 2 * page
    assert [len((await caller.hear("ok"))["messages"]) for _ in range(asked)] == [20] * asked


async def test_a_writable_socket_wakes_nobody(port, monkeypatch):
    """Writability is watched only while something waits for it."""
    caller, connection = await port.enter("anna", receive_bytes=4096)
    await flood(port, caller, connection)
    for _ in range(200):
        await caller.hear("entry")
    looks = counted_looks(monkeypatch)

    await turns(100)

    assert looks == []


async def test_not_one_byte_taken_for_so_long_is_4008(port):
    """What was half written is finished first, if it is taken after all."""
    caller, connection = await port.enter("anna", receive_bytes=4096)
    await flood(port, caller, connection)

    await port.pass_s(port.engine.limits.stall_s)
    assert connection.session.closing is None
    await port.pass_s(1)

    assert connection.session.closing.code == 4008
    assert await caller.closed() == (4008, "too slow")


async def test_a_byte_taken_now_and_then_is_a_sign_of_life(port):
    """Slow is no crime: `stall_s` counts from the last byte taken."""
    caller, connection = await port.enter("anna", receive_bytes=4096)
    await flood(port, caller, connection)

    for _ in range(5):
        await port.pass_s(port.engine.limits.stall_s - 5)
        for _ in range(5):
            await caller.hear("entry")

    assert connection.session.closing is None


async def test_a_peer_that_takes_nothing_is_gone_after_its_last_second(port):
    caller, connection = await port.enter("anna", receive_bytes=4096)
    await flood(port, caller, connection)

    await port.pass_s(port.engine.limits.stall_s + 3)

    assert connection not in port.connections()
    assert connection.sock.fileno() == -1


async def test_who_reads_slowly_has_as_long_to_answer_a_close_as_others(port):
    """The second begins when the close frame is written, and what is before it."""
    caller, connection = await port.enter("anna", receive_bytes=4096)
    await flood(port, caller, connection)
    most_s = port.engine.limits.close_timeout_s

    await port.engine.revoke("anna")
    await settled()
    port.clock.jump(0.9 * most_s)
    assert await caller.closed() == (4001, "revoked")
    await settled()
    port.clock.jump(0.9 * most_s)
    await settled()

    assert connection in port.connections()
    port.clock.jump(0.2 * most_s)
    assert await caller.ended()
    await port.empty_of_connections()


async def test_who_does_not_take_a_close_holds_us_for_a_second(port):
    caller, connection = await port.enter("anna", receive_bytes=4096)
    await flood(port, caller, connection)

    await port.engine.revoke("anna")
    await settled()
    port.clock.jump(port.engine.limits.close_timeout_s)
    await settled()

    assert connection.sock.fileno() == -1
    await port.empty_of_connections()


# --- signs of life ---------------------------------------------------------------------------


async def test_a_peer_that_answers_pings_stays(port):
    """One ping each interval, and for ever."""
    caller, connection = await port.enter("anna")
    interval_s = port.engine.limits.heartbeat_s

    for _ in range(6):
        await port.pass_s(interval_s)
        assert await caller.frame() == (PING, b"")
        assert await caller.is_silent()
        await caller.send(frame(b"", opcode=PONG))

    assert connection.session.closing is None


async def test_a_peer_that_shows_no_sign_of_life_is_closed_after_two_intervals(port):
    caller, connection = await port.enter("anna")
    interval_s = port.engine.limits.heartbeat_s

    await port.pass_s(2 * interval_s)
    assert connection.session.closing is None
    await port.pass_s(2)

    assert [await caller.frame() for _ in range(2)] == [(PING, b"")] * 2
    assert await caller.closed() == (4008, "no sign of life")


async def test_any_byte_is_a_sign_of_life(port):
    """Half a frame, too: a slow sender is not a dead one."""
    caller, connection = await port.enter("anna")
    data = caller.encoded("ping")

    for at in range(6):
        await port.pass_s(port.engine.limits.heartbeat_s)
        await caller.send(data[at : at + 1])

    assert connection.session.closing is None


async def test_who_is_not_read_is_not_called_silent(port):
    """While a request waits for the store nothing is read, so nothing can be missed."""
    caller, connection = await port.enter("anna")
    step = port.store.script("inbox", before=True)
    await caller.say("rooms")
    await step.entered.wait()
    await caller.say("ping")

    await port.pass_s(3 * port.engine.limits.heartbeat_s)

    assert connection.session.closing is None
    step.release()
    await caller.hear("ok")
    await caller.hear("ok")


async def test_a_ping_is_answered_with_its_payload(port):
    caller, _ = await port.enter("anna")

    await caller.send(frame(b"are you there", opcode=PING))

    assert await caller.frame() == (PONG, b"are you there")
