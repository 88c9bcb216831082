"""Law: each request has its own answer, whoever was cancelled; who is silent is given up."""

import random

import pytest
import trio
import trio.testing

from triolet._model.limits import Limits
from triolet.adapters.redis.address import parse_address
from triolet.adapters.redis.link import Link, LinkLost, Refused, connect


@pytest.fixture
async def wire(nursery):
    """A link, and the server's end of its connection."""
    near, far = trio.testing.memory_stream_pair()
    link = Link(near, Limits(bus_pending_bytes_max=1000), pushed=pushes.append)
    pushes.clear()
    nursery.start_soon(link.run)
    await trio.testing.wait_all_tasks_blocked()
    return link, far


pushes: list[object] = []


async def test_requests_go_out_together_and_are_answered_in_order(wire):
    link, far = wire
    first, second = link.submit([(b"GET", "a"), (b"GET", b"b")]), link.submit([(b"INCR", 7)])
    asked = await far.receive_some()
    assert asked == (
        b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n*2\r\n$4\r\nINCR\r\n$1\r\n7\r\n"
    )
    await far.send_all(b"$1\r\nx\r\n_\r\n:8\r\n")
    assert await second.wait() == [8]
    assert await first.wait() == [b"x", None]


async def test_the_answer_of_who_was_cancelled_goes_nowhere(wire):
    link, far = wire
    with trio.move_on_after(0.01):
        await link.call((b"GET", "a"))
    await far.send_all(b"$9\r\nfor a only\r\n"[:5])
    async with trio.open_nursery() as nursery:

        async def ask():
            assert await link.call((b"GET", "b")) == [b"b"]

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        await far.send_all(b"for a onl\r\n$1\r\nb\r\n"[1:])


@pytest.mark.usefixtures("redis_server")
async def test_no_answer_is_given_to_another(redis_server, nursery):
    """A thousand calls of twenty tasks, many of which are cancelled at any moment."""
    chance = random.Random(1)
    stream = await connect(parse_address(redis_server.url()), None)
    link = Link(stream, Limits(), pushed=pushes.append)
    nursery.start_soon(link.run)
    counts = {"answered": 0, "cancelled": 0}

    async def ask(name):
        for number in range(50):
            words = [f"{name} {number} {index}" for index in range(chance.randrange(1, 5))]
            with trio.move_on_after(chance.uniform(0, 0.004)) as scope:
                answers = await link.call(*((b"ECHO", word) for word in words))
                assert answers == [word.encode() for word in words]
            counts["cancelled" if scope.cancelled_caught else "answered"] += 1

    async with trio.open_nursery() as tasks:
        for name in range(20):
            tasks.start_soon(ask, name)
    assert await link.call((b"ECHO", "the end")) == [b"the end"]
    assert counts["cancelled"]
    nursery.cancel_scope.cancel()


async def test_pushes_come_in_between(wire):
    link, far = wire
    answers = link.submit([(b"GET", "a")])
    await far.send_all(b">3\r\n$7\r\nmessage\r\n$3\r\ntea\r\n$1\r\n1\r\n$1\r\nx\r\n")
    assert await answers.wait() == [b"x"]
    assert pushes == [[b"message", b"tea", b"1"]]


async def test_a_refusal_is_of_its_request(wire):
    link, far = wire
    answers = link.submit([(b"GET", "a"), (b"GET", "b")])
    later = link.submit([(b"GET", "c")])
    await far.send_all(b"-NOPERM no\r\n$1\r\nb\r\n$1\r\nc\r\n")
    refusal, reply = await answers.wait()
    assert isinstance(refusal, Refused)
    assert str(refusal) == "NOPERM no"
    assert (reply, await later.wait()) == (b"b", [b"c"])


async def test_what_is_answered_by_pushes_ends_with_its_ping(wire):
    """A refusal is one answer too many, and shifts none of the others."""
    link, far = wire
    answers = link.submit_pushing([(b"SUBSCRIBE", "tea"), (b"SUBSCRIBE", "secret")])
    later = link.submit([(b"GET", "c")])
    await far.send_all(b">3\r\n$9\r\nsubscribe\r\n$3\r\ntea\r\n:1\r\n")
    await far.send_all(b"-NOPERM secret\r\n+PONG\r\n$1\r\nc\r\n")
    replies = await answers.wait()
    assert [str(one) for one in replies if isinstance(one, Refused)] == ["NOPERM secret"]
    assert await later.wait() == [b"c"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "does not speak RESP"),
        (b"+one answer\r\n+too many\r\n", "nobody asked for"),
        (None, "closed by the server"),
    ],
)
async def test_a_lost_connection_says_why(wire, said, reason):
    link, far = wire
    waiting = link.submit([(b"GET", "a")])
    if said is None:
        await far.aclose()
    else:
        await far.send_all(said)
    await trio.testing.wait_all_tasks_blocked()
    assert reason in link.lost
    with pytest.raises(LinkLost, match="closed" if said is None else reason):
        await link.call((b"GET", "b"))
    if b"+one" not in (said or b""):
        with pytest.raises(LinkLost, match=reason):
            await waiting.wait()


async def test_what_waits_to_be_sent_is_bounded(wire):
    """Beyond it nothing is taken; what was taken is answered."""
    link, far = wire
    answers = [link.submit([(b"SET", "a", bytes(600))]) for _ in range(2)]
    with pytest.raises(LinkLost, match="too much"):
        link.submit([(b"GET", "a")])
    await trio.testing.wait_all_tasks_blocked()
    answers.append(link.submit([(b"GET", "a")]))
    await far.send_all(b"+OK\r\n+OK\r\n$1\r\nx\r\n")
    assert [await one.wait() for one in answers] == [[b"OK"], [b"OK"], [b"x"]]


async def test_a_silent_server_is_given_up(autojump_clock, wire):
    link, _ = wire
    began = trio.current_time()
    with pytest.raises(LinkLost, match="no answer within 1 s"):
        await link.call((b"GET", "a"))
    assert 1 <= trio.current_time() - began <= 1.6


async def test_who_has_nothing_to_ask_asks_whether_it_is_there(autojump_clock, wire):
    """A PING after a second of silence; without an answer it is gone a second later."""
    link, far = wire
    await trio.sleep(1.1)
    assert await far.receive_some() == b"*1\r\n$4\r\nPING\r\n"
    await far.send_all(b"+PONG\r\n")
    await trio.sleep(1.2)
    assert link.lost is None
    await trio.sleep(1.5)
    assert link.lost is not None


async def test_a_connection_that_is_lost_in_the_turn_of_a_look(autojump_clock):
    """Whichever comes first, nothing is raised where it is carried."""
    for _ in range(20):
        near, _far = trio.testing.memory_stream_pair()
        link = Link(near, Limits(), pushed=pushes.append)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run)
            await trio.sleep(Limits().bus_answer_timeout_s)
            link.lose("closed")
        assert link.lost == "closed"


async def test_tls_is_spoken_with_whom_is_trusted(tmp_path):
    """Another authority's server is none."""
    from triolet.testing.services.redis import NoRedis, run_redis

    try:
        with run_redis(tls=True) as server:
            address = parse_address(server.url())
            stream = await connect(address, address.context())
            await trio.aclose_forcefully(stream)
            stranger = parse_address(f"rediss://127.0.0.1:{server.port}")
            with pytest.raises(OSError, match=r"no TLS: .*certificate verify failed"):
                await connect(stranger, stranger.context())
    except NoRedis as error:
        pytest.skip(str(error))
