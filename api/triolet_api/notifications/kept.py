"""What is kept as a document: one Struct a key, changed by comparing and setting.

One that cannot be read, as whoever wrote it was another program or is broken, counts as none: what
is kept here is worth less than that all others are told what is new.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar, final

import msgspec
from msgspec import Struct

from triolet._model.errors import StoreUnavailable
from triolet.ports.documents import CHANGES_MAX, Change, Document, Documents

T = TypeVar("T", bound=Struct)

_log = logging.getLogger(__name__)

# Documents that cannot be read are logged once each, so many of them.
_TOLD_MAX: Final = 100
# Two devices of one user, or two taps: who loses so often has met a fault, not a rival.
_TRIES_MAX: Final = 20


@final
class Kept(Generic[T]):
    """Documents of one kind. Fields that a later version added are left out when it is read.

    Args:
        documents: where they are.
        kind: what each of them is.

    Attributes:
        unreadable: how often something was read that is none of these.
    """

    def __init__(self, documents: Documents, kind: type[T]) -> None:
        self._documents = documents
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self.unreadable = 0
        self._told: dict[str, None] = {}
        self._encode = msgspec.msgpack.Encoder().encode

    async def read(self, key: str) -> T | None:
        """Return what a key names, or None.

        Raises:
            StoreUnavailable: it could not be read.
        """
        (found,) = await self.read_all([key])
        return found

    async def read_all(self, keys: Sequence[str]) -> list[T | None]:
        """Return what keys name, in their order, None where there is nothing.

        Raises:
            StoreUnavailable: they could not be read.
        """
        found: list[T | None] = []
        for start in range(0, len(keys), CHANGES_MAX):
            documents = await self._documents.read(keys[start : start + CHANGES_MAX])
            found += map(self._value, documents)
        return found

    async def change(
        self, key: str, change: Callable[[T | None], T | None], *, expires_at: int = 0
    ) -> T | None:
        """Have a document become what `change` makes of it, and return that.

        Args:
            key: which.
            change: from what it is (None: there is none) to what it is to be (None: none). It is
                called again if another was faster, and may raise to leave all as it is.
            expires_at: when it is gone (ms); 0: never.

        Raises:
            StoreError: it may not have been changed.
        """
        for _ in range(_TRIES_MAX):
            (document,) = await self._documents.read([key])
            before = self._value(document)
            after = change(before)
            if after == before and (document is None or before is not None):
                return after
            value = None if after is None else self._encode(after)
            version = 0 if document is None else document.version
            if await self._documents.write([Change(key, value, version, expires_at)]):
                return after
        raise StoreUnavailable("others change it all the time")

    def _value(self, document: Document | None) -> T | None:
        if document is None:
            return None
        try:
            return self._decode(document.value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.unreadable += 1
            if document.key not in self._told and len(self._told) < _TOLD_MAX:
                self._told[document.key] = None
                _log.warning("%s cannot be read, and counts as none: %s", document.key, error)
            return None

    async def put(self, key: str, value: T, *, expires_at: int = 0) -> None:
        """Have a key name this, whatever it named before.

        Raises:
            StoreError: it may not.
        """
        await self._documents.write([Change(key, self._encode(value), None, expires_at)])
