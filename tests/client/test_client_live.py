"""Requests over a connection: resent, repeated, refused, cancelled."""

import pytest
import trio
from client_peer import Server, asking, connected, offline, row, subscribed
from trio.testing import wait_all_tasks_blocked

from triolet._model.errors import ErrorCode, Refusal
from triolet._model.events import Done
from triolet.client import ClientLimits


async def test_unanswered_requests_leave_again_with_their_cid_in_order(autojump_clock):
    server = Server()
    async with connected(server) as (client, first), trio.open_nursery() as nursery:
        asked = []
        for number in range(3):
            nursery.start_soon(client.send, "r", f"m{number}")
            asked.append(await first.hear("send"))
        nursery.start_soon(client.history, "r")
        asked.append(await first.hear("history"))
        first.written(asked[1], 1)
        first.close(1006)
        second = await server.accept()
        await second.welcome()
        await second.resume()
        again = [await second.hear("send"), await second.hear("send"), await second.hear("history")]
        second.written(again[0], 2, duplicate=True)
        second.written(again[1], 3)
        second.ok(again[2], messages=[], more=False, as_of=["e", 3])

        assert [asked[0], asked[2], asked[3]] == again


async def test_refusals_are_raised(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        async with asking(client.send, "r", "x") as answer:
            conversation.error(await conversation.hear("send"), 3003, "not_a_member")

        assert answer.error.code is ErrorCode.NOT_A_MEMBER
        assert answer.error.message == "no"


async def test_codes_of_later_versions_keep_their_name(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        async with asking(client.ping) as answer:
            conversation.error(await conversation.hear("ping"), 3999, "novelty")

        assert answer.error.code is ErrorCode.INTERNAL
        assert "3999 novelty" in answer.error.message


async def test_answer_of_another_shape_is_an_error(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        async with asking(client.ping) as answer:
            conversation.ok(await conversation.hear("ping"), later=5)

        assert answer.error.code is ErrorCode.INTERNAL


@pytest.mark.parametrize("code", [4001, 5001, 5004])
async def test_refusals_that_pass_are_repeated_with_the_same_cid(autojump_clock, code):
    server = Server()
    async with connected(server) as (client, conversation):
        async with asking(client.send, "r", "x") as answer:
            first = await conversation.hear("send")
            began = trio.current_time()
            conversation.error(first, code, "passing", retry_after_ms=2000)
            again = await conversation.hear("send")
            conversation.written(again, 1, duplicate=True)

        assert first == again
        assert trio.current_time() - began >= 2
        assert answer.value.duplicate


async def test_refusals_that_do_not_pass_after_all_are_raised(autojump_clock):
    server = Server()
    async with connected(server, limits=ClientLimits(retries_max=2)) as (client, conversation):
        async with asking(client.send, "r", "x") as answer:
            for _ in range(3):
                conversation.error(await conversation.hear("send"), 5001, "store_unavailable")

        assert answer.error.code is ErrorCode.STORE_UNAVAILABLE
        await wait_all_tasks_blocked()
        conversation.hear_nothing()


async def test_postponed_requests_survive_the_connection(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        async with asking(client.send, "r", "x") as answer:
            asked = await first.hear("send")
            first.error(asked, 4001, "rate_limited", retry_after_ms=60_000)
            first.close(1006)
            second = await server.accept()
            await second.welcome()
            await second.resume()
            second.written(await second.hear("send"), 1)

        assert answer.value.seq == 1


async def test_shutting_down_moves_requests_to_the_next_connection(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        async with asking(client.send, "r", "x") as answer:
            asked = await first.hear("send")
            began = trio.current_time()
            first.error(asked, 5002, "shutting_down", retry_after_ms=3000)
            second = await server.accept()
            assert trio.current_time() - began >= 3
            await second.welcome()
            await second.resume()
            assert asked == await second.hear("send")
            second.written(asked, 1)

        assert first.left[0] == 1000
        assert answer.value.seq == 1


async def test_too_large_is_refused_here(autojump_clock):
    server = Server()
    async with connected(server, welcome={"limits": {"message_bytes_max": 200}}) as (client, first):
        with pytest.raises(Refusal) as caught:
            await client.send("r", "x" * 200)

        assert caught.value.code is ErrorCode.TOO_LARGE
        first.hear_nothing()


@pytest.mark.parametrize("body", [{"n": float("nan")}, {"b": b"x"}, {"i": 2**60}, "a\0b"])
async def test_bodies_outside_the_data_model_are_refused_here(autojump_clock, body):
    server = Server()
    async with connected(server) as (client, _):
        with pytest.raises(Refusal) as caught:
            await client.send("r", body)

        assert caught.value.code is ErrorCode.INVALID_FIELD


async def test_cancelling_an_unsent_request_leaves_nothing(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        await offline(client, first)
        async with asking(client.send, "r", "x") as answer:
            await wait_all_tasks_blocked()
            answer.scope.cancel()
        second = await server.accept()
        await second.welcome()
        await second.resume()
        await wait_all_tasks_blocked()

        second.hear_nothing()
        assert client.statistics().unanswered == 0
        assert not client._driver._answered


async def test_cancelling_a_sent_request_leaves_nothing(autojump_clock):
    """Its late answer is taken in silence, and it is not resent."""
    server = Server()
    async with connected(server) as (client, first):
        for is_answered in (True, False):
            async with asking(client.send, "r", "x") as answer:
                asked = await first.hear("send")
                answer.scope.cancel()
            if is_answered:
                first.written(asked, 1)
                await wait_all_tasks_blocked()
                assert client.statistics().inflight == 0
        first.close(1006)
        second = await server.accept()
        await second.welcome()
        await second.resume()
        await wait_all_tasks_blocked()

        second.hear_nothing()
        assert (client.statistics().unanswered, client.statistics().inflight) == (0, 0)


async def test_cancelled_subscription_that_was_granted_is_taken_back(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        async with asking(client.subscribe, "r") as answer:
            asked = await conversation.hear("subscribe")
            answer.scope.cancel()
        conversation.ok(asked, **row("r"))

        assert (await conversation.hear("unsubscribe"))["room"] == "r"
        assert client.position("r") is None


async def test_cancelled_watch_that_was_granted_is_taken_back(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        async with asking(client.watch, ["ben"]):
            conversation.ok(await conversation.hear("watch"), users=[])
        async with asking(client.watch, ["ben", "eva"]) as answer:
            asked = await conversation.hear("watch")
            answer.scope.cancel()
        conversation.ok(asked, users=[])

        assert (await conversation.hear("unwatch"))["users"] == ["eva"]


async def test_signals_are_taken_or_dropped_never_repeated(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        async with asking(client.signal, "r", "offer", {"sdp": "…"}) as taken:
            first.ok(await first.hear("signal"))
        async with asking(client.signal, "r", "offer") as broken:
            await first.hear("signal")
            first.close(1006)
        dropped = await client.signal("r", "offer")
        second = await server.accept()
        await second.welcome()
        await second.resume()
        await wait_all_tasks_blocked()

        assert [taken.value, broken.value, dropped] == [True, False, False]
        second.hear_nothing()


async def test_states_set_while_the_connection_breaks_are_done(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        async with asking(client.presence, "dnd") as answer:
            await first.hear("presence")
            first.close(1006)
        second = await server.accept()
        await second.welcome()
        await second.resume()

        assert answer.value == Done()
        assert (await second.hear("presence"))["status"] == "dnd"


async def test_by_whom_one_is_seen_is_said_until_it_is_answered(autojump_clock):
    """The server keeps it, for all devices: no later connection says it again by itself."""
    server = Server()
    async with connected(server) as (client, first):
        async with asking(lambda: client.presence(visible_to="nobody")) as answer:
            assert (await first.hear("presence"))["visible_to"] == "nobody"
            first.close(1006)
            second = await server.accept()
            await second.welcome()
            await second.resume()
            again = await second.hear("presence")
            assert (again["visible_to"], "status" in again) == ("nobody", False)
            second.ok(again)

        assert isinstance(answer.value, Done)
        second.close(1006)
        third = await server.accept()
        await third.welcome()
        await third.resume()
        async with asking(client.ping):
            third.ok(await third.hear("ping"), now=5)


async def test_typing_at_every_key_is_told_every_two_seconds(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        async with asking(client.typing, "r"):
            conversation.ok(await conversation.hear("typing"))
        for _ in range(15):
            await client.typing("r")
            await trio.sleep(0.1)
        conversation.hear_nothing()
        async with asking(client.send, "r", "x"):
            conversation.written(await conversation.hear("send"), 1)
        async with asking(client.typing, "r"):
            conversation.ok(await conversation.hear("typing"))


async def test_refused_states_are_not_said_again(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        for ask, op in (
            (lambda: client.presence("away"), "presence"),
            (lambda: client.typing("r"), "typing"),
            (lambda: client.receipt("r", read=3), "receipt"),
        ):
            async with asking(ask) as answer:
                first.error(await first.hear(op), 3002, "no_such_room")
            assert answer.error.code is ErrorCode.NO_SUCH_ROOM
        first.close(1006)
        second = await server.accept()
        await second.welcome()
        await second.resume()
        await wait_all_tasks_blocked()

        second.hear_nothing()


async def test_unsubscribing_offline_ends_the_resumption(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        await subscribed(client, first, "r")
        await offline(client, first)
        assert Done() == await client.unsubscribe("r")
        second = await server.accept()
        await second.welcome()
        await second.resume()
        await wait_all_tasks_blocked()

        second.hear_nothing()


async def test_subscribing_and_unsubscribing_offline_keep_their_order(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        await offline(client, first)
        async with asking(client.subscribe, "r"):
            await wait_all_tasks_blocked()
            async with asking(client.unsubscribe, "r"):
                second = await server.accept()
                await second.welcome()
                await second.resume()
                await second.grant("r")
                second.ok(await second.hear("unsubscribe"))

        assert client.position("r") is None


async def test_second_subscription_goes_on_where_the_first_stands(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        await subscribed(client, conversation, "r", head=7)
        async with asking(client.subscribe, "r"):
            request = await conversation.grant("r", head=9)

        assert request["since"] == ["e1", 7]
        assert client.position("r") == ("e1", 7)


async def test_several_rooms_at_once(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        async with asking(client.subscribe_many, [("a", "e1", 3), ("b", "e1", 4)]) as answer:
            request = await conversation.hear("subscribe")
            conversation.ok(
                request,
                rooms=[{"room": "a", "code": 3002, "reason": "no_such_room"}, row("b", head=9)],
            )

        assert [found.room for found in answer.value.rooms] == ["a", "b"]
        assert client.position("a") is None
        assert client.position("b") == ("e1", 4)


async def test_statistics_are_told_and_asked_for_again(autojump_clock):
    """What the server told of is lost with the connection; the wish for it is not."""
    server = Server()
    async with connected(server) as (client, first):
        async with asking(client.stats, interval_ms=5000) as answer:
            asked = await first.hear("stats")
            first.ok(asked)
        assert answer.value == Done(ref=asked["ref"])
        first.close(1006)
        second = await server.accept()
        await second.welcome()
        await second.resume()
        again = await second.hear("stats")

        assert (again["on"], again["interval_ms"]) == (True, 5000)


async def test_statistics_that_are_refused_are_not_asked_for_again(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        async with asking(client.stats) as answer:
            first.error(await first.hear("stats"), 3001, "forbidden")
        assert answer.error.code is ErrorCode.FORBIDDEN
        first.close(1006)
        second = await server.accept()
        await second.welcome()
        await second.resume()
        async with asking(client.ping):
            second.ok(await second.hear("ping"), now=5)
