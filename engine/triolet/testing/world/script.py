"""What happens in a world, as data: it can be printed, kept, shortened, and played again."""

from pathlib import Path
from typing import Final, final

import msgspec
from msgspec import Struct

from ..._model.limits import Limits
from ..checker import Bounds
from .disk import Speed
from .network import Quality

# People are called so, in this order; every one may have several devices.
NAMES: Final = ("anna", "ben", "cleo", "dan", "eva", "finn", "gina", "hugo", "ida", "jon", "kim")


class ScriptError(Exception):
    """A file is no script; the message says what is wrong with it."""


@final
class Step(Struct, frozen=True, omit_defaults=True):
    """One thing that happens.

    Numbers choose among what is there, modulo how many there are, so that every step means
    something in every world, also in one that was made smaller.

    Attributes:
        verb: the name of a fault or of an act.
        after_s: seconds since the step before.
        who: which node, person or device.
        room: which room.
        pick: which of whatever else the verb chooses among.
        amount: how much, where the verb has a measure; 0 to 1.
    """

    verb: str
    after_s: float = 0.0
    who: int = 0
    room: int = 0
    pick: int = 0
    amount: float = 0.0


@final
class Script(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A world and all that happens in it.

    Attributes:
        seed: of all chance that is not in the steps: scheduling, jitter, names, backoff.
        nodes: how many engines.
        people: how many users.
        devices: how many devices each of them has.
        rooms: how many group rooms they share.
        share: one of so many people is in a room when the world begins, in each room others.
        ttl_s: how long a token lives.
        quality: of the network.
        speed: of the disk.
        limits: bounds of the engine that differ from the usual.
        steps: in order.
    """

    seed: int = 0
    nodes: int = 1
    people: int = 2
    devices: int = 1
    rooms: int = 1
    share: int = 1
    ttl_s: float = 3600.0
    quality: Quality = Quality()
    speed: Speed = Speed()
    limits: dict[str, int | float] = {}
    steps: tuple[Step, ...] = ()

    def users(self) -> list[str]:
        """Return the names of the people.

        >>> Script(people=12).users()[-2:]
        ['kim', 'anna12']
        """
        numbers = range(self.people)
        return [
            NAMES[number % len(NAMES)] + (f"{number + 1}" if number >= len(NAMES) else "")
            for number in numbers
        ]

    def bounds(self) -> Limits:
        """Return the engine's bounds."""
        return msgspec.structs.replace(Limits(), **self.limits)

    def patience(self) -> Bounds:
        """Return how long what is told of people may lag behind them.

        >>> Script().patience() == Bounds()
        True
        """
        limits = self.bounds()
        lease_s = limits.presence_lease_s
        return Bounds(
            grace_s=limits.grace_s,
            # A ghost is seen for a lease and one look at it; its grace passes meanwhile.
            lease_s=max(lease_s, lease_s + limits.presence_heartbeat_s - limits.grace_s),
            # Both sides give a silent peer up after two heartbeats, and are a little late.
            silence_s=max(2 * limits.heartbeat_s, limits.stall_s) + 10,
            typing_s=limits.typing_s,
            recheck_s=limits.revocations_check_s,
        )


def write(script: Script, path: Path) -> None:
    """Write a script to a file, as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(script), indent=1))


def read(path: Path) -> Script:
    """Read a script from a file.

    Raises:
        ScriptError: it is none.
        OSError: the file cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Script)
    except msgspec.DecodeError as error:
        raise ScriptError(f"{path}: {error}") from error
