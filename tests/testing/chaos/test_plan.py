"""Who takes part, from a number."""

import pytest

from triolet.testing.chaos.plan import plan, seats


@pytest.mark.parametrize("count", [2, 5, 6, 24, 61])
def test_everybody_has_somebody_to_talk_to(count):
    """Law: each user is in a room with others, and each room's members take part."""
    made = plan("r", count)
    users = {user for _, user in made.clients}
    assert len(made.clients) == count
    rooms = [*made.groups.values(), *made.pairs]
    assert all(2 <= len(room) and set(room) <= users for room in rooms)
    assert {user for room in rooms for user in room} == users


def test_seats_take_the_ways_in_turn_and_the_rooms_of_their_user():
    """Law: half of the clients go by each of two ways; two devices of a user see the same."""
    made = plan("r", 6)
    rooms = {("g", "e", 0): ("r-u1", "r-u4"), ("d", "e", 3): ("r-u2", "r-u3")}
    ways = [["a"], ["b"]]
    found = seats(made, rooms, ways=ways, token=lambda user: f"token of {user}", seed=1)
    assert [seat.urls for seat in found] == [("a",), ("b",)] * 3
    assert [seat.user for seat in found] == ["r-u1", "r-u2", "r-u3", "r-u4", "r-u4", "r-u5"]
    assert [len(seat.rooms) for seat in found] == [1, 1, 1, 1, 1, 0]
    assert found[1].rooms == (("d", "e", 3),)
    assert found[0].token == "token of r-u1"
    assert len({seat.seed for seat in found}) == 6


def test_seats_begin_at_all_nodes_and_go_round_them():
    """Law: whoever loses a node comes back at another one, by the same kind of way."""
    ways = [["a1", "a2", "a3"], ["b1", "b2", "b3"]]
    found = seats(plan("r", 7), {}, ways=ways, token=str, seed=1)
    assert [seat.urls[0] for seat in found] == ["a1", "b1", "a2", "b2", "a3", "b3", "a1"]
    assert found[3].urls == ("b2", "b3", "b1")
