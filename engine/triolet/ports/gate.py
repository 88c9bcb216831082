"""The gate: who is who, and what a host allows beyond the engine's own rules."""

from enum import Enum
from typing import Protocol, final, runtime_checkable

from msgspec import Struct


@final
class Identity(Struct, frozen=True, kw_only=True):
    """Somebody a gate has admitted.

    Attributes:
        expires_at: when the session must end, ms; `FOREVER` for in-process users.
        issued_at: when the token was made, ms; 0 when it does not say.
        tier: `service` is exempt from rate limits.
        family: which of the user's sign-ins it comes from; empty: it is not told.
    """

    user: str
    expires_at: int
    issued_at: int = 0
    roles: tuple[str, ...] = ()
    tier: str = ""
    device: str = ""
    token_id: str = ""
    family: str = ""


# The year 9999: no session outlives it.
FOREVER = 253_402_300_799_000


@final
class Opening(Struct, frozen=True, kw_only=True):
    """What is known of a connection before it says who it is."""

    address: str = ""
    origin: str = ""
    agent: str = ""


@final
class Action(Enum):
    """What a host may decide; each names the protocol's ops it covers."""

    CREATE = "create"
    DIRECT = "direct"
    JOIN = "join"
    READ = "subscribe, history, receipts"
    WRITE = "send, edit, delete, react, typing, signal"
    MANAGE = "invite, kick, role, meta"
    WATCH = "watch"


class Gate(Protocol):
    """Decides identity, and may overrule the engine's rules. Deny by raising or False."""

    async def admit(self, token: str | None, opening: Opening) -> Identity:
        """Return who holds `token`.

        Raises:
            Refusal: `UNAUTHENTICATED` (no token), `TOKEN_EXPIRED`, `TOKEN_INVALID`, `BANNED`.
        """
        ...

    def may(self, who: Identity, action: Action, *, room: str = "", user: str = "") -> bool | None:
        """Return True to allow, False to forbid, None to leave it to the engine's own rules.

        Called in the engine's thread for each request: answer from memory, do not block.
        """
        ...


@runtime_checkable
class PromptGate(Protocol):
    """What a gate may also do: say who somebody is in the scheduler turn in which it is asked."""

    def admit_now(self, token: str | None, opening: Opening) -> Identity | None:
        """Do what `Gate.admit` does, if nothing has to be waited for; else do nothing: None.

        Raises:
            Refusal: as `Gate.admit`.
        """
        ...
