"""Laws of a world's rooms: there are always as many, and those that were are not forgotten."""

from triolet.testing.world import Script, Step
from triolet.testing.world.rooms import Rooms, is_direct, is_public


def test_a_script_s_rooms_are_shared_by_all_and_one_is_that_of_two():
    assert Rooms(Script(rooms=2, people=3)).names == ["room0", "room1", "dm:anna:ben"]
    assert Rooms(Script(people=1)).names == ["room0"]
    assert [is_direct(name) for name in ("room0", "dm:anna:ben")] == [False, True]


def test_another_one_takes_the_place_of_one_that_was_deleted_and_is_like_it():
    rooms = Rooms(Script(rooms=2))

    assert rooms.end("room1") == "room1.1"
    assert rooms.end("room1.1") == "room1.2"
    assert (rooms.names, rooms.gone) == (["room0", "room1.2", "dm:anna:ben"], ["room1", "room1.1"])
    assert [is_public(name) for name in ("room0", "room1", "room1.2", "room0.1")] == [
        False,
        True,
        True,
        False,
    ]


def test_what_is_none_of_them_any_more_has_no_successor():
    rooms = Rooms(Script())
    rooms.end("room0")

    assert rooms.end("room0") is None
    assert rooms.gone == ["room0"]


def test_now_and_then_something_happens_where_there_is_nothing_any_more():
    rooms = Rooms(Script())
    steps = [Step("send", pick=pick) for pick in range(16)]
    assert {rooms.choose(step) for step in steps} == {"room0"}

    rooms.end("room0")
    chosen = [rooms.choose(step) for step in steps]
    assert (chosen.count("room0"), chosen.count("room0.1")) == (2, 14)
