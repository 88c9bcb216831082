"""Laws of `triolet.testing.fuzz.mutations`: chance decides all of the damage, and reaches all."""

from random import Random

from triolet.testing.fuzz import mutations
from triolet.testing.fuzz.mutations import mutated

DATA = bytes(range(32, 96))


def test_chance_alone_decides():
    assert [mutated(DATA, Random(n)) for n in range(50)] == [
        mutated(DATA, Random(n)) for n in range(50)
    ]


def test_nearly_all_damage_is_some():
    changed = [mutated(DATA, Random(n)) != DATA for n in range(1_000)]

    assert sum(changed) > 950


def test_every_kind_of_damage_is_done():
    done = {kind(bytearray(DATA), Random(n)) for n, kind in enumerate(mutations._MUTATIONS)}
    found = [mutated(DATA, Random(n), [b"#" * 64]) for n in range(2_000)]

    assert done == {None}
    assert any(len(one) < len(DATA) // 2 for one in found)
    assert any(len(one) > len(DATA) * 2 for one in found)
    assert any(b"###" in one for one in found)
    assert any(b"\r\n\r\n" in one for one in found)


def test_what_is_empty_can_be_damaged_too():
    for n in range(50):
        mutated(b"", Random(n))
    assert any(mutated(b"", Random(n)) for n in range(50))
