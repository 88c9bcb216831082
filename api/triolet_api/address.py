"""The address of a store or a bus: a URL that may hold a password, and shows none."""

from typing import final
from urllib.parse import quote, urlsplit, urlunsplit

from triolet._model.errors import ConfigurationError
from triolet.adapters.urls import masked, split_urls

from .secret import Secret


@final
class Address:
    """A URL, or several, that appears in no log, no traceback and no `repr` with a password.

    >>> address = Address("redis://:hunter2@cache:6379")
    >>> str(address), address.reveal()
    ('redis://:***@cache:6379', 'redis://:hunter2@cache:6379')
    """

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    def reveal(self) -> str:
        """Return what it is."""
        return self._url

    def with_password(self, password: Secret) -> "Address":
        """Return the address with a password that was kept beside it.

        Raises:
            ConfigurationError: nothing there asks for one, or it has one.

        >>> Address("postgresql://anna@db/chat").with_password(Secret(b"a/b")).reveal()
        'postgresql://anna:a%2Fb@db/chat'
        """
        return Address(",".join(_with(url, password) for url in split_urls(self._url)))

    def __str__(self) -> str:
        return masked(self._url)

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self._url == other._url

    def __hash__(self) -> int:
        return hash(self._url)


def _with(url: str, password: Secret) -> str:
    parts = urlsplit(url)
    if "://" not in url:
        raise ConfigurationError(f"{masked(url) or 'what it is by default'} asks for no password")
    user, _, host = parts.netloc.rpartition("@")
    if ":" in user:
        raise ConfigurationError(f"{masked(url)} has a password in it already")
    netloc = f"{user}:{quote(password.reveal(), safe='')}@{host}"
    return urlunsplit(parts._replace(netloc=netloc))
