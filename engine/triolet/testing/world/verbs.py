"""What goes wrong in a world, and how it is mended."""

# ruff: noqa: ARG001 - all of them have one signature

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from .disk import Doom
from .script import Step

if TYPE_CHECKING:
    from .world import World

Verb: TypeAlias = Callable[["World", Step], None]

# The worst that verbs do, at `amount` 1.
_SLOW_LINK_S: Final = 3.0
_SLOW_DISK_S: Final = 4.0
_SKEW_MS: Final = 120_000
_TTL_S: Final = 90.0


def _partition(world: "World", step: Step) -> None:
    """Cut the link between a device and a node; one time of three, between it and all nodes."""
    device = world.device(step.who)
    world.broken("partition", "links")
    for node in world.nodes if step.pick % 3 == 0 else [world.node(step.pick)]:
        world.hosts.network.link(device.name, node.name).cut()


def _heal(world: "World", step: Step) -> None:
    """Make every link whole, and as fast as ever."""
    world.hosts.network.heal()
    world.mended("links")


def _crash(world: "World", step: Step) -> None:
    """Crash a node: now, without power, or before or after its next commit."""
    node = world.node(step.who)
    world.broken("crash", node.name)
    match step.pick % 4:
        case 0:
            node.crash()
        case 1:
            node.crash(silently=True)
        case 2:
            node.doom(Doom.BEFORE)
        case _:
            node.doom(Doom.AFTER)


def _restart(world: "World", step: Step) -> None:
    """Start a node that is down."""
    node = world.node(step.who)
    if node.life is None:
        node.start()
        world.mended(node.name)


def _stop(world: "World", step: Step) -> None:
    """Have a node drain and leave."""
    node = world.node(step.who)
    world.broken("stop", node.name)
    node.stop()


def _hold(world: "World", step: Step) -> None:
    """Have every call of a node to the disk wait."""
    life = world.node(step.who).life
    if life is not None:
        world.broken("hold", "calls to the disk")
        life.store.hold()


def _release(world: "World", step: Step) -> None:
    """Let all calls that wait go on."""
    for node in world.nodes:
        if node.life is not None:
            node.life.store.release()
    world.mended("calls to the disk")


def _slow(world: "World", step: Step) -> None:
    """Make the disk slow, or the links of a device."""
    if step.pick % 2:
        world.broken("slow", "the disk's speed")
        world.disk.slow_s = _SLOW_DISK_S * step.amount**3
    else:
        world.broken("slow", "links")
        for link in world.hosts.network.links(world.device(step.who).name):
            link.slow_s = _SLOW_LINK_S * step.amount**2


def _skew(world: "World", step: Step) -> None:
    """Put the clock of a node, of the store or of the issuer wrong."""
    clocks = [world.disk.clock, world.issuer.clock, *(node.clock for node in world.nodes)]
    world.broken("skew", "clocks")
    world.is_skewed = True
    clocks[step.pick % len(clocks)].skew_ms = round(_SKEW_MS * (2 * step.amount - 1))


def _full_disk(world: "World", step: Step) -> None:
    """Let nothing be written; one time of two, let it again."""
    world.disk.is_full = step.pick % 2 == 0
    if world.disk.is_full:
        world.broken("full_disk", "the disk's space")
    else:
        world.mended("the disk's space")


def _unsure(world: "World", step: Step) -> None:
    """Have some appends end with an unknown outcome, and some calls fail."""
    world.broken("unsure", "the disk's answers")
    world.disk.unknown = 0.5 * step.amount
    world.disk.unavailable = 0.1 * step.amount if step.pick % 2 else 0.0


def _reset(world: "World", step: Step) -> None:
    """Reset the connections of a device."""
    device = world.device(step.who)
    world.happened("reset", device.name)
    for end in world.hosts.ends(device.name):
        end.reset()


def _vanish(world: "World", step: Step) -> None:
    """Leave the connections of a device half open, as a box that forgot them does."""
    device = world.device(step.who)
    world.happened("vanish", device.name)
    for end in world.hosts.ends(device.name):
        end.vanish()


def _expire_tokens(world: "World", step: Step) -> None:
    """Have the issuer make tokens that do not live long."""
    world.broken("expire_tokens", "tokens")
    world.issuer.ttl_s = max(1.0, _TTL_S * step.amount)


def _drop_bus(world: "World", step: Step) -> None:
    """Have doorbells lost, doubled or late; or a node, or all of them, deaf or cut off."""
    bus = world.bus
    world.broken("drop_bus", "the bus")
    lives = [node.life for node in world.nodes if node.life is not None]
    match step.pick % 6:
        case 0:
            bus.lost = step.amount
        case 1:
            bus.doubled, bus.late = step.amount, step.amount
        case 2:
            for life in lives:
                life.bus.cut()
        case 3 if lives:
            bus.deafen(lives[step.who % len(lives)].bus)
        case _ if lives:
            lives[step.who % len(lives)].bus.cut()
        case _:
            pass


def _mend_bus(world: "World", step: Step) -> None:
    """Have the bus as it was."""
    world.bus.mend()
    for node in world.nodes:
        if node.life is not None:
            node.life.bus.mend()
    world.mended("the bus")


def _mend(world: "World", step: Step) -> None:
    """End all faults."""
    world.mend()


# By name, with how often they happen, in relation to the others.
VERBS: Final[dict[str, tuple[Verb, int]]] = {
    "partition": (_partition, 6),
    "heal": (_heal, 4),
    "crash": (_crash, 6),
    "restart": (_restart, 8),
    "stop": (_stop, 2),
    "hold": (_hold, 3),
    "release": (_release, 4),
    "slow": (_slow, 4),
    "skew": (_skew, 2),
    "full_disk": (_full_disk, 4),
    "unsure": (_unsure, 3),
    "reset": (_reset, 4),
    "vanish": (_vanish, 3),
    "expire_tokens": (_expire_tokens, 2),
    "drop_bus": (_drop_bus, 6),
    "mend_bus": (_mend_bus, 4),
    "mend": (_mend, 2),
}
