"""Which files of tests start no process: read off what they say, before any of them is loaded.

A file starts processes if it names what does (`subprocess`, `open_process`, …), if it imports a
module that does, or if it asks for a fixture that does. Modules of tests, of `triolet.testing`
and of `bench` count with all that they import in turn. Others are what is tested, and most of the
server is tested without one: they count with what they say themselves. What reading does not
find, `Guard` does, and says what to write.
"""

import ast
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = ROOT / "tests"
# What starts a process, in Python and in Trio, by whichever module it is asked for; and the mark
# of a file that has others do it.
_STARTERS: Final = (
    "subprocess",
    "multiprocessing",
    "Popen",
    "open_process",
    "run_process",
    "pytest.mark.processes",
)
# A module, and what is wanted of it. All syntax trees would take 20 s to read, and this one.
_imports = re.compile(
    r"^[ \t]*(?:from[ ]+(\S+)[ ]+)?import[ ]+(\([^)]*\)|[^\n#]+)", re.MULTILINE
).findall
_words = re.compile(r"\w+").findall
# What Python says of itself when one is started.
_EVENTS: Final = frozenset(
    {
        "subprocess.Popen",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.system",
    }
)


@cache
def starts_processes(path: Path) -> bool:
    """Whether tests of a file start processes, as far as can be read."""
    asked = set(_words(_text(path)))
    return _reaches(path) or bool(asked & _starting(path.with_name("conftest.py")))


def _starts(text: str) -> bool:
    return any(word in text for word in _STARTERS)


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _reaches(path: Path) -> bool:
    """Whether a file names what starts a process, or what it imports does."""
    seen, left = set[Path](), [path]
    while left:
        one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        if _starts(_text(one)):
            return True
        if one == path or _is_of_tests(one):
            left += _imported(one).values()
    return False


@cache
def _is_of_tests(path: Path) -> bool:
    of_tests = (TESTS, ROOT / "engine/triolet/testing", ROOT / "bench")
    return any(path.is_relative_to(folder) for folder in of_tests)


@cache
def _imported(path: Path) -> dict[str, Path]:
    """Return the project's modules that a file imports, by the names that it has them by."""
    found = dict[str, Path]()
    for module, wanted in _imports(_text(path)):
        whole = _whole(path, module)
        for one in wanted.strip("()\n ").split(","):
            name, _, alias = one.strip().partition(" as ")
            for known in (f"{whole}.{name}".lstrip("."), whole):
                if known in _modules():
                    found.setdefault(alias or name, _modules()[known])
    return found


def _whole(path: Path, module: str) -> str:
    """Return a module's whole name, which may be relative to the file that imports it."""
    level = len(module) - len(module.lstrip("."))
    if not level:
        return module
    above = path.relative_to(ROOT / "engine" if "engine" in path.parts else ROOT).parts[:-level]
    return ".".join([*above, *filter(None, [module[level:]])])


@cache
def _modules() -> dict[str, Path]:
    """Return the project's modules by their names."""
    found = {file.stem: file for file in TESTS.rglob("*.py")}
    for root, folder in (("engine", "triolet"), ("api", "triolet_api"), ("", "bench")):
        for file in (ROOT / root / folder).rglob("*.py"):
            name = file.relative_to(ROOT / root).with_suffix("").parts
            found[".".join(name).removesuffix(".__init__")] = file
    return found


@cache
def _starting(conftest: Path) -> frozenset[str]:
    """Return the fixtures of a `conftest.py`, and of those above it, that start processes."""
    above = conftest.parents[1] / conftest.name
    inherited = _starting(above) if above.is_relative_to(TESTS) else frozenset[str]()
    if not conftest.exists():
        return inherited
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    body = [one for one in ast.parse(_text(conftest)).body if isinstance(one, kinds)]
    said = {one.name: set(_words(ast.unparse(one))) for one in body}
    starting = {name for name, module in _imported(conftest).items() if _reaches(module)}
    starting |= inherited | {one.name for one in body if _starts(ast.unparse(one))}
    while more := {name for name in said.keys() - starting if starting & said[name]}:
        starting |= more
    fixtures = {name for one in body if one.name in starting for name in _fixture(one)}
    return inherited | fixtures


def _fixture(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[str]:
    """Yield what a fixture is asked for by, which may be another name than its own."""
    for decorator in function.decorator_list:
        if ast.unparse(decorator).startswith("pytest.fixture"):
            keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
            told = [ast.literal_eval(one.value) for one in keywords if one.arg == "name"]
            yield told[0] if told else function.name


class Guard:
    """Lets no process be started while a test runs that is said to start none."""

    def __init__(self) -> None:
        self._test = ""
        # It cannot be taken away again.
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if self._test and event in _EVENTS:
            # No `Exception`, which what is tested may take for the system's.
            pytest.fail(
                f"{self._test} starts a process ({event}: {args[:1]}): write "
                "`pytestmark = pytest.mark.processes` at the head of its file"
            )

    @contextmanager
    def forbids(self, test: str) -> Iterator[None]:
        """Let a test start none for as long as the block lasts."""
        self._test = test
        try:
            yield
        finally:
            self._test = ""
