"""The secret: the same for everybody who asks, whole, and readable by its owner only."""

import os
import stat
import subprocess
import sys

import pytest

from triolet._model.errors import ConfigurationError
from triolet_api.secret import (
    Secret,
    keep_instead,
    kept_secret,
    make_or_keep_secret,
    read_secret,
)

# In which three processes have begun and ended, on a machine that is busy with other things.
PATIENCE_S = 120


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_the_first_start_makes_it_and_the_next_keeps_it(tmp_path):
    folder = tmp_path / "deep" / "data"

    assert not folder.exists()
    first = make_or_keep_secret(folder)

    assert make_or_keep_secret(folder) == first == kept_secret(folder)
    assert len(first.reveal()) == 64
    assert names(folder) == ["secret"]


def test_only_its_owner_may_read_it(tmp_path):
    """Whatever the umask allows."""
    before = os.umask(0)
    try:
        make_or_keep_secret(tmp_path)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_processes_that_start_together_agree(tmp_path):
    """However many make it at once, all end with one secret, and nobody reads half of it."""
    program = (
        "import sys; sys.stdin.readline();"
        "from pathlib import Path; from triolet_api.secret import make_or_keep_secret;"
        "print(make_or_keep_secret(Path(sys.argv[1])).reveal().decode())"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.communicate(timeout=PATIENCE_S)[0].strip() for racer in racers]

    assert answers == [(tmp_path / "secret").read_text().strip()] * 3
    assert names(tmp_path) == ["secret"]


def test_who_comes_second_takes_the_firsts(tmp_path, monkeypatch):
    """Another process wins between the look and the link."""
    link = os.link

    def lose(draft, name):
        name.write_text("x" * 40)
        link(draft, name)

    monkeypatch.setattr(os, "link", lose)

    assert make_or_keep_secret(tmp_path) == Secret(b"x" * 40)
    assert names(tmp_path) == ["secret"]


def test_a_folder_that_cannot_be_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="no secret can be kept in"):
        make_or_keep_secret(tmp_path / "file" / "data")


def test_nothing_kept_is_none(tmp_path):
    assert kept_secret(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"\r\n", b"x" * 9000])
def test_an_unlikely_file_is_refused(tmp_path, content):
    (tmp_path / "secret").write_bytes(content)

    with pytest.raises(ConfigurationError):
        read_secret(tmp_path / "secret")


def test_a_secret_is_compared_and_never_shown():
    secret = Secret(b"hunter2")

    assert secret == Secret(b"hunter2")
    assert hash(secret) == hash(Secret(b"hunter2"))
    assert secret != Secret(b"hunter3")
    assert secret != b"hunter2"
    assert "hunter2" not in f"{secret!r} {secret} {[secret]}"


def test_what_is_kept_instead_is_whole_and_its_owners(tmp_path):
    path = tmp_path / "keys"
    path.write_bytes(b"old")
    keep_instead(path, b"new")

    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["keys"]
    with pytest.raises(ConfigurationError, match="cannot be written"):
        keep_instead(tmp_path / "none" / "keys", b"new")
