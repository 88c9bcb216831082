"""Documents in memory that were read lately: requests ask for the same ones again and again.

A thread that reads the file costs 300 µs of processor time, this costs 10. This process alone
writes the file (`files.sole_server`), so what its one writing thread has committed is all there
is. What it is just writing is in doubt, from before the commit until after it: nothing of that is
told or taken in meanwhile, so nobody hears of an old document once there is a new one.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Final, final

from ...ports.documents import Document

# What all of them may take; and the greatest that is kept, so that a few do not drive out all.
_BYTES_MAX: Final = 8 * 1024 * 1024
_DOCUMENT_BYTES_MAX: Final = 16 * 1024
# Keys of one read; reads of more go to the file.
KEYS_MAX: Final = 16
# Of a key that is known, whether there is a document or not.
_OVERHEAD_BYTES: Final = 300


@final
class Reading:
    """A read of the file that is under way; what it finds is taken in if nothing changed since."""

    __slots__ = ("keys",)

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys


@final
class Known:
    """Bounded; the one that was not asked for longest goes first. Any thread may call it."""

    def __init__(self, *, bytes_max: int = _BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._lock = Lock()
        # By key; None: there is none.
        self._of: OrderedDict[str, Document | None] = OrderedDict()
        self._bytes = 0
        self._in_doubt: set[str] = set()
        # The last read of each key that is under way.
        self._readings: dict[str, Reading] = {}

    def find(self, keys: Sequence[str]) -> list[Document | None] | None:
        """Return the documents of keys, those that have expired too; None: not all are known."""
        with self._lock:
            of = self._of
            if not all(key in of for key in keys):
                return None
            for key in keys:
                of.move_to_end(key)
            return [of[key] for key in keys]

    def begin(self, keys: Sequence[str]) -> Reading:
        """Note that keys are about to be read from the file; `end` it in any case."""
        reading = Reading(keys)
        with self._lock:
            for key in keys:
                if key not in self._in_doubt:
                    self._readings[key] = reading
        return reading

    def end(self, reading: Reading, found: Mapping[str, Document] | None) -> None:
        """Take in what a read has found; None: it failed."""
        with self._lock:
            for key in reading.keys:
                if self._readings.get(key) is reading:
                    del self._readings[key]
                    if found is not None:
                        self._put(key, found.get(key))

    def _put(self, key: str, document: Document | None) -> None:
        self._remove(key)
        if document is None or len(document.value) <= _DOCUMENT_BYTES_MAX:
            self._of[key] = document
            self._bytes += _size(key, document)
            while self._bytes > self._bytes_max:
                self._remove(next(iter(self._of)))

    def _remove(self, key: str) -> None:
        if key in self._of:
            self._bytes -= _size(key, self._of.pop(key))

    # --- in the writer's thread ----------------------------------------------------------

    def doubt(self, keys: Iterable[str]) -> None:
        """Know nothing of these keys until `settle`, as of those that are in doubt already."""
        with self._lock:
            for key in keys:
                self._in_doubt.add(key)
                self._remove(key)
                self._readings.pop(key, None)

    def settle(self) -> None:
        """Take in again what was in doubt: it was committed, or was not."""
        with self._lock:
            self._in_doubt.clear()


def _size(key: str, document: Document | None) -> int:
    return _OVERHEAD_BYTES + 4 * len(key) + (0 if document is None else len(document.value))
