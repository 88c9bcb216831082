"""`python -m triolet.testing chaos`."""

import argparse
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from rich.console import Console

from ..._model.errors import ConfigurationError, TrioletError
from .. import history
from ..checker import Bounds, Verdict, check, counter_example, timeline
from ..progress import bar
from .campaign import Outcome, Wishes, campaign, leaves
from .faults import FAULTS, OF_A_BUS, OF_A_DISK, OF_A_LEASE
from .scene import Violated
from .summary import count, rows, table, wrongs
from .system import Deployed, System, open_served

# Without `--seconds`: a cycle takes two seconds on a quiet machine, five on a busy one.
_CYCLE_S: Final = 10
_SPARE_S: Final = 60
# Nobody reads more counter-examples than this at once; `check` shows more.
_SHOWN_MAX: Final = 3

_EPILOG = """\
A fault strikes, is healed, and everybody must come back; every fifth time several strike at
once. In the end each client reads everything, a fresh one reads each room's log, and the
history of all that was sent, acknowledged and seen is judged.

faults:
{faults}

Ctrl-C begins no more faults: what there is of a history is judged. Again: it stops at once.

exit status: 0 everything holds, 1 it does not, 2 it was asked wrongly.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    said = {name: (strike.__doc__ or "").strip() for name, (_, strike) in FAULTS.items()}
    names = [f"  {name:<14}{purpose}" for name, purpose in said.items()]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG.format(faults="\n".join(names))
    add = parser.add_argument
    add("--cycles", type=_positive, default=24, metavar="N", help="how many faults (24)")
    add(
        "--seconds",
        type=float,
        metavar="S",
        help=f"when to begin no more ({_CYCLE_S} a cycle, and {_SPARE_S}); fewer cycles are told",
    )
    add("--faults", metavar="A,B,…", help="which to draw from (all)")
    add("--clients", type=_several, default=24, metavar="N", help="how many clients (24)")
    add("--workers", type=_positive, default=1, metavar="N", help="in how many processes (1)")
    add(
        "--rate",
        type=float,
        default=200,
        metavar="R",
        help="requests a second that all clients together aim at (200)",
    )
    add("--seed", type=int, default=1, metavar="N", help="of all choices (1)")
    add("--tempo", type=float, default=1, metavar="X", help="faults last X times as long (1)")
    add(
        "--patience",
        type=float,
        default=120,
        metavar="S",
        help="how long it may take after a fault until all is well (120)",
    )
    add("--history", type=Path, metavar="FILE", help="write the history there")
    add("--data", type=Path, metavar="DIR", help="the server's folder; kept (a temporary one)")
    add("--server", metavar="COMMAND", help="what runs `serve` (this Python's triolet)")
    add("--nodes", type=_positive, metavar="N", help="so many nodes over PostgreSQL (SQLite, one)")
    add(
        "--redis",
        type=_several_or_none,
        default=1,
        metavar="N",
        help="with --nodes: so many Redis servers join them (1); 0: PostgreSQL does",
    )
    add("--url", metavar="URL", help="judge a deployment instead, by faults of the network")
    add("--secret-file", type=Path, metavar="FILE", help="with --url: what signs its tokens")
    add("--token-command", metavar="COMMAND", help="with --url: prints a token for {user}")
    add("--grace", type=float, default=10, metavar="S", help="with --url: its grace_s (10)")


def _positive(text: str) -> int:
    return _at_least(text, 1)


def _several_or_none(text: str) -> int:
    return _at_least(text, 0)


def _several(text: str) -> int:
    return _at_least(text, 2)


def _at_least(text: str, least: int) -> int:
    if int(text) < least:
        raise argparse.ArgumentTypeError(f"{text} is less than {least}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Let faults strike, judge, and tell."""
    folder = options.data or Path(tempfile.mkdtemp(prefix="triolet-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    status = 1
    try:
        status = _run(options, folder)
    except* TrioletError as group:
        errors = list(leaves(group))
        sys.stderr.writelines(f"{error}\n" for error in errors)
        is_misuse = all(isinstance(error, ConfigurationError) for error in errors)
        status = 2 if is_misuse else 1
    if options.data is None and status == 0:
        shutil.rmtree(folder)
    return status


def _run(options: argparse.Namespace, folder: Path) -> int:
    wishes = _wishes(options, folder)
    outcome = trio.run(_strike, options, wishes)
    kept = options.history or folder / "history.jsonl"
    # A run that has not come to its clients has no history of theirs.
    parts = [part for part in outcome.histories if part.exists()]
    with history.Writer(kept) as writer:
        for event in history.merge(map(_events, parts)):
            writer.write(event)
    for part in parts:
        part.unlink()
    verdict = check(_events(kept), outcome.bounds)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table(rows(count(_events(kept)), outcome)))
    judged = f"{sum(verdict.judged.values())} times by {len(verdict.judged)} rules"
    if verdict.holds and not outcome.violations:
        console.print(f"0 acknowledged lost, 0 repeated, 0 out of order: judged {judged}")
        return 0
    console.print(wrongs(verdict))
    for violation in outcome.violations:
        console.print(f"violated: {violation}", markup=False)
    _show(console, verdict, kept, outcome.bounds)
    console.print(f"history: {kept}\ndata: {folder}")
    return 1


def _events(path: Path) -> Iterator[history.Event]:
    with path.open("rb") as lines:
        yield from history.read(lines)


def _show(console: Console, verdict: Verdict, kept: Path, bounds: Bounds) -> None:
    """Show how often each promise was broken, and the shortest examples."""
    for rule, times in verdict.found.items():
        console.print(f"violated: {rule.promise.value}: {rule.value}, {times} times", markup=False)
    if verdict.holds:
        return
    events = list(_events(kept))
    firsts = {violation.rule: violation for violation in reversed(verdict.violations)}
    for violation in list(firsts.values())[:_SHOWN_MAX]:
        few = timeline(counter_example(events, violation, bounds))
        console.print(f"\n{violation}\n\n{few}", markup=False)


def _wishes(options: argparse.Namespace, folder: Path) -> Wishes:
    possible = _possible(options)
    faults = options.faults.split(",") if options.faults else possible
    for name in faults:
        if name not in possible:
            raise ConfigurationError(f"--faults: {name!r} is none of {', '.join(possible)}")
    seconds = options.seconds
    return Wishes(
        faults=tuple(faults),
        cycles=options.cycles,
        seconds=_CYCLE_S * options.cycles + _SPARE_S if seconds is None else seconds,
        clients=options.clients,
        workers=min(options.workers, options.clients),
        rate=options.rate,
        seed=options.seed,
        folder=folder,
        tempo=options.tempo,
        patience_s=options.patience,
    )


def _possible(options: argparse.Namespace) -> list[str]:
    """Return the faults that what is asked for can be struck by."""
    places = ["clients"]
    if not options.url or options.url.startswith(("ws:", "http:")):
        places.append("network")
    if not options.url:
        places.append("process")
    without: tuple[str, ...] = OF_A_DISK if options.nodes else OF_A_LEASE
    if options.nodes:
        places += ["store", "between"]
        if options.redis:
            places.append("bus")
        else:
            without += OF_A_BUS
    return [name for name, (place, _) in FAULTS.items() if place in places and name not in without]


async def _strike(options: argparse.Namespace, wishes: Wishes) -> Outcome:
    """Have the campaign, until its end or until somebody has seen enough."""
    enough, outcomes = trio.Event(), list[Outcome]()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_heed, signals, enough, nursery.cancel_scope)
            outcomes.append(await _campaign(options, wishes, enough.is_set))
            nursery.cancel_scope.cancel()
    if not outcomes:
        raise Violated("stopped before anything could be judged")
    (outcome,) = outcomes
    is_short = outcome.cycles < wishes.cycles and not enough.is_set()
    if options.seconds is None and is_short and not outcome.violations:
        outcome.violations.append(f"{outcome.cycles} of {wishes.cycles} cycles: it is too slow")
    return outcome


async def _heed(signals: AsyncIterator[int], enough: trio.Event, scope: trio.CancelScope) -> None:
    """Begin no more faults once told to stop; told again, stop at once."""
    await anext(signals)
    enough.set()
    sys.stderr.write("no more faults; all is healed and judged. Again: stop at once\n")
    await anext(signals)
    scope.cancel()


async def _campaign(
    options: argparse.Namespace, wishes: Wishes, is_enough: Callable[[], bool]
) -> Outcome:
    async with _system(options, wishes.folder) as system:
        with bar("faults", wishes.cycles) as told:
            outcome = await campaign(system, wishes, told.advance, is_enough)
        for name, process in system.processes.items():
            status = await process.stop()
            if status != 0:
                outcome.violations.append(f"{name} was told to go, and ended with {status}")
            if "Traceback" in process.complaints():
                outcome.violations.append(f"{name} has shown a traceback: {process.last_words()}")
    return outcome


@asynccontextmanager
async def _system(options: argparse.Namespace, folder: Path) -> AsyncIterator[System]:
    if options.url and options.nodes:
        raise ConfigurationError("--nodes: not with --url, whose nodes are not ours")
    if options.nodes:
        # Who needs no PostgreSQL needs no driver of it either.
        from .cluster import open_cluster  # noqa: PLC0415

        command = shlex.split(options.server or "")
        async with open_cluster(
            folder, options.nodes, redis=options.redis, command=command
        ) as cluster:
            yield cluster
        return
    if not options.url:
        async with open_served(folder, command=shlex.split(options.server or "")) as served:
            yield served
        return
    secret = b""
    if options.secret_file:
        secret = options.secret_file.read_bytes().rstrip(b"\r\n")
    yield Deployed(
        options.url,
        secret=secret,
        token_command=options.token_command or "",
        grace_s=options.grace,
    )
