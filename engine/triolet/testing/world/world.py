"""A world: nodes, disk, network and people, and the time in which a script is played."""

from collections.abc import Callable
from typing import Final, final

import trio

from ..._model.errors import ConnectionClosed
from ...client.client import Client
from .. import history
from ..recorder import stored
from .acts import ACTS
from .buses import SimulatedBus
from .chance import SeededEntropy
from .disk import Disk
from .hosts import Hosts
from .network import Network
from .nodes import Node
from .people import Device
from .script import Script, Step
from .tokens import Issuer
from .verbs import VERBS

# When everything is mended, clients are back within their longest backoff, a dial that hangs and
# the head check of their node.
_SETTLE_S: Final = 180.0
_LOOK_S: Final = 1.0
# Messages of one page of history that is read back.
_PAGE: Final = 100


@final
class World:
    """See the module.

    Attributes:
        complaints: what must not be, in the order it was noticed.
        history: what clients did and saw, and what went wrong meanwhile.
    """

    def __init__(self, script: Script, nursery: trio.Nursery) -> None:
        seed = script.seed
        self.script = script
        self.complaints: list[str] = []
        self.history: list[history.Event] = []
        # Whether some clock was wrong, so that good tokens may have been refused.
        self.is_skewed = False
        self.network = Network(script.quality, SeededEntropy(seed, "network").random)
        self.hosts = Hosts(self.network)
        self.disk = Disk(SeededEntropy(seed, "disk"), script.speed)
        self.issuer = Issuer(script.ttl_s)
        self.bus = SimulatedBus(self.network, SeededEntropy(seed, "bus").random)
        self._number = 0
        # What is broken now, and by which verb.
        self._broken: dict[str, str] = {}
        limits = script.bounds()
        # A half-open connection is noticed after two heartbeats.
        self._settle_s = max(_SETTLE_S, 3 * limits.heartbeat_s)
        self.nodes = [
            Node(
                f"node{number}",
                seed=seed,
                disk=self.disk,
                bus=self.bus,
                hosts=self.hosts,
                limits=limits,
                nursery=nursery,
            )
            for number in range(script.nodes)
        ]
        self.users = script.users()
        names = [node.name for node in self.nodes]
        self.devices = [
            Device(
                user,
                number,
                seed=seed,
                hosts=self.hosts,
                nodes=names,
                issuer=self.issuer,
                nursery=nursery,
                write=self.history.append,
                complain=self.complain,
                refused=self._refused,
            )
            for user in self.users
            for number in range(script.devices)
        ]
        self.rooms = [f"room{number}" for number in range(script.rooms)]
        if script.people > 1:
            self.rooms.append(f"dm:{self.users[0]}:{self.users[1]}")

    # --- choosing ----------------------------------------------------------------------

    def now(self) -> float:
        """Return the true time, s."""
        return trio.current_time()

    def next_number(self) -> int:
        """Return 1, 2, 3 …"""
        self._number += 1
        return self._number

    def node(self, which: int) -> Node:
        """Return a node."""
        return self.nodes[which % len(self.nodes)]

    def user(self, which: int) -> str:
        """Return a user's name."""
        return self.users[which % len(self.users)]

    def device(self, which: int) -> Device:
        """Return a device."""
        return self.devices[which % len(self.devices)]

    def complain(self, what: str) -> None:
        """Note what must not be."""
        self.complaints.append(f"{trio.current_time():.3f} {what}")

    def _refused(self, closed: ConnectionClosed) -> None:
        if not self.is_skewed:
            self.complain(f"a client was refused for good: {closed}")

    # --- playing -----------------------------------------------------------------------

    async def begin(self) -> None:
        """Start everything, and make the rooms."""
        for node in self.nodes:
            node.start()
        await trio.sleep(0.1)
        for device in self.devices:
            device.open()
        await self._wait(self._are_online)
        for number, room in enumerate(self.rooms):
            self._found(room, number)
        await self._wait(self._are_idle)
        for device in self.devices:
            for room in self.rooms:
                _follow(device, room)
        await self._wait(self._are_idle)

    def _found(self, room: str, number: int) -> None:
        founder, users, share = self.devices[0], self.users, self.script.share
        members = [user for which, user in enumerate(users) if (which + number) % share == 0]
        if room.startswith("dm:"):
            founder.act("direct", lambda client: client.direct(users[1]))
        else:
            # Of several rooms each second one may be read by all.
            public = room.endswith("1")
            founder.act(
                "create", lambda client: client.create(room=room, members=members, public=public)
            )

    async def play(self) -> None:
        """Do one step after the other."""
        for step in self.script.steps:
            if step.after_s:
                await trio.sleep(step.after_s)
            self.do(step)

    def do(self, step: Step) -> None:
        """Do one step."""
        if step.verb in VERBS:
            VERBS[step.verb][0](self, step)
        else:
            room = self.rooms[step.room % len(self.rooms)]
            ACTS[step.verb][0](self, self.device(step.who), room, step)

    def happened(self, verb: str, what: str) -> None:
        """Write down a fault that is over at once."""
        self.history.append(history.Fault(self.now(), verb=verb, what=what))

    def broken(self, verb: str, what: str) -> None:
        """Write down that something is broken from now on."""
        if what not in self._broken:
            self._broken[what] = verb
            self.history.append(history.Fault(self.now(), verb=verb, what=what, phase="begins"))

    def mended(self, *whats: str) -> None:
        """Write down that these are whole again; none named: everything is."""
        for what in whats or tuple(self._broken):
            verb = self._broken.pop(what, None)
            if verb is not None:
                fault = history.Fault(self.now(), verb=verb, what=what, phase="ends")
                self.history.append(fault)

    def mend(self) -> None:
        """End all faults."""
        self.mended()
        self.disk.mend()
        self.bus.mend()
        for clock in (self.disk.clock, self.issuer.clock, *(node.clock for node in self.nodes)):
            clock.skew_ms = 0
        self.issuer.ttl_s = self.script.ttl_s
        for node in self.nodes:
            if node.life is not None:
                node.life.mend()
            node.start()
        self.network.heal()

    async def settle(self) -> None:
        """Have everything mended and everybody at home, and wait until all is quiet."""
        for node in self.nodes:
            await self._wait(node.is_here_or_gone)
        self.mend()
        for device in self.devices:
            device.dozes_until = 0.0
        # Half-open connections are noticed by their silence alone.
        await self._wait(self.network.is_whole)
        if not await self._wait(self._come_home):
            offline = [device.name for device in self.devices if not device.is_online]
            self.complain(f"still offline after everything was mended: {offline}")
        if not await self._wait(self._are_idle):
            self.complain("requests were never answered")
        # States are told, typing marks end, doorbells that were lost are made good; and who is
        # shown is who is here, for nobody is excused any more by what was broken.
        bounds = self.script.patience()
        excused_s = bounds.silence_s + bounds.grace_s + bounds.lease_s + bounds.slack_s
        await trio.sleep(max(excused_s, self.script.bounds().head_check_s + 10) + 1)

    async def _wait(self, holds: Callable[[], bool]) -> bool:
        """Wait until something holds; return whether it came to that."""
        until = trio.current_time() + self._settle_s
        while not holds():
            if trio.current_time() > until:
                return False
            await trio.sleep(_LOOK_S)
        return True

    def _are_online(self) -> bool:
        return all(device.is_online for device in self.devices)

    def _come_home(self) -> bool:
        """Have everybody open what was closed, also by the server."""
        for device in self.devices:
            device.open()
        return self._are_online()

    def _are_idle(self) -> bool:
        return all(device.acts == 0 for device in self.devices)

    # --- ending ------------------------------------------------------------------------

    async def look_back(self) -> None:
        """Have everybody read all they may, and write down what the store has."""
        for device in self.devices:
            for room in self.rooms:
                _look_through(device, room)
            device.act("rooms", lambda client: client.rooms(limit=200))
        if not await self._wait(self._are_idle):
            self.complain("requests were never answered")
        self.history.append(history.Settled(self.now()))
        self.history.extend(await stored(self.disk.memory, self.rooms, self.now()))

    async def leave(self) -> None:
        """Have everybody go home, and see that nothing of them is left."""
        for device in self.devices:
            device.close()
        await self._wait(lambda: not any(device.is_open for device in self.devices))
        # Half-open connections are noticed by their silence, then graces pass.
        await self._wait(lambda: not self.network.open)
        await trio.sleep(self.script.bounds().grace_s + 5)
        for node in self.nodes:
            if node.life is None:
                continue
            left = node.life.engine.statistics()
            if left.connections or left.sessions or left.cursors or left.pending_bytes:
                self.complain(f"{node.name} is left with {left}")
            if node.life.poller.watched() != 1:
                self.complain(f"{node.name} watches {node.life.poller.watched()} sockets")
        if self.network.open:
            self.complain(f"{len(self.network.open)} sockets are open")
        for node in self.nodes:
            node.stop()
        await self._wait(lambda: all(node.life is None for node in self.nodes))


def _follow(device: Device, room: str) -> None:
    device.act("subscribe", lambda client: client.subscribe(room))


def _look_through(device: Device, room: str) -> None:
    device.act("history", lambda client: _read_back(client, room))


async def _read_back(client: Client, room: str) -> None:
    before: int | None = None
    while True:
        page = await client.history(room, before=before, limit=_PAGE)
        if not page.more:
            return
        before = page.messages[0].seq
