"""The console script: it runs the command line, or says what it needs."""

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


def test_the_module_runs_the_same(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", "--version"])

    with pytest.raises(SystemExit) as caught:
        __main__.main()

    assert caught.value.code == 0
    assert capsys.readouterr().out == f"triolet {__version__}\n"
