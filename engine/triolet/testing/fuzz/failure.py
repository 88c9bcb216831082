"""An input that breaks a promise, kept in a file that replays it."""

from pathlib import Path
from typing import Final, final

import msgspec
from msgspec import Struct

from .target import Target


@final
class Failure(Struct, frozen=True, kw_only=True):
    """What was fed, and what came of it.

    Attributes:
        target: whom it was fed.
        seed: of the campaign that found it.
        what: the promise that was broken.
        inputs: in their order; mostly one.
    """

    target: str
    seed: int
    what: str
    inputs: tuple[bytes, ...]

    def write(self, directory: Path) -> Path:
        """Write it as JSON, bytes in base64; return the file, whose name says what it is."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"fuzz-{self.target}-{self.seed}-{sum(map(len, self.inputs))}.json"
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self)))
        return path

    @classmethod
    def read(cls, path: Path) -> "Failure":
        """Read what `write` wrote.

        Raises:
            OSError: there is no such file.
            ValueError: it is no such file.
        """
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except msgspec.DecodeError as error:
            raise ValueError(f"{path} is no failure of a fuzzer: {error}") from error


# What a traceback ends with is told, not all of it: the replay shows it.
_WHAT_CHARS_MAX: Final = 300


def what_fails(target: Target, inputs: tuple[bytes, ...]) -> str | None:
    """Feed the inputs; return what was broken, None if nothing was."""
    try:
        target.judge(inputs)
    except Exception as error:  # noqa: BLE001 - whatever an input makes the engine raise is a finding
        return described(error)
    return None


def described(error: BaseException) -> str:
    """Return what an exception says is broken; of a group, its first leaf.

    >>> described(ExceptionGroup("tasks", [ValueError("no")]))
    'ValueError: no'
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:_WHAT_CHARS_MAX]
