"""Who behaves like a bot, on this node: they solve a CAPTCHA, or have a quarter of the rates.

Nobody is kept out by it: it is a guess (`_domain.suspicion`), it is told, and it passes.
"""

import logging
from collections.abc import Callable
from typing import Final, TypeVar, final

import trio
from msgspec.structs import replace

from .._domain.addresses import INSIDE, UNIX, customer_of
from .._domain.suspicion import (
    THRESHOLD,
    WINDOW_S,
    Evidence,
    Registrations,
    opening_points,
)
from .._model.commands import Command, Create, Direct, EditMessage, Invite, ReactTo, Send
from .._model.errors import ErrorCode, Refusal
from ..ports.gate import Identity, Opening

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Whoever wrote longest ago is forgotten first: 3 KiB each at most, most have a tenth of it.
_USERS_MAX: Final = 20_000
_ADDRESSES_MAX: Final = 5_000
# A digest of less is of what many say: "hello", "thanks a lot".
_BODY_CHARACTERS_MIN: Final = 32
_FACTOR: Final = 0.25
# What reaches others.
_WRITES: Final = (Send, EditMessage, ReactTo, Create, Direct, Invite)


@final
class Vigilance:
    """See the module.

    Args:
        has_captcha: whether there is one to be solved.
        now: monotonic, s.

    Attributes:
        flagged: how often somebody was found to behave so.
    """

    def __init__(self, *, has_captcha: bool, now: Callable[[], float] = trio.current_time) -> None:
        self._has_captcha = has_captcha
        self._now = now
        # The one heard of longest ago first.
        self._users: dict[str, Evidence] = {}
        self._addresses: dict[str, Registrations] = {}
        # Of who asks without a session.
        self._openings: dict[str, Opening] = {}
        # Until when each counts as a bot.
        self._suspects: dict[str, float] = {}
        self.flagged = 0

    def registered(self, address: str) -> None:
        """Somebody has made an account."""
        place = customer_of(address)
        found = self._addresses.pop(place, None) or Registrations()
        found.add(self._now())
        self._addresses[place] = found
        _bound(self._addresses, _ADDRESSES_MAX)

    def came(self, user: str, opening: Opening) -> None:
        """Somebody asks without a session, over HTTP."""
        self._openings.pop(user, None)
        # Browsers leave it out where a page asks its own server.
        self._openings[user] = replace(opening, origin=opening.origin or "null")
        _bound(self._openings, _USERS_MAX)

    def look(self, identity: Identity, opening: Opening | None, command: Command) -> float:
        """Take note of a command; return which part of the rates there is for it.

        Args:
            identity: whose; services are not looked at, nor is who is in this very process.
            opening: how their connection began; None: there is none, see `came`.
            command: what they ask for.

        Raises:
            Refusal: `CAPTCHA_REQUIRED`: nothing is written before it is solved.
        """
        opening = opening or self._openings.get(identity.user)
        is_inside = opening is not None and opening.address == INSIDE
        if identity.tier == "service" or is_inside:
            return 1.0
        user, now = identity.user, self._now()
        is_write = isinstance(command, _WRITES)
        if is_write and not self._is_suspect(user, now):
            self._note(user, opening, command, now)
        if not self._is_suspect(user, now):
            return 1.0
        if is_write and self._has_captcha:
            raise Refusal(ErrorCode.CAPTCHA_REQUIRED, "show that you are no bot")
        return _FACTOR

    def factor(self, user: str) -> float:
        """Return which part of the rates there is for a user."""
        return _FACTOR if self._is_suspect(user, self._now()) else 1.0

    def suspects(self) -> list[str]:
        """Return those who count as bots, or did lately."""
        return list(self._suspects)

    def pardon(self, user: str) -> None:
        """Somebody has solved a CAPTCHA: what they did before counts no more."""
        self._suspects.pop(user, None)
        self._users.pop(user, None)

    def _is_suspect(self, user: str, now: float) -> bool:
        until = self._suspects.get(user)
        if until is None:
            return False
        if until > now:
            return True
        self.pardon(user)
        return False

    def _note(self, user: str, opening: Opening | None, command: Command, now: float) -> None:
        evidence = self._users.pop(user, None) or Evidence()
        self._users[user] = evidence
        _bound(self._users, _USERS_MAX)
        if isinstance(command, Send):
            evidence.wrote(command.room, _digest(command), now)
        elif isinstance(command, Direct):
            evidence.met(command.user, now)
        points = evidence.points(now)
        if points and points + self._points_of(opening, now) >= THRESHOLD:
            self.flagged += 1
            self._suspects[user] = now + WINDOW_S
            _bound(self._suspects, _USERS_MAX)
            logger.warning("%s behaves like a bot (%d points)", user, points)

    def _points_of(self, opening: Opening | None, now: float) -> int:
        if opening is None:
            return 0
        points = opening_points(opening.agent, opening.origin)
        if opening.address and opening.address != UNIX:
            from_there = self._addresses.get(customer_of(opening.address))
            points += 0 if from_there is None else from_there.points(now)
        return points


def _digest(command: Send) -> int | None:
    """Return what tells long bodies apart, in this process."""
    text = repr(command.body)
    return hash(text) if len(text) >= _BODY_CHARACTERS_MIN else None


def _bound(kept: dict[str, T], most: int) -> None:
    if len(kept) > most:
        del kept[next(iter(kept))]
