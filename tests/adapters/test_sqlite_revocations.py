"""Law: what memory tells of revocations is what the file holds, or memory does not tell."""

import sqlite3

import pytest
import trio

from triolet._model.errors import StoreError
from triolet._model.limits import Limits
from triolet.adapters.sqlite import directory, open_sqlite_store
from triolet.adapters.sqlite.revocations import Revocations
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.ports.people import Revocation


@pytest.fixture
def file():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE revocations (user TEXT PRIMARY KEY, not_before INTEGER)")
    yield connection
    connection.close()


def forget(connection, *, older_than):
    return directory.forget_revocations(connection, older_than=older_than, limit=10)


def revoke(connection, revocations, user, at):
    directory.revoke(connection, Revocation(user, at))
    revocations.keep(connection, Revocation(user, at))


def test_before_it_has_read_it_tells_nothing(file):
    assert Revocations().known("anna") is None


def test_it_tells_what_was_stored_before_and_since_and_the_greatest_wins(file):
    directory.revoke(file, Revocation("anna", 5))
    revocations = Revocations()
    revocations.load(file)
    told = [revocations.known("anna"), revocations.known("ben")]
    for user, at in (("anna", 4), ("ben", 7), ("anna", 6)):
        revoke(file, revocations, user, at)

    assert told == [5, 0]
    assert [revocations.known(user) for user in ("anna", "ben", "eva")] == [6, 7, 0]


def test_with_more_than_it_keeps_it_tells_nothing(file):
    """The last that fits is told; a greater one of somebody who is there is no more."""
    revocations = Revocations(most=2)
    revocations.load(file)
    for user, at in (("anna", 1), ("ben", 2), ("anna", 3)):
        revoke(file, revocations, user, at)
    assert [revocations.known(user) for user in ("anna", "ben", "eva")] == [3, 2, 0]

    revoke(file, revocations, "eva", 4)
    assert revocations.known("anna") is None
    revoke(file, revocations, "eva", 5)
    assert revocations.known("eva") is None


def test_what_is_forgotten_makes_room_again(file):
    """Families that are removed are told no more; and where there were too many, the rest is."""
    revocations = Revocations(most=2)
    revocations.load(file)
    for subject, at in (("sid:anna:a", 1), ("ben", 1)):
        revoke(file, revocations, subject, at)
    revocations.forget(file, forget(file, older_than=2))
    assert [revocations.known(one) for one in ("sid:anna:a", "ben")] == [0, 1]
    assert revocations.known("ben", "sid:anna:a") == 1

    for number in range(3):
        revoke(file, revocations, f"sid:anna:{number}", 2)
    assert revocations.known("ben") is None
    revocations.forget(file, forget(file, older_than=3))
    assert [revocations.known(one) for one in ("sid:anna:0", "ben")] == [0, 1]


def test_after_a_failure_it_tells_nothing_until_it_has_read_again(file):
    """What failed may have been stored all the same."""
    revocations = Revocations()
    revocations.load(file)
    directory.revoke(file, Revocation("anna", 5))
    revocations.doubt()
    assert revocations.known("anna") is None

    revoke(file, revocations, "ben", 6)

    assert [revocations.known(user) for user in ("anna", "ben")] == [5, 6]


# --- the store ---------------------------------------------------------------------------


@pytest.fixture
async def store(tmp_path):
    async with open_sqlite_store(
        tmp_path / "db", clock=SystemClock(), entropy=SystemEntropy(), limits=Limits()
    ) as store:
        yield store


async def test_a_store_answers_without_a_thread(store, monkeypatch):
    await store.revoke(Revocation("anna", 5))
    monkeypatch.setattr(store, "_readers", None)

    assert [await store.revoked(user) for user in ("anna", "ben")] == [5, 0]


async def test_who_is_cancelled_while_revoking_has_revoked_all_the_same(store):
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.revoke(Revocation("anna", 5))
    await store.revoke(Revocation("ben", 6))  # jobs are done in order

    assert scope.cancelled_caught
    assert await store.revoked("anna") == 5


async def test_after_a_failed_revocation_the_file_is_asked(store, monkeypatch):
    def fails(connection, revocation):
        raise sqlite3.OperationalError("no")

    with monkeypatch.context() as patch:
        patch.setattr(directory, "revoke", fails)
        with pytest.raises(StoreError):
            await store.revoke(Revocation("anna", 5))
    asked = []
    read = store._readers.read
    monkeypatch.setattr(store._readers, "read", lambda work: asked.append(work) or read(work))

    assert await store.revoked("anna") == 0
    assert len(asked) == 1
