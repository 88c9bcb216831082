"""Law: a ban is noted with the commit that makes or ends it, whatever comes of the answer."""

import msgspec
import pytest
import trio
from trio.testing import MockClock

from triolet._domain.bans import Ban
from triolet._model.errors import StoreUnavailable
from triolet.ports.documents import Change
from triolet.testing import history
from triolet.testing.world.chance import SeededEntropy, SkewedClock
from triolet.testing.world.disk import Disk, Doom, NodeStore, Speed


def on_disk(scene):
    async def run():
        disk, told, died = Disk(SeededEntropy(1, "disk"), Speed(commit_s=0)), [], []
        disk.bans.write = told.append
        store = NodeStore(disk, die=lambda: died.append(True) or store.cut())
        await scene(disk, store, told)

    trio.run(run, clock=MockClock(autojump_threshold=0))


def change(ban):
    return Change(ban.key, msgspec.msgpack.encode(ban), expires_at=ban.until)


def test_bans_of_users_are_noted_and_nothing_else():
    async def scene(disk, store, told):
        until = SkewedClock().now_ms() + 1500
        await store.documents.write([change(Ban(user="ben", until=until)), Change("x", b"1")])
        await store.documents.write([change(Ban(network="192.0.2.0/24"))])
        await store.documents.write([Change("ban/user/ben", None)])
        await store.documents.write([Change("ban/user/ben", None)])

        assert told == [history.Banned(0, user="ben", until=1.5), history.Pardoned(0, user="ben")]

    on_disk(scene)


def test_what_is_not_made_is_not_noted():
    async def scene(disk, store, told):
        await store.documents.write([Change("x", b"1")])
        assert not await store.documents.write([change(Ban(user="ben")), Change("x", b"2", 0, 0)])
        disk.is_full = True
        with pytest.raises(StoreUnavailable):
            await store.documents.write([change(Ban(user="ben"))])

        assert (told, disk.bans.banned()) == ([], [])

    on_disk(scene)


def test_what_is_made_is_noted_though_its_node_hears_nothing_of_it():
    async def scene(disk, store, told):
        store.doom = Doom.AFTER
        with pytest.raises(StoreUnavailable):
            await store.documents.write([change(Ban(user="ben"))])

        assert told == [history.Banned(0, user="ben")]

    on_disk(scene)


def test_who_is_banned_is_so_until_that_is_over():
    async def scene(disk, store, told):
        until = SkewedClock().now_ms() + 1500
        await store.documents.write(
            [change(Ban(user="anna")), change(Ban(user="ben", until=until))]
        )
        assert disk.bans.banned() == ["anna", "ben"]
        await trio.sleep(1.5)

        assert disk.bans.banned() == ["anna"]
        disk.bans.tell(disk.bans.held["anna"], "node0.1")
        disk.bans.tell_lifted("anna", "node0.1")
        assert told[2:] == [
            history.Banned(1.5, user="anna", node="node0.1"),
            history.Pardoned(1.5, user="anna", node="node0.1"),
        ]

    on_disk(scene)
