"""Worlds that once broke a promise, made short, do so no more: one script for each bug."""

from pathlib import Path

import pytest

from triolet.testing.world import play
from triolet.testing.world.script import read

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.json"))


@pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_what_was_mended_stays_mended(path):
    """Each script is named for what was wrong."""
    outcome = play(read(path))

    assert outcome.complaints == []
    assert outcome.judged
