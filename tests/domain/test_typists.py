"""Laws of `_domain.typists`: marks that end by themselves, in the order in which they began."""

from hypothesis import given, settings
from hypothesis import strategies as st

from triolet._domain.typists import Typists

laws = settings(derandomize=True, deadline=None, max_examples=100)

USERS = st.sampled_from(["anna", "ben", "cleo", "dora"])
# What happens, and how many seconds pass before it.
EVENTS = st.lists(
    st.tuples(st.sampled_from(["renew", "stop", "expire"]), USERS, st.integers(0, 7)), max_size=25
)
TYPING_S = 6


@laws
@given(EVENTS)
def test_typists_are_a_list_of_marks(events: list[tuple[str, str, int]]) -> None:
    """After any events, who is shown is who a plain list of `(user, until)` says."""
    typists, now = Typists(), 0
    model: list[tuple[str, int]] = []
    for what, user, passed in events:
        now += passed
        names = [name for name, _ in model]
        if what == "renew":
            assert typists.renew(user, until=now + TYPING_S) is (user not in names)
            if user in names:
                model[names.index(user)] = (user, now + TYPING_S)
            else:
                model.append((user, now + TYPING_S))
        elif what == "stop":
            assert typists.stop(user) is (user in names)
            model = [mark for mark in model if mark[0] != user]
        else:
            left = [mark for mark in model if mark[1] > now]
            assert typists.expire(now) is (left != model)
            model = left

        assert len(typists) == len(model)
        assert typists.shown(9) == (tuple(name for name, _ in model), False)


@laws
@given(st.lists(USERS), st.integers(0, 5))
def test_at_most_so_many_are_shown(users: list[str], most: int) -> None:
    """The first `most` to begin, and `more` exactly when there are others."""
    typists = Typists()
    for user in users:
        typists.renew(user, until=1)
    began = list(dict.fromkeys(users))

    assert typists.shown(most) == (tuple(began[:most]), len(began) > most)


def test_a_mark_ends_at_its_time_and_not_before() -> None:
    """6 s after the last renewal, exactly."""
    typists = Typists()
    typists.renew("anna", until=6.0)

    assert not typists.expire(5.999)
    assert typists.expire(6.0)
    assert typists.shown(5) == ((), False)
