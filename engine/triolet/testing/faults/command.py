"""`python -m triolet.testing faults`."""

import argparse
import logging
import sys
from multiprocessing import get_context
from typing import Final

from ..progress import bar
from .planting import FAULTS
from .trial import Result, faults, try_fault

_EPILOG: Final = """\
exit status: 0 every fault was caught and nothing was found without one, 1 not so, 2 misuse.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="faults to plant (all)")
    add("--seeds", type=int, default=5, metavar="N", help="on how many seeds each (5)")
    add("--seed", type=int, default=0, metavar="S", help="the first of them (0)")
    add("--jobs", type=int, default=1, metavar="N", help="in how many processes (1)")


def run(options: argparse.Namespace) -> int:
    """Plant each fault, and tell by what it was caught."""
    known = {fault.name for fault in faults()}
    unknown = [name for name in options.names if name not in known]
    if unknown or options.seeds < 1:
        sys.stderr.write(f"no such fault: {', '.join(unknown)}\n" if unknown else "no seeds\n")
        return 2
    wanted = [fault.name for fault in faults() if not options.names or fault.name in options.names]
    seeds = range(options.seed, options.seed + options.seeds)
    results = []
    with bar("planting", len(wanted)) as progress, get_context("fork").Pool(options.jobs) as pool:
        for result in pool.imap(_try, [(name, seeds) for name in wanted]):
            results.append(result)
            progress.advance()
    sys.stdout.write(table(results))
    return 0 if all(row.holds for row in results) else 1


def _try(task: tuple[str, range]) -> Result:
    # What a broken engine complains of is of no interest.
    logging.disable(logging.CRITICAL)
    name, seeds = task
    return try_fault(FAULTS[name], seeds)


def table(results: list[Result]) -> str:
    """Return results as text: the fault, in how many seeds it was caught, its promise, by what."""
    width = max((len(result.name) for result in results), default=0)
    lines = []
    for result in results:
        seeds = f"{result.caught} of {result.seeds}"
        by = "; ".join(result.by) or "NOT CAUGHT"
        lines.append(f"{result.name:<{width}}  {seeds:>8}  {result.promise.value}: {by}")
        lines.extend(f"    WITHOUT IT: {alarm}" for alarm in result.alarms)
    caught = sum(result.caught > 0 for result in results)
    lines.append(f"{caught} of {len(results)} faults caught")
    return "\n".join(lines) + "\n"
