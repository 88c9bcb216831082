"""Where a client's position lies in a room's log, forks and retention considered."""

from typing import TypeAlias, final

from msgspec import Struct


@final
class Resume(Struct, frozen=True):
    """The position is a prefix of the log: go on after `after`."""

    after: int


@final
class Forked(Struct, frozen=True):
    """The log lost what the client has above `after`: go back to it, then go on."""

    after: int


@final
class Lost(Struct, frozen=True):
    """Nothing in common is left: refetch, and follow from the head."""


Found: TypeAlias = Resume | Forked | Lost


def locate(
    lineage: tuple[tuple[str, int], ...], *, head: int, floor: int, epoch: str, seq: int
) -> Found:
    """Say how a client at `(epoch, seq)` goes on.

    Args:
        lineage: `(epoch, first_seq)` of each generation of the log, oldest first.
        head: the last seq.
        floor: the last seq that retention removed.
        epoch: the client's epoch.
        seq: the last seq the client has.

    A generation holds the seqs from its `first_seq` up to where its successor begins;
    what it had at or after that point was lost in a failover or a restore.

    >>> locate((("a", 1), ("b", 11)), head=20, floor=0, epoch="a", seq=10)
    Resume(after=10)
    >>> locate((("a", 1), ("b", 11)), head=20, floor=0, epoch="a", seq=14)
    Forked(after=10)
    >>> locate((("a", 1),), head=20, floor=15, epoch="a", seq=3)
    Lost()
    """
    if epoch == lineage[-1][0] and floor <= seq <= head:
        return Resume(seq)  # nearly everybody; what follows would say the same
    names = [name for name, _ in lineage]
    if epoch not in names:
        return Lost()
    # A generation ends where a later one begins, the present one at the head:
    # a client beyond that saw what is no more.
    ends = [first - 1 for _, first in lineage[names.index(epoch) + 1 :]]
    last_common = min([head, *ends])
    if min(seq, last_common) < floor:
        return Lost()
    return Resume(seq) if seq <= last_common else Forked(last_common)
