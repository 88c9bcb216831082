"""Every error and close code of the protocol, and the exceptions that carry them.

The tree, by whose fault it is::

    TrioletError
    ├── Refusal               the engine answers a request with a code (wire: `op: error`)
    ├── StoreError            a store adapter's failures, foreign exceptions mapped
    │   ├── StoreUnavailable  nothing was stored; try again later
    │   ├── OutcomeUnknown    it may have been stored; retry with the same cid
    │   └── SchemaTooNew      the data belongs to a newer Triolet
    ├── BusUnavailable        other nodes cannot be reached; the store knows all the same
    ├── ConnectionClosed      the other side of a client's connection is gone, for good
    ├── QueueFull             a client has too much waiting for a connection
    ├── Retry                 a job's handler asks to be called again later
    ├── Abandon               a job's handler gives the job up
    └── ConfigurationError    settings that cannot work

Codes are stable and never reused.
"""

from collections.abc import Collection
from enum import IntEnum
from typing import final

from msgspec import Struct


@final
class ErrorCode(IntEnum):
    """Why a request was refused; the name in lower case is the wire's `reason`."""

    UNAUTHENTICATED = 1001
    TOKEN_EXPIRED = 1002
    TOKEN_INVALID = 1003
    BANNED = 1004
    CAPTCHA_REQUIRED = 1005
    MALFORMED = 2001
    UNKNOWN_OP = 2002
    INVALID_FIELD = 2003
    TOO_LARGE = 2004
    HELLO_REQUIRED = 2005
    FORBIDDEN = 3001
    NO_SUCH_ROOM = 3002
    NOT_A_MEMBER = 3003
    NO_SUCH_ENTRY = 3004
    ALREADY_EXISTS = 3005
    RATE_LIMITED = 4001
    TOO_MANY_ROOMS = 4002
    TOO_MANY_SESSIONS = 4003
    STORE_UNAVAILABLE = 5001
    SHUTTING_DOWN = 5002
    INTERNAL = 5003
    OUTCOME_UNKNOWN = 5004

    @property
    def reason(self) -> str:
        """The name on the wire, for example `rate_limited`."""
        return self.name.lower()


@final
class CloseCode(IntEnum):
    """Why a connection was closed: RFC 6455 section 7.4 below 4000, Triolet's own from 4000."""

    BYE = 1000
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    DRAINING = 1012
    UNAUTHENTICATED = 4001
    TOKEN_EXPIRED = 4002
    BANNED = 4003
    TOO_SLOW = 4008
    NO_HELLO = 4009
    TOO_MANY = 4029

    @property
    def is_final(self) -> bool:
        """Whether a client must stop instead of reconnecting."""
        return self in (CloseCode.UNAUTHENTICATED, CloseCode.BANNED)


@final
class Close(Struct, frozen=True):
    """How a connection is closed: the code and a short reason, which may be JSON (4029)."""

    code: int
    reason: str = ""


class TrioletError(Exception):
    """The root of every exception Triolet raises on purpose."""


class Refusal(TrioletError):
    """A request that the engine answers with an error.

    Attributes:
        code: the stable code.
        message: one sentence for the developer of the client; never for secrets.
        retry_after_ms: when trying again makes sense, if it does.
    """

    def __init__(
        self, code: ErrorCode, message: str = "", *, retry_after_ms: int | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message or code.reason.replace("_", " ")
        self.retry_after_ms = retry_after_ms

    def __str__(self) -> str:
        return f"{self.code.value} {self.code.reason}: {self.message}"


class StoreError(TrioletError):
    """A store could not do what it was asked."""


@final
class StoreUnavailable(StoreError):
    """Nothing of the call was stored; the same call may succeed later."""

    def __init__(self, message: str, *, retry_after_ms: int = 1000) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


@final
class OutcomeUnknown(StoreError):
    """The call may have been stored; the same call with the same cids finds out."""


@final
class SchemaTooNew(StoreError):
    """The stored data was written by a newer Triolet than this one."""


@final
class BusUnavailable(TrioletError):
    """The bus could not do what it was asked; some of it may have happened.

    Attributes:
        channels: where it may not have happened, of doorbells and of what is followed; what was
            asked of others was done. None: it may be any of them.
    """

    def __init__(self, reason: str, channels: Collection[str] | None = None) -> None:
        super().__init__(reason)
        self.channels = channels


@final
class ConnectionClosed(TrioletError):
    """A client's connection has ended and will not come back."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"closed with {self.code} {self.reason}".rstrip()


@final
class QueueFull(TrioletError):
    """As many requests wait for a connection as a client may hold; this one was not taken."""


@final
class ConfigurationError(TrioletError):
    """A setting that cannot work, said in terms of its name."""


@final
class Retry(TrioletError):
    """Raised by a job's handler: not now. It counts as an attempt that failed.

    Attributes:
        after_s: try again so much later, at most `Limits.jobs_retry_s_max`; None: when any other
            failure would be.
    """

    def __init__(self, reason: str = "", *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


@final
class Abandon(TrioletError):
    """Raised by a job's handler: never. The job is dead at once, whatever attempts it has left."""
