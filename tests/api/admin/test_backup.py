"""Backups over HTTP: a file in the data folder, never where a request says; or how to make one."""

from types import SimpleNamespace

import pytest
import trio
from admin_house import open_house

from triolet._model.limits import Limits
from triolet.adapters.sqlite import open_sqlite_store
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet_api.address import Address
from triolet_api.admin.settings import AdminSettings
from triolet_api.settings import Settings


def at(folder, store, **admin):
    return Settings(data=folder, store=Address(store), admin=AdminSettings(**admin))


async def test_a_backup_of_sqlite_is_made_beside_the_server(serving, tmp_path):
    store = f"sqlite:{tmp_path / 'triolet.db'}"
    async with open_house(serving, at(tmp_path, store), store=store) as house:
        async with house.engine.connect("anna") as anna:
            room = await anna.create("group")
            await anna.send(room.room, "hi")
        made = await house.ask("POST", "/admin/backup")

    (file,) = (tmp_path / "backups").iterdir()
    assert (made["store"], made["file"], made["size"]) == (
        "sqlite",
        file.name,
        file.stat().st_size,
    )
    clock, entropy = SystemClock(), SystemEntropy()
    async with open_sqlite_store(file, clock=clock, entropy=entropy, limits=Limits()) as copy:
        assert (await copy.room(room.room)).n == 1


async def test_the_oldest_are_removed(serving, tmp_path):
    store = f"sqlite:{tmp_path / 'triolet.db'}"
    settings = at(tmp_path, store, backups_kept=2)
    async with open_house(serving, settings, store=store) as house:
        (tmp_path / "backups").mkdir()
        (tmp_path / "backups" / "mine.db").touch()
        # Of a process that was killed meanwhile.
        (tmp_path / "backups" / "triolet-20200101T000000000Z.db.part").touch()
        made = [(await house.ask("POST", "/admin/backup"))["file"] for _ in range(4)]

    left = sorted(one.name for one in (tmp_path / "backups").iterdir())
    assert left == ["mine.db", *made[2:]]


async def test_one_is_made_at_a_time(serving, tmp_path, monkeypatch):
    from triolet_api.admin import backup

    store = f"sqlite:{tmp_path / 'triolet.db'}"
    entered, release = trio.Event(), trio.Event()

    async def slow(source, target):
        entered.set()
        await release.wait()
        return 1

    monkeypatch.setattr(backup, "back_up", slow)
    async with (
        open_house(serving, at(tmp_path, store), store=store) as house,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(house.ask, "POST", "/admin/backup")
        await entered.wait()
        answer = await house.ask("POST", "/admin/backup", status=409)
        release.set()

    assert answer["reason"] == "already_exists"


async def test_without_room_on_the_disk_none_is_begun(serving, tmp_path, monkeypatch):
    from triolet_api.admin import backup

    monkeypatch.setattr(backup.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    store = f"sqlite:{tmp_path / 'triolet.db'}"
    async with open_house(serving, at(tmp_path, store), store=store) as house:
        assert "free bytes" in (await house.ask("POST", "/admin/backup", status=503))["detail"]


async def test_of_a_store_in_memory_there_is_none(serving, tmp_path):
    async with open_house(serving, at(tmp_path, "memory:")) as house:
        await house.ask("POST", "/admin/backup", status=404)


async def test_for_postgresql_the_answer_says_what_to_run(serving, tmp_path):
    """And shows nothing of the URL, in which there may be a password."""
    settings = at(tmp_path, "postgresql://anna:hunter2@db/chat")
    async with open_house(serving, settings) as house:
        made = await house.ask("POST", "/admin/backup")

    assert made["command"].startswith("pg_dump ")
    assert "hunter2" not in str(made)


@pytest.mark.parametrize("who", ["anna", None])
async def test_nobody_else_may(serving, who):
    async with open_house(serving) as house:
        await house.ask("POST", "/admin/backup", who=who, status=403 if who else 401)
