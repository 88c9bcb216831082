"""Scripts from seeds: what a world is like and what happens in it, drawn by chance."""

from collections.abc import Iterator
from random import Random
from typing import Final, final

from msgspec import Struct
from msgspec.structs import replace

from .chance import SeededEntropy
from .disk import Speed
from .network import Quality
from .script import Script, Step
from .times import DAY_H, days, hours, minute

# In worlds of hours hearts beat seldom, for a minute of silence costs as much as one of life: of
# 16 clients' quiet hour, 4.0 s of processor time, half are heartbeats, a quarter is the canary.
_CALM: Final[dict[str, int | float]] = {
    "heartbeat_s": 60,
    "canary_interval_s": 20,
    "canary_timeout_s": 60,
}
# In worlds of days all that ticks is slower still: what is paid for is what people do.
_STILL: Final[dict[str, int | float]] = {
    "heartbeat_s": 600,
    "stall_s": 300,
    "token_notice_s": 300,
    "canary_interval_s": 60,
    "canary_timeout_s": 180,
    "head_check_s": 60,
    "revocations_check_s": 60,
    "presence_heartbeat_s": 60,
    "presence_lease_s": 180,
    "presence_check_s": 120,
}
# Worlds of days have so many times the rooms, and tokens that live so many times as long: for 35
# minutes, 2.5 hours or 30.
_DAYS_ROOMS: Final = 2
_DAYS_TTL: Final = 30
# And not everybody is in every room: what is said costs what it costs to tell all members.
_DAYS_SHARES: Final = (2, 3, 4)
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
        hours: how long the world lasts: quiet stretches, and now and then some minutes of life;
            from a day on, mornings, evenings and nights.
        retention: how many entries a room keeps, so that resuming from further back fails.
    """

    nodes: int = 0
    clients: int = 0
    hours: float = 0
    retention: int = 0

    def options(self) -> str:
        """Return the plan as options of the command.

        >>> Plan(nodes=2).options()
        ' --nodes 2'
        """
        options = {name: getattr(self, name) for name in self.__struct_fields__}
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
    is_days = plan.hours >= DAY_H
    kept = {"retention_entries": plan.retention} if plan.retention else {}
    pace = _STILL if is_days else _CALM if plan.hours else {}
    world = Script(
        seed=seed,
        nodes=plan.nodes or random.randint(1, 3),
        people=-(-plan.clients // devices) or random.randint(2, 4),
        devices=devices,
        rooms=random.randint(1, 3) * (_DAYS_ROOMS if is_days else 1),
        ttl_s=random.choice((70.0, 300.0, 3600.0)) * (_DAYS_TTL if is_days else 1),
        quality=quality,
        speed=Speed(commit_s=random.choice((0.0, 0.005, 0.05))),
        limits=pace | (_TIGHT if is_tight else {}) | kept,
        share=random.choice(_DAYS_SHARES) if is_days else 1,
    )
    return replace(world, steps=tuple(_steps(random, world, plan.hours)))


def _steps(random: Random, world: Script, lasts_h: float) -> Iterator[Step]:
    if lasts_h >= DAY_H:
        return days(random, world, lasts_h)
    return hours(random, lasts_h) if lasts_h else minute(random)
