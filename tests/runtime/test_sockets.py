"""Laws of whole conversations over real sockets, in real time: nothing is waited for but events."""

import pytest
import trio
from scene import NOW_MS, open_scene
from wire_peer import (
    BINARY,
    CLOSE,
    JSON,
    MSGPACK,
    PING,
    PONG,
    TEXT,
    Host,
    Peer,
    listening,
)

from triolet._runtime.poller import READ


async def tea(owner, *members):
    """Make a room of connected peers, and have them follow it."""
    names = [name for name, _ in members]
    await owner.say({"op": "create", "room": "tea", "kind": "group", "members": names, "ref": 1})
    await owner.next("ok", ref=1)
    for peer in (owner, *[peer for _, peer in members]):
        await peer.say({"op": "subscribe", "room": "tea", "ref": 2})
        await peer.next("ok", ref=2)


def send(text="hi", **fields):
    return {"op": "send", "room": "tea", "body": {"text": text}, **fields}


# --- conversing --------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [MSGPACK, JSON, None])
async def test_a_conversation_in_either_format(protocol, real_time):
    async with listening() as host, host.peer("anna", protocol=protocol) as anna:
        await anna.say({"op": "ping", "ref": 7})
        pong = await anna.next("ok")

        assert pong["ref"] == 7
        assert pong["now"] > NOW_MS


async def test_both_formats_carry_the_same_maps(real_time):
    async with (
        listening() as host,
        host.peer("anna") as anna,
        host.peer("ben", protocol=JSON) as ben,
    ):
        await tea(anna, ("ben", ben))
        await anna.say(send("grüß dich 🍵", cid="c1"))

        assert await anna.next("entry") == await ben.next("entry")


async def test_frames_may_come_in_any_pieces(real_time):
    """Byte by byte, and many in one segment: each is taken once, in order."""
    async with listening() as host, host.peer("anna") as anna:
        for byte in anna.message({"op": "ping", "ref": 1}):
            await anna.stream.send_all(bytes((byte,)))
        await anna.next("ok", ref=1)
        await anna.say(*[{"op": "ping", "ref": ref} for ref in range(2, 200)])
        for ref in range(2, 200):
            assert (await anna.next("ok"))["ref"] == ref


async def test_requests_that_wait_are_not_overtaken(real_time):
    """A page, a write and a ping in one segment are answered in the order asked."""
    async with listening() as host, host.peer("anna") as anna:
        await tea(anna)
        await anna.say(
            {"op": "history", "room": "tea", "ref": 11},
            {"op": "invite", "room": "tea", "user": "ben", "ref": 12},
            {"op": "ping", "ref": 13},
            {"op": "history", "room": "tea", "ref": 14},
        )
        await anna.next("ok", ref=14)

        assert [one["ref"] for one in anna.heard if one.get("ref", 0) > 10] == [11, 12, 13, 14]


async def test_what_comes_with_the_handshake_is_not_lost(real_time):
    async with listening() as host, await host.connect() as stream:
        anna = Peer(stream, text=True)
        host.scene.gate.knows("t", "anna")
        hello = anna.message({"op": "hello", "token": "t"})
        assert await anna.open(protocol=JSON, follow=hello) == 101

        assert (await anna.next("welcome"))["user"] == "anna"


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/ws", ["Authorization: Bearer secret"]), ("/ws?token=secret", [])],
)
async def test_the_token_may_come_with_the_upgrade(path, headers, real_time):
    async with listening() as host, await host.connect() as stream:
        host.scene.gate.knows("secret", "anna")
        anna = Peer(stream, text=True)
        assert await anna.open(path=path, headers=[*headers, "User-Agent: test/1"]) == 101
        await anna.say({"op": "hello"})
        assert (await anna.next("welcome"))["user"] == "anna"

        opening = host.scene.gate.asked[-1][1]
        assert (opening.address, opening.agent) == ("127.0.0.1", "test/1")


async def test_pings_are_answered_at_once_and_between_messages(real_time):
    async with listening() as host, host.peer("anna") as anna:
        await anna.stream.send_all(anna.frame(PING, b"are you there"))
        assert await anna.receive() == (PONG, b"are you there")
        part = anna.message({"op": "ping", "ref": 1})
        await anna.stream.send_all(part[:9])
        await anna.stream.send_all(part[9:] + anna.frame(PING, b"2"))
        found = [await anna.receive(), await anna.receive()]

        assert sorted(opcode for opcode, _ in found) == [BINARY, PONG]


# --- ends --------------------------------------------------------------------------------------


async def test_the_clients_close_is_echoed(real_time):
    async with listening() as host, host.peer("anna") as anna:
        await anna.stream.send_all(anna.frame(CLOSE, b"\x03\xe8bye"))

        assert await anna.receive() == (CLOSE, b"\x03\xe8bye")
        assert await anna.receive() is None


async def test_replies_that_are_owed_come_before_the_echo(real_time):
    async with listening() as host, host.peer("anna") as anna:
        ping = anna.message({"op": "ping", "ref": 1})
        await anna.stream.send_all(ping + ping + anna.frame(CLOSE, b"\x03\xe8"))

        assert [(await anna.receive())[0] for _ in range(3)] == [BINARY, BINARY, CLOSE]


async def test_a_close_is_echoed_although_the_session_was_ended_meanwhile(real_time):
    """The close frame came with a request that waits: whoever ends it, the echo is owed."""
    async with listening() as host, host.peer("anna") as anna:
        await tea(anna)
        step = host.scene.store.script("history", before=True)
        asked = anna.message({"op": "history", "room": "tea", "ref": 9})
        await anna.stream.send_all(asked + anna.frame(CLOSE, b"\x03\xe8"))
        await step.entered.wait()
        await host.engine.revoke("anna")
        step.release()
        opcodes = []
        while (found := await anna.receive()) is not None:
            opcodes.append(found[0])

        assert opcodes[-1] == CLOSE


async def test_the_engines_close_says_why_and_waits_for_the_answer(real_time):
    async with listening() as host, host.peer("anna") as anna:
        await host.engine.revoke("anna")

        assert await anna.closed() == (4001, "revoked")


async def test_at_expiry_the_close_is_really_sent(real_time):
    """Also to who is waiting for the store, in the middle of a request."""
    async with listening() as host:
        now = host.engine.clock.now_ms()
        async with host.peer("anna", expires_at=now + 150) as anna:
            await tea(anna)
            step = host.scene.store.script("history", before=True)
            await anna.say({"op": "history", "room": "tea", "ref": 9})

            assert await anna.closed() == (4002, "token expired")
            step.release()


async def test_no_hello_in_time_is_closed(real_time):
    async with listening(hello_timeout_s=0.05) as host, host.peer() as anna:
        assert await anna.closed() == (4009, "no hello in time")


async def test_a_refused_hello_is_answered_before_the_close(real_time):
    async with listening() as host, host.peer() as anna:
        await anna.say({"op": "hello", "token": "forged"})

        assert (await anna.next("error"))["reason"] == "token_invalid"
        assert await anna.closed() == (4001, "token_invalid")


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (lambda peer: peer.frame(TEXT, b"{}"), 1003),
        (lambda peer: peer.frame(BINARY, b"x" * 200_000), 1009),
        (lambda peer: bytes((0x82, 0x01)) + b"x", 1002),
        (lambda peer: bytes((0xF2, 0x80)) + bytes(4), 1002),
        (lambda peer: peer.frame(BINARY, b"\xc1") * 3, 1008),
    ],
    ids=["text for binary", "too big", "unmasked", "reserved bits", "malformed"],
)
async def test_broken_rules_close_with_their_code(broken, code, real_time):
    """The close frame arrives, however much of what broke the rule was never read."""
    async with listening() as host, host.peer("anna") as anna:
        await anna.stream.send_all(broken(anna))

        assert (await anna.closed())[0] == code


async def test_a_reset_ends_one_connection_and_no_other(real_time):
    async with (
        listening() as host,
        host.peer("anna") as anna,
        host.peer("ben") as ben,
    ):
        await tea(anna, ("ben", ben))
        for number in range(50):
            await anna.say(send(str(number)))
        ben.reset()
        await anna.say(send("still here", ref=9))
        await anna.next("ok", ref=9)
        await anna.say({"op": "ping", "ref": 10})
        await anna.next("ok", ref=10)


async def test_who_goes_without_a_word_is_noticed(real_time):
    async with listening() as host:
        async with host.peer("anna") as anna:
            await tea(anna)
        await host.engine.heartbeat.wait_empty()

        assert host.engine.statistics().sessions == 0


async def test_who_does_not_answer_the_close_does_not_hold_it_up(real_time):
    async with listening(close_timeout_s=0.05) as host, host.peer("anna") as anna:
        await host.engine.revoke("anna")
        await host.engine.heartbeat.wait_empty()

        assert (await anna.receive())[0] == CLOSE


async def test_the_end_of_the_engine_is_said_to_everybody(real_time):
    ends = []
    async with trio.open_nursery() as nursery, open_scene(inspect=False) as scene:
        host = Host(scene, *(await scene.engine.listen("127.0.0.1", 0)))

        async def stay(user, ready):
            async with host.peer(user) as peer:
                ready.set()
                ends.append(await peer.closed())

        for user in ("anna", "ben"):
            ready = trio.Event()
            nursery.start_soon(stay, user, ready)
            await ready.wait()

    assert ends == [(1012, "the server is leaving")] * 2


# --- slow peers --------------------------------------------------------------------------------


async def test_a_slow_reader_is_bounded_and_misses_nothing(real_time):
    """Its kernel buffer full, its outbox full, it falls behind; later it catches up."""
    count, limits = 1500, {"outbox_bytes_high": 32_000, "outbox_bytes_low": 8000}
    async with (
        listening(commands_burst=10_000, **limits) as host,
        host.peer("anna") as anna,
        host.peer("ben", small=True) as ben,
    ):
        await tea(anna, ("ben", ben))
        sizes = []
        for number in range(count):
            await anna.say(send(f"{number} " + "x" * 2000))
            if number % 20 == 19:
                await anna.next("entry", seq=number + 3)
                sizes += [one.outbox.size for one in host.connections()]
        assert max(sizes) <= 32_000 + 2500
        seqs = [(await ben.next("entry"))["seq"] for _ in range(count)]

        assert seqs == list(range(3, count + 3))


async def test_a_busy_connection_is_not_read(real_time):
    """Too much is unanswered: the socket is not even watched, and the peer has to wait."""
    async with listening(inflight_max=4) as host, host.peer("anna") as anna:
        await tea(anna)
        step = host.scene.store.script("append", before=True)
        await anna.say(*[send(str(number), ref=100 + number) for number in range(50)])
        await step.entered.wait()
        (connection,) = host.connections()
        while connection.events & READ:
            await anna.say({"op": "ping", "ref": 1000})
            await trio.lowlevel.checkpoint()
        assert connection.session.pipeline.inflight == 4
        step.release()
        for number in range(50):
            await anna.next("ok", ref=100 + number)
        answered = [one["ref"] for one in anna.heard if 100 <= one.get("ref", 0) < 200]

        assert answered == list(range(100, 150))


# --- many --------------------------------------------------------------------------------------


async def test_many_connections_come_and_go(real_time):
    async with listening() as host:

        async def visit(number):
            async with host.peer(f"user-{number}") as peer:
                await peer.say({"op": "ping", "ref": 1})
                await peer.next("ok", ref=1)
                if number % 3 == 0:
                    peer.reset()

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(visit, number)
