"""Law: chance that counts gives another name each time, and the same ones in each run."""

from triolet.testing.entropy import CountingEntropy


def test_names_differ_and_are_the_same_again() -> None:
    first, again = CountingEntropy(), CountingEntropy()
    names = [first.token() for _ in range(3)]
    assert len(set(names)) == 3
    assert names == [again.token() for _ in range(3)]
    assert all(len(name) == 22 for name in names)


def test_a_draw_is_the_middle() -> None:
    assert CountingEntropy().uniform(1, 2) == 1.5
