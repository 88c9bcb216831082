"""`python -m triolet.testing check FILE…`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from .. import history
from ..checker import Bounds, Checker, Promise, Rule, Verdict, Violation, counter_example, timeline
from ..progress import Bar, bar

_EPILOG: Final = """\
Several files of one run are merged by time, so their clocks must be one: monotonic, of one
machine, or virtual. A rule that says `-` had nothing to judge and has proved nothing.

exit status: 0 every promise holds, 1 one is broken, 2 it was asked wrongly or a file is no history.
"""
_READ_LINES: Final = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    bounds = Bounds()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="a history: JSON lines")
    add(
        "--show",
        type=int,
        default=3,
        metavar="N",
        help="show the shortest counter-example of up to N broken rules (3)",
    )
    for name, value in ((name, getattr(bounds, name)) for name in Bounds.__struct_fields__):
        option = f"--{name.removesuffix('_s')}"
        add(option, type=float, dest=name, default=value, metavar="S", help=_HELP[name] % value)


_HELP: Final = {
    "grace_s": "seconds somebody is shown who has gone (%g)",
    "lease_s": "seconds more, if their node has died (%g)",
    "silence_s": "seconds more, if their connection ended in silence (%g)",
    "typing_s": "seconds somebody is shown typing who said so once (%g)",
    "slack_s": "seconds what is told of people may be late (%g)",
    "ban_s": "seconds until a ban is in force everywhere (%g)",
    "recheck_s": "seconds after which nodes ask for bans that they were not told of (%g)",
}


def run(options: argparse.Namespace) -> int:
    """Read, judge and tell."""
    bounds = Bounds(**{name: getattr(options, name) for name in Bounds.__struct_fields__})
    try:
        verdict = _judge(options.files, bounds)
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 2
    except history.HistoryError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(report(verdict))
    if verdict.holds:
        return 0
    with ExitStack() as files:
        events = list(_events(options.files, files))
    for violation in _first_of_each(verdict)[: options.show]:
        few = counter_example(events, violation, bounds)
        sys.stdout.write(f"\n{violation}\n\n{timeline(few)}\n")
    return 1


def _first_of_each(verdict: Verdict) -> list[Violation]:
    return list({violation.rule: violation for violation in reversed(verdict.violations)}.values())


def _judge(paths: Sequence[Path], bounds: Bounds) -> Verdict:
    checker = Checker(bounds)
    with ExitStack() as files, bar("judging", sum(map(_lines, paths))) as progress:
        for event in _events(paths, files, progress):
            checker.take(event)
        return checker.finish()


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(partial(file.read, 1 << 20), b""))


def _events(
    paths: Sequence[Path], files: ExitStack, progress: Bar | None = None
) -> Iterator[history.Event]:
    return history.merge(
        _named(path, files.enter_context(path.open("rb")), progress) for path in paths
    )


def _named(path: Path, lines: Iterator[bytes], progress: Bar | None) -> Iterator[history.Event]:
    """Yield the events of one file; an error tells of which."""
    try:
        for number, event in enumerate(history.read(lines), 1):
            yield event
            if progress is not None and number % _READ_LINES == 0:
                progress.advance(_READ_LINES)
    except history.HistoryError as error:
        raise history.HistoryError(f"{path}: {error}") from error


def report(verdict: Verdict) -> str:
    """Return a verdict as text: each rule, how often it was applied, and how often broken."""
    lines = [f"{verdict.events} events", ""]
    for promise in Promise:
        rules = [rule for rule in Rule if rule.promise is promise]
        if rules:
            lines.append(promise.value)
            lines.extend(_row(verdict, rule) for rule in rules)
    lines.append("")
    broken = ", ".join(promise.value for promise in verdict.broken)
    lines.append("every promise holds" if verdict.holds else f"broken: {broken}")
    return "\n".join(lines) + "\n"


def _row(verdict: Verdict, rule: Rule) -> str:
    judged, found = verdict.judged.get(rule, 0), verdict.found.get(rule, 0)
    told = "-" if not judged and not found else str(judged)
    return f"  {told:>9}  {'no: ' if not found else f'{found} TIMES: '}{rule.value}"
