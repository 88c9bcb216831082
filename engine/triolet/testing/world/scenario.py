"""Scripts from seeds: what a world is like and what happens in it, drawn by chance."""

from collections.abc import Iterator
from random import Random
from typing import Final, final

from msgspec import Struct

from .acts import ACTS
from .chance import SeededEntropy
from .disk import Speed
from .network import Quality
from .script import Script, Step
from .verbs import VERBS

_ACTS: Final = list(ACTS)
_ACT_WEIGHTS: Final = [weight for _, weight in ACTS.values()]
_VERBS: Final = list(VERBS)
_VERB_WEIGHTS: Final = [weight for _, weight in VERBS.values()]

# In worlds of hours hearts beat seldom, for a minute of silence costs as much as one of life: of
# 16 clients' quiet hour, 4.0 s of processor time, half are heartbeats, a quarter is the canary.
_CALM: Final[dict[str, int | float]] = {
    "heartbeat_s": 60,
    "canary_interval_s": 20,
    "canary_timeout_s": 60,
}
# How often a step is a fault: worlds are calm, restless, or out of hand.
_FAULT_RATES: Final = (0.0, 0.1, 0.2, 0.35)
# In long worlds, how long nothing happens, on average.
_QUIET_S: Final = 1200.0
# How many worlds have bounds so small that everything that has one meets it.
_TIGHT_RATE: Final = 0.3
_TIGHT: Final[dict[str, int | float]] = {
    "ring_entries_max": 4,
    "ring_bytes_max": 2048,
    "page_entries_max": 3,
    "page_bytes_max": 2048,
    "outbox_bytes_high": 4096,
    "outbox_bytes_low": 1024,
    "early_max": 2,
    "gap_max": 3,
    "batch_drafts_max": 3,
    "inflight_max": 4,
    "idle_rooms_max": 1,
}


@final
class Plan(Struct, frozen=True, kw_only=True):
    """What is not left to the seed; 0: it is.

    Attributes:
        nodes: how many engines.
        clients: how many devices, at most: people have one or two.
        hours: how long the world lasts: quiet stretches, and now and then some minutes of life.
    """

    nodes: int = 0
    clients: int = 0
    hours: float = 0

    def options(self) -> str:
        """Return the plan as options of the command.

        >>> Plan(nodes=2).options()
        ' --nodes 2'
        """
        options = {"nodes": self.nodes, "clients": self.clients, "hours": self.hours}
        return "".join(f" --{name} {value:g}" for name, value in options.items() if value)


def draw(seed: int, plan: Plan | None = None) -> Script:
    """Return the script of a seed."""
    plan = plan or Plan()
    random = SeededEntropy(seed, "script").random
    quality = Quality(
        latency_s=random.choice((0.001, 0.02, 0.1)),
        jitter_s=random.choice((0.0, 0.01, 0.2)),
        bandwidth=random.choice((20_000.0, 1_000_000.0)),
        buffer_bytes=random.choice((1024, 8192, 65_536)),
        splits=random.choice((0.0, 0.1, 0.5)),
    )
    devices = random.randint(1, 2)
    is_tight = random.random() < _TIGHT_RATE
    return Script(
        seed=seed,
        nodes=plan.nodes or random.randint(1, 3),
        people=-(-plan.clients // devices) or random.randint(2, 4),
        devices=devices,
        rooms=random.randint(1, 3),
        ttl_s=random.choice((70.0, 300.0, 3600.0)),
        quality=quality,
        speed=Speed(commit_s=random.choice((0.0, 0.005, 0.05))),
        limits=(_CALM if plan.hours else {}) | (_TIGHT if is_tight else {}),
        steps=tuple(_hours(random, plan.hours) if plan.hours else _minute(random)),
    )


def _minute(random: Random) -> Iterator[Step]:
    """Yield steps without a pause for breath."""
    faults = random.choice(_FAULT_RATES)
    for _ in range(random.randint(20, 80)):
        # Bursts, pauses, and now and then one longer than most timeouts.
        yield _step(random, faults, random.choice((0.0, 0.0, 0.01, 0.3, 1.5, 6.0)))


def _hours(random: Random, hours: float) -> Iterator[Step]:
    """Yield quiet stretches, and some minutes of life after each."""
    left_s = hours * 3600
    while left_s > 0:
        faults = random.choice(_FAULT_RATES)
        steps = [_step(random, faults, random.choice((0.01, 1.5, 6.0, 20.0))) for _ in range(25)]
        # Most troubles are over soon; some last as long as nobody does anything.
        quiet_s = random.expovariate(1 / _QUIET_S)
        trouble_s = random.choice((5.0, 60.0, 60.0, quiet_s))
        steps.append(Step("mend", after_s=round(trouble_s, 3)))
        steps.append(Step("wait", after_s=round(max(0.0, quiet_s - trouble_s), 3)))
        left_s -= sum(step.after_s for step in steps)
        yield from steps


def _step(random: Random, faults: float, pause_s: float) -> Step:
    is_fault = random.random() < faults
    names, weights = (_VERBS, _VERB_WEIGHTS) if is_fault else (_ACTS, _ACT_WEIGHTS)
    return Step(
        verb=random.choices(names, weights)[0],
        after_s=round(pause_s * random.random(), 3),
        who=random.randrange(60),
        room=random.randrange(60),
        pick=random.randrange(60),
        amount=round(random.random(), 3),
    )
