"""A campaign that is led by coverage: starts the process, and judges what it found."""

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from . import instrumented
from .campaign import WARM_SHARE, Budget, Report, no_hang, smallest
from .corpus import seeds
from .failure import Failure
from .guided import Order, Tally
from .target import Target

# What libFuzzer says of what it has reached: pairs of an edge and how often it was taken.
_FEATURES: Final = re.compile(rb" ft: (\d+) ")
# What atheris says of an exception, in the line behind.
_UNCAUGHT: Final = re.compile(rb"=== Uncaught Python exception: ===\s+([^\n]+)")
_SAID_CHARS_MAX: Final = 300


def is_here() -> bool:
    """Whether atheris is installed."""
    return find_spec("atheris") is not None


def run(target: Target, *, seed: int, budget: Budget, advanced: Callable[[float], None]) -> Report:
    """Fuzz in a process of its own; end early at the first failure.

    Args:
        target: what is fuzzed.
        seed: decides every input, as far as libFuzzer lets it.
        budget: how long to go on.
        advanced: is told which share of the budget is used.
    """
    with TemporaryDirectory(prefix="triolet-fuzz-") as name:
        directory = Path(name)
        corpus, found, log = directory / "corpus", directory / "found", directory / "log"
        for path in (corpus, found):
            path.mkdir()
        for number, data in enumerate(seeds(target.name, seed)):
            (corpus / f"{number:04}").write_bytes(data)
        order = Order(
            target=target.name, seed=seed, budget=budget, corpus=str(corpus), found=str(found)
        )
        tallies, status = _watched(order, log, advanced)
        said = log.read_bytes()
        failure = _failure(target, seed, found, status, said)
    last = tallies[-1] if tallies else Tally(used=0, inputs=0, units=0, seconds=0, resident_bytes=0)
    warm = [tally.resident_bytes for tally in tallies if tally.used > WARM_SHARE]
    features = _FEATURES.findall(said)
    return Report(
        target=target.name,
        unit=target.unit,
        seed=seed,
        inputs=last.inputs,
        units=last.units,
        seconds=last.seconds,
        grown_bytes=max(warm) - warm[0] if warm else 0,
        features=int(features[-1]) if features else None,
        failure=failure,
    )


def _watched(order: Order, log: Path, advanced: Callable[[float], None]) -> tuple[list[Tally], int]:
    """Run the process; return what it told, and how it ended."""
    # -P: the modules beside the script are not to be found by their bare names.
    command = [sys.executable, "-P", instrumented.__file__, msgspec.json.encode(order).decode()]
    tallies: list[Tally] = []
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,  # noqa: S603
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                tallies.append(msgspec.json.decode(line, type=Tally))
                advanced(tallies[-1].used)
        except BaseException:
            process.kill()
            raise
    return tallies, process.returncode


def _failure(target: Target, seed: int, found: Path, status: int, said: bytes) -> Failure | None:
    """Return what failed, made small; None: nothing did."""
    if not status:
        return None
    uncaught = _UNCAUGHT.search(said)
    what = (uncaught[1] if uncaught else said).decode(errors="replace")[-_SAID_CHARS_MAX:]
    inputs = [path.read_bytes() for path in sorted(found.iterdir())]
    if not inputs:
        what = f"the process ended with status {status}: {what}"
        return Failure(target=target.name, seed=seed, what=what, inputs=())
    try:
        with no_hang():
            target.judge(inputs)
    except Exception as error:  # noqa: BLE001 - whatever an input makes the engine raise is a finding
        return smallest(target, seed, tuple(inputs), error)
    return Failure(target=target.name, seed=seed, what=what, inputs=tuple(inputs))
