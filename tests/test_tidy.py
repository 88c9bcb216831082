"""Law: the house is tidy. Style that a linter does not know is a test here.

After TigerBeetle's `tidy`: whoever breaks a habit hears of it, with all places at once.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted([*ROOT.glob("engine/triolet/**/*.py"), *ROOT.glob("api/triolet_api/**/*.py")])
PURE = ("_model", "_wire", "_domain")

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50

PRINTING = ("print", "breakpoint")

# Names that say nothing of what a module holds.
BANNED_NAMES = ("common", "helper", "helpers", "manager", "managers", "misc", "util", "utils")
# Put together here, so that this file does not find itself.
MARKS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
MACHINE_PATHS = re.compile(r"(?<![\w.:/}$~-])/(build|home|mnt|opt|root|srv|tmp|Users|work)/\w")
REGISTRY_HOSTS = re.compile(r"\b(pypi|pythonhosted|npmjs|deb\.debian)\.(com|org)\b")

# What is a test itself: the stores' tests run it.
SUITES = "engine/triolet/testing/contracts/"
# Modules whose laws another test states: where, and why there.
TESTED_ELSEWHERE: dict[str, tuple[str, str]] = {
    "api/triolet_api/auth/administering.py": (
        "tests/api/auth/test_administration.py",
        "what the endpoints do, and the command in tests/api/auth/test_desk.py",
    ),
    "api/triolet_api/auth/attempts.py": (
        "tests/api/auth/test_sign_in.py",
        "a promise: who tries is told of, before and after",
    ),
    "api/triolet_api/auth/revoking.py": (
        "tests/api/auth/test_desk.py",
        "what is ended where no engine runs is found in the store there",
    ),
    "api/triolet_api/admin/settings.py": (
        "tests/api/test_settings.py",
        "values; how they are read and refused is shown there for all",
    ),
    "api/triolet_api/auth/settings.py": (
        "tests/api/test_settings.py",
        "values; how they are read and refused is shown there for all",
    ),
    "api/triolet_api/notifications/settings.py": (
        "tests/api/test_settings.py",
        "values; how they are read and refused is shown there for all",
    ),
    "api/triolet_api/pages/settings.py": (
        "tests/api/test_settings.py",
        "values; how they are read and refused is shown there for all",
    ),
    "engine/triolet/adapters/_drafts.py": (
        "tests/adapters/test_memory.py",
        "what the stores share; the contract suite shows it in each of them",
    ),
    "engine/triolet/adapters/_digests.py": (
        "tests/adapters/test_sqlite_cids.py",
        "a hash; that it finds what was kept by it is shown there",
    ),
    "engine/triolet/adapters/_documents.py": (
        "tests/adapters/test_memory.py",
        "what the stores share; the contract suite shows it in each of them",
    ),
    "engine/triolet/adapters/_job_rows.py": (
        "tests/adapters/test_sqlite_jobs.py",
        "what is kept comes back; the contract suite shows it in each of the stores",
    ),
    "engine/triolet/adapters/_transfers.py": (
        "tests/adapters/test_memory.py",
        "what sources and targets share; the contract suite shows it in each of them",
    ),
    "engine/triolet/adapters/postgres/exporting.py": (
        "tests/adapters/postgres/test_transfer.py",
        "the contract of sources, on a real server",
    ),
    "engine/triolet/adapters/postgres/foreign.py": (
        "tests/adapters/postgres/test_transfer.py",
        "cids from elsewhere, in a store that was moved there",
    ),
    "engine/triolet/adapters/postgres/identity.py": (
        "tests/adapters/postgres/test_transfer.py",
        "who may open what, in the contract of transfers",
    ),
    "engine/triolet/adapters/postgres/importing.py": (
        "tests/adapters/postgres/test_transfer.py",
        "the contract of targets, on a real server",
    ),
    "engine/triolet/adapters/postgres/restoring.py": (
        "tests/adapters/postgres/test_transfer.py",
        "what a target takes, as its reads show it",
    ),
    "engine/triolet/_runtime/asker.py": (
        "tests/runtime/test_asking.py",
        "what a session and who has none have in common",
    ),
    "engine/triolet/_runtime/sink.py": (
        "tests/runtime/test_sequencer.py",
        "a protocol; what it is told, and when, is seen where the sequencer tells it",
    ),
    "engine/triolet/_runtime/applied.py": (
        "tests/runtime/test_engine.py",
        "the engine's part of each commit, which feeds and other nodes see",
    ),
    "engine/triolet/_runtime/job_endings.py": (
        "tests/runtime/test_job_worker.py",
        "what a worker says of a job is seen when it is written",
    ),
    "engine/triolet/_runtime/job_held.py": (
        "tests/runtime/test_job_leases.py",
        "what a lease may cancel is seen when it ends",
    ),
    "api/triolet_api/notifications/planning.py": (
        "tests/api/notifications/test_sending.py",
        "whom it rings for is seen by who is told",
    ),
    "api/triolet_api/notifications/people.py": (
        "tests/api/notifications/test_sending.py",
        "what is known of users decides who is told",
    ),
    "api/triolet_api/notifications/reading.py": (
        "tests/api/notifications/test_sending.py",
        "what is unread is what is told",
    ),
    "api/triolet_api/notifications/rings.py": (
        "tests/api/notifications/test_sending.py",
        "payloads and keys of jobs, each of which is done there",
    ),
    "api/triolet_api/notifications/notifying.py": (
        "tests/api/notifications/test_sending.py",
        "the parts together, as each of those tests has them",
    ),
    "engine/triolet/_runtime/gaps.py": (
        "tests/runtime/test_hub.py",
        "a part of the hub, which is what everybody else sees",
    ),
    "engine/triolet/_runtime/heads.py": (
        "tests/runtime/test_hub.py",
        "a part of the hub, which is what everybody else sees",
    ),
    "engine/triolet/_runtime/loading.py": (
        "tests/runtime/test_hub.py",
        "a part of the hub, which is what everybody else sees",
    ),
    "engine/triolet/_runtime/lease.py": (
        "tests/runtime/test_elsewhere.py",
        "a lease is seen by what other nodes see of its node's users",
    ),
    "engine/triolet/_runtime/looking.py": (
        "tests/runtime/test_asking.py",
        "what is looked at without a session",
    ),
    "engine/triolet/_runtime/watchers.py": (
        "tests/runtime/test_presence.py",
        "the watching part of presence",
    ),
    "engine/triolet/_model/observation.py": (
        "tests/domain/test_observing.py",
        "values; what is made of them is shown there",
    ),
    "engine/triolet/_wire/questions.py": (
        "tests/wire/test_peers.py",
        "values, which come back from the wire with what carries them",
    ),
    "engine/triolet/_runtime/connection.py": (
        "tests/runtime/test_session.py",
        "what a session needs of what carries it",
    ),
    "engine/triolet/_runtime/observer.py": (
        "tests/runtime/test_oversight.py",
        "what a node says of itself is seen by who observes",
    ),
    "engine/triolet/_runtime/process.py": (
        "tests/runtime/test_oversight.py",
        "two numbers of the system's, which are observed",
    ),
    "engine/triolet/_runtime/ops/overseeing.py": (
        "tests/runtime/test_dashboard.py",
        "the door to the dashboard",
    ),
    "engine/triolet/_runtime/doorbells.py": (
        "tests/runtime/test_nodes_entries.py",
        "what is rung of rooms is seen on several nodes",
    ),
    "engine/triolet/_runtime/entrance.py": (
        "tests/runtime/test_bans.py",
        "what it puts together has laws of its own",
    ),
    "engine/triolet/_runtime/failing.py": (
        "tests/runtime/test_engine.py",
        "which error leaves the engine's block is the engine's promise",
    ),
    "engine/triolet/_runtime/following.py": (
        "tests/runtime/test_nodes.py",
        "a part of the node among others",
    ),
    "engine/triolet/_runtime/relay.py": (
        "tests/runtime/test_nodes_live.py",
        "what is not durable is seen on several nodes",
    ),
    "engine/triolet/_runtime/revocations.py": (
        "tests/runtime/test_nodes_rights.py",
        "revoking is seen on several nodes",
    ),
    "engine/triolet/_runtime/seat.py": (
        "tests/runtime/test_room.py",
        "a seat is nothing without its room",
    ),
    "engine/triolet/_runtime/statistics.py": (
        "tests/runtime/test_engine.py",
        "values; the engine fills them in",
    ),
    "engine/triolet/client/_answers.py": (
        "tests/client/test_client_live.py",
        "what an answer does is seen over a connection",
    ),
    "engine/triolet/client/_desk.py": (
        "tests/client/test_client_session.py",
        "the session's memory",
    ),
    "engine/triolet/client/_driver.py": (
        "tests/client/test_client_lifetime.py",
        "the client's tasks, which live as long as it does",
    ),
    "engine/triolet/client/_effects.py": (
        "tests/client/test_client_session.py",
        "values: what the session says remains to be done",
    ),
    "engine/triolet/client/_token.py": (
        "tests/client/test_client_closes.py",
        "which token is asked for is a matter of closes",
    ),
    "engine/triolet/client/_http.py": (
        "tests/client/test_client_events_link.py",
        "the bytes below the link",
    ),
    "engine/triolet/client/client.py": (
        "tests/client/test_client_lifetime.py",
        "what owns all the rest",
    ),
    "engine/triolet/client/limits.py": (
        "tests/client/test_client_queue.py",
        "numbers, each met where it bounds",
    ),
    "engine/triolet/client/state.py": (
        "tests/client/test_client_session.py",
        "a table, of which the session is the only reader",
    ),
    "engine/triolet/ports/bus.py": (
        "tests/adapters/test_memory_bus.py",
        "a promise, proved of each bus by the contract suite",
    ),
    "engine/triolet/ports/clock.py": (
        "tests/adapters/test_system.py",
        "two promises, kept by the system's clock and chance",
    ),
    "engine/triolet/ports/gate.py": (
        "tests/adapters/test_tokens.py",
        "a promise, kept by the token gate",
    ),
    "engine/triolet/ports/documents.py": (
        "tests/adapters/test_memory.py",
        "a promise, proved of each store by the contract suite",
    ),
    "engine/triolet/ports/jobs.py": (
        "tests/adapters/test_memory_jobs.py",
        "a promise, proved of each store by the contract suite",
    ),
    "engine/triolet/ports/limiter.py": (
        "tests/adapters/test_memory_limiter.py",
        "a promise, proved of each limiter by the contract suite",
    ),
    "engine/triolet/ports/people.py": (
        "tests/adapters/test_memory.py",
        "a promise, proved of each store by the contract suite",
    ),
    "engine/triolet/ports/notifier.py": (
        "tests/runtime/test_sequencer.py",
        "a promise, kept by the sequencer",
    ),
    "engine/triolet/ports/store.py": (
        "tests/adapters/test_memory.py",
        "a promise, proved of each store by the contract suite",
    ),
    "engine/triolet/ports/transfer.py": (
        "tests/adapters/test_memory.py",
        "a promise, proved of each store by the contract suite",
    ),
    "engine/triolet/testing/chaos/crowd.py": (
        "tests/testing/chaos/test_campaign.py",
        "processes of clients, which a run has",
    ),
    "engine/triolet/testing/chaos/faults.py": (
        "tests/testing/chaos/test_command.py",
        "each strikes a real server there",
    ),
    "engine/triolet/testing/chaos/person.py": (
        "tests/testing/chaos/test_command.py",
        "what a client does is seen in the history of a run",
    ),
    "engine/triolet/testing/chaos/outages.py": (
        "tests/testing/chaos/test_cluster.py",
        "each strikes a real deployment there, and is judged",
    ),
    "engine/triolet/testing/chaos/rooms.py": (
        "tests/testing/chaos/test_campaign.py",
        "made before each run, and read after it",
    ),
    "engine/triolet/testing/chaos/scene.py": (
        "tests/testing/chaos/test_cluster.py",
        "what every fault there reaches, and notes itself by",
    ),
    "engine/triolet/testing/chaos/system.py": (
        "tests/testing/chaos/test_campaign.py",
        "what a run is about",
    ),
    "engine/triolet/testing/chaos/worker.py": (
        "tests/testing/chaos/test_campaign.py",
        "the process of the clients, which a run has",
    ),
    "api/triolet_api/guard/challenge.py": (
        "tests/api/guard/test_opening.py",
        "what is set, as a page asks for it",
    ),
}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


class Shape(NamedTuple):
    """What is asked of a module's tree, which itself is not kept.

    The trees of all modules are a million objects, which the garbage collector would walk again
    and again for the tests that come after these.
    """

    is_described: bool
    has_code: bool
    functions: Sequence[tuple[int, str, int]]  # line, name, lines of the body
    prints: Sequence[int]


@cache
def shape(path: Path) -> Shape:
    source = path.read_text()
    tree = ast.parse(source, filename=named(path))
    functions = [
        (node.lineno, node.name, body_lines(node))
        for node in statements(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    # Few modules have the words, in their docstrings; every expression is looked at in those only.
    has_words = any(word in source for word in PRINTING)
    prints = [
        node.lineno
        for node in (ast.walk(tree) if has_words else ())
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in PRINTING
    ]
    return Shape(bool(ast.get_docstring(tree)), has_code(tree), functions, prints)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is below a node, but for expressions: no function is defined in one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield child
            yield from statements(child)


def texts() -> Iterator[tuple[str, str]]:
    """Yield `(name, text)` of every file that belongs to the project, with or without git."""
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]

    def belongs(path: Path) -> bool:
        names = (path.name, named(path))
        return path.name != ".git" and not any(fnmatch(n, p) for n in names for p in ignored)

    folders = [ROOT]
    while folders:
        for path in sorted(filter(belongs, folders.pop().iterdir())):
            if path.is_dir():
                folders.append(path)
            else:
                yield named(path), path.read_text(errors="replace")


# --- shapes --------------------------------------------------------------------------------


def test_files_are_short() -> None:
    lines = {named(path): len(path.read_text().splitlines()) for path in MODULES}

    assert {name: count for name, count in lines.items() if count > FILE_LINES_MAX} == {}


def test_functions_are_short() -> None:
    long = {
        f"{named(path)}:{line} {name}": count
        for path in MODULES
        for line, name, count in shape(path).functions
        if count > FUNCTION_LINES_MAX
    }

    assert long == {}


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_modules_begin_with_what_they_are_for() -> None:
    assert [named(path) for path in MODULES if not shape(path).is_described] == []


def test_the_engine_prints_nothing() -> None:
    calls = [
        f"{named(path)}:{line}"
        for path in MODULES
        if named(path).startswith("engine/")
        for line in shape(path).prints
    ]

    assert calls == []


# --- names and words -----------------------------------------------------------------------


def test_names_say_what_a_module_holds() -> None:
    words = {name: re.split(r"[_.]", Path(name).name.lower()) for name, _ in texts()}

    assert [name for name in words if not set(BANNED_NAMES).isdisjoint(words[name])] == []


def line_of(text: str, hit: re.Match[str]) -> int:
    return text.count("\n", 0, hit.start()) + 1


@pytest.mark.parametrize("pattern", [MARKS, MACHINE_PATHS, REGISTRY_HOSTS], ids=lambda p: p.pattern)
def test_no_unfinished_marks_machine_paths_or_registry_hosts(pattern: re.Pattern[str]) -> None:
    found = [
        f"{name}:{line_of(text, hit)}: {hit[0]}"
        for name, text in texts()
        if name != named(Path(__file__))
        for hit in pattern.finditer(text)
    ]

    assert found == []


def test_the_top_level_holds_the_rooms_and_nothing_else() -> None:
    rooms = {"api", "bench", "engine", "examples", "tests"}
    files = {"CHANGELOG.md", "LICENSE", "Makefile", "README.md", "noxfile.py", "pyproject.toml"}
    top = {Path(name).parts[0] for name, _ in texts()}

    assert sorted(name for name in top - rooms - files if not name.startswith(".")) == []


def test_every_ignore_of_a_rule_says_why() -> None:
    section, bare = "", []
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section.startswith("[tool.ruff.lint") and re.search(r'"[A-Z]+[0-9]*"', line):
            is_choice = line.startswith("select")
            if "#" not in line and not is_choice:
                bare.append(line.strip())

    assert bare == []


def test_every_exception_to_a_rule_names_the_rule() -> None:
    bare = [
        f"{named(path)}: {found}"
        for path in MODULES
        for found in re.findall(r"#\s*(?:noqa(?!:)|type:\s*ignore(?!\[)).*", path.read_text())
    ]

    assert bare == []


# --- reproducible --------------------------------------------------------------------------

SET_METHODS = ("copy", "difference", "intersection", "symmetric_difference", "union")
# `sorted`, `len`, `min`, `max`, `sum`, `any`, `all` and `in` do not show the order.
ITERATING = (
    "dict",
    "enumerate",
    "filter",
    "iter",
    "list",
    "map",
    "next",
    "reversed",
    "tuple",
    "zip",
)


class SetIterations(ast.NodeVisitor):
    """Finds iteration over what is plainly a set: two processes see two orders."""

    def __init__(self) -> None:
        self._scopes: list[dict[str, bool]] = [{}]
        self.found: list[int] = []

    def is_set(self, node: ast.expr | None) -> bool:
        match node:
            case ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set" | "frozenset")):
                return True
            case ast.Call(func=ast.Attribute(value=value, attr=attr)):
                return attr in SET_METHODS and self.is_set(value)
            case ast.BinOp(left=left, right=right):
                return self.is_set(left) or self.is_set(right)
            case ast.Name(id=name):
                return any(scope.get(name, False) for scope in reversed(self._scopes))
        return False

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        arguments = (*node.args.args, *node.args.kwonlyargs)
        self._scopes.append({one.arg: is_set_type(one.annotation) for one in arguments})
        self.generic_visit(node)
        self._scopes.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - the visitor's name

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._scopes[-1][target.id] = self.is_set(node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if isinstance(node.target, ast.Name):
            found = self.is_set(node.value) or is_set_type(node.annotation)
            self._scopes[-1][node.target.id] = found
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._iterated(node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._iterated(node.iter)
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        self._iterated(node.value)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        match node.func:
            case ast.Name(id=name) if name in ITERATING:
                self._iterated(*node.args)
            case ast.Attribute(attr="join" | "extend" | "fromkeys"):
                self._iterated(*node.args)
            case ast.Attribute(attr="pop", value=value) if not node.args:
                self._iterated(value)
        self.generic_visit(node)

    def _iterated(self, *found: ast.expr) -> None:
        self.found += [node.lineno for node in found if self.is_set(node)]


def is_set_type(kind: ast.expr | None) -> bool:
    names = [node.id for node in ast.walk(kind) if isinstance(node, ast.Name)] if kind else []
    return not {"AbstractSet", "frozenset", "set"}.isdisjoint(names)


def set_iterations(source: str) -> list[int]:
    visitor = SetIterations()
    visitor.visit(ast.parse(source))
    return visitor.found


def test_the_core_iterates_no_set() -> None:
    core = [path for path in MODULES if path.relative_to(ROOT).parts[2] in PURE]
    found = {named(path): set_iterations(path.read_text()) for path in core}

    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("for x in {1, 2}: ...", 1),
        ("a = set()\nlist(a)", 1),
        ("a: set[int] = f()\n[x for x in a]", 1),
        ("def f(a: frozenset[str]): return ','.join(a)", 1),
        ("a = {1} | b\n(*a,)", 1),
        ("a = {1}\na.pop()", 1),
        ("a = {1: 2}\nfor x in a: ...", 0),
        ("a = {1}\nsorted(a); 1 in a; len(a)", 0),
        ("def f():\n a = set()\ndef g(a):\n return list(a)", 0),
    ],
)
def test_iterations_of_sets_are_found(source: str, count: int) -> None:
    assert len(set_iterations(source)) == count


# --- tests mirror modules ------------------------------------------------------------------


def has_code(tree: ast.Module) -> bool:
    """Whether a module does more than say what it is for and hand on names."""
    return any(
        not isinstance(node, ast.Import | ast.ImportFrom)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "")[:2] == "__")
        for node in tree.body
    )


def mirrors(path: Path) -> list[Path]:
    """Return where a module's tests may be: a file of its own, or its small package's."""
    source, _, *inside = path.relative_to(ROOT).with_suffix("").parts
    *rooms, name = [part.strip("_") for part in inside]
    if source == "api":
        rooms.insert(0, "api")
    if name == "init":
        *rooms, name = rooms
    package = (ROOT / "tests").joinpath(*rooms)
    found = [package / f"test_{name}.py"]
    if rooms:
        found.append(package / f"test_{rooms[-1]}_{name}.py")
    if len(rooms) > 1:
        found.append(package.with_name(f"test_{rooms[-1]}.py"))
    return found


def test_every_module_has_its_tests() -> None:
    bare = {
        named(path): [named(mirror) for mirror in mirrors(path)]
        for path in MODULES
        if shape(path).has_code
        and not named(path).startswith(SUITES)
        and named(path) not in TESTED_ELSEWHERE
        and not any(mirror.is_file() for mirror in mirrors(path))
    }

    assert bare == {}


def test_the_table_of_other_tests_is_true() -> None:
    """What it names is there, gives a reason, and has no tests of its own after all."""
    wrong = [
        name
        for name, (where, why) in TESTED_ELSEWHERE.items()
        if not (ROOT / name).is_file()
        or not (ROOT / where).is_file()
        or not why
        or any(mirror.is_file() for mirror in mirrors(ROOT / name))
    ]

    assert wrong == []
