"""Painting by difference gives the same paper as printing everything anew."""

from hypothesis import given, settings
from hypothesis import strategies as st

from triolet_api.chat.scroll import Scroll

BOTTOM = ("-- rule --", "> line")


class Painting:
    """A scroll and the paper it paints on."""

    def __init__(self, make, rows=8, columns=40):
        self.scroll = Scroll()
        self.paper = make.Paper(columns, rows)

    def paint(self, *blocks, bottom=BOTTOM):
        sent = self.scroll.paint(blocks, bottom, rows=self.paper.rows)
        self.paper.feed(sent)
        return sent

    def repaint(self, *blocks, bottom=BOTTOM, is_torn=False):
        sent = self.scroll.repaint(blocks, bottom, rows=self.paper.rows, is_torn=is_torn)
        self.paper.feed(sent)
        return sent


def block(key, *lines):
    return (key, lines)


def test_blocks_are_followed_by_the_bottom(make):
    painting = Painting(make)

    painting.paint(block("a", "one"), block("b", "two", "three"))

    assert ["one", "two", "three", *BOTTOM] == painting.paper.everything


def test_the_cursor_stands_in_the_last_line(make):
    painting = Painting(make)

    painting.paint(block("a", "one"), bottom=("rule", "> ab\x1b7cd\x1b8"))

    assert (2, 4) == (painting.paper.row, painting.paper.column)
    assert {"25": True, "7": True, "2026": False, "2004": False, "1004": False} == (
        painting.paper.modes
    )


def test_what_has_not_changed_costs_nothing(make):
    painting = Painting(make)
    painting.paint(block("a", "one"))

    assert "" == painting.paint(block("a", "one"))


def test_a_change_is_painted_from_where_it_begins(make):
    painting = Painting(make)
    painting.paint(block("a", "one"), block("b", "two"), block("c", "three"))

    sent = painting.paint(block("a", "one"), block("b", "2", "2"), block("c", "three"))

    assert ["one", "2", "2", "three", *BOTTOM] == painting.paper.everything
    assert "one" not in sent


def test_what_left_the_screen_stays_in_the_scrollback(make):
    painting = Painting(make, rows=5)
    blocks = [block(str(number), f"line {number}") for number in range(10)]

    for count in range(1, 11):
        painting.paint(*blocks[:count])

    assert [f"line {number}" for number in range(10)] == painting.paper.everything[:10]
    assert ["line 7", "line 8", "line 9", *BOTTOM] == painting.paper.lines


def test_what_left_the_screen_is_past_and_not_painted_again(make):
    painting = Painting(make, rows=5)
    blocks = [block(str(number), f"line {number}") for number in range(10)]
    painting.paint(*blocks)

    painting.paint(block("0", "changed"), *blocks[1:])

    assert painting.scroll.is_past("0")
    assert not painting.scroll.is_past("9")
    assert "line 0" == painting.paper.everything[0]


def test_a_block_higher_than_the_screen_is_past_at_once(make):
    painting = Painting(make, rows=5)

    painting.paint(block("a", *"123456789"), block("b", "end"))
    painting.paint(block("a", *"123456789"), block("b", "the end"))

    assert [*"123456789", "the end", *BOTTOM] == painting.paper.everything


def test_another_conversation_begins_below(make):
    painting = Painting(make)
    painting.paint(block("note 1", "first room"))

    painting.paper.feed(painting.scroll.leave())
    painting.paint(block("note 1", "second room"))

    assert ["first room", "second room", *BOTTOM] == painting.paper.everything


def test_leaving_takes_the_bottom_away(make):
    painting = Painting(make)
    painting.paint(block("a", "one"))

    painting.paper.feed(painting.scroll.leave())

    assert ["one"] == painting.paper.everything
    assert (1, 0) == (painting.paper.row, painting.paper.column)


def test_after_a_change_of_size_the_screen_is_filled_anew(make):
    painting = Painting(make, rows=6)
    blocks = [block(str(number), f"line {number}") for number in range(10)]
    painting.paint(*blocks)

    painting.repaint(*blocks, is_torn=True)

    assert [f"line {number}" for number in range(6, 10)] == painting.paper.lines[:4]
    assert list(BOTTOM) == painting.paper.lines[4:]


def test_a_screen_that_is_not_torn_is_not_cleared(make):
    painting = Painting(make)
    painting.paper.feed("$ triolet chat\r\n")
    painting.paint(block("a", "one"), block("b", "two"))

    painting.repaint(block("a", "ONE"), block("b", "TWO"))

    assert ["$ triolet chat", "ONE", "TWO", *BOTTOM] == painting.paper.everything


def test_on_return_the_last_of_it_is_shown_again(make):
    painting = Painting(make, rows=6)
    blocks = [block(str(number), f"line {number}") for number in range(10)]
    painting.paint(*blocks)
    painting.paper.feed(painting.scroll.leave() + "$ fg\r\n")

    painting.repaint(*blocks)

    assert ["line 6", "line 7", "line 8", "line 9", *BOTTOM] == painting.paper.lines
    assert "$ fg" in painting.paper.scrollback[-1]


BLOCKS = st.lists(
    st.tuples(st.sampled_from("abcdefghij"), st.integers(1, 3), st.integers(0, 5)),
    unique_by=lambda one: one[0],
    max_size=8,
)


@settings(max_examples=300)
@given(frames=st.lists(BLOCKS, min_size=1, max_size=8), rows=st.integers(3, 12))
def test_any_frames_end_in_what_is_live_and_the_bottom(make, frames, rows):
    """What has left the screen was printed once; below it is the frame, as if printed anew."""
    painting = Painting(make, rows=rows)
    printed, past = [], {}
    for frame in frames:
        blocks = [
            block(key, *(f"{key}{version}.{number}" for number in range(height)))
            for key, height, version in frame
        ]
        painting.paint(*blocks)

        past = {key: None for key, _ in blocks if key in past}
        live = [one for one in blocks if one[0] not in past]
        assert [
            *printed,
            *(line for _, lines in live for line in lines),
            *BOTTOM,
        ] == painting.paper.everything
        while sum(len(lines) for _, lines in live) + len(BOTTOM) > rows:
            key, lines = live.pop(0)
            past[key] = None
            printed += lines
        assert all(painting.scroll.is_past(key) for key in past)
