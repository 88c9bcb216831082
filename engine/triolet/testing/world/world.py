"""A world: nodes, disk, network and people, and the time in which a script is played."""

from collections.abc import Callable
from typing import Final, final

import trio

from ..._model.errors import CloseCode, ConnectionClosed
from ...client.client import Client
from .. import history
from ..recorder import stored
from .acts import ACTS, founding_cid
from .admin import Admin
from .buses import SimulatedBus
from .chance import SeededEntropy
from .disk import Disk
from .hosts import Hosts
from .network import Network
from .nodes import Node
from .people import Device
from .rooms import Rooms, is_direct, is_public
from .script import Script, Step
from .tokens import Issuer
from .verbs import VERBS

# When everything is mended, clients are back within their longest backoff, a dial that hangs and
# the head check of their node.
_SETTLE_S: Final = 180.0
_LOOK_S: Final = 1.0
# What is said is heard by then.
_HEARD_S: Final = 5.0
# Who is banned has been sent away by then.
_KNOCK_S: Final = 5.0
# Messages of one page of history that is read back.
_PAGE: Final = 100
# In the end so many rooms that were deleted are tried by everybody, the latest.
_GONE_TRIED: Final = 4


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
        self.disk.deletions.write = self._deleted
        self.disk.bans.write = self.history.append
        self.admin = Admin(self.disk.bans, nursery)
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
                began=self._began,
            )
            for number in range(script.nodes)
        ]
        self.users = script.users()
        self.devices = [
            self._device(user, number, nursery)
            for user in self.users
            for number in range(script.devices)
        ]
        self.rooms = Rooms(script)

    def _device(self, user: str, number: int, nursery: trio.Nursery) -> Device:
        return Device(
            user,
            number,
            seed=self.script.seed,
            hosts=self.hosts,
            nodes=[node.name for node in self.nodes],
            issuer=self.issuer,
            nursery=nursery,
            write=self.history.append,
            complain=self.complain,
            refused=self._refused,
        )

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

    def banned(self, which: int) -> str | None:
        """Return somebody of whom there is a ban, None: there is none."""
        banned = self.disk.bans.banned()
        return banned[which % len(banned)] if banned else None

    def _began(self, node: str) -> None:
        self.history.append(history.Started(self.now(), node=node))

    def complain(self, what: str) -> None:
        """Note what must not be."""
        self.complaints.append(f"{trio.current_time():.3f} {what}")

    def _refused(self, closed: ConnectionClosed) -> None:
        # Who is banned may not come in; whether they are, the checker knows.
        if not self.is_skewed and closed.code != CloseCode.BANNED:
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
        for room in self.rooms.names:
            self._found(self.devices[0], room)
        await self._wait(self._are_idle)
        for device in self.devices:
            for room in filter(is_direct, self.rooms.names):
                _follow(device, room)
        await self._wait(self._are_idle)

    def _found(self, founder: Device, room: str) -> None:
        if is_direct(room):
            founder.act("direct", lambda client: client.direct(self.users[1]))
        else:
            founder.act("create", lambda client: self._make(client, room))

    async def _make(self, client: Client, room: str) -> None:
        """Make a room, and have everybody follow it."""
        number, share = self.rooms.names.index(room), self.script.share
        members = [user for which, user in enumerate(self.users) if (which + number) % share == 0]
        await client.create(
            room=room, members=members, public=is_public(room), cid=founding_cid(room)
        )
        for device in self.devices:
            _follow(device, room)

    def _deleted(self, event: history.Event) -> None:
        """Note that a room has ended, and have another one made, which everybody follows."""
        self.history.append(event)
        room = self.rooms.end(event.room) if isinstance(event, history.Deleted) else None
        if room is not None:
            self._found(next(filter(_is_online, self.devices), self.devices[0]), room)

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
            room = self.rooms.choose(step)
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
        await self._pardon()
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

    def let_back(self, node: Node, user: str) -> None:
        """Have a ban lifted, and whom it was of come back."""
        self.admin.lift(node, user, then=lambda: self.bring(user))

    def bring(self, user: str | None) -> None:
        """Have somebody open all their devices."""
        for device in self.devices:
            if device.user == user:
                device.open()

    async def _pardon(self) -> None:
        """Have those who are banned still try to come in, and then lift all bans."""
        bans = self.disk.bans
        await self._wait(lambda: not self.admin.acts)
        if not bans.banned():
            return
        await trio.sleep(2 * self.script.bounds().revocations_check_s)
        for user in bans.banned():
            self.bring(user)
        await trio.sleep(_KNOCK_S)
        for user in bans.banned():
            self.let_back(self.nodes[0], user)
        await self._wait(lambda: not bans.banned())

    async def _wait(self, holds: Callable[[], bool]) -> bool:
        """Wait until something holds; return whether it came to that."""
        until = trio.current_time() + self._settle_s
        while not holds():
            if trio.current_time() > until:
                return False
            await trio.sleep(_LOOK_S)
        return True

    def _are_online(self) -> bool:
        return all(map(_is_online, self.devices))

    def _come_home(self) -> bool:
        """Have everybody open what was closed, also by the server."""
        for device in self.devices:
            device.open()
        return self._are_online()

    def _are_idle(self) -> bool:
        return not self.admin.acts and all(device.acts == 0 for device in self.devices)

    # --- ending ------------------------------------------------------------------------

    async def look_back(self) -> None:
        """Have everybody read all they may, and write down what the store has."""
        self.history.append(history.Settled(self.now()))
        await self._look_for_gone()
        await self._hear_who_was_banned()
        for device in self.devices:
            for room in self.rooms.names:
                _look_through(device, room)
            device.act("rooms", lambda client: client.rooms(limit=200))
        if not await self._wait(self._are_idle):
            self.complain("requests were never answered")
        self.history.append(history.Settled(self.now()))
        rooms = (*self.rooms.gone, *self.rooms.names)
        self.history.extend(await stored(self.disk.memory, rooms, self.now()))

    async def _look_for_gone(self) -> None:
        """Have everybody try rooms that were deleted: they are told that there are none."""
        for room in self.rooms.gone[-_GONE_TRIED:]:
            for device in self.devices:
                _follow(device, room)
                _look_through(device, room)
                _say_something(device, room)
        if not await self._wait(self._are_idle):
            self.complain("requests were never answered")
        if not self.disk.deletions.is_cleared():
            self.complain(f"not all is erased of {self.rooms.gone}")

    async def _hear_who_was_banned(self) -> None:
        """Have those say something in every room who were banned once: they have lost nothing."""
        for user in self.disk.bans.ever:
            device = next(device for device in self.devices if device.user == user)
            for room in self.rooms.names:
                _say_something(device, room)
        if not await self._wait(self._are_idle):
            self.complain("requests were never answered")
        if self.disk.bans.ever:
            # What they said is heard by all.
            await trio.sleep(_HEARD_S)

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


def _is_online(device: Device) -> bool:
    return device.is_online


def _follow(device: Device, room: str) -> None:
    device.act("subscribe", lambda client: client.subscribe(room))


def _say_something(device: Device, room: str) -> None:
    device.act("send", lambda client: client.send(room, "is anybody here?"))


def _look_through(device: Device, room: str) -> None:
    device.act("history", lambda client: _read_back(client, room))


async def _read_back(client: Client, room: str) -> None:
    before: int | None = None
    while True:
        page = await client.history(room, before=before, limit=_PAGE)
        if not page.more:
            return
        before = page.messages[0].seq
