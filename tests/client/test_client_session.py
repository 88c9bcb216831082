"""Session: what the pure core does where a connection is not needed to show it."""

import json

import pytest
from client_peer import FakeEntropy, row

from triolet._model.commands import Refresh, Send, SetTyping, Subscribe, Watch
from triolet._model.errors import Close, ConnectionClosed, Refusal
from triolet._model.events import Notice, Refreshed, Subscribed, Watching, Written
from triolet.client import Backoff, ClientLimits, State
from triolet.client._desk import Desk
from triolet.client._effects import Deliver, HangUp, KeepToken, Noted, RenewToken, Settled
from triolet.client._session import Session
from triolet.client.state import TRANSITIONS, Happening

WELCOME = {
    "op": "welcome",
    "session": "s",
    "user": "anna",
    "device": "d",
    "now": 1,
    "heartbeat_s": 25,
    "limits": {},
    "expires_at": 10**15,
}


class Wire:
    """A session, and both directions of its wire."""

    def __init__(self, *, is_renewable=False):
        self.desk = Desk(
            form="json",
            limits=ClientLimits(),
            backoff=Backoff(),
            entropy=FakeEntropy(),
            has_space=lambda room: True,
        )
        self.session = Session(self.desk, device="", is_renewable=is_renewable)
        self.session.hello("t", 0)

    def welcome(self, **fields):
        self.receive(**{**WELCOME, **fields})
        return self

    def receive(self, **message):
        self.session.receive(json.dumps(message).encode(), 1)

    def submit(self, command, kind):
        return self.session.submit(command, (kind,), 1)

    def sent(self):
        found = []
        while (payload := self.session.next_payload(1)) is not None:
            found.append(json.loads(payload))
        return found

    def effects(self):
        return self.session.take_effects()


def test_table_is_total():
    assert set(State) == set(TRANSITIONS)
    for happenings in TRANSITIONS.values():
        assert set(Happening) == set(happenings)


def test_closed_is_the_end():
    """Whatever comes later changes nothing."""
    assert set(TRANSITIONS[State.CLOSED].values()) == {State.CLOSED}
    wire = Wire().welcome()
    request = wire.submit(Send(room="r", body={}), Written)
    wire.session.end(Close(4003, "banned"))

    assert wire.effects() == [Settled(request)]
    assert isinstance(request.outcome, ConnectionClosed)
    wire.session.lost(Close(1006), 5)
    wire.session.end(Close(1000))
    assert (wire.session.state, wire.session.closed) == (State.CLOSED, Close(4003, "banned"))
    assert wire.effects() == []


def test_nothing_leaves_before_the_welcome():
    wire = Wire()
    wire.submit(Send(room="r", body={}), Written)

    assert wire.sent() == []
    wire.welcome()
    assert [message["op"] for message in wire.sent()] == ["send"]


def test_effects_are_taken_once():
    wire = Wire().welcome()
    wire.receive(op="notice", kind="announcement", body={"text": "hi"})

    (deliver,) = wire.effects()
    assert isinstance(deliver, Deliver)
    assert deliver.event == Notice(kind="announcement", body={"text": "hi"})
    assert wire.effects() == []


def test_token_is_renewed_only_if_there_is_another():
    for is_renewable in (True, False):
        wire = Wire(is_renewable=is_renewable).welcome()
        wire.receive(op="notice", kind="token_expiring", expires_at=5)

        assert is_renewable == (RenewToken() in wire.effects())


def test_refreshed_token_moves_the_expiry():
    wire = Wire(is_renewable=True).welcome(now=0, expires_at=10_000)
    request = wire.submit(Refresh(token="new"), Refreshed)
    wire.sent()
    wire.receive(op="ok", ref=request.ref, expires_at=90_000)

    assert KeepToken("new") in wire.effects()
    wire.session.lost(Close(1006), 50)
    assert not wire.session.is_token_spent
    wire.session.lost(Close(1006), 95)
    assert wire.session.is_token_spent


def test_token_that_expired_meanwhile_is_spent_once():
    """What is learnt of the next one counts from the next welcome."""
    wire = Wire(is_renewable=True).welcome(now=0, expires_at=10_000)
    wire.session.lost(Close(1006), 20)
    assert wire.session.is_token_spent
    wire.session.is_token_spent = False
    wire.session.lost(Close(1006), 30)

    assert not wire.session.is_token_spent


def test_abandoned_watch_of_the_watched_takes_nothing_back():
    wire = Wire().welcome()
    for is_abandoned in (False, True):
        request = wire.submit(Watch(users=["ben"]), Watching)
        wire.sent()
        if is_abandoned:
            wire.session.abandon(request)
        wire.receive(op="ok", ref=request.ref, users=[])

    assert wire.sent() == []


def test_silence_is_not_asked_about_before_its_time():
    wire = Wire().welcome()

    wire.session.beat(wire.session.beat_due - 1)
    assert wire.sent() == []
    wire.session.beat(wire.session.beat_due)
    assert [message["op"] for message in wire.sent()] == ["ping"]
    wire.session.beat(wire.session.beat_due)
    assert [HangUp(Close(1006, "the server is silent"))] == wire.effects()


def test_refused_ping_is_a_sign_of_life():
    wire = Wire().welcome()
    wire.session.beat(wire.session.beat_due)
    (ping,) = wire.sent()
    wire.receive(op="error", ref=ping["ref"], code=4001, reason="rate_limited", message="slow")

    assert wire.effects() == [Noted("Ping was refused: 4001 rate_limited: slow")]
    assert wire.session.beat_due == 1 + 25


@pytest.mark.parametrize("bytes_max", [0, 40, 60, 200, 1000])
def test_resumption_under_any_bound_on_a_message(bytes_max):
    """What does not fit is split, left out where the server will tell it, or not asked at all."""
    wire = Wire().welcome()
    for number in range(20):
        request = wire.submit(Subscribe(room=f"r{number}"), Subscribed)
        wire.sent()
        wire.receive(op="ok", ref=request.ref, **row(f"r{number}"))
    request = wire.submit(Watch(users=[f"u{number}" for number in range(20)]), Watching)
    wire.sent()
    wire.receive(op="ok", ref=request.ref, users=[])
    wire.session.lost(Close(1006), 1)
    wire.session.dialled()
    wire.session.hello("t", 1)
    wire.welcome(limits={"message_bytes_max": bytes_max, "inflight_max": 1000})

    sent = wire.sent()
    assert all(len(json.dumps(message, separators=(",", ":"))) <= bytes_max for message in sent)
    rooms = [place[0] for message in sent for place in message.get("rooms", ())]
    users = [user for message in sent for user in message.get("users", ())]
    if bytes_max >= 60:
        assert rooms == [f"r{number}" for number in range(20)]
        assert users == [f"u{number}" for number in range(20)]
    else:
        assert any(isinstance(effect, Noted) for effect in wire.effects())


def test_unknown_close_codes_are_come_back_from():
    wire = Wire().welcome()
    wire.session.lost(Close(4321), 1)

    assert wire.session.state is State.OFFLINE


def test_what_cannot_be_sent_is_not_remembered():
    wire = Wire().welcome(limits={"message_bytes_max": 100})
    wire.desk.standing.is_renewal(_typing(), 0)
    with pytest.raises(Refusal):
        wire.submit(Send(room="r", body={"text": "x" * 100}), Written)

    assert wire.desk.standing.again(1) == [_typing()]


def _typing():
    return SetTyping(room="r", on=True)
