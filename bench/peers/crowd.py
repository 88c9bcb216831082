"""A crowd: many clients in many rooms, who lose their connection and come back.

A peer that takes part in such a scenario makes a `Crowd`; the load knows only these protocols.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from . import Step


class Plan(NamedTuple):
    """Who is in which room: guest i is in `rooms_of[i]`, all by number."""

    guests: int
    rooms: int
    rooms_of: tuple[tuple[int, ...], ...]

    def members(self) -> list[list[int]]:
        """Return the guests of each room."""
        found: list[list[int]] = [[] for _ in range(self.rooms)]
        for guest, rooms in enumerate(self.rooms_of):
            for room in rooms:
                found[room].append(guest)
        return found


def plan_of(guests: int, rooms: int, each: int) -> Plan:
    """Return a plan: every guest in `each` rooms, all rooms of nearly the same size.

    >>> plan_of(4, 4, 2).rooms_of
    ((0, 2), (1, 3), (2, 0), (3, 1))
    """
    step = rooms // each
    rooms_of = tuple(
        tuple((guest + place * step) % rooms for place in range(each)) for guest in range(guests)
    )
    return Plan(guests, rooms, rooms_of)


class Refused(Exception):
    """The server wants a client to come back later.

    Attributes:
        hint_s: not before, s.
    """

    def __init__(self, hint_s: float) -> None:
        super().__init__(f"come back in {hint_s:.1f} s")
        self.hint_s = hint_s


class Client(Protocol):
    """A client and what it has seen, whatever connection it has.

    Attributes:
        is_back: it has been told where its rooms are, and has everything up to there.
    """

    is_back: bool

    def come(self) -> bytes:
        """Return what is sent first on a new connection, once it is upgraded."""
        ...

    def take(self, payload: bytes) -> bytes:
        """Judge one message of the server, and return the frames to be sent at once, if any.

        Raises:
            Unexpected: it is not what should have come.
            Refused: the connection is of no use.
        """
        ...

    def closed(self, code: int, reason: bytes) -> float:
        """Return how long to stay away after a close by the server, at least, s.

        Raises:
            Unexpected: there was no reason for it.
        """
        ...


class Host(Client, Protocol):
    """The client that writes, and follows nothing. It is back once it may write."""

    def say(self, room: int) -> bytes:
        """Return the frame of the next message to a room."""
        ...

    @property
    def unanswered(self) -> int:
        """How many messages were said and not acknowledged."""
        ...


class Crowd(Protocol):
    """One run's clients, and what is known of their rooms.

    Attributes:
        host: who writes.
        guests: who follow, by number.
    """

    host: Host
    guests: Sequence[Client]

    def prepare(self) -> Sequence[Step]:
        """Return what the host says once, in lock-step, before anybody comes."""
        ...

    def is_settled(self) -> bool:
        """Whether everything said is acknowledged, and every guest has it."""
        ...

    def verify(self) -> dict[str, int]:
        """Return counts of what was verified, once it is settled.

        Raises:
            Unexpected: something was lost, repeated, or is not in its place.
        """
        ...
