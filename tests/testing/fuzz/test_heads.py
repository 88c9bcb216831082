"""Laws of `triolet.testing.fuzz.heads`: about a third is good, and every oddity comes."""

from random import Random

from triolet._wire.handshake import Accepted, answer, is_upgrade
from triolet.testing.fuzz import heads


def test_some_are_good_and_most_of_the_rest_are_nearly():
    chance = Random(1)
    made = [heads.head(chance) for _ in range(2_000)]
    good = [isinstance(answer(one, origin_allowed=lambda *_: True), Accepted) for one in made]

    assert 0.25 < sum(good) / len(good) < 0.75
    assert sum(map(is_upgrade, made)) / len(made) > 0.6


def test_every_shape_of_smuggling_comes():
    chance = Random(2)
    made = b"\0\0".join(heads.head(chance) for _ in range(20_000))

    for shape in (*heads._SMUGGLED, *heads._STARTS):
        assert shape.encode("latin-1") in made, shape
