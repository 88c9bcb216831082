"""One target fuzzed from one seed, until a budget of units or time is used up."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import Final, final

from msgspec import Struct

from .failure import Failure, described, what_fails
from .memory import Watch
from .minimise import minimised
from .target import Target
from .violation import Hang

# An input takes milliseconds of the processor.
HANG_CPU_S: Final = 20.0
# One that waits for what never comes uses none. A machine that is shared has given a niced
# campaign none for 20 s, so this is longer.
HANG_S: Final = 300.0
# Inputs after which caches are filled and the collector has found its pace, if no time is given.
WARM_SHARE: Final = 0.1
_WARM_S_MAX: Final = 20.0
# How long a failing input is made small.
_SMALL_S: Final = 30.0
# Between two looks at memory and clock.
_INPUTS_A_LOOK: Final = 64


@final
class Budget(Struct, frozen=True, kw_only=True):
    """How long to go on: until so many units are read, or so many seconds have passed.

    >>> Budget(units=10).used(units=9, seconds=1e9)
    0.9
    """

    units: int | None = None
    seconds: float | None = None

    def used(self, *, units: int, seconds: float) -> float:
        """Return which share of it is used up; 1 is all."""
        by_units = units / self.units if self.units else 0.0
        by_time = seconds / self.seconds if self.seconds else 0.0
        return max(by_units, by_time)


@final
class Report(Struct, frozen=True, kw_only=True):
    """What came of a campaign.

    Attributes:
        units: units read, of the target's kind.
        grown_bytes: by how much the process grew at most once it was warm.
        features: what libFuzzer tells apart by now, if it leads and has read the first inputs.
        failure: the first one, made small; None: there was none.
    """

    target: str
    unit: str
    seed: int
    inputs: int
    units: int
    seconds: float
    grown_bytes: int
    features: int | None = None
    failure: Failure | None = None


def run(target: Target, *, seed: int, budget: Budget, advanced: Callable[[float], None]) -> Report:
    """Fuzz; end early at the first failure.

    Args:
        target: what is fuzzed.
        seed: decides every input.
        budget: how long to go on.
        advanced: is told which share of the budget is used.
    """
    chance, watch = Random(seed), Watch()  # noqa: S311 - to be reproduced
    began = time.monotonic()
    inputs = units = 0
    is_warm, used = False, 0.0
    batch: tuple[bytes, ...] = ()
    failure = None
    try:
        while used < 1:
            with no_hang():
                for _ in range(max(1, _INPUTS_A_LOOK // target.batch)):
                    batch = tuple(target.invent(chance) for _ in range(target.batch))
                    units += target.judge(batch)
                    inputs += len(batch)
            seconds = time.monotonic() - began
            used = budget.used(units=units, seconds=seconds)
            advanced(min(used, 1.0))
            watch.look()
            if not is_warm and (used > WARM_SHARE or seconds > _WARM_S_MAX):
                is_warm = True
                watch.warm()
    except Exception as error:  # noqa: BLE001 - whatever an input makes the engine raise is a finding
        failure = smallest(target, seed, batch, error)
    return Report(
        target=target.name,
        unit=target.unit,
        seed=seed,
        inputs=inputs,
        units=units,
        seconds=time.monotonic() - began,
        grown_bytes=watch.grown_bytes,
        failure=failure,
    )


def smallest(target: Target, seed: int, batch: tuple[bytes, ...], error: Exception) -> Failure:
    """Make a failing batch small; one that does not fail again is kept as it was.

    One that hangs is kept as well: each try would take as long again.
    """
    what = described(error)

    until = time.monotonic() + _SMALL_S

    def fails(inputs: tuple[bytes, ...]) -> bool:
        return time.monotonic() < until and what_fails(target, inputs) == what

    small = minimised(batch, fails) if not isinstance(error, Hang) and fails(batch) else batch
    return Failure(target=target.name, seed=seed, what=what, inputs=small)


@contextmanager
def no_hang() -> Iterator[None]:
    """Raise `Hang` in the main thread if the block computes or waits for too long."""

    def loops(_signal: int, _frame: FrameType | None) -> None:
        raise Hang(f"an input takes more than {HANG_CPU_S:.0f} s of the processor")

    def waits(_signal: int, _frame: FrameType | None) -> None:
        raise Hang(f"an input takes more than {HANG_S:.0f} s")

    before = signal.signal(signal.SIGPROF, loops), signal.signal(signal.SIGALRM, waits)
    signal.setitimer(signal.ITIMER_PROF, HANG_CPU_S)
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGPROF, before[0])
        signal.signal(signal.SIGALRM, before[1])
