"""Law: presence and typing may lag behind as long as is promised, and no longer."""

import pytest

from triolet.testing import history
from triolet.testing.checker import Bounds, Rule, check

BOUNDS = Bounds(grace_s=10, lease_s=15, silence_s=60, typing_s=6, slack_s=3)
OPENED = (history.Opened(0, "a", user="anna"), history.Opened(0, "b", user="ben"))
ONLINE = (history.Connected(0, "a", 1), history.Connected(0, "b", 1))


def sees(t, status):
    return history.Presence(t, "a", 1, users=(("ben", status, 0),))


def ben_goes(t, *, told=True):
    return history.Disconnected(t, "b", 1, told=told)


def found(*events):
    return set(check((*OPENED, *ONLINE, *events), BOUNDS).found)


@pytest.mark.parametrize(("until", "rules"), [(38, set()), (38.1, {Rule.NO_GHOST})])
def test_who_has_gone_may_be_shown_for_grace_and_lease(until, rules) -> None:
    assert found(sees(0, "online"), ben_goes(10), sees(until, "offline")) == rules
    assert found(sees(0, "online"), ben_goes(10), history.Settled(until)) == rules
    assert found(sees(0, "online"), ben_goes(10), history.Disconnected(until, "a", 1)) == rules


@pytest.mark.parametrize(("until", "rules"), [(98, set()), (98.1, {Rule.NO_GHOST})])
def test_who_went_in_silence_may_be_shown_until_the_silence_is_noticed(until, rules) -> None:
    assert found(sees(0, "online"), ben_goes(10, told=False), sees(until, "offline")) == rules


def test_who_is_not_watched_any_more_is_not_shown() -> None:
    unwatched = history.Unwatched(5, "a", 1, users=("ben", "eva"))
    late = history.Unwatched(50, "a", 1, users=("ben",))

    assert found(sees(0, "online"), unwatched, ben_goes(10), history.Settled(500)) == set()
    assert found(sees(0, "online"), ben_goes(10), late) == {Rule.NO_GHOST}
    again = sees(6, "online")
    shown = (sees(0, "online"), unwatched, again, ben_goes(10))
    assert found(*shown, history.Settled(500)) == {Rule.NO_GHOST}


@pytest.mark.parametrize(("at", "rules"), [(16.9, {Rule.GRACE_IS_KEPT}), (17, set())])
def test_who_went_is_shown_for_the_grace(at, rules) -> None:
    assert found(sees(0, "online"), ben_goes(10), sees(at, "offline")) == rules
    # When the server noticed that the connection was dead, the client cannot know.
    assert found(sees(0, "online"), ben_goes(10, told=False), sees(at, "offline")) == set()


def test_who_came_back_in_time_is_no_ghost() -> None:
    back = history.Connected(20, "b", 2)

    assert found(sees(0, "online"), ben_goes(10), back, history.Settled(500)) == set()


def test_who_came_back_too_late_was_one() -> None:
    back = history.Connected(50, "b", 2)

    assert found(sees(0, "online"), ben_goes(10), back) == {Rule.NO_GHOST}


def test_others_may_hear_first_that_somebody_is_back() -> None:
    gone = (sees(0, "online"), ben_goes(10), sees(20, "offline"))
    back = history.Connected(50.1, "b", 2)

    assert found(*gone, sees(50, "online"), back, history.Settled(90)) == set()
    assert found(*gone, sees(50, "online"), history.Settled(90)) == {Rule.NO_GHOST}
    # Saying it again does not make it news.
    again = (sees(50, "online"), sees(52, "away"), sees(54, "online"))
    assert found(*gone, *again, history.Settled(55)) == {Rule.NO_GHOST}


def test_somebody_is_here_as_long_as_one_of_their_clients_is() -> None:
    other = (history.Opened(0, "b2", user="ben"), history.Connected(0, "b2", 1))

    assert found(*other, sees(0, "online"), ben_goes(10), history.Settled(500)) == set()


@pytest.mark.parametrize(("until", "rules"), [(98, set()), (98.1, {Rule.NO_GHOST})])
def test_who_said_goodbye_on_one_connection_may_be_shown_for_another(until, rules) -> None:
    other = (history.Opened(0, "b2", user="ben"), history.Connected(0, "b2", 1))
    back = (history.Connected(12, "b", 2), history.Disconnected(14, "b", 2, told=True))
    shown = (sees(0, "online"), ben_goes(10, told=False))

    bye = history.Disconnected(14, "b2", 1, told=True)
    assert found(*other, *shown, bye, history.Settled(until)) == rules
    assert found(*shown, *back, history.Settled(until)) == rules


@pytest.mark.parametrize(("until", "rules"), [(100, set()), (100.1, {Rule.NO_GHOST})])
def test_who_vanished_before_their_welcome_may_be_shown(until, rules) -> None:
    greeted = history.Disconnected(12, "b", 1, told=False)
    shown = (sees(0, "online"), ben_goes(10), greeted, history.Left(12, "b", 1))

    assert found(*shown, history.Settled(until)) == rules


def test_a_node_s_crash_costs_the_lease_and_what_is_broken_still_is_not_judged() -> None:
    crash = history.Fault(9, verb="crash", what="n1")
    cut = history.Fault(9, verb="partition", what="n1", phase="begins")
    healed = history.Fault(200, verb="heal", what="n1", phase="ends")
    shown = (sees(0, "online"), ben_goes(10))

    assert found(crash, *shown, history.Settled(98)) == set()
    assert found(crash, *shown, history.Settled(99)) == {Rule.NO_GHOST}
    assert found(cut, *shown, history.Settled(500)) == set()
    assert found(cut, *shown, healed, history.Settled(288)) == set()
    assert found(cut, *shown, healed, history.Settled(289)) == {Rule.NO_GHOST}


@pytest.mark.parametrize(("until", "rules"), [(3, set()), (3.1, {Rule.HERE_IS_SHOWN})])
def test_who_is_here_is_shown_at_once(until, rules) -> None:
    assert found(sees(0, "offline"), sees(until, "online")) == rules
    assert found(sees(0, "offline"), history.Settled(until)) == rules


def test_nobody_is_shown_offline_who_is_here() -> None:
    assert found(sees(0, "online"), sees(20, "offline")) == {Rule.HERE_IS_SHOWN}


def test_a_cut_off_node_may_show_others_offline_until_it_has_recovered() -> None:
    cut = history.Fault(9, verb="partition", what="n1", phase="begins")
    healed = history.Fault(30, verb="heal", what="n1", phase="ends")
    shown = (sees(0, "online"), cut, sees(25, "offline"), healed)

    assert found(*shown, history.Settled(118)) == set()
    assert found(*shown, history.Settled(119)) == {Rule.HERE_IS_SHOWN}


def test_who_wants_to_be_invisible_is() -> None:
    hidden = history.Asked(1, "b", 1, op="presence", status="invisible")

    assert found(sees(0, "online"), hidden, sees(20, "offline"), history.Settled(90)) == set()


def test_people_whose_clients_are_not_in_the_history_are_not_judged() -> None:
    row = history.Presence(0, "a", 1, users=(("eva", "online", 0),))

    assert found(row, history.Settled(500)) == set()


# --- typing --------------------------------------------------------------------------------


def ben_types(t, *, on=True):
    return history.Asked(t, "b", 1, op="typing", room="r", on=on)


def shown_typing(t, *users):
    return history.Typing(t, "a", 1, room="r", users=users)


@pytest.mark.parametrize(("until", "rules"), [(10, set()), (10.1, {Rule.NO_STUCK_TYPING})])
def test_typing_ends_some_seconds_after_it_was_said_last(until, rules) -> None:
    shown = (ben_types(1), shown_typing(1, "ben"))

    assert found(*shown, shown_typing(until)) == rules
    assert found(*shown, history.Settled(until)) == rules
    assert found(*shown, history.Disconnected(until, "a", 1)) == rules
    assert found(*shown, shown_typing(until, "ben")) == rules


def test_a_renewal_prolongs_it() -> None:
    shown = (ben_types(1), shown_typing(1, "ben"), ben_types(5))

    assert found(*shown, history.Settled(14)) == set()
    assert found(*shown, history.Settled(15)) == {Rule.NO_STUCK_TYPING}


def test_a_renewal_that_comes_too_late_does_not() -> None:
    shown = (ben_types(1), shown_typing(1, "ben"), ben_types(20))

    assert found(*shown) == {Rule.NO_STUCK_TYPING}


def test_nobody_is_shown_typing_who_never_said_so() -> None:
    assert found(shown_typing(1, "ben")) == {Rule.NO_STUCK_TYPING}


def test_a_cursor_that_ended_shows_nobody() -> None:
    begun = history.Subscribed(1, "a", 1, sub=1, room="r", epoch="e", pos=0, head=0, wire=True)
    ended = history.Closed(2, "a", 1, sub=1, room="r", reason="unsubscribed")
    shown = (begun, ben_types(1), shown_typing(1, "ben"), ended)

    assert found(*shown, history.Settled(500)) == set()


def test_what_was_shown_while_something_was_broken_is_not_judged() -> None:
    cut = history.Fault(2, verb="partition", what="n1", phase="begins")

    assert found(ben_types(1), shown_typing(1, "ben"), cut, history.Settled(500)) == set()
