"""What can be done to a system, as a table: each fault begins, lasts, and is healed.

A fault returns when what it did is undone. It strikes one place, so that several may rage at
once: a process of the system, the network, the machine of the clients; of several nodes, what
they stand on, and the ways there (`outages`).
"""

from typing import Final

import trio

from .. import history
from .outages import OUTAGES
from .plan import Order
from .proxy import WAYS
from .scene import Place, Scene, Strike, Violated

# --- processes ---------------------------------------------------------------------------


async def kill(scene: Scene) -> None:
    """`kill -9` at any moment; one in four again while it starts, one in four in a checkpoint."""
    name, process = scene.process()
    moment = scene.random.random()
    with scene.during("crash", name):
        if moment < 0.25:
            process.tell_to_go()
            await _wait_checkpoint(scene)
        began = scene.now()
        await process.kill()
        if moment > 0.75:
            await process.launch()
            await scene.last(0, 1.5)
            await process.kill()
        await scene.restart(process)
        scene.downs_s.append(scene.now() - began)


async def _wait_checkpoint(scene: Scene) -> None:
    """Wait for a moment in which the database itself is written, which a log spares it mostly.

    Whoever leaves in order carries its log over; 5 s later it may have none.
    """
    if scene.system.data is None:
        return
    files = {path: path.stat().st_mtime_ns for path in scene.system.data.glob("*.db")}
    with trio.move_on_after(5):
        # The file system tells nobody.
        while all(path.stat().st_mtime_ns == then for path, then in files.items()):  # noqa: ASYNC110
            await trio.sleep(0.001)
        scene.note(history.Fault(scene.now(), verb="checkpoint", what="server"))
    await scene.last(0, 0.01)


async def drain(scene: Scene) -> None:
    """SIGTERM: it tells its clients, commits, ends with 0; then it is started again."""
    name, process = scene.process()
    with scene.during("drain", name):
        began = scene.now()
        status = await process.stop()
        if status != 0:
            raise Violated(f"{name} was told to go, and ended with {status}")
        await scene.restart(process)
        scene.downs_s.append(scene.now() - began)


async def pause(scene: Scene) -> None:
    """SIGSTOP, for less or more than the clients' patience; then SIGCONT."""
    name, process = scene.process()
    with scene.during("pause", name):
        process.pause()
        try:
            await scene.last(0.1, 7)
        finally:
            process.resume()


async def full(scene: Scene) -> None:
    """No file of it may grow: what is refused must not be stored, what is read goes on."""
    name, process = scene.process()
    folder = scene.system.data
    assert folder is not None
    with scene.during("full_disk", name):
        largest = max(one.stat().st_size for one in folder.iterdir() if one.is_file())
        process.starve(largest + scene.random.choice((0, 64 * 1024)))
        try:
            await scene.last(0.3, 1.5)
        finally:
            process.feed()


# --- the network -------------------------------------------------------------------------


async def cut(scene: Scene) -> None:
    """Reset all connections, in the middle of a frame; some come back to a closed door."""
    proxy = scene.proxy()
    with scene.during("cut", f"port {proxy.port}"):
        if scene.random.random() < 0.5:
            proxy.refuse()
        proxy.cut(after_bytes=scene.random.choice((0, 1, 50, 1000)))
        await scene.last(0.05, 0.5)
        proxy.heal()


async def sever(scene: Scene) -> None:
    """Lose everything without a word, for less or more than the clients' patience."""
    proxy = scene.proxy()
    with scene.during("sever", f"port {proxy.port}"):
        proxy.sever()
        await scene.last(0.2, 7)
        proxy.heal()


async def hold(scene: Scene) -> None:
    """Keep what comes, in one direction or both, and pass it all on later."""
    proxy = scene.proxy()
    ways = scene.random.choice((WAYS, WAYS[:1], WAYS[1:]))
    with scene.during("hold", f"port {proxy.port} {'+'.join(ways)}"):
        proxy.hold(*ways)
        await scene.last(0.2, 7)
        proxy.release()


async def delay(scene: Scene) -> None:
    """A long way: 50 to 400 ms in each direction."""
    proxy = scene.proxy()
    with scene.during("delay", f"port {proxy.port}"):
        proxy.delay(scene.random.uniform(0.05, 0.4))
        await scene.last(0.5, 2)
        proxy.heal()


async def trickle(scene: Scene) -> None:
    """A thin way: a few thousand bytes a second."""
    proxy = scene.proxy()
    with scene.during("slow", f"port {proxy.port}"):
        proxy.trickle(scene.random.choice((500, 2000, 10_000)))
        await scene.last(0.5, 3)
        proxy.heal()


# --- the machine of the clients ----------------------------------------------------------


async def jump(scene: Scene) -> None:
    """Their wall clock jumps, up to a day either way."""
    seconds = scene.random.uniform(-86_400, 86_400)
    scene.note(history.Fault(t=scene.now(), verb="skew", what="clients"))
    await scene.random.choice(scene.crowd.workers).tell(Order(verb="jump", seconds=seconds))
    await scene.last(0.1, 0.5)


async def leap(scene: Scene) -> None:
    """Their monotonic clock leaps forward, as after a sleep that it counts: all timers are due."""
    seconds = scene.random.choice((1, 5, 60, 3600))
    scene.note(history.Fault(t=scene.now(), verb="leap", what="clients"))
    await scene.random.choice(scene.crowd.workers).tell(Order(verb="leap", seconds=seconds))
    await scene.last(0.1, 0.5)


async def sleep(scene: Scene) -> None:
    """Their machine sleeps: SIGSTOP, for less or more than the server's patience."""
    worker = scene.random.choice(scene.crowd.workers)
    with scene.during("sleep", "clients"):
        worker.pause()
        try:
            await scene.last(0.1, 7)
        finally:
            worker.resume()


FAULTS: Final[dict[str, tuple[Place, Strike]]] = {
    "kill": ("process", kill),
    "drain": ("process", drain),
    "pause": ("process", pause),
    "full": ("process", full),
    "cut": ("network", cut),
    "sever": ("network", sever),
    "hold": ("network", hold),
    "delay": ("network", delay),
    "trickle": ("network", trickle),
    "jump": ("clients", jump),
    "leap": ("clients", leap),
    "sleep": ("clients", sleep),
    **OUTAGES,
}

# What a system needs to have, to be struck so: a database in files, other nodes, a bus of its own.
OF_A_DISK: Final = ("full",)
OF_A_LEASE: Final = ("freeze",)
OF_A_BUS: Final = ("apart", "apart-bus")
