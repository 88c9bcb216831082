"""Heartbeat: a ping after one interval of silence, the end after two and a margin."""

from triolet.client import ClientLimits
from triolet.client._heartbeat import Beat, Heartbeat

LIMITS = ClientLimits(welcome_timeout_s=10, silence_margin_s=5)


def heartbeat():
    made = Heartbeat(LIMITS)
    made.greeted(100)
    return made


def test_no_welcome_in_time():
    made = heartbeat()

    assert made.due == 110
    assert made.beat(109) is Beat.NOTHING
    assert made.beat(110) is Beat.GIVE_UP


def test_silence_is_pinged_then_given_up():
    made = heartbeat()
    made.heard(101)
    made.welcomed(25)

    assert made.due == 126
    assert made.beat(126) is Beat.PING
    assert made.due == 156
    assert made.beat(155) is Beat.NOTHING
    assert made.beat(156) is Beat.GIVE_UP


def test_a_ping_that_left_late_has_its_interval_to_be_answered():
    made = heartbeat()
    made.heard(101)
    made.welcomed(25)

    assert made.beat(160) is Beat.PING
    assert made.due == 190
    assert made.beat(189) is Beat.NOTHING
    assert made.beat(190) is Beat.GIVE_UP


def test_anything_heard_starts_again():
    made = heartbeat()
    made.welcomed(25)
    made.heard(101)
    made.beat(126)
    made.heard(130)

    assert made.due == 155
    assert made.beat(155) is Beat.PING


def test_each_connection_is_greeted_anew():
    made = heartbeat()
    made.welcomed(25)
    made.greeted(1000)

    assert made.due == 1010
