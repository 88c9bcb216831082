"""`triolet serve` on a disk that lies: the end of the write-ahead log is gone at each start.

What was acknowledged last before a crash is lost, although every sync was said to be done.
"""

import sys
from pathlib import Path

from triolet_api.__main__ import main

# See https://sqlite.org/fileformat2.html#the_write_ahead_log.
_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24


def forget(log: Path) -> None:
    """Lose a quarter of the pages, and at least one, that were written since the log began anew.

    Behind them the file may be longer: what it held before is overwritten bit by bit.
    """
    held = log.read_bytes()
    size = _FRAME_HEADER_BYTES + int.from_bytes(held[8:12], "big")
    salts = held[16:24]
    frames = 0
    while held[_HEADER_BYTES + frames * size + 8 :][:8] == salts:
        frames += 1
    with log.open("r+b") as file:
        file.truncate(_HEADER_BYTES + frames * 3 // 4 * size)


if __name__ == "__main__":
    data = Path(sys.argv[sys.argv.index("--data") + 1])
    for log in data.glob("*-wal"):
        if log.stat().st_size > _HEADER_BYTES:
            forget(log)
    main()
