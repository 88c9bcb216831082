"""What a process holds, so that a leak is seen as what it is."""

import gc
import os
import resource
import sys
from pathlib import Path
from typing import Final

from .violation import Violation

_STATM: Final = Path("/proc/self/statm")
_MIB: Final = 1024 * 1024
# What a campaign may grow by once it is warm. The collector's thresholds, the allocator's
# arenas and caches of decoders move by 10 MiB; 64 bytes kept of each of a million inputs are 60.
GROWTH_BYTES_MAX: Final = 48 * _MIB


def resident_bytes() -> int:
    """Return the resident size; where the system does not tell, the greatest one so far."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


class Watch:
    """Compares the resident size with what it was when the campaign was warm.

    Args:
        growth_bytes_max: what it may grow by.
    """

    def __init__(self, growth_bytes_max: int = GROWTH_BYTES_MAX) -> None:
        self._growth_bytes_max = growth_bytes_max
        self._warm_bytes = 0
        self.most_bytes = 0

    def warm(self) -> None:
        """Take the size now as the one to compare with."""
        gc.collect()
        self._warm_bytes = self.most_bytes = resident_bytes()

    def look(self) -> None:
        """Compare.

        Raises:
            Violation: it has grown by more than it may, garbage collected.
        """
        now = resident_bytes()
        self.most_bytes = max(now, self.most_bytes)
        if not self._warm_bytes or now - self._warm_bytes <= self._growth_bytes_max:
            return
        gc.collect()
        grown = resident_bytes() - self._warm_bytes
        if grown > self._growth_bytes_max:
            raise Violation(f"a leak: the process has grown by {grown // _MIB} MiB")

    @property
    def grown_bytes(self) -> int:
        """How much it has grown at most, bytes; 0 before it was warm."""
        return self.most_bytes - self._warm_bytes if self._warm_bytes else 0
