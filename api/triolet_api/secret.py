"""Secrets: what shows itself to nobody, and the files that keep it."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from triolet._model.errors import ConfigurationError

FILE_NAME: Final = "secret"
# 48 random bytes are 64 characters: twice what HS256 needs.
_SECRET_BYTES: Final = 48
# A secret is a line; what is larger is the wrong file.
_FILE_BYTES_MAX: Final = 8192


@final
class Secret:
    """Some bytes that appear in no log, no traceback and no `repr`.

    >>> Secret(b"hunter2")
    Secret(…)
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return what it is."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


def read_secret(path: Path) -> Secret:
    """Read a secret's file; the line break at its end is not part of it.

    Raises:
        ConfigurationError: it cannot be read, is empty or is no such file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    value = data.rstrip(b"\r\n")
    if not value:
        raise ConfigurationError(f"{path} is empty")
    if len(data) > _FILE_BYTES_MAX:
        raise ConfigurationError(f"{path} is too large to be a secret")
    return Secret(value)


def kept_secret(folder: Path) -> Secret | None:
    """Return the secret that an earlier start left in `folder`, or None.

    Raises:
        ConfigurationError: it is there and cannot be read.
    """
    path = folder / FILE_NAME
    return read_secret(path) if path.exists() else None


def make_or_keep_secret(folder: Path) -> Secret:
    """Return the secret kept in `folder`; the first to ask makes it, readable by its owner only.

    Raises:
        ConfigurationError: the folder or the file cannot be made or read.
    """
    return make_or_keep(
        folder, FILE_NAME, lambda: secrets.token_urlsafe(_SECRET_BYTES).encode() + b"\n"
    )


def make_or_keep(folder: Path, name: str, make: Callable[[], bytes]) -> Secret:
    """Return what is kept in `folder` under `name`; the first to ask makes it, mode 0600.

    However many processes ask at once, all get the same one, and none ever sees half of it:
    it is written beside, and linked to its name, which fails for all but one.

    Raises:
        ConfigurationError: the folder or the file cannot be made or read.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / name).exists():
            _keep(folder, name, make())
        return read_secret(folder / name)
    except OSError as error:
        raise ConfigurationError(f"no {name} can be kept in {folder}: {error.strerror}") from None


def keep_instead(path: Path, value: bytes) -> None:
    """Have a file that is kept hold something else, mode 0600; nobody ever sees half of it.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        with _draft_of(path.parent, path.name, value) as draft:
            draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None


def _keep(folder: Path, name: str, value: bytes) -> None:
    with _draft_of(folder, name, value) as draft:
        try:
            os.link(draft, folder / name)
        except FileExistsError:
            return  # another process was first: its secret is the one
    _sync_folder(folder)


@contextmanager
def _draft_of(folder: Path, name: str, value: bytes) -> Iterator[Path]:
    """Write a file beside the one it is to become, and take it away at the end."""
    draft = folder / f".{name}-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a name survive a power cut, or every token made since would be void."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
