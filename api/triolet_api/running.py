"""A door in a data folder, to the server that runs on it, for commands on the same machine.

It is a socket that only the folder's owner opens and only a server that runs on it answers at. A
port would be anybody's once a server that was killed has left it, and a command tells secrets.
"""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from triolet._model.errors import ConfigurationError

_log = logging.getLogger("triolet.serve")

FILE_NAME: Final = "socket"
# What fits the address of a socket: 108 bytes on Linux, 104 elsewhere, with a zero at the end.
_PATH_BYTES_MAX: Final = 103
_DESCRIPTORS: Final = Path("/proc/self/fd")


@contextmanager
def door_in(folder: Path) -> Iterator[socket.socket | None]:
    """Yield a socket in `folder` that listens, mode 0600; its name is taken away at the end.

    Who takes the socket closes it. None: there is no folder, or there can be none in it, which
    is logged, and no reason not to serve.
    """
    if not folder.is_dir():
        yield None
        return
    path, sock = folder / FILE_NAME, socket.socket(socket.AF_UNIX)
    try:
        # A server that was killed has left it; one that runs has the store, and we would not be.
        path.unlink(missing_ok=True)
        with _fitting(folder) as fitting:
            sock.bind(fitting)
        # Nobody is let in before it listens.
        path.chmod(0o600)
        sock.listen()
        made = path.stat().st_ino
    except OSError as error:
        sock.close()
        _log.warning("commands will not find this server by its folder, only by --url: %s", error)
        yield None
        return
    try:
        yield sock
    finally:
        _take_away(path, made)


def knock(folder: Path) -> socket.socket | None:
    """Return a connection to the server that runs on `folder`; None: there is none.

    Raises:
        ConfigurationError: it cannot be told.
    """
    sock = socket.socket(socket.AF_UNIX)
    try:
        with _fitting(folder) as fitting:
            sock.connect(fitting)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except OSError as error:
        sock.close()
        where = folder / FILE_NAME
        raise ConfigurationError(f"{where}: no server is reached: {error.strerror}") from None
    return sock


@contextmanager
def _fitting(folder: Path) -> Iterator[str]:
    """Yield the path of the socket, by a descriptor of its folder if it is too long else."""
    path = folder / FILE_NAME
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX or not _DESCRIPTORS.is_dir():
        yield str(path)
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield f"{_DESCRIPTORS}/{descriptor}/{FILE_NAME}"
    finally:
        os.close(descriptor)


def _take_away(path: Path, made: int) -> None:
    """Remove the socket, unless another server has put its own there."""
    try:
        if path.stat().st_ino == made:
            path.unlink()
    except OSError as error:
        _log.debug("%s is gone already: %s", path, error)
