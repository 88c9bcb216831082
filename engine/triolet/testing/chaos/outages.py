"""What can be done to what several nodes stand on: their bus, their store, the ways there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from .backings import BUS, STORE, Backing
from .proxy import Proxy
from .scene import Place, Scene, Strike

# Longer than a lease: what was told under it is gone.
_BEYOND_A_LEASE: Final = (1.1, 1.5)


# --- a node among others -----------------------------------------------------------------


async def freeze(scene: Scene) -> None:
    """SIGSTOP of a node until its lease has lapsed; others have taken its users for gone."""
    name, process = scene.process()
    with scene.during("freeze", name):
        process.pause()
        try:
            least, most = (scene.system.bounds.lease_s * times for times in _BEYOND_A_LEASE)
            await scene.last(least, most)
        finally:
            process.resume()


# --- what they stand on ------------------------------------------------------------------


async def bus_gone(scene: Scene) -> None:
    """The bus is killed, and forgets all it knew; it is back after a while."""
    await _gone(scene, BUS)


async def bus_paused(scene: Scene) -> None:
    """The bus takes connections and commands, and answers nothing."""
    await _paused(scene, BUS)


async def bus_flushed(scene: Scene) -> None:
    """The bus forgets every lease, every state and every rate, and goes on."""
    backing = _choose(scene, BUS)
    with scene.during("flush", backing.name):
        await backing.flush()
        await scene.last(0.1, 0.5)


async def store_gone(scene: Scene) -> None:
    """The store ends at once, in the middle of commits; it recovers, and is back."""
    await _gone(scene, STORE)


async def store_paused(scene: Scene) -> None:
    """The store takes connections and statements, and answers nothing."""
    await _paused(scene, STORE)


async def _gone(scene: Scene, role: str) -> None:
    backing = _choose(scene, role)
    with scene.during("gone", backing.name):
        await backing.kill()
        try:
            await scene.last(0.2, 7)
        finally:
            await backing.start()


async def _paused(scene: Scene, role: str) -> None:
    backing = _choose(scene, role)
    with scene.during("pause", backing.name):
        backing.pause()
        try:
            await scene.last(0.2, 7)
        finally:
            backing.resume()


def _choose(scene: Scene, role: str) -> Backing:
    return scene.random.choice([one for one in scene.system.backings if one.role == role])


# --- the ways there ----------------------------------------------------------------------


async def apart(scene: Scene) -> None:
    """A node is cut off from both the bus and the store; its clients reach it all the same."""
    await _apart(scene, (BUS, STORE))


async def apart_bus(scene: Scene) -> None:
    """A node is cut off from the bus alone: it hears nobody, and nobody hears it."""
    await _apart(scene, (BUS,))


async def apart_store(scene: Scene) -> None:
    """A node is cut off from the store alone: it hears, and can keep nothing."""
    await _apart(scene, (STORE,))


async def _apart(scene: Scene, roles: Sequence[str]) -> None:
    """Cut a node off: by resets and closed doors, by silence that keeps all, or that loses all."""
    name = scene.random.choice(list(scene.system.links))
    links = [proxy for role in roles for proxy in scene.system.links[name][role]]
    how = scene.random.choice(list(_CUTS))
    with scene.during(f"apart_{how}", f"{name} from {' and '.join(roles)}"):
        for proxy in links:
            _CUTS[how](proxy)
        await scene.last(0.2, 9)
        for proxy in links:
            proxy.heal()


def _refuse(proxy: Proxy) -> None:
    proxy.refuse()
    proxy.cut()


_CUTS: Final[Mapping[str, Callable[[Proxy], None]]] = {
    "refused": _refuse,
    "held": Proxy.hold,
    "lost": Proxy.sever,
}

OUTAGES: Final[dict[str, tuple[Place, Strike]]] = {
    "freeze": ("process", freeze),
    "bus-gone": ("bus", bus_gone),
    "bus-paused": ("bus", bus_paused),
    "bus-flushed": ("bus", bus_flushed),
    "store-gone": ("store", store_gone),
    "store-paused": ("store", store_paused),
    "apart": ("between", apart),
    "apart-bus": ("between", apart_bus),
    "apart-store": ("between", apart_store),
}
