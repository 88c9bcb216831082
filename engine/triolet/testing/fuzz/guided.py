"""A campaign that is led by coverage: the part in the process that is instrumented.

libFuzzer, which atheris brings along, ends the process itself when an input fails, and leaves
that input in a file. So this process only tells how far it is; the other one judges.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Final, Protocol, final

import msgspec
from msgspec import Struct

from .campaign import HANG_S, Budget
from .memory import resident_bytes
from .table import TARGETS

# How finely it tells how far it is.
_PARTS: Final = 1_000
# What libFuzzer may grow to: corpus, tables and an engine take 200 MiB.
_RESIDENT_MIB_MAX: Final = 1_024
# Longer inputs are those of the grammar's campaigns.
_INPUT_BYTES_MAX: Final = 4_096
# Should the budget not end it, libFuzzer does so many seconds later.
_LATE_S: Final = 60


@final
class Order(Struct, frozen=True, kw_only=True):
    """What such a process is to do.

    Attributes:
        corpus: the directory with the inputs to begin with.
        found: the directory for inputs that fail.
    """

    target: str
    seed: int
    budget: Budget
    corpus: str
    found: str


@final
class Tally(Struct, frozen=True, kw_only=True):
    """How far it is, told on standard output, a line each time."""

    used: float
    inputs: int
    units: int
    seconds: float
    resident_bytes: int


class Atheris(Protocol):
    """What is used of the module `atheris`, which is there for some Pythons only."""

    def Setup(self, arguments: list[str], judge: Callable[[bytes], None]) -> object:  # noqa: N802
        """Take libFuzzer's options."""
        ...

    def Fuzz(self) -> None:  # noqa: N802
        """Fuzz, and end the process."""
        ...


class _Judge:
    """Judges one input after the other, and ends the process when the budget is used up."""

    def __init__(self, order: Order) -> None:
        self._target = TARGETS[order.target]()
        self._budget = order.budget
        self._began = time.monotonic()
        self._inputs = self._units = self._told = 0
        # What atheris writes there, of an exception for instance, goes to the standard error.
        self._out = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def __call__(self, data: bytes) -> None:
        self._inputs += 1
        try:
            self._units += self._target.judge((data,))
        except BaseException:
            self._tell()
            raise
        if int(self._used() * _PARTS) > self._told:
            self._tell()
        if self._told >= _PARTS:
            # There is no other way out of libFuzzer.
            os._exit(0)

    def _used(self) -> float:
        seconds = time.monotonic() - self._began
        return min(self._budget.used(units=self._units, seconds=seconds), 1.0)

    def _tell(self) -> None:
        used = self._used()
        self._told = int(used * _PARTS)
        tally = Tally(
            used=used,
            inputs=self._inputs,
            units=self._units,
            seconds=time.monotonic() - self._began,
            resident_bytes=resident_bytes(),
        )
        os.write(self._out, msgspec.json.encode(tally) + b"\n")


def fuzz(atheris: Atheris, order: Order) -> None:
    """Fuzz until the budget is used up or an input fails; the process ends then."""
    options = {
        # 0 would be a chance seed.
        "seed": order.seed % 2**32 or 1,
        "max_len": _INPUT_BYTES_MAX,
        "timeout": int(HANG_S),
        "rss_limit_mb": _RESIDENT_MIB_MAX,
        "artifact_prefix": f"{order.found}{os.sep}",
    }
    if order.budget.seconds is not None:
        options["max_total_time"] = int(order.budget.seconds) + _LATE_S
    flags = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([order.target, *flags, order.corpus], _Judge(order))
    atheris.Fuzz()
