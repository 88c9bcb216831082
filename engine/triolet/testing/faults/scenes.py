"""What is played while a fault is planted: small worlds with what that fault needs."""

from collections.abc import Sequence
from random import Random
from typing import Final

from ..checker import Promise, check
from ..world import Quality, Script, Speed, Step, play
from .planting import Broken, Scene

# What the world itself looks for when everybody has gone home.
_LEFT_BEHIND: Final = ("is left with", "sockets are open", "watches")
# And what it looks for when all is quiet.
_NOT_ERASED: Final = "not all is erased"
_PAUSES_S: Final = (0.0, 0.0, 0.02, 0.3)
_STEPS: Final = 24


def judged(script: Script) -> list[Broken]:
    """Play a script, and return what the checker and the world find broken."""
    outcome = play(script)
    verdict = check(outcome.history)
    broken = {violation.rule: violation for violation in verdict.violations}
    found = [Broken(rule.promise, rule.value) for rule in broken]
    if any(sign in complaint for complaint in outcome.complaints for sign in _LEFT_BEHIND):
        found.append(Broken(Promise.NO_ORPHAN, "something is left when everybody has gone"))
    if any(_NOT_ERASED in complaint for complaint in outcome.complaints):
        found.append(Broken(Promise.ERASED, "something is left of a room that was deleted"))
    return found


def world(
    acts: Sequence[str],
    *,
    first: Sequence[Step] = (),
    last: Sequence[Step] = (),
    nodes: int = 1,
    people: int = 2,
    devices: int = 2,
    limits: dict[str, int | float] | None = None,
    quality: Quality | None = None,
) -> Scene:
    """Return a scene: some steps drawn among `acts`, between those that are given."""

    def scene(seed: int) -> list[Broken]:
        random = Random(seed)  # noqa: S311 - a scene from a seed
        drawn = tuple(
            Step(
                verb=random.choice(acts),
                after_s=random.choice(_PAUSES_S),
                who=random.randrange(60),
                pick=random.randrange(60),
                amount=random.random(),
            )
            for _ in range(_STEPS)
        )
        return judged(
            Script(
                seed=seed,
                nodes=nodes,
                people=people,
                devices=devices,
                quality=quality or Quality(splits=0.0),
                speed=Speed(commit_s=0.01),
                limits=limits or {},
                steps=(*first, *drawn, *last),
            )
        )

    return scene
