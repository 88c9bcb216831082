"""A JWKS file that follows its issuer: read again when it changes."""

import logging
import os
from pathlib import Path
from typing import Final, TypeAlias, final

import trio

from ..._model.errors import ConfigurationError
from .keys import KeyRing, keys_of_jwks

# A rotation need not be seen sooner; a `stat` costs 2 µs, so this bounds it to nothing.
JWKS_CHECK_S: Final = 3.0
# Sets in the wild hold two to five keys, at 1 to 3 KB each with certificates.
JWKS_BYTES_MAX: Final = 256 * 1024

_log = logging.getLogger("triolet.tokens")

# Modification time in ns, size, inode: a rename, a write and a swapped symlink all show.
_Stamp: TypeAlias = tuple[int, int, int]


@final
class JwksFile:
    """A JWKS file's keys, read again when the file changes.

    The file is looked at every `JWKS_CHECK_S` at most, in the engine's thread: keep it on a
    local disk. One that has become unreadable leaves the keys as they were, and says so in
    the log once; `{"keys": []}` is how to trust nobody.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: _Stamp | None
        self._stamp, self.ring = _read_jwks(path)
        if not len(self.ring):
            raise ConfigurationError(f"{path} holds no key for RS256, ES256 or EdDSA")
        self._check_at = -float("inf")

    def refresh(self) -> KeyRing:
        """Return the present keys."""
        now = trio.current_time()
        if now < self._check_at:
            return self.ring
        self._check_at = now + JWKS_CHECK_S
        stamp = stamp_of(self.path)
        if stamp != self._stamp:
            self._stamp = stamp
            self._read_again()
        return self.ring

    def _read_again(self) -> None:
        try:
            self._stamp, self.ring = _read_jwks(self.path)
        except ConfigurationError as error:
            _log.warning("the token keys stay as they were: %s", error)
        else:
            _log.info("token keys read again: %s from %s", self.ring, self.path)


def stamp_of(path: Path) -> _Stamp | None:
    """Return what changes when a file does; None: there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _read_jwks(path: Path) -> tuple[_Stamp, KeyRing]:
    """Read the file; the stamp is the opened file's own, so no change goes unseen."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(JWKS_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > JWKS_BYTES_MAX:
        raise ConfigurationError(f"{path} is larger than {JWKS_BYTES_MAX} bytes")
    try:
        keys = keys_of_jwks(data)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    return (status.st_mtime_ns, status.st_size, status.st_ino), KeyRing(keys)
