"""What the system says of this process."""

import resource
import sys
from pathlib import Path
from time import process_time
from typing import Final

_STATM: Final = Path("/proc/self/statm")


def memory_bytes() -> int:
    """Return the memory that the process holds: what it holds now, else the most it ever held."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else 1024 * most


def cpu_ms() -> int:
    """Return the CPU time that all threads of the process have taken."""
    return int(1000 * process_time())
