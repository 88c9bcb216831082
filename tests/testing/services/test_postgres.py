"""Laws of `testing.services.postgres`: a real server, whose ends and starts are real."""

import os

import pytest

from triolet.testing.services.postgres import NoPostgres, binaries, run_postgres


@pytest.fixture(scope="module")
def server():
    try:
        with run_postgres(["work_mem=5MB"]) as server:
            yield server
    except NoPostgres as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("how", ["stop", "crash", "kill"])
def test_what_was_committed_outlives_each_end(server, how):
    """And the port stays the same, so that clients find it again."""
    port = server.port
    server.execute("CREATE TABLE IF NOT EXISTS cups (n int); INSERT INTO cups VALUES (1)")
    before = server.execute("SELECT count(*) FROM cups")

    getattr(server, how)()
    assert 0 == server.pid
    with pytest.raises(NoPostgres):
        server.execute("SELECT 1")
    server.start()

    assert (port, before) == (server.port, server.execute("SELECT count(*) FROM cups"))


def test_it_is_as_durable_as_in_production(server):
    """Nothing is proved of a server that does not sync; and settings of one's own hold."""
    shown = [server.execute(f"SHOW {name}") for name in ("fsync", "full_page_writes", "work_mem")]

    assert ["on", "on", "5MB"] == shown


def test_databases_are_apart_and_go(server):
    """Each is new, or as its template is."""
    one = server.create_database()
    server.execute("CREATE TABLE teas (n int)", one)
    other = server.create_database(one)

    assert "0" == server.execute("SELECT count(*) FROM teas", other)
    server.drop_database(one)
    server.drop_database(other)
    assert "0" == server.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'test_%'")


def test_a_standby_follows_and_takes_over():
    """What was acknowledged with it is there when the primary is gone."""
    try:
        with run_postgres() as primary, run_postgres(primary=primary) as standby:
            primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.execute("SELECT pg_reload_conf()")
            primary.execute("CREATE TABLE cups (n int); INSERT INTO cups VALUES (1)")
            assert "t" == standby.execute("SELECT pg_is_in_recovery()")
            primary.kill()
            standby.promote()
            standby.execute("INSERT INTO cups VALUES (2)")
            assert "2" == standby.execute("SELECT count(*) FROM cups")
    except NoPostgres as error:
        if "missing" not in str(error):
            raise
        pytest.skip(str(error))


def test_nothing_is_left_of_it():
    """No process and no folder."""
    try:
        with run_postgres() as server:
            pid, folder = server.pid, server.folder
            assert folder.is_dir()
    except NoPostgres as error:
        pytest.skip(str(error))

    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    """The reason is a test's reason to be skipped."""
    monkeypatch.setenv("TESTS_POSTGRES", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("triolet.testing.services.postgres.DEBIAN", tmp_path)

    with pytest.raises(NoPostgres, match="PostgreSQL is missing"):
        binaries()
