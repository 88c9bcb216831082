"""Requests: bounded, in order, numbered once, resent with the same bytes."""

import json

import pytest
from client_peer import FakeEntropy
from hypothesis import given
from hypothesis import strategies as st

from triolet._model.commands import (
    Create,
    History,
    Ping,
    Send,
    SendSignal,
    SetReceipt,
    SetTyping,
    Subscribe,
    Unsubscribe,
)
from triolet._model.errors import ErrorCode, QueueFull, Refusal
from triolet._model.events import Done
from triolet.client import ClientLimits
from triolet.client._requests import Requests

LATER = 10.0


def requests(**limits):
    return Requests("json", ClientLimits(**limits), FakeEntropy())


def add(made, command, *, is_internal=False):
    request = made.make(command, (Done,), is_internal=is_internal)
    made.add(request)
    return request


def send(text="x", cid=None):
    return Send(room="r", body={"text": text}, cid=cid)


def sent(made, now=0.0):
    found = []
    while (request := made.take_next(now)) is not None:
        found.append(request)
    return found


def test_durable_requests_get_a_cid_and_keep_a_given_one():
    made = requests()

    payloads = [add(made, send()), add(made, send(cid="mine")), add(made, Create(kind="group"))]

    cids = [json.loads(request.payload)["cid"] for request in payloads]
    assert cids == ["minted-1", "mine", "minted-2"]
    assert "cid" not in json.loads(add(made, Ping()).payload)


def test_refs_are_never_used_twice():
    made = requests()

    refs = [json.loads(add(made, Ping()).payload)["ref"] for _ in range(5)]

    assert sorted(set(refs)) == refs


def test_count_is_bounded_and_freed_by_each_end():
    made = requests(queue_max=2)
    first, second = add(made, send()), add(made, send())
    with pytest.raises(QueueFull):
        add(made, send())

    made.abandon(first)
    add(made, send())
    made.take_next(0)
    made.answered(second.ref)
    made.settle(second, Done())
    add(made, send())

    assert made.count == 2


def test_bytes_are_bounded():
    made = requests(queue_bytes_max=1000)
    add(made, send("x" * 600))

    with pytest.raises(QueueFull):
        add(made, send("x" * 600))
    add(made, send("x" * 100))


def test_the_clients_own_requests_do_not_count():
    made = requests(queue_max=0)

    add(made, Ping(), is_internal=True)

    assert made.count == 0


def test_at_most_inflight_max_leave_before_answers():
    made = requests()
    made.heed({"inflight_max": 2})
    asked = [add(made, send()) for _ in range(3)]

    assert asked[:2] == sent(made)
    assert made.answered(asked[0].ref) is asked[0]
    assert asked[2:] == sent(made)


def test_limits_of_nonsense_still_let_one_leave():
    made = requests()
    made.heed({"inflight_max": 0})
    add(made, send())

    assert len(sent(made)) == 1


@given(st.lists(st.sampled_from(["ask", "send", "answer", "postpone", "abandon"])))
def test_what_is_resent_is_in_the_order_of_asking(moves):
    made = requests(queue_max=10_000)
    asked, answered, gone = [], set(), set()
    for move in moves:
        if move == "ask":
            asked.append(add(made, send()))
        elif move == "send":
            made.take_next(0)
        elif move == "abandon" and asked and asked[-1].outcome is None:
            if asked[-1].ref not in gone:
                made.abandon(asked[-1])
            gone.add(asked[-1].ref)
        elif made.inflight:
            request = made.answered(next(iter(made._sent)))
            if request.is_abandoned or move == "answer":
                made.settle(request, Done())
                answered.add(request.ref)
            else:
                made.postpone(request, LATER)

    assert made.lost() == []
    expected = [r.payload for r in asked if r.ref not in answered | gone]
    assert expected == [request.payload for request in sent(made)]
    assert made.count == len(expected)


def test_lost_connection_resends_reads_and_keeps_states_and_drops_signals():
    made = requests()
    asked = [
        add(made, send()),
        add(made, SetTyping(room="r", on=True)),
        add(made, History(room="r")),
        add(made, SendSignal(room="r", kind="k")),
        add(made, SetReceipt(room="r", read=1)),
        add(made, Unsubscribe(room="r")),
    ]
    add(made, Ping(), is_internal=True)
    sent(made)

    assert [asked[1], asked[3], asked[4], asked[5]] == made.lost()
    assert [asked[0], asked[2]] == sent(made)


def test_unsubscription_follows_the_subscription_it_undoes():
    """Else the resent subscription would win."""
    made = requests()
    asked = [add(made, Subscribe(room="r")), add(made, Unsubscribe(room="r"))]
    sent(made)

    assert made.lost() == []
    assert asked == sent(made)


def test_a_new_connections_own_requests_leave_first():
    made = requests()
    waiting = add(made, send())

    aside = made.set_aside()
    own = add(made, Ping(), is_internal=True)
    made.put_back(aside)

    assert [own, waiting] == sent(made)


def test_postponed_requests_leave_when_due_before_what_waits():
    made = requests()
    first = add(made, send())
    sent(made)
    made.postpone(made.answered(first.ref), LATER)
    second = add(made, send())

    assert made.due == LATER
    assert [second] == sent(made, LATER - 1)
    assert [first] == sent(made, LATER)
    assert made.due == float("inf")


def test_nothing_is_due_while_nothing_may_leave():
    """Else the writer would wake for ever."""
    made = requests()
    made.heed({"inflight_max": 1})
    first = add(made, send())
    sent(made)
    made.postpone(made.answered(first.ref), LATER)
    add(made, send())
    sent(made)

    assert made.due == float("inf")


def test_too_large_is_refused_here():
    """The server would end the connection for it, again after each reconnection."""
    made = requests()
    made.heed({"message_bytes_max": 100})

    with pytest.raises(Refusal) as caught:
        made.make(send("x" * 100), (Done,))
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_what_cannot_be_encoded_is_refused():
    made = requests()

    with pytest.raises(Refusal) as caught:
        made.make(Send(room="r", body={"text": object()}), (Done,))
    assert caught.value.code is ErrorCode.INVALID_FIELD


def test_abandoned_before_it_left_never_leaves():
    made = requests()
    request = add(made, send())

    made.abandon(request)

    assert sent(made) == []
    assert made.count == 0


def test_abandoned_after_it_left_keeps_its_place_until_answered():
    made = requests()
    request = add(made, send())
    sent(made)

    made.abandon(request)

    assert (made.count, made.inflight) == (0, 1)
    assert made.answered(request.ref) is request
    assert made.inflight == 0


def test_answers_to_nothing():
    made = requests()

    assert made.answered(None) is None
    assert made.answered(7) is None


def test_end_returns_everything_unanswered():
    made = requests()
    asked = [add(made, send()), add(made, SetTyping(room="r", on=True)), add(made, send())]
    made.take_next(0)

    assert sorted(r.ref for r in asked) == sorted(r.ref for r in made.ended())
    assert sent(made) == []
