"""PostgreSQL's errors, told apart: the place's fault, the statement's fault, or unknown outcome.

By SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html): what says only
something about the server, its disk, its memory or a lock is `StoreUnavailable`, and the same
statement may succeed later. Everything else is said of the statement: `Refused`.
"""

from typing import Final, final

from ..._model.errors import StoreError, StoreUnavailable

# Classes and codes that say nothing about the statement.
_OF_THE_PLACE: Final = {
    "08": "the connection failed",
    "25006": "the server is read-only, so it is no primary",
    "26000": "a prepared statement is gone; behind a pooler, add prepare=0 to the URL",
    "28": "the server does not let us in",
    "3D": "there is no such database",
    "40": "the server rolled back",
    "42P05": "a prepared statement is another's; behind a pooler, add prepare=0 to the URL",
    "53": "the server has no resources left",
    "55": "something is locked",
    "57": "the server was told to stop it",
    "58": "the server's system failed",
    "F0": "the server's configuration is wrong",
    "XX": "the server failed",
}
# After these the connection is of no more use, though it works: it leads to a server that may
# not write, or what was prepared on it is not what the server has.
ENDS_CONNECTION: Final = ("25006", "26000", "42P05", "0A000")


@final
class Refused(StoreError):
    """The server refused a statement for what it says, or a value is none; nothing was done.

    Attributes:
        sqlstate: five characters: `23505` is a unique violation.
    """

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(sqlstate, message)
        self.sqlstate = sqlstate
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} ({self.sqlstate})"


@final
class Lost(Exception):
    """A connection was lost, or given up, while a statement was under way: it may be done.

    Stays inside the adapter: the pool says what it means for a statement.
    """


def refusal(sqlstate: str, message: str) -> StoreError:
    """Return the error to raise for an answer that is an error; nothing was done.

    >>> refusal("53300", "too many clients")
    StoreUnavailable('the server has no resources left: too many clients (53300)')
    >>> refusal("23505", "duplicate key").sqlstate
    '23505'
    """
    for prefix in (sqlstate, sqlstate[:2]):
        if prefix in _OF_THE_PLACE:
            return StoreUnavailable(f"{_OF_THE_PLACE[prefix]}: {message} ({sqlstate})")
    return Refused(sqlstate, message)
