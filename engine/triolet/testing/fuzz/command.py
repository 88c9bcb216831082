"""`python -m triolet.testing fuzz`: feed codec, frame edge, HTTP head and session hostile bytes."""

import argparse
import secrets
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from ..progress import bar
from . import coverage
from .campaign import Budget, Report
from .failure import Failure, described
from .jobs import Job, parts, work
from .rfc6455.cases import CASES
from .rfc6455.play import CHOPS, play
from .table import TARGETS
from .violation import Violation

_SECONDS = 30.0
_SEED_BITS = 32
_PARTS = 1_000
_EPILOG = """
Inputs are invented by a grammar and damaged, as the seed decides. What fails is made small and
written to a file, and `fuzz FILE` feeds it again. With `--engine atheris` coverage of the engine
decides which inputs are worth to be changed; it needs `pip install 'triolet[testing,fuzz]'`.
Exit status: 0 nothing was found, 1 a promise is broken, 2 misuse.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.epilog = _EPILOG
    parser.add_argument("file", nargs="?", type=Path, help="a failing input to feed again")
    parser.add_argument(
        "--target", choices=(*TARGETS, "all"), default="all", help="what is fuzzed (all)"
    )
    parser.add_argument(
        "--engine",
        choices=("grammar", "atheris"),
        default="grammar",
        help="what invents inputs: the grammar, or coverage of the engine (grammar)",
    )
    parser.add_argument("--frames", type=_positive, help="how many frames, heads or messages")
    parser.add_argument(
        "--seconds", type=_positive, help=f"how long at most ({_SECONDS:.0f}, if no --frames)"
    )
    parser.add_argument("--seed", type=int, help="decides every input (chance, and it is told)")
    parser.add_argument("--jobs", type=_positive, default=1, help="processes, a seed each (1)")
    parser.add_argument(
        "--rfc6455", metavar="URL", help="instead: play RFC 6455's cases against a server"
    )
    parser.add_argument("--token", default="", help="of somebody who may create a room there")
    parser.add_argument(
        "--out", type=Path, default=Path(), help="where failing inputs are written (here)"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def run(options: argparse.Namespace) -> int:
    """Fuzz or replay; return the exit status."""
    if options.file is not None:
        return _replay(options.file)
    if options.rfc6455 is not None:
        return _play(options.rfc6455, options.token)
    targets = tuple(TARGETS) if options.target == "all" else (options.target,)
    seed = secrets.randbits(_SEED_BITS) if options.seed is None else options.seed
    budget = _budget(options, len(targets))
    if options.engine == "atheris":
        return _follow_coverage(options, targets, seed, budget)
    jobs = [Job(targets=targets, seed=seed + n, budget=budget) for n in range(options.jobs)]
    with bar(f"fuzz, seed {seed}", parts(jobs)) as progress:
        reports = work(jobs, progress.advance)
    return _tell_all(reports, options.out)


def _follow_coverage(
    options: argparse.Namespace, targets: tuple[str, ...], seed: int, budget: Budget
) -> int:
    if not coverage.is_here():
        sys.stderr.write("atheris is not here: pip install 'triolet[testing,fuzz]'\n")
        return 2
    if options.jobs > 1:
        sys.stderr.write("with atheris there is one process\n")
        return 2
    reports: list[Report] = []
    with bar(f"fuzz by coverage, seed {seed}", len(targets) * _PARTS) as progress:
        for name in targets:
            told = 0

            def advanced(share: float) -> None:
                nonlocal told
                more, told = int(share * _PARTS) - told, int(share * _PARTS)
                progress.advance(more)

            target = TARGETS[name]()
            reports.append(coverage.run(target, seed=seed, budget=budget, advanced=advanced))
            advanced(1.0)
    return _tell_all(reports, options.out)


def _tell_all(reports: Sequence[Report], out: Path) -> int:
    for report in reports:
        _tell(report, out)
    return 1 if any(report.failure is not None for report in reports) else 0


def _budget(options: argparse.Namespace, targets: int) -> Budget:
    """Share frames among targets and jobs, and time among the targets of a job."""
    seconds = options.seconds
    if seconds is None and options.frames is None:
        seconds = _SECONDS
    return Budget(
        units=None if options.frames is None else -(-options.frames // (targets * options.jobs)),
        seconds=None if seconds is None else seconds / targets,
    )


def _tell(report: Report, out: Path) -> None:
    rate = report.units / max(report.seconds, 1e-9)
    features = "" if report.features is None else f" {report.features:,} features,"
    sys.stdout.write(
        f"{report.target}, seed {report.seed}: {report.units:,} {report.unit} in"
        f" {report.inputs:,} inputs, {report.seconds:.0f} s, {rate:,.0f} a second,{features}"
        f" memory grew by {report.grown_bytes / 1024 / 1024:.1f} MiB\n"
    )
    if report.failure is not None:
        path = report.failure.write(out)
        sys.stdout.write(f"  {report.failure.what}\n  again: fuzz {path}\n")


def _replay(path: Path) -> int:
    try:
        failure = Failure.read(path)
        target = TARGETS[failure.target]()
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for data in failure.inputs:
        sys.stdout.write(f"{failure.target} {data.hex(' ')}\n")
    try:
        target.judge(failure.inputs)
    except Exception as error:  # noqa: BLE001 - whatever an input makes the engine raise is a finding
        traceback.print_exc()
        sys.stdout.write(f"it fails: {described(error)}\n")
        return 1
    sys.stdout.write("it does not fail\n")
    return 0


def _play(url: str, token: str) -> int:
    """Play the cases of RFC 6455 against a server, each in several cuts."""
    broken: list[str] = []
    with bar("RFC 6455", len(CASES) * len(CHOPS)) as progress:
        for case in CASES:
            for chop in CHOPS:
                try:
                    play(case, url, token, chop, is_patient=True)
                except (Violation, OSError, EOFError) as error:
                    broken.append(f"{case.clause}, {case.name}, {chop}: {described(error)}\n")
                progress.advance()
    sys.stdout.writelines(broken)
    sys.stdout.write(f"{len(CASES)} cases in {len(CHOPS)} cuts, {len(broken)} broken\n")
    return 1 if broken else 0
