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
