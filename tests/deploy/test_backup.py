"""The backup job on a real PostgreSQL: dumped, rotated, checked, restored."""

import os
import signal
import subprocess
import time

import pytest
from deploy_scene import EXAMPLES, PATIENCE_S

from triolet.testing.services.postgres import NoPostgres, binaries, run_postgres

KEEP = 3


@pytest.fixture(scope="module")
def postgres():
    try:
        with run_postgres() as server:
            yield server
    except NoPostgres as error:
        pytest.skip(str(error))


class Backup:
    """The script, with a folder and a database of its own."""

    def __init__(self, tmp_path, postgres):
        self.folder = tmp_path / "backups"
        self.folder.mkdir()
        password = tmp_path / "password"
        password.write_text("not asked for\n")
        self.postgres = postgres
        self.database = postgres.create_database()
        self.environment = {
            **os.environ,
            "PATH": f"{binaries()}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(postgres.port),
            "PGUSER": "postgres",
            "PGDATABASE": self.database,
            "PGPASSWORD_FILE": str(password),
            "BACKUP_FOLDER": str(self.folder),
            "BACKUP_KEEP": str(KEEP),
        }

    def run(self, *arguments, **more):
        command = ["bash", str(EXAMPLES / "backup.sh"), *arguments]
        environment = self.environment | more
        return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)

    def dumps(self):
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def backup(tmp_path, postgres):
    return Backup(tmp_path, postgres)


def test_a_dump_is_restored_as_it_was(backup):
    """Law: what README says brings every row back, in a database that was empty."""
    postgres = backup.postgres
    postgres.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1), (2)", backup.database)
    done = backup.run("once")
    assert done.returncode == 0, done.stderr
    (name,) = backup.dumps()
    empty = postgres.create_database()
    restore = ["pg_restore", "--exit-on-error", "--no-owner", f"--dbname={empty}"]
    subprocess.run([*restore, backup.folder / name], env=backup.environment, check=True)
    assert postgres.execute("SELECT sum(n) FROM kept", empty).strip().splitlines()[-1:] == ["3"]


def test_old_dumps_go_once_a_new_one_is_there(backup):
    """Law: so many are kept, the newest; while dumping fails, none is deleted."""
    for day in range(1, 6):
        (backup.folder / f"triolet-2026010{day}T000000Z.dump").write_text("old")
    before = backup.dumps()
    assert backup.run("once", PGDATABASE="nowhere").returncode != 0
    assert [name for name in backup.dumps() if not name.startswith(".")] == before
    assert backup.run("once").returncode == 0
    after = backup.dumps()
    assert len(after) == KEEP
    assert after[: KEEP - 1] == before[-(KEEP - 1) :]


def test_a_dump_that_is_missing_or_old_is_found(backup):
    """Law: the health check holds from the first dump on, until it is older than it should be."""
    assert backup.run("check").returncode != 0
    assert backup.run("once").returncode == 0
    assert backup.run("check").returncode == 0
    (name,) = backup.dumps()
    then = time.time() - 86_400 - 3_700
    os.utime(backup.folder / name, (then, then))
    assert backup.run("check").returncode != 0


def test_it_goes_on_until_it_is_told_to_go(backup):
    """Law: without an argument it dumps again and again, and SIGTERM ends it at once with 0."""
    command = ["bash", str(EXAMPLES / "backup.sh")]
    environment = backup.environment | {"BACKUP_EVERY_S": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as job:
        told = [job.stdout.readline() for _ in range(2)]
        job.send_signal(signal.SIGTERM)
        assert job.wait(PATIENCE_S) == 0
        job.stdout.close()
    assert all(line.startswith("dumped ") for line in told)
