"""Laws of `_domain.busiest`: bounded, never too high, and nobody who stands out is missing."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from triolet._domain.busiest import ROOMS_KEPT, ROOMS_MAX, Busiest

laws = settings(derandomize=True, deadline=None, max_examples=20)


def counted(rooms: list[str]) -> Busiest:
    busiest = Busiest(now=0.0)
    for room in rooms:
        busiest.tally[room] = busiest.tally.get(room, 0) + 1
        busiest.trim()
    return busiest


def test_few_rooms_are_counted_exactly() -> None:
    assert counted(["a", "b", "a", "c", "a", "b"]).top(2, now=1.0) == (("a", 3), ("b", 2))


@laws
@given(st.integers(0, 2**32 - 1))
def test_what_is_shown_of_many_is_never_too_high(seed: int) -> None:
    rooms = [f"r{(seed * n * n) % (3 * ROOMS_MAX)}" for n in range(20_000)]
    busiest, true = counted(rooms), Counter(rooms)

    assert len(busiest.tally) <= ROOMS_MAX
    assert all(count <= true[room] for room, count in busiest.tally.items())


def test_a_busy_room_is_found_among_any_number_of_quiet_ones() -> None:
    """Quiet rooms come and go by the thousand: each time there are too many, one is taken off."""
    rooms = [name for n in range(5 * ROOMS_MAX) for name in ("tea", f"quiet{n}")]

    ((room, count),) = counted(rooms).top(1, now=1.0)

    assert room == "tea"
    assert len(rooms) // 2 - 10 <= count <= len(rooms) // 2


def test_rooms_that_are_all_as_quiet_are_let_go() -> None:
    busiest = counted([f"r{n}" for n in range(ROOMS_MAX + 1)])

    assert len(busiest.tally) <= ROOMS_KEPT


def test_what_was_busy_is_forgotten_after_two_periods() -> None:
    busiest = counted(["tea"])
    shown = [busiest.top(1, now=now) for now in (10.0, 60.0, 119.0, 120.0, 121.0)]

    assert shown == [(("tea", 1),)] * 4 + [()]
