"""The console script: it runs the command line, or says what it needs."""

import gc
import sys

import pytest

from triolet import __version__
from triolet_api import __main__


def test_a_bare_install_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(__main__, "find_spec", lambda name: None if name == "click" else name)

    with pytest.raises(SystemExit) as caught:
        __main__.main()

    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert text == "triolet: click not found; install `triolet[server]` to have the command line\n"


@pytest.fixture
def thresholds():
    """What a process is given for good, and this one shall not keep."""
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


def test_the_module_runs_the_same(monkeypatch, capsys, thresholds):
    monkeypatch.setattr(sys, "argv", ["x", "--version"])

    with pytest.raises(SystemExit) as caught:
        __main__.main()

    assert caught.value.code == 0
    assert capsys.readouterr().out == f"triolet {__version__}\n"
    assert gc.get_threshold() > thresholds, "what is loaded is not looked through all the time"
