"""Laws of marks that are known by another node's word: kept, and written if nobody else does."""

import trio

from triolet._model.errors import StoreUnavailable
from triolet._model.limits import Limits
from triolet._runtime.heard import Heard, covers
from triolet.ports.store import Mark

KEY = ("tea", "anna")


def mark(read, delivered=None):
    return Mark(room="tea", user="anna", delivered=delivered or read, read=read, read_n=read)


class Written:
    """A store that keeps what it is given, unless it fails."""

    def __init__(self):
        self.marks = []
        self.fails = False

    async def __call__(self, marks):
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise StoreUnavailable("no")
        self.marks += marks


def test_the_greatest_of_what_is_heard_is_kept():
    heard = Heard(Written(), Limits())
    heard.take(mark(5))
    heard.take(mark(3, delivered=9))
    assert heard.get(KEY) == Mark(room="tea", user="anna", delivered=9, read=5, read_n=5)
    assert len(heard) == 1
    assert covers(heard.get(KEY), mark(5))


async def test_what_nobody_is_known_to_have_written_is_written_in_the_second_round():
    written = Written()
    heard = Heard(written, Limits())
    heard.take(mark(5))
    await heard.round()
    assert written.marks == []
    await heard.round()
    assert written.marks == [mark(5)]
    assert heard.get(KEY) is None


async def test_what_its_own_node_has_written_is_only_kept():
    written = Written()
    heard = Heard(written, Limits())
    heard.take(mark(5))
    heard.written(mark(5))
    await heard.round()
    assert heard.get(KEY) == mark(5)
    await heard.round()
    assert (written.marks, heard.get(KEY)) == ([], None)


async def test_what_the_store_did_not_take_is_kept_for_another_round(autojump_clock):
    written = Written()
    written.fails = True
    heard = Heard(written, Limits(marks_interval_s=1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heard.run)
        heard.take(mark(5))
        await trio.sleep(20)
        assert (written.marks, heard.get(KEY)) == ([], mark(5))
        written.fails = False
        await trio.sleep(7)
        assert (written.marks, heard.get(KEY)) == ([mark(5)], None)
        nursery.cancel_scope.cancel()
