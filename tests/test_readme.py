"""Law: what the README tells can be done as it stands, and its tables are complete."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from click import Parameter

from triolet._model.limits import Limits
from triolet_api.cli import COMMANDS
from triolet_api.settings import _SECTIONS, Settings

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

RUN_SERVER = "python3 -m venv .venv && .venv/bin/pip install '.[server]' && .venv/bin/triolet serve"
PASS_TESTS = (
    "python3 -m venv .venv && .venv/bin/pip install -e '.[server,test]' && "
    ".venv/bin/python -m pytest"
)
# `TRIOLET_…` names the keeping of things among the settings; the others are `TRIOLET_LIMIT_…`.
KEEPING = ("retention_days", "retention_entries", "dedupe_days")


def section(heading: str) -> str:
    parts = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    (found,) = [part for part in parts if part.startswith(heading)]
    return found


def blocks(text: str, language: str = "") -> list[str]:
    """Return the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def first_cells(text: str) -> list[str]:
    """Return what stands in backticks in the first column of a table."""
    return re.findall(r"^\| `([^`]+)`", text, flags=re.MULTILINE)


def test_there_are_two_commands_to_set_it_up() -> None:
    assert blocks(section("Set up")) == [RUN_SERVER + "\n", PASS_TESTS + "\n"]


def test_ci_passes_the_tests_by_the_same_command() -> None:
    assert PASS_TESTS in (ROOT / ".ci" / "run").read_text()
    (workflow,) = (ROOT / ".github" / "workflows").iterdir()
    assert "bash .ci/run" in workflow.read_text()


def test_the_taste_does_what_it_shows(tmp_path: Path) -> None:
    (taste,) = blocks(section("Thirty seconds"), "python")
    command = [sys.executable, "-W", "error", "-c", taste]
    env = os.environ | {"PYTHONPATH": str(ROOT / "engine")}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("anna says The kettle is on.\n", "")


def test_the_job_does_what_it_shows(tmp_path: Path) -> None:
    (job,) = blocks(section("Embedding"), "python")
    command = [sys.executable, "-W", "error", "-c", job]
    env = os.environ | {"PYTHONPATH": str(ROOT / "engine")}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("True\nFalse\nwelcome, anna: attempt 1\n", "")
    for line in done.stdout.splitlines():
        assert f"`{line}`" in section("Embedding")


def test_every_command_is_told() -> None:
    told = first_cells(section("Command line"))

    assert told == [f"triolet {name}" for name in COMMANDS]


def is_shown(one: Parameter) -> bool:
    return one.opts[0].startswith("-") and not getattr(one, "hidden", False)


def test_every_option_is_told() -> None:
    rows = section("Command line").split("\n")
    for name, entry in COMMANDS.items():
        (row,) = [row for row in rows if row.startswith(f"| `triolet {name}`")]
        command = importlib.import_module(entry.module).command
        options = [max(one.opts, key=len) for one in command.params if is_shown(one)]
        assert [option for option in options if f"`{option}`" not in row] == [], name


def test_every_setting_is_told() -> None:
    told = first_cells(section("Settings"))
    names = [name for name in Settings.__struct_fields__ if name not in _SECTIONS]
    sections = [
        f"{prefix}{name}"
        for prefix, kind in _SECTIONS.values()
        if kind is not Limits
        for name in kind.__struct_fields__
    ]
    plain = [f"TRIOLET_{name}" for name in (*names, *KEEPING)]

    assert told == [name.upper() for name in (*plain, "TRIOLET_LIMIT_…", *sections)]


def test_every_dependency_is_told() -> None:
    extras = PROJECT["optional-dependencies"]
    used = ("server", "postgres", "redis", "testing")
    wanted = [*PROJECT["dependencies"], *(one for extra in used for one in extras[extra])]
    names = {re.split(r"[^\w-]", one)[0] for one in wanted}

    assert sorted(first_cells(section("What it stands on"))) == sorted(names)


def test_every_room_is_told() -> None:
    engine = ROOT / "engine" / "triolet"
    found = [path.stem for path in engine.iterdir() if path.suffix in ("", ".py")]
    names = {f"triolet.{name}" for name in found if not name.startswith("__")}

    assert set(first_cells(section("The rooms of the house"))) == names | {"triolet", "triolet_api"}


def test_links_lead_somewhere() -> None:
    for document in (ROOT / "README.md", ROOT / "CHANGELOG.md"):
        targets = re.findall(r"\]\(([^)]+)\)", document.read_text())
        local = [target for target in targets if not target.startswith("https://")]

        assert [target for target in local if not (ROOT / target).exists()] == []
