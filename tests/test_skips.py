"""Law: a test is skipped for a reason that is told, and never for want of what is required."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PATIENCE_S = 120

IN_A_FUNCTION = """
import pytest

def test_tea():
    pytest.skip("tea is missing")
"""

IN_A_NURSERY = """
import pytest
import trio

async def test_tea():
    async with trio.open_nursery():
        async with trio.open_nursery():
            pytest.skip("tea is missing")
"""

IN_A_FIXTURE = """
import pytest
import trio

@pytest.fixture
async def tea():
    async with trio.open_nursery():
        pytest.skip("tea is missing")
        yield

async def test_tea(tea):
    pass
"""

OF_A_FILE = """
import pytest

tea = pytest.importorskip("no_such_package_as_tea", reason="tea is missing")

def test_tea():
    pass
"""

UNREASONED = """
import pytest

def test_tea():
    pytest.skip()
"""

SKIPS = {
    "function": IN_A_FUNCTION,
    "nursery": IN_A_NURSERY,
    "fixture": IN_A_FIXTURE,
    "file": OF_A_FILE,
}


@pytest.fixture
def run(tmp_path):
    """Run files of tests, as these are run here; return whether all is well, and what is told."""
    for file in ("conftest.py", "fast/processless.py"):
        shutil.copy(TESTS / file, tmp_path)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\ntrio_mode = true\nmarkers =\n    fast: see there\n"
    )

    def run_files(files, required=""):
        for name, text in files.items():
            (tmp_path / f"test_{name}.py").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-n", "0", "-rs", "--continue-on-collection-errors"],
            cwd=tmp_path,
            env=os.environ | {"TESTS_REQUIRE": required, "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return done.returncode == 0, done.stdout

    return run_files


def test_each_skip_says_where_and_why(run):
    """Also in a nursery, which raises groups, and where a whole file is left out."""
    well, told = run(SKIPS)

    assert well, told
    for name in SKIPS:
        assert f"SKIPPED [1] test_{name}.py:" in told
    assert told.count(": tea is missing") == len(SKIPS)


def test_what_is_required_is_not_skipped(run):
    well, told = run(SKIPS, "coffee,tea")

    assert not well
    assert told.count("required (TESTS_REQUIRE), yet tea is missing") >= len(SKIPS)
    assert "SKIPPED" not in told


def test_a_skip_without_a_reason_is_a_failure(run):
    well, told = run({"unreasoned": UNREASONED})

    assert not well
    assert "test_unreasoned.py::test_tea: skipped without a reason" in told
