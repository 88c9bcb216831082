"""Law: what two change at once has both changes."""

import msgspec
import pytest
import trio
from msgspec import Struct

from triolet._model.errors import StoreUnavailable
from triolet.adapters.memory import MemoryStore
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.ports.documents import Change
from triolet_api.notifications.kept import Kept


class Names(Struct, frozen=True):
    names: tuple[str, ...] = ()


@pytest.fixture
def documents():
    return MemoryStore(clock=SystemClock(), entropy=SystemEntropy()).documents


def adding(name):
    return lambda before: Names((*(before.names if before else ()), name))


async def test_what_is_changed_can_be_read(documents):
    kept = Kept(documents, Names)
    assert await kept.read("a") is None

    assert await kept.change("a", adding("anna")) == Names(("anna",))
    await kept.put("b", Names(("ben",)))

    assert await kept.read_all(["b", "c", "a"]) == [Names(("ben",)), None, Names(("anna",))]
    assert await kept.change("a", lambda _: None) is None
    assert await kept.read("a") is None


async def test_changes_at_once_are_all_made(documents):
    kept = Kept(documents, Names)
    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(kept.change, "a", adding(str(number)))

    assert sorted((await kept.read("a")).names) == [str(number) for number in range(8)]


async def test_what_stays_as_it_is_is_not_written(documents):
    kept = Kept(documents, Names)
    await kept.put("a", Names())
    (before,) = await documents.read(["a"])
    await kept.change("a", lambda names: names)

    assert await documents.read(["a"]) == [before]


async def test_who_always_loses_is_told_so(documents):
    kept = Kept(documents, Names)

    class Rival:
        async def read(self, keys):
            return await documents.read(keys)

        async def write(self, changes):
            await trio.lowlevel.checkpoint()
            return False

    with pytest.raises(StoreUnavailable, match="others change it"):
        await Kept(Rival(), Names).change("a", adding("anna"))
    assert await kept.read("a") is None


async def test_what_a_later_version_added_is_left_out(documents):
    value = msgspec.msgpack.encode({"names": ["anna"], "colour": "red"})
    await documents.write([Change("a", value)])

    assert await Kept(documents, Names).read("a") == Names(("anna",))


async def test_more_than_one_question_has_are_read_in_parts(documents):
    kept = Kept(documents, Names)
    await kept.put("k1500", Names(("anna",)))
    found = await kept.read_all([f"k{number}" for number in range(2001)])

    assert [index for index, one in enumerate(found) if one is not None] == [1500]


BROKEN = [b"", b"\xc1", b"\x81\xa5names\x01", b"\x81\xa5names\x91\xa1\xff", b"\x93\x01", b"\xde"]


@pytest.mark.parametrize("value", BROKEN)
async def test_what_cannot_be_read_is_none_and_told_once(documents, caplog, value):
    kept = Kept(documents, Names)
    await kept.put("a", Names(("anna",)))
    await documents.write([Change("b", value)])
    for _ in range(3):
        assert await kept.read_all(["a", "b"]) == [Names(("anna",)), None]

    assert kept.unreadable == 3
    assert caplog.text.count("b cannot be read") == 1


async def test_what_cannot_be_read_is_replaced_by_what_is_wished(documents):
    kept = Kept(documents, Names)
    await documents.write([Change("a", b"\xc1")])
    assert await kept.change("a", adding("anna")) == Names(("anna",))
    await documents.write([Change("a", b"\xc1")])
    assert await kept.change("a", lambda before: before) is None

    assert await documents.read(["a"]) == [None]


async def test_no_more_are_logged_than_somebody_reads(documents, caplog):
    kept = Kept(documents, Names)
    keys = [str(number) for number in range(300)]
    await documents.write([Change(key, b"\xc1") for key in keys])
    await kept.read_all(keys)

    assert kept.unreadable == 300
    assert caplog.text.count("cannot be read") == 100
