"""Law: what `engine/PROOF.md` and the README name as proofs is there."""

import re
from pathlib import Path

from triolet.testing.__main__ import COMMANDS

ROOT = Path(__file__).parent.parent
PROOF = (ROOT / "engine/PROOF.md").read_text()
README = (ROOT / "README.md").read_text()


def test_every_test_it_names_is_there() -> None:
    """A name that ends in `…` is the beginning of one; one without a folder is another's."""
    named = re.findall(r"`((?:tests/[\w/]*)?test_\w+(?:\.py|…)|tests/[\w/]+)`", PROOF)
    assert len(named) > 15
    missing = [name for name in named if not list(ROOT.glob(pattern(name)))]
    assert missing == []


def pattern(name: str) -> str:
    name = name.replace("…", "*")
    return name if name.startswith("tests/") else f"tests/**/{name}"


def test_both_name_every_command() -> None:
    proof = section("Proof")
    assert [f"`{command}" in proof for command in COMMANDS] == [True] * len(COMMANDS)
    assert [command for command in COMMANDS if f"`{command}" not in PROOF] == []


def section(heading: str) -> str:
    parts = re.split(r"^## ", README, flags=re.MULTILINE)
    (found,) = [part for part in parts if part.startswith(heading)]
    return found


def test_ci_runs_the_bounded_ones() -> None:
    """What CI requires is a command with numbers; the others are in the tests."""
    ci = (ROOT / ".ci/run").read_text()
    for command in ("world --seeds 500", "chaos", "fuzz --seconds", "faults"):
        assert f"-m triolet.testing {command}" in ci
