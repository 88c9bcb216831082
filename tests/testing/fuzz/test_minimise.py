"""Laws of `triolet.testing.fuzz.minimise`: what is left still fails, and nothing can go."""

from hypothesis import given, settings
from hypothesis import strategies as st

from triolet.testing.fuzz.minimise import minimised, shortest, simplest

laws = settings(max_examples=150, deadline=None, derandomize=True, database=None)
# A subsequence that must be there for the failure.
NEEDLES = st.binary(min_size=1, max_size=4)


def holds(needle: bytes, data: bytes) -> bool:
    """Whether the needle's bytes are there in their order, whatever is between them."""
    rest = iter(data)
    return all(byte in rest for byte in needle)


@laws
@given(NEEDLES, st.binary(max_size=60), st.randoms(use_true_random=False))
def test_nothing_that_is_left_can_go(needle, hay, chance):
    data = bytearray(hay)
    at = 0
    for byte in needle:
        at = chance.randint(at, len(data))
        data.insert(at, byte)
        at += 1
    found = bytes(shortest(bytes(data), lambda some: holds(needle, bytes(some))))

    assert found == needle


@laws
@given(st.binary(min_size=1, max_size=40))
def test_bytes_that_do_not_matter_become_zero(data):
    assert simplest(data, lambda some: len(some) >= len(data)) == bytes(len(data))
    assert simplest(data, lambda some: data[0] in some) == data[:1]


@laws
@given(st.lists(st.binary(max_size=5), max_size=6), st.integers(0, 6))
def test_of_several_inputs_those_that_matter_are_left(others, at):
    at = min(at, len(others))
    inputs = (*others[:at], b"xxNEEDLExx", *others[at:])

    found = minimised(inputs, lambda some: any(b"NEEDLE" in one for one in some))

    assert found == (b"NEEDLE",)


def test_tries_are_bounded():
    tries = []

    def fails(some):
        tries.append(some)
        return len(some) > 900

    found = shortest(range(1_000), fails, tries_max=20)

    assert len(tries) == 20
    assert len(found) > 900
