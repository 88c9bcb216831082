"""Law: who serves a folder leaves word of where, and takes it back."""

import pytest

from triolet_api.running import FILE_NAME, told_where, where


def test_word_is_left_for_as_long_as_it_lasts(tmp_path):
    assert where(tmp_path) == ""
    with told_where(tmp_path, "127.0.0.1:8000"):
        assert where(tmp_path) == "127.0.0.1:8000"
    assert where(tmp_path) == ""
    with told_where(tmp_path, "[::1]:8000"):
        (tmp_path / FILE_NAME).unlink()


def test_where_it_cannot_be_written_the_server_runs_all_the_same(tmp_path):
    with told_where(tmp_path / "none", "127.0.0.1:8000"):
        assert where(tmp_path / "none") == ""


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x" * 1000])
def test_what_is_no_word_is_none(tmp_path, data):
    (tmp_path / FILE_NAME).write_bytes(data)
    assert where(tmp_path) == ""
