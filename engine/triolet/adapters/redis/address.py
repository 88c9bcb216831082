"""Where a Redis server is, and how it is entered: the parts of a `redis://` URL."""

import ssl
from typing import Final, final
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

from ..._model.errors import ConfigurationError

_PORT: Final = 6379
# What names and channels begin with, so that a server may be shared with other programs.
_PREFIX: Final = "triolet"
_OPTIONS: Final = ("prefix", "ca", "cert", "key")


@final
class Address(Struct, frozen=True, kw_only=True):
    """One server. Made by `parse_address`; shown without its password.

    Attributes:
        host: a name or an address.
        port: of TCP.
        user: of an access control list; empty: the default one.
        password: empty: none is asked for.
        db: the number of the database.
        is_tls: whether the connection is encrypted, and the server's certificate checked.
        prefix: what all names begin with; two deployments with different ones are apart, and
            so are those with different databases.
        ca: a file with the certificates that are trusted, if not the system's.
        cert: a file with this client's certificate, for servers that ask for one.
        key: a file with the key of `cert`.
    """

    host: str
    port: int = _PORT
    user: str = ""
    password: str = ""
    db: int = 0
    is_tls: bool = False
    prefix: str = _PREFIX
    ca: str = ""
    cert: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"{'rediss' if self.is_tls else 'redis'}://{self.host}:{self.port}/{self.db}"

    __str__ = __repr__

    def context(self) -> ssl.SSLContext:
        """Return how TLS is spoken with the server.

        Raises:
            ConfigurationError: a file cannot be read.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.cert:
                context.load_cert_chain(self.cert, self.key or None)
        except OSError as error:  # of which `ssl.SSLError` is one
            raise ConfigurationError(f"bus: the certificates for {self}: {error}") from None
        return context


def parse_address(url: str) -> Address:
    """Return what `redis[s]://[[USER]:PASSWORD@]HOST[:PORT][/DB][?OPTIONS]` says.

    The options are `prefix=NAME`, and for `rediss:` `ca=FILE`, `cert=FILE` and `key=FILE`.

    Raises:
        ConfigurationError: it is no such URL.

    >>> parse_address("rediss://anna:secret@cache.example/2?prefix=staging")
    rediss://cache.example:6379/2
    >>> parse_address("redis://[::1]:7000").port
    7000
    """
    try:
        parts = urlsplit(url)
        port = _PORT if parts.port is None else parts.port
        db = int(parts.path.strip("/") or 0)
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        # Not with what was found in it: it may be a password.
        raise ConfigurationError(
            "bus: a URL has a port, a database or options that are none"
        ) from None
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or db < 0:
        raise ConfigurationError("bus: not a URL like `redis://HOST:PORT/DB` or `rediss://…`")
    unknown = [name for name in options if name not in _OPTIONS]
    if unknown:
        raise ConfigurationError(f"bus: a Redis URL has no option {unknown[0]!r}")
    return Address(
        host=parts.hostname,
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        db=db,
        is_tls=parts.scheme == "rediss",
        **options,
    )
