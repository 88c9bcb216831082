"""What people do: each act asks one thing of one device's client.

An act chooses by the step's numbers among what the device knows. Some choose wrongly, as
people and broken applications do, and are refused.
"""

# ruff: noqa: ARG001 - all of them have one signature

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from ..._model.commands import Status
from ..._model.entries import Role
from .people import Device
from .rooms import is_direct
from .script import Step

if TYPE_CHECKING:
    from .world import World

Act: TypeAlias = Callable[["World", Device, str, Step], None]

_EMOJI: Final = ("👍", "🎉", "👀")
_STATUSES: Final[tuple[Status, ...]] = ("online", "away", "dnd", "invisible")
_ROLES: Final[tuple[Role, ...]] = ("admin", "member", "reader")
# The greatest message people write; most are short.
_TEXT_BYTES_MAX: Final = 4000
# The longest ban that ends by itself.
_BAN_S_MAX: Final = 90.0


def founding_cid(room: str) -> str:
    """Return the cid under which a world's room is made."""
    return f"make {room}"


def _target(device: Device, room: str, pick: int) -> int:
    """Return the seq of a message the device has seen, most often a late one, or a wild guess."""
    seen = device.messages.get(room, [])
    return seen[-1 - pick % len(seen)] if seen else 1 + pick % 5


def _send(world: "World", device: Device, room: str, step: Step) -> None:
    text = f"{device.name} {world.next_number()}".ljust(int(step.amount**8 * _TEXT_BYTES_MAX), ".")
    device.act("send", lambda client: client.send(room, text))


def _reply(world: "World", device: Device, room: str, step: Step) -> None:
    target = _target(device, room, step.pick)
    text = f"re {world.next_number()}"
    mentioned = [world.user(step.pick)]
    device.act("send", lambda c: c.send(room, text, reply_to=target, mentions=mentioned))


def _repeat(world: "World", device: Device, room: str, step: Step) -> None:
    """Send the same again under the same cid, as an application that was restarted does."""
    cid = f"cid {step.pick % 4}"
    text = f"{device.user} again {step.pick % 4}"
    device.act("send", lambda client: client.send(room, text, cid=cid))


def _edit(world: "World", device: Device, room: str, step: Step) -> None:
    target = _target(device, room, step.pick)
    text = f"edited {world.next_number()}"
    device.act("edit", lambda client: client.edit(room, target, text))


def _delete(world: "World", device: Device, room: str, step: Step) -> None:
    target = _target(device, room, step.pick)
    device.act("delete", lambda client: client.delete(room, target))


def _react(world: "World", device: Device, room: str, step: Step) -> None:
    target = _target(device, room, step.pick // 6)
    emoji, is_on = _EMOJI[step.pick % 3], step.pick % 6 < 4
    device.act("react", lambda client: client.react(room, target, emoji, on=is_on))


def _read(world: "World", device: Device, room: str, step: Step) -> None:
    target = _target(device, room, step.pick % 3)
    device.act("receipt", lambda client: client.receipt(room, delivered=target, read=target))


def _typing(world: "World", device: Device, room: str, step: Step) -> None:
    device.act("typing", lambda client: client.typing(room, on=step.pick % 3 > 0))


def _presence(world: "World", device: Device, room: str, step: Step) -> None:
    device.act("presence", lambda client: client.presence(_STATUSES[step.pick % 4]))


def _watch(world: "World", device: Device, room: str, step: Step) -> None:
    users = [world.user(step.pick + i) for i in range(2)]
    if step.amount > 0.25:
        device.act("watch", lambda client: client.watch(users))
    else:
        device.act("unwatch", lambda client: client.unwatch(users))


def _history(world: "World", device: Device, room: str, step: Step) -> None:
    limit = 1 + step.pick % 20
    before = _target(device, room, step.pick) if step.amount > 0.5 else None
    device.act("history", lambda client: client.history(room, before=before, limit=limit))


def _signal(world: "World", device: Device, room: str, step: Step) -> None:
    device.act("signal", lambda client: client.signal(room, "wave", {"n": step.pick}))


def _subscribe(world: "World", device: Device, room: str, step: Step) -> None:
    device.act("subscribe", lambda client: client.subscribe(room))


def _unsubscribe(world: "World", device: Device, room: str, step: Step) -> None:
    device.act("unsubscribe", lambda client: client.unsubscribe(room))


def _join(world: "World", device: Device, room: str, step: Step) -> None:
    device.act("join", lambda client: client.join(room))


def _leave(world: "World", device: Device, room: str, step: Step) -> None:
    device.act("leave", lambda client: client.leave(room))


def _invite(world: "World", device: Device, room: str, step: Step) -> None:
    user = world.user(step.pick)
    device.act("invite", lambda client: client.invite(room, user))


def _kick(world: "World", device: Device, room: str, step: Step) -> None:
    user = world.user(step.pick)
    device.act("kick", lambda client: client.kick(room, user))


def _role(world: "World", device: Device, room: str, step: Step) -> None:
    user, role = world.user(step.pick // 3), _ROLES[step.pick % 3]
    device.act("role", lambda client: client.set_role(room, user, role))


def _meta(world: "World", device: Device, room: str, step: Step) -> None:
    title, public = f"title {world.next_number()}", step.pick % 2 > 0
    device.act("meta", lambda client: client.set_meta(room, title=title, public=public))


def _delete_room(world: "World", device: Device, room: str, step: Step) -> None:
    """Delete a room; most often it is whoever made it who tries."""
    who = world.device(step.who % world.script.devices) if step.pick % 4 else device
    who.act("delete_room", lambda client: client.delete_room(room))


def _ban(world: "World", device: Device, room: str, step: Step) -> None:
    """Have an administrator ban somebody, one time of three not for good."""
    for_s = _BAN_S_MAX * step.amount if step.pick // 8 % 3 == 0 else None
    world.admin.ban(world.node(step.room), world.user(step.pick), for_s=for_s)


def _lift(world: "World", device: Device, room: str, step: Step) -> None:
    """Have an administrator lift a ban, most often of somebody of whom there is one."""
    user = world.banned(step.pick) or world.user(step.pick)
    world.let_back(world.node(step.room), user)


def _knock(world: "World", device: Device, room: str, step: Step) -> None:
    """Have somebody come in who is banned, with all their devices."""
    world.bring(world.banned(step.pick))


def _create(world: "World", device: Device, room: str, step: Step) -> None:
    """Make a room that there is, or that there was: its maker may ask as the first time."""
    cid = founding_cid(room) if step.pick // 8 % 2 else None
    if not is_direct(room):
        device.act("create", lambda client: client.create(room=room, cid=cid))


def _rooms(world: "World", device: Device, room: str, step: Step) -> None:
    device.act("rooms", lambda client: client.rooms(limit=1 + step.pick % 50))


def _doze(world: "World", device: Device, room: str, step: Step) -> None:
    """Stop reading events for a while: the screen is off, the application is busy."""
    device.dozes_until = world.now() + 20 * step.amount


def _open(world: "World", device: Device, room: str, step: Step) -> None:
    device.open()


def _close(world: "World", device: Device, room: str, step: Step) -> None:
    device.close()


def _kill(world: "World", device: Device, room: str, step: Step) -> None:
    device.kill()


def _wait(world: "World", device: Device, room: str, step: Step) -> None:
    """Do nothing: time passes."""


# By name, with how often people do so, in relation to the others.
ACTS: Final[dict[str, tuple[Act, int]]] = {
    "send": (_send, 40),
    "reply": (_reply, 4),
    "repeat": (_repeat, 4),
    "edit": (_edit, 5),
    "delete": (_delete, 3),
    "react": (_react, 8),
    "read": (_read, 8),
    "typing": (_typing, 4),
    "presence": (_presence, 2),
    "watch": (_watch, 2),
    "history": (_history, 3),
    "signal": (_signal, 2),
    "subscribe": (_subscribe, 6),
    "unsubscribe": (_unsubscribe, 2),
    "join": (_join, 3),
    "leave": (_leave, 2),
    "invite": (_invite, 3),
    "kick": (_kick, 2),
    "role": (_role, 2),
    "meta": (_meta, 1),
    "delete_room": (_delete_room, 1),
    "create": (_create, 1),
    "ban": (_ban, 1),
    "lift": (_lift, 1),
    "knock": (_knock, 2),
    "rooms": (_rooms, 1),
    "doze": (_doze, 2),
    "open": (_open, 4),
    "close": (_close, 2),
    "kill": (_kill, 1),
    "wait": (_wait, 1),
}
