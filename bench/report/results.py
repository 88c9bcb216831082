"""Everything measured, kept as JSON, so that tables and charts can be made again."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ..scenarios import Sample


class Results(NamedTuple):
    """What a run of the suite found.

    Attributes:
        machine: facts by name.
        peers: version by name, of those that were there.
        missing: reason by name, of those that were not.
    """

    machine: dict[str, str]
    peers: dict[str, str]
    missing: dict[str, str]
    samples: tuple[Sample, ...]


_decode: Final = msgspec.json.Decoder(Results).decode


def write(path: Path, results: Results) -> None:
    """Write results as JSON, a line a sample, so that two files can be compared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = msgspec.json.format(
        msgspec.json.encode([results.machine, results.peers, results.missing]), indent=1
    )[:-2]
    lines = b",\n  ".join(msgspec.json.encode(sample) for sample in results.samples)
    path.write_bytes(head + b",\n [\n  " + lines + b"\n ]\n]\n")


def read(path: Path) -> Results:
    """Read what `write` wrote.

    Raises:
        ValueError: it is no such file.
    """
    try:
        return _decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: {error}") from None


def merged(parts: Iterable[Results]) -> Results:
    """Return the results of several runs as one; what a later one says of the machine counts."""
    machine: dict[str, str] = {}
    peers: dict[str, str] = {}
    missing: dict[str, str] = {}
    samples: list[Sample] = []
    for part in parts:
        machine |= part.machine
        peers |= part.peers
        missing |= part.missing
        samples += part.samples
    return Results(machine, peers, _without(missing, peers), tuple(samples))


def _without(missing: Mapping[str, str], peers: Mapping[str, str]) -> dict[str, str]:
    return {name: reason for name, reason in missing.items() if name not in peers}
