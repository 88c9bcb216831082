"""Law: who serves a folder answers at its door, and only its owner may come."""

import socket
import stat

import pytest

from triolet._model.errors import ConfigurationError
from triolet_api.running import FILE_NAME, door_in, knock


def test_there_is_somebody_for_as_long_as_it_lasts(tmp_path):
    assert knock(tmp_path) is None
    with door_in(tmp_path) as door, door:
        mode = (tmp_path / FILE_NAME).stat().st_mode
        assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
        with knock(tmp_path) as asking, door.accept()[0] as asked:
            asking.sendall(b"hi")
            assert asked.recv(9) == b"hi"
    assert knock(tmp_path) is None
    assert not (tmp_path / FILE_NAME).exists()


def test_a_door_that_a_killed_server_left_is_nobodys_and_is_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / FILE_NAME))
    assert knock(tmp_path) is None
    with door_in(tmp_path) as door, door, knock(tmp_path) as asking:
        assert asking is not None


def test_the_door_of_another_server_is_left_alone(tmp_path):
    with door_in(tmp_path) as other, other:
        with door_in(tmp_path) as mine, mine:
            (tmp_path / FILE_NAME).unlink()
            with socket.socket(socket.AF_UNIX) as third:
                third.bind(str(tmp_path / FILE_NAME))
        assert (tmp_path / FILE_NAME).exists()


def test_a_path_may_be_longer_than_an_address(tmp_path):
    folder = tmp_path / ("x" * 150)
    folder.mkdir()
    with door_in(folder) as door, door, knock(folder) as asking:
        assert asking is not None


def test_where_there_can_be_none_the_server_runs_all_the_same(tmp_path, caplog):
    (tmp_path / FILE_NAME).mkdir()
    with door_in(tmp_path) as door:
        assert door is None
    assert "only by --url" in caplog.text


def test_where_nothing_is_kept_there_is_none(tmp_path, caplog):
    """As of a server in memory whose secret is from elsewhere."""
    with door_in(tmp_path / "none") as door:
        assert door is None
    assert knock(tmp_path / "none") is None
    assert caplog.text == ""


def test_what_cannot_be_told_is_said(tmp_path):
    (tmp_path / FILE_NAME).symlink_to(FILE_NAME)
    with pytest.raises(ConfigurationError, match="no server is reached"):
        knock(tmp_path)
