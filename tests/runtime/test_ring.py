"""Laws of rings: the newest entries, without a gap, each ring and all together bounded."""

from hypothesis import given
from hypothesis import strategies as st

from triolet._model.entries import Message, Record
from triolet._runtime.ring import Item, Ring, Rings
from triolet._wire.codec import pack_fact


def item(seq, text="hi"):
    packed = pack_fact(Message({"text": text}))
    return Item(Record("tea", seq, seq, "message", "anna", 1, "c", packed))


def ring(*seqs, entries_max=100, bytes_max=100_000):
    made = Ring(entries_max=entries_max, bytes_max=bytes_max)
    for seq in seqs:
        made.remember(item(seq))
    return made


def seqs(items):
    return None if items is None else [one.record.seq for one in items]


def test_after_a_position_comes_what_follows_it():
    made = ring(5, 6, 7)

    assert [seqs(made.after(position)) for position in (3, 4, 5, 6, 7)] == [
        None,
        [5, 6, 7],
        [6, 7],
        [7],
        [],
    ]
    assert ring().after(0) is None


def test_how_many_messages_there_were_is_known_within_the_ring():
    made = ring(5, 6, 7)

    assert [made.n_at(seq) for seq in (4, 5, 7, 8)] == [None, 5, 7, None]
    assert ring().n_at(1) is None


def test_an_entry_is_encoded_once_a_format_and_anew_when_it_is_erased():
    one = item(1)
    frames = [one.frame(text) for text in (True, False)]
    assert [one.frame(text) for text in (True, False)] == frames
    assert one.frame(text=True) is frames[0]
    assert one.frame(text=False) is frames[1]

    one.replace(item(2).record)

    assert one.frame(text=False) != frames[1]


@given(st.lists(st.integers(0, 300), max_size=40), st.integers(1, 10), st.integers(300, 2000))
def test_a_ring_holds_the_newest_within_its_bounds(sizes, entries_max, bytes_max):
    made = Ring(entries_max=entries_max, bytes_max=bytes_max)
    for seq, size in enumerate(sizes, 1):
        made.remember(item(seq, "x" * size))
        held = seqs(made.items)
        assert len(held) <= entries_max
        assert made.bytes <= bytes_max
        assert held == list(range(seq - len(held) + 1, seq + 1))
    made.clear()

    assert (len(made), made.bytes) == (0, 0)


@given(
    st.integers(0, 12),
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(1, 20),
    st.integers(500, 6000),
)
def test_what_was_read_is_remembered_as_far_as_it_joins_the_ring_and_fits(
    applied, first, count, entries_max, bytes_max
):
    """The ring stays without a gap, ends at the head, and never forgets the newest for older."""
    head = 20 + applied
    made = ring(*range(21, head + 1), entries_max=entries_max, bytes_max=bytes_max)
    before, size = seqs(made.items), made.bytes
    begin = before[0] if before else head + 1
    page = [item(seq) for seq in range(first, min(first + count, head + 1))]

    made.remember_older(page, head)

    held = seqs(made.items)
    assert held[len(held) - len(before) :] == before
    older = held[: len(held) - len(before)]
    assert older == list(range(begin - len(older), begin))
    assert set(older) <= set(seqs(page))
    assert len(held) <= max(entries_max, len(before))
    assert made.bytes <= max(bytes_max, size)
    is_joined = bool(page) and first < begin <= first + len(page)
    is_full = len(held) == entries_max or made.bytes + size_of(item(1)) > bytes_max
    assert len(older) == (begin - first if is_joined else 0) or is_full


def size_of(one):
    made = ring()
    made.remember(one)
    return made.bytes


steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["grow", "grow", "grow", "drop", "clear"])),
    max_size=80,
)


@given(steps, st.integers(1, 12), st.integers(1, 8))
def test_all_rings_together_are_bounded_and_counted_right(script, total_max, entries_max):
    rings = Rings(entries_max=total_max)
    made = {name: Ring(entries_max=entries_max, bytes_max=100_000) for name in "abc"}
    heads = dict.fromkeys("abc", 0)
    for name, what in script:
        if what == "grow":
            heads[name] += 1
            made[name].remember(item(heads[name]))
            rings.grew(made[name])
            # The newest entry is never the one that makes room, but where there is no other.
            assert seqs(made[name].items)[-1:] == [heads[name]]
        elif what == "drop":
            rings.drop(made[name])
        else:
            made[name].clear()
            rings.grew(made[name])
        assert rings.entries == sum(map(len, made.values())) <= total_max


def test_the_room_that_was_still_for_longest_forgets_first():
    rings = Rings(entries_max=4)
    old, new = ring(), ring()
    for seq in (1, 2, 3):
        old.remember(item(seq))
        rings.grew(old)
    for seq in (1, 2, 3):
        new.remember(item(seq))
        rings.grew(new)

    assert (seqs(old.items), seqs(new.items)) == ([3], [1, 2, 3])
