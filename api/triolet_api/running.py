"""Where the server of a data folder runs, for commands on the same machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FILE_NAME: Final = "address"
# A host and a port; what is longer is something else.
_CHARACTERS_MAX: Final = 300


@contextmanager
def told_where(folder: Path, address: str) -> Iterator[None]:
    """Leave word in `folder` of where a server is, for as long as the block lasts.

    Where it cannot be written nobody is told, which is no reason not to serve.
    """
    path = folder / FILE_NAME
    try:
        path.write_text(f"{address}\n")
    except OSError:
        yield
        return
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def where(folder: Path) -> str:
    """Return the address that a server of `folder` has left; empty: there is none.

    One that was killed has left it, too.
    """
    try:
        text = (folder / FILE_NAME).read_text()
    except (OSError, UnicodeDecodeError):
        return ""
    return text.strip() if len(text) <= _CHARACTERS_MAX else ""
