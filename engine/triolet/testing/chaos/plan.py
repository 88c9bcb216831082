"""Who takes part, and in which rooms: pure, from a number of clients and a name for the run."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, final

import msgspec
from msgspec import Struct

from ..._model.commands import Place

# Every fifth client is a second device of the user before it.
_DEVICES_EVERY: Final = 5
# Groups overlap: each begins with a user of the one before.
_GROUP_USERS: Final = 6


@final
class Seat(Struct, frozen=True, kw_only=True):
    """One client.

    Attributes:
        client: its name in the history.
        user: for whom it acts.
        urls: where it connects: after each end of a connection, to the next one.
        token: what it greets with.
        rooms: what it follows, from where.
        watched: whose presence it looks at.
        seed: of its choices.
    """

    client: str
    user: str
    urls: tuple[str, ...]
    token: str
    rooms: tuple[Place, ...]
    watched: tuple[str, ...]
    seed: str


@final
class Plan(Struct, frozen=True, kw_only=True):
    """The users and the rooms of a run.

    Attributes:
        clients: `(client, user)`.
        groups: the members of each group, its owner first, by name.
        pairs: who talks to whom directly; a room's name is the server's to say.
    """

    clients: tuple[tuple[str, str], ...]
    groups: dict[str, tuple[str, ...]]
    pairs: tuple[tuple[str, str], ...]


def plan(run: str, count: int) -> Plan:
    """Return a plan for `count` clients, at least 2; names begin with `run`.

    >>> made = plan("r", 7)
    >>> made.clients[3:6]
    (('r-c4', 'r-u4'), ('r-c5', 'r-u4'), ('r-c6', 'r-u5'))
    >>> made.groups
    {'r-g1': ('r-u1', 'r-u2', 'r-u3', 'r-u4', 'r-u5', 'r-u6')}
    >>> made.pairs
    (('r-u1', 'r-u2'), ('r-u3', 'r-u4'), ('r-u5', 'r-u6'))
    """
    clients: list[tuple[str, str]] = []
    users: list[str] = []
    for number in range(1, count + 1):
        if number % _DEVICES_EVERY or not users:
            users.append(f"{run}-u{len(users) + 1}")
        clients.append((f"{run}-c{number}", users[-1]))
    step = _GROUP_USERS - 1
    starts = range(0, max(1, len(users) - 1), step)
    groups = {
        f"{run}-g{number}": tuple(users[start : start + _GROUP_USERS])
        for number, start in enumerate(starts, 1)
    }
    pairs = tuple(zip(users[::2], users[1::2], strict=False))
    return Plan(clients=tuple(clients), groups=groups, pairs=pairs)


def seats(
    made: Plan,
    rooms: dict[Place, tuple[str, ...]],
    *,
    ways: Sequence[Sequence[str]],
    token: Callable[[str], str],
    seed: int,
) -> list[Seat]:
    """Give each client its rooms and its way to the server, in turn.

    Args:
        made: the plan.
        rooms: the rooms as they were made, and their members.
        ways: kinds of way, each with its address of each node.
        token: makes one for a user.
        seed: of all choices.
    """
    return [
        Seat(
            client=client,
            user=user,
            urls=_turned(ways[number % len(ways)], number // len(ways)),
            token=token(user),
            rooms=tuple(place for place, members in rooms.items() if user in members),
            watched=_acquaintances(user, rooms.values()),
            seed=f"{seed}/{client}",
        )
        for number, (client, user) in enumerate(made.clients)
    ]


def _turned(urls: Sequence[str], by: int) -> tuple[str, ...]:
    """Return addresses so that neighbours begin with different ones.

    >>> [_turned("abc", by) for by in range(2)]
    [('a', 'b', 'c'), ('b', 'c', 'a')]
    """
    first = by % len(urls)
    return (*urls[first:], *urls[:first])


def _acquaintances(user: str, rooms: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    found = {other: None for members in rooms if user in members for other in members}
    return tuple(other for other in found if other != user)


# --- what is said between the harness and the processes of the clients -------------------


@final
class Order(Struct, frozen=True, kw_only=True):
    """What a worker is told: `seat` at first, then `jump` and `leap` by `seconds`.

    In the end `stop` (say no more), `finish` (read everything up to `heads`), and `leave`.
    """

    verb: str
    seats: tuple[Seat, ...] = ()
    history: str = ""
    pace_s: float = 0
    seconds: float = 0
    heads: tuple[tuple[str, int], ...] = ()


@final
class Report(Struct, frozen=True, kw_only=True):
    """What a worker tells, now and then.

    Attributes:
        state: `talking`, `quiet` (all is answered), `read` (so is everything), `done` (all left).
        online: clients that have a connection.
        acked: acknowledgements so far.
        waiting: requests without an answer now.
        heads: the greatest acknowledged seq of each room.
    """

    state: str
    online: int = 0
    acked: int = 0
    waiting: int = 0
    heads: dict[str, int] = {}


encode = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(Order).decode
decode_report = msgspec.json.Decoder(Report).decode
