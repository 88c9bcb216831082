"""Law: imports point down, the core is pure, and what is public has one door.

Style points 1 and 2 after Trio: the root is a map of the building and holds re-exports only,
and each public name is found behind exactly one public door.
"""

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import triolet

ROOT = Path(__file__).parent.parent
ENGINE = ROOT / "engine" / "triolet"
# What a service that embeds the engine must not be made to carry.
SERVER_ONLY = ("click", "hypercorn", "quart", "quart_trio", "rich", "triolet_api")
# Adapters for which an extra of the same name is installed.
ADAPTERS_OF_EXTRAS = ("postgres", "redis")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_contracts_hold() -> None:
    """Those of `pyproject.toml`: the layers, the pure core, the engine without the HTTP layer."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = run(str(linter), "--no-cache")

    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken." in done.stdout


def test_nothing_inside_goes_through_the_front_door() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted(ENGINE.rglob("*.py"))
        if path != ENGINE / "__init__.py"
        for node in imports(path)
        if imports_the_root(node, depth=len(path.relative_to(ENGINE).parts))
    ]

    assert found == []


@cache
def imports(path: Path) -> Sequence[ast.Import | ast.ImportFrom]:
    """Return a module's statements that import, wherever in it; its tree is not kept."""
    found: list[ast.Import | ast.ImportFrom] = []
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.append(node)
            elif isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
                waiting.append(node)
    return found


def imports_the_root(node: ast.AST, *, depth: int) -> bool:
    """Whether a statement, in a module so many folders deep, takes names from the root."""
    match node:
        case ast.Import(names=names):
            return any(name.name == "triolet" for name in names)
        case ast.ImportFrom(module="triolet", level=0):
            return True
        case ast.ImportFrom(module=None, level=level) if level == depth:
            rooms = {path.stem for path in ENGINE.iterdir()}
            return any(name.name not in rooms for name in node.names)
    return False


def test_the_front_door_holds_re_exports_only() -> None:
    tree = ast.parse((ENGINE / "__init__.py").read_text())
    others = [
        ast.unparse(node)
        for node in tree.body[1:]
        if not isinstance(node, ast.ImportFrom)
        and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("__"))
    ]

    assert ast.get_docstring(tree)
    assert others == []
    assert len(exports(triolet)) > 20


def exports(module: ModuleType) -> list[str]:
    """Return what a module hands on: its `__all__`, or its `from … import X as X`."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    assert module.__file__ is not None
    return [
        name.asname
        for node in ast.parse(Path(module.__file__).read_text()).body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.asname is not None and name.asname == name.name
    ]


def public_modules() -> list[ModuleType]:
    names = [
        ".".join(["triolet", *path.relative_to(ENGINE).with_suffix("").parts])
        for path in sorted(ENGINE.rglob("*.py"))
    ]
    doors = [name.removesuffix(".__init__") for name in names]
    return [importlib.import_module(name) for name in doors if "._" not in name]


def test_every_public_name_is_there_and_has_one_door() -> None:
    """A package may hand its own modules' names on; the front door's are behind no other."""
    assert [name for name in exports(triolet) if not hasattr(triolet, name)] == []
    doors: dict[str, list[str]] = {name: ["triolet"] for name in exports(triolet)}
    for module in public_modules():
        if module is not triolet:
            for name in exports(module):
                if getattr(module, name) is getattr(triolet, name, None):
                    doors[name].append(module.__name__)
    # A package gathers what its modules make, one floor below the door: `triolet.client`.
    gathering = {"triolet.client", "triolet.embedded"}

    assert {name: found for name, found in doors.items() if not set(found[1:]) <= gathering} == {}


def test_the_version_is_told_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert triolet.__version__ == project["version"]


# Parts of what is declared, which it cannot be without.
COMES_WITH = {
    "argon2": "argon2-cffi",
    "outcome": "trio",
    "quart": "quart-trio",
    "werkzeug": "quart-trio",
    "wsproto": "trio-websocket",
}

# What `zoneinfo` looks into where the system has nothing.
READ_BY_PYTHON = {"tzdata"}


def test_everything_imported_is_declared() -> None:
    """The engine imports what the bare install brings, the HTTP layer what `[server]` adds.

    An adapter of its own extra imports what that adds. Contract suites import what tests do, and
    commands what `[testing]` adds: who runs them has it.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bare = declared(project["dependencies"])
    extras = {name: declared(all_) for name, all_ in project["optional-dependencies"].items()}
    server, test, testing = extras["server"], extras["test"], extras["testing"]
    suites = ENGINE / "testing"
    adapters = [ENGINE / "adapters" / name for name in ADAPTERS_OF_EXTRAS]
    engine = [
        path
        for path in ENGINE.rglob("*.py")
        if not any(path.is_relative_to(folder) for folder in (suites, *adapters))
    ]

    assert imported(engine) == bare
    for folder in adapters:
        assert imported(folder.rglob("*.py")) - bare == extras[folder.name]
    assert imported((ROOT / "api").rglob("*.py")) - bare == server - READ_BY_PYTHON
    assert imported(suites.rglob("*.py")) <= bare | server | test | testing


def declared(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", one)[0].replace("-", "_") for one in requirements}


def imported(paths: Iterable[Path]) -> set[str]:
    """Return the packages that modules import from elsewhere, by what declares them."""
    found: set[str] = set()
    for path in paths:
        for node in imports(path):
            if isinstance(node, ast.Import):
                found |= {name.name.split(".")[0] for name in node.names}
            elif node.level == 0:
                found.add((node.module or "").split(".")[0])
    others = found - sys.stdlib_module_names - {"triolet", "triolet_api", ""}
    return {COMES_WITH.get(name, name).replace("-", "_") for name in others}


def test_importing_the_engine_brings_no_web_framework() -> None:
    script = "import json, sys, triolet; print(json.dumps(sorted(sys.modules)))"
    done = run(sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr

    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}

    assert loaded.isdisjoint(SERVER_ONLY)
    assert {"trio", "msgspec"} <= loaded
