"""`python -m triolet.testing world`: seeds of a simulated world, each judged."""

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from ..history import Writer
from ..progress import bar
from .run import Outcome, play
from .scenario import Plan, draw
from .script import Script, ScriptError, read, write
from .seeds import Verdict, judge_all
from .shrinking import kind_of, shrink
from .verbs import VERBS


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--seeds", type=int, default=500, metavar="N", help="how many (500)")
    parser.add_argument(
        "--from", dest="first", type=int, default=0, metavar="S", help="the first one (0)"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="this one alone")
    parser.add_argument("--script", type=Path, metavar="FILE", help="a script instead of a seed")
    parser.add_argument("--history", type=Path, metavar="FILE", help="keep the history of one run")
    parser.add_argument(
        "--shrink", type=Path, metavar="FILE", help="if it fails, leave the shortest script there"
    )
    parser.add_argument("--nodes", type=int, default=0, metavar="N", help="engines (1 to 3)")
    parser.add_argument("--clients", type=int, default=0, metavar="M", help="devices (2 to 8)")
    parser.add_argument(
        "--hours", type=float, default=0, metavar="H", help="simulated hours a seed (a minute)"
    )
    parser.add_argument(
        "--retention", type=int, default=0, metavar="N", help="entries a room keeps (all)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="J", help="processes"
    )


def run(options: argparse.Namespace) -> int:
    """Play, and return the exit status."""
    plan = Plan(**{name: getattr(options, name) for name in Plan.__struct_fields__})
    if options.script is not None:
        try:
            return _one(read(options.script), options.history, options.shrink)
        except (OSError, ScriptError) as error:
            sys.stderr.write(f"{error}\n")
            return 2
    if options.seed is not None:
        return _one(draw(options.seed, plan), options.history, options.shrink)
    return _many(range(options.first, options.first + options.seeds), plan, options.jobs)


def _one(script: Script, path: Path | None, shrunk: Path | None) -> int:
    outcome = play(script)
    if path is not None:
        with Writer(path) as writer:
            for event in outcome.history:
                writer.write(event)
    sys.stdout.write(_told(outcome))
    if outcome.complaints and shrunk is not None:
        _shrink(script, outcome, shrunk)
    return 1 if outcome.complaints else 0


def _shrink(script: Script, outcome: Outcome, path: Path) -> None:
    """Find the fewest steps that show the first complaint's kind, and write them down."""
    kind = kind_of(outcome.complaints[0])

    def fails(shorter: Script) -> bool:
        return any(kind_of(complaint) == kind for complaint in play(shorter).complaints)

    shortest = shrink(script, fails)
    write(shortest, path)
    sys.stdout.write(
        f"{len(script.steps)} steps became {len(shortest.steps)}, which show: {kind}\n"
        f"again: python -m triolet.testing world --script {path}\n"
    )


def _told(outcome: Outcome) -> str:
    lines = [f"VIOLATED: {complaint}" for complaint in outcome.complaints]
    lines.append(
        f"{outcome.entries} entries in {outcome.virtual_s:.0f} simulated seconds, "
        f"digest {outcome.digest}"
    )
    return "\n".join(lines) + "\n"


def _many(seeds: range, plan: Plan, jobs: int) -> int:
    tally = _Tally(plan)
    with _stopped_as_by_hand(), bar("seeds", len(seeds)) as progress:
        try:
            for verdict in judge_all(seeds, plan, jobs=jobs):
                tally.count(verdict)
                progress.advance()
        except KeyboardInterrupt:
            sys.stderr.write(f"stopped; go on with --from {seeds.start + tally.seeds}\n")
    sys.stdout.write(tally.summary())
    return 1 if tally.failed else 0


@contextmanager
def _stopped_as_by_hand() -> Iterator[None]:
    """A run that is stopped says how far it came, whoever stops it: Trio knows Ctrl+C alone.

    A shell has those that it starts with `&` in a script ignore that.
    """
    by_hand = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, by_hand)


@final
class _Tally:
    """What many seeds came to."""

    def __init__(self, plan: Plan) -> None:
        self._options = plan.options()
        self._began = time.monotonic()
        self.seeds = 0
        self.failed = 0
        self._client_s = 0.0
        self._entries = 0
        self._connections = 0
        self._starts = 0
        self._faults: Counter[str] = Counter()

    def count(self, verdict: Verdict) -> None:
        """Take one seed in; what it violated is told at once."""
        self.seeds += 1
        self._client_s += verdict.client_s
        self._entries += verdict.entries
        self._connections += verdict.connections
        self._starts += verdict.starts
        self._faults.update(verdict.faults)
        if verdict.complaints:
            self.failed += 1
            told = "".join(f"VIOLATED: {complaint}\n" for complaint in verdict.complaints)
            command = f"python -m triolet.testing world --seed {verdict.seed}{self._options}"
            sys.stdout.write(f"{told}again: {command}\n")
            sys.stdout.flush()

    def summary(self) -> str:
        """Return what is told in the end."""
        took_s = time.monotonic() - self._began
        faults = ", ".join(f"{name} {self._faults[name]}" for name in VERBS)
        return (
            f"{self.seeds} seeds, {self.failed} violated; "
            f"{self._client_s / 3600:.1f} simulated client hours, {self._entries} entries, "
            f"{self._connections} connections, {self._starts} starts of nodes\n"
            f"faults: {self._faults.total()} ({faults})\n"
            f"{took_s:.1f} s, {self.seeds / took_s:.2f} seeds/s\n"
        )
