"""Law: every example in a docstring runs, and says what it says."""

import doctest
import importlib
import io
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = [
    ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
    for source in (ROOT / "engine", ROOT / "api")
    for path in sorted(source.rglob("*.py"))
    if ">>>" in path.read_text()
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name: str) -> None:
    told = io.StringIO()
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(importlib.import_module(name)):
        runner.run(example, out=told.write)

    assert runner.summarize(verbose=False).failed == 0, told.getvalue()
    assert runner.tries > 0
