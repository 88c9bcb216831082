"""Laws of `adapters.postgres.keeping`: each is written once, the furthest, in one order."""

from triolet.adapters.postgres.keeping import marks_columns, people_columns
from triolet.ports.people import Person
from triolet.ports.store import Mark


def mark(user, delivered, read, read_n, room="a"):
    return Mark(room=room, user=user, delivered=delivered, read=read, read_n=read_n)


def test_marks_of_one_member_become_one():
    """Each of the two moves by itself, `read_n` with `read`."""
    marks = [mark("anna", 5, 4, 3), mark("ben", 1, 1, 1), mark("anna", 7, 2, 1)]
    expected = [["a", "a"], ["anna", "ben"], [7, 1], [4, 1], [3, 1]]
    assert expected == marks_columns(marks)
    assert expected == marks_columns([marks[2], marks[1], marks[0]])


def test_people_come_in_one_order():
    """The latest status and the greatest `last_seen` of each, by name."""
    people = [Person("ben", "dnd", 5), Person("anna", "", 9), Person("ben", "", 3)]
    assert [["anna", "ben"], ["", ""], [9, 5]] == people_columns(people)
