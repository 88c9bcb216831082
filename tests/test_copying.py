"""Law: whatever the adapters are, a copy is what its source is, and a difference is found."""

import sqlite3
from contextlib import asynccontextmanager

import pytest

from triolet._model.errors import ConfigurationError
from triolet._model.limits import Limits
from triolet.adapters.memory import MemorySource, MemoryStore, MemoryTarget
from triolet.adapters.postgres import (
    open_postgres_source,
    open_postgres_store,
    open_postgres_target,
)
from triolet.adapters.sqlite import open_sqlite_source, open_sqlite_store, open_sqlite_target
from triolet.copying import open_source, open_target, sum_of, transfer
from triolet.ports.transfer import Section
from triolet.testing.contracts import Home
from triolet.testing.contracts.filling import everything, fill


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


class InMemory:
    @asynccontextmanager
    async def store(self, home):
        if not hasattr(home, "kept"):
            home.kept = MemoryStore(clock=home.clock, entropy=home.entropy)
        yield home.kept

    @asynccontextmanager
    async def source(self, home):
        yield MemorySource(home.kept)

    @asynccontextmanager
    async def target(self, home):
        async with self.store(home) as store:
            yield MemoryTarget(store)


class InSqlite:
    def store(self, home):
        return open_sqlite_store(
            home.path / "store.db", clock=home.clock, entropy=home.entropy, limits=Limits()
        )

    def source(self, home):
        path = home.path / "store.db"
        return open_sqlite_source(
            path, entropy=home.entropy, limits=Limits(), may_be_unfinished=True
        )

    def target(self, home):
        return open_sqlite_target(home.path / "store.db", entropy=home.entropy)


class InPostgres:
    def __init__(self, server):
        self._server = server
        self.names = {}

    def _url(self, home):
        if home.path not in self.names:
            self.names[home.path] = self._server.create_database()
        return self._server.url(self.names[home.path])

    def store(self, home):
        url = self._url(home)
        return open_postgres_store(url, clock=home.clock, entropy=home.entropy, limits=Limits())

    def source(self, home):
        url = self._url(home)
        return open_postgres_source(
            url, entropy=home.entropy, limits=Limits(), may_be_unfinished=True
        )

    def target(self, home):
        return open_postgres_target(self._url(home), entropy=home.entropy, limits=Limits())


@pytest.fixture
def adapters(request):
    """Adapters by name; the server of databases is there if a test is about it."""
    yield (found := {"memory": InMemory(), "sqlite": InSqlite()})
    if "postgres" in found:
        for name in found["postgres"].names.values():
            request.getfixturevalue("postgres_server").drop_database(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("memory", "sqlite"),
        ("sqlite", "memory"),
        ("sqlite", "postgres"),
        ("postgres", "sqlite"),
    ],
)
async def test_a_copy_there_and_back_is_the_store(home, adapters, request, one, other):
    """Everything that is read of all three is the same, and so are the sums."""
    if "postgres" in (one, other):
        adapters["postgres"] = InPostgres(request.getfixturevalue("postgres_server"))
    here, there = adapters[one], adapters[other]
    away, back = home.another(), home.another()
    async with here.store(home) as store:
        await fill(store, home)
        said = await everything(store)
    for (old, from_), (new, to) in [
        ((home, here), (away, there)),
        ((away, there), (back, here)),
    ]:
        async with from_.source(old) as source, to.target(new) as target:
            await transfer(source, target)
            await target.finish()
        async with from_.source(old) as source, to.source(new) as copy:
            for section in Section:
                assert await sum_of(source, section) == await sum_of(copy, section)
        async with to.store(new) as store:
            assert said == await everything(store)


@pytest.mark.parametrize(
    ("section", "sql"),
    [
        (Section.ROOMS, "UPDATE rooms SET acl_ver = acl_ver + 1 WHERE name = 'a'"),
        (Section.ROOMS, "UPDATE lineage SET first_seq = 2 WHERE room_id = 3 AND gen = 2"),
        (Section.ENTRIES, "UPDATE runs SET packed = tampered(packed)"),
        (Section.ENTRIES, "DELETE FROM places WHERE room_id = 2 AND lane = 1"),
        (Section.MEMBERS, "UPDATE members SET read_n = read_n + 1 WHERE user = 'dora'"),
        (Section.PEOPLE, "DELETE FROM people WHERE user = 'ben'"),
        (Section.REVOCATIONS, "UPDATE revocations SET not_before = 6 WHERE user = 'ben'"),
        (Section.CIDS, "DELETE FROM cids WHERE id = (SELECT max(id) FROM cids)"),
        (Section.DOCUMENTS, "UPDATE documents SET version = version + 1 WHERE key = 'past'"),
        (Section.DOCUMENTS, "DELETE FROM documents WHERE key = 'past'"),
        (Section.JOBS, "UPDATE jobs SET attempts = attempts + 1 WHERE key = 'waits'"),
        (Section.JOBS, "DELETE FROM jobs WHERE key = 'late'"),
        (Section.FOLDED, "UPDATE bodies SET at = at + 1"),
        (Section.FOLDED, "DELETE FROM reactions WHERE user = 'cleo'"),
    ],
)
async def test_a_planted_difference_is_found(home, section, sql):
    """Whatever is changed in a copy, the sum of its section is another one."""
    there, sqlite = home.another(), InSqlite()
    async with sqlite.store(home) as store:
        await fill(store, home)
    async with sqlite.source(home) as source, sqlite.target(there) as target:
        await transfer(source, target)
    with sqlite3.connect(there.path / "store.db") as connection:
        connection.create_function("tampered", 1, lambda kept: kept.replace(b"anna 3", b"anna 4"))
        assert connection.execute(sql).rowcount
    connection.close()
    async with sqlite.source(home) as source, sqlite.source(there) as copy:
        assert await sum_of(source, section) != await sum_of(copy, section)


@pytest.mark.parametrize("url", ["", "memory:", "sqlite:", "mysql://host/chat"])
async def test_a_url_that_names_no_store_is_refused(url):
    for opened in (open_source(url), open_target(url)):
        with pytest.raises(ConfigurationError):
            async with opened:
                pass


async def test_there_must_be_a_source(tmp_path):
    """Nothing is made where a source was looked for."""
    with pytest.raises(ConfigurationError, match="there is no store"):
        async with open_source(f"sqlite:{tmp_path / 'none.db'}"):
            pass
    assert [] == list(tmp_path.iterdir())
