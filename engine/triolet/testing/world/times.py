"""What happens when: a minute without a pause, hours with quiet in between, days and nights."""

from collections.abc import Iterator
from random import Random
from typing import Final

from msgspec.structs import replace

from .acts import ACTS
from .script import Script, Step
from .verbs import VERBS

_ACTS: Final = list(ACTS)
_ACT_WEIGHTS: Final = [weight for _, weight in ACTS.values()]
_VERBS: Final = list(VERBS)
_VERB_WEIGHTS: Final = [weight for _, weight in VERBS.values()]

# Step's numbers choose among so many.
_PICKS: Final = 60
# How often a step is a fault: worlds are calm, restless, or out of hand.
_FAULT_RATES: Final = (0.0, 0.1, 0.2, 0.35)
# In long worlds, how long nothing happens, on average.
_QUIET_S: Final = 1200.0

# From so many hours on, a world has days and nights.
DAY_H: Final = 24
# How long nobody does anything, on average, by day and from midnight until seven.
_DAY_QUIET_S: Final = 450.0
_NIGHT_QUIET_S: Final = 3600.0
_MORNING_H: Final = 7
# How often it is somebody else who acts than those who talk with each other.
_OTHERS_RATE: Final = 0.25
# How often those who are to talk are invited first, and how many of them close the application.
_INVITED_RATE: Final = 0.7
_GOING_RATE: Final = 0.3


def minute(random: Random) -> Iterator[Step]:
    """Yield steps without a pause for breath."""
    faults = random.choice(_FAULT_RATES)
    for _ in range(random.randint(20, 80)):
        # Bursts, pauses, and now and then one longer than most timeouts.
        yield _step(random, faults, random.choice((0.0, 0.0, 0.01, 0.3, 1.5, 6.0)))


def hours(random: Random, lasts_h: float) -> Iterator[Step]:
    """Yield quiet stretches, and some minutes of life before each."""
    left_s = lasts_h * 3600
    while left_s > 0:
        faults = random.choice(_FAULT_RATES)
        steps = [_step(random, faults, random.choice((0.01, 1.5, 6.0, 20.0))) for _ in range(25)]
        steps += _quiet(random, _QUIET_S)
        left_s -= sum(step.after_s for step in steps)
        yield from steps


def days(random: Random, world: Script, lasts_h: float) -> Iterator[Step]:
    """Yield conversations of a few people, many by day and few by night; others look in."""
    began_s = now_s = random.uniform(0, DAY_H * 3600)
    while now_s < began_s + lasts_h * 3600:
        is_night = now_s / 3600 % DAY_H < _MORNING_H
        steps = list(_conversation(random, world))
        steps += _quiet(random, _NIGHT_QUIET_S if is_night else _DAY_QUIET_S)
        now_s += sum(step.after_s for step in steps)
        yield from steps


def _conversation(random: Random, world: Script) -> Iterator[Step]:
    """Yield how a few people meet, most of them in one room, what they do, and that they go."""
    faults = random.choice(_FAULT_RATES)
    devices = range(world.people * world.devices)
    talking = random.sample(devices, min(len(devices), random.randint(2, 6)))
    rooms = random.choices(range(_PICKS), k=2)
    for who in talking:
        yield Step("open", after_s=round(5 * random.random(), 3), who=who)
    if random.random() < _INVITED_RATE:
        # By whoever founded the rooms; else all would have left or been kicked in the end.
        yield Step("open", after_s=1.0)
        for who in talking:
            pick = who // world.devices
            yield Step("invite", after_s=round(random.random(), 3), room=rooms[0], pick=pick)
    for who in talking:
        yield Step("subscribe", after_s=round(random.random(), 3), who=who, room=rooms[0])
    for _ in range(random.randint(10, 60)):
        step = _step(random, faults, random.choice((0.0, 0.01, 0.3, 1.5, 6.0, 20.0, 60.0)))
        if step.verb in ACTS and random.random() > _OTHERS_RATE:
            who, room = random.choice(talking), random.choice((rooms[0], rooms[0], rooms[1]))
            step = replace(step, who=who, room=room)
        yield step
    for who in talking:
        if random.random() < _GOING_RATE:
            yield Step("close", after_s=round(5 * random.random(), 3), who=who)


def _quiet(random: Random, mean_s: float) -> tuple[Step, Step]:
    """Return the end of what is broken, and a time in which nobody does anything."""
    # Most troubles are over soon; some last as long as nobody does anything.
    quiet_s = random.expovariate(1 / mean_s)
    trouble_s = random.choice((5.0, 60.0, 60.0, quiet_s))
    return (
        Step("mend", after_s=round(trouble_s, 3)),
        Step("wait", after_s=round(max(0.0, quiet_s - trouble_s), 3)),
    )


def _step(random: Random, faults: float, pause_s: float) -> Step:
    is_fault = random.random() < faults
    names, weights = (_VERBS, _VERB_WEIGHTS) if is_fault else (_ACTS, _ACT_WEIGHTS)
    return Step(
        verb=random.choices(names, weights)[0],
        after_s=round(pause_s * random.random(), 3),
        who=random.randrange(_PICKS),
        room=random.randrange(_PICKS),
        pick=random.randrange(_PICKS),
        amount=round(random.random(), 3),
    )
