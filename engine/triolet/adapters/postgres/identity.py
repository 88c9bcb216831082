"""What a database knows of being moved: its salt, who else uses it, and whether it is all there."""

from collections.abc import Awaitable
from typing import Final, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import trio

from ..._model.errors import ConfigurationError
from .kinds import TEXT
from .statement import Rows, Statement

# Servers say by `application_name` who they are, if the URL says nothing else (`address`).
_SERVERS: Final = "triolet"
_COPIES: Final = "triolet-copy"
# Sessions end a moment after whoever had them.
_LOOKS: Final = 20
_LOOK_INTERVAL_S: Final = 0.1
_OTHERS: Final = Statement(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND application_name = $1",
    TEXT,
)
_UNFINISHED: Final = Statement("SELECT EXISTS (SELECT FROM triolet.transfer)")
_GIVE_SALT: Final = Statement(
    "INSERT INTO triolet.identity (salt) VALUES ($1) ON CONFLICT DO NOTHING", TEXT, writes=True
)
SALT: Final = Statement("SELECT salt FROM triolet.identity")


class Run(Protocol):
    """How statements are run: over a connection, in a transaction, or by a pool."""

    def __call__(self, statement: Statement, *parameters: object) -> Awaitable[Rows]:
        """Run one, and return its rows."""
        ...


def of_a_copy(url: str) -> str:
    """Return the URL with another name than a server's, unless it says one.

    >>> of_a_copy("postgresql://host/chat?sslmode=require")
    'postgresql://host/chat?sslmode=require&application_name=triolet-copy'
    """
    parts = urlsplit(url)
    pairs = dict(parse_qsl(parts.query, keep_blank_values=True))
    pairs.setdefault("application_name", _COPIES)
    return urlunsplit(parts._replace(query=urlencode(pairs)))


async def refuse_servers(run: Run) -> None:
    """See that no server is connected to the database.

    Raises:
        ConfigurationError: one is, for a while.
    """
    for _ in range(_LOOKS):
        ((count,),) = await run(_OTHERS, _SERVERS)
        if not count:
            return
        await trio.sleep(_LOOK_INTERVAL_S)
    raise ConfigurationError("the database is in use by a server: stop it before you copy")


async def refuse_unfinished(run: Run) -> None:
    """See that no transfer into the database is unfinished.

    Raises:
        ConfigurationError: one is.
    """
    ((found,),) = await run(_UNFINISHED)
    if found:
        raise ConfigurationError(
            "the database holds an unfinished copy of another store: "
            "let `triolet copy` finish it, or remove it"
        )


async def salt_of(run: Run, otherwise: str) -> str:
    """Return the store's salt; one that has none is given one."""
    await run(_GIVE_SALT, otherwise)
    ((salt,),) = await run(SALT)
    return str(salt)
