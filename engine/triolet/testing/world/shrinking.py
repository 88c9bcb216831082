"""A script that shows a violation, made as short as can be found: what is left is why."""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from .script import Script, Step

# Runs that shrinking may take: a minute or two.
_RUNS_MAX: Final = 300


def kind_of(complaint: str) -> str:
    """Return what sort of complaint it is: its words before names and numbers.

    >>> kind_of("once: an entry came twice: anna/0.1 saw 7 again")
    'once: an entry came twice'
    >>> kind_of("12.500 node0 is left with 3 sessions")
    'is left with sessions'
    """
    told = ": ".join(complaint.split(": ")[:2])
    return " ".join(word for word in told.split() if not any(letter.isdigit() for letter in word))


def shrink(script: Script, fails: Callable[[Script], bool]) -> Script:
    """Return the shortest script found by leaving steps out that still fails.

    Args:
        script: one that fails.
        fails: plays a script, and tells whether it shows what is to be shown.

    >>> long = Script(steps=tuple(Step("send", pick=pick) for pick in range(40)))
    >>> short = shrink(long, lambda script: {7, 30} <= {step.pick for step in script.steps})
    >>> [step.pick for step in short.steps]
    [7, 30]
    """
    runs = 0

    def still_fails(steps: tuple[Step, ...]) -> bool:
        nonlocal runs
        runs += 1
        return runs <= _RUNS_MAX and fails(replace(script, steps=steps))

    steps = script.steps
    size = max(1, len(steps) // 2)
    while True:
        before = len(steps)
        steps = _without_parts(steps, size, still_fails)
        if size == 1 and len(steps) == before:
            return replace(script, steps=steps)
        size = max(1, size // 2)


def _without_parts(
    steps: tuple[Step, ...], size: int, still_fails: Callable[[tuple[Step, ...]], bool]
) -> tuple[Step, ...]:
    """Leave out every part of this size that does not matter, from the end on."""
    start = len(steps) - size
    while start > -size:
        shorter = steps[: max(0, start)] + _later(steps, max(0, start), start + size)
        if len(shorter) < len(steps) and still_fails(shorter):
            steps = shorter
        start -= size
    return steps


def _later(steps: tuple[Step, ...], start: int, end: int) -> tuple[Step, ...]:
    """Return the steps from `end` on, as late as they were with those from `start` on."""
    rest = steps[end:]
    if not rest:
        return ()
    waited_s = sum(step.after_s for step in steps[start:end])
    return (replace(rest[0], after_s=rest[0].after_s + waited_s), *rest[1:])
