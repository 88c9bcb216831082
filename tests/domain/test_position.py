"""Laws of `_domain.position`: what a client and a log have in common, forks and floor considered.

A log is simulated as a list of entries, each written once and like no other.
A failover or a restore cuts it somewhere and goes on in a new generation, whose name joins the
lineage; what is cut off may take later generations' names with it, or not.
"""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triolet._domain.position import Forked, Found, Lost, Resume, locate

laws = settings(derandomize=True, deadline=None, max_examples=150)


class Client(NamedTuple):
    epoch: str
    entries: list[int]


class World:
    """One room's log, and clients that have followed it up to some point."""

    def __init__(self) -> None:
        self.log: list[int] = []
        self.lineage = [("g0", 1)]
        self.names = ["g0"]
        self.floor = 0
        self.written = 0
        self.clients = [Client("g0", [])]

    def append(self, count: int) -> None:
        for _ in range(count):
            self.written += 1
            self.log.append(self.written)

    def follow(self, back: int) -> None:
        """A client stops `back` entries before the head."""
        self.clients.append(Client(self.lineage[-1][0], self.log[: max(0, len(self.log) - back)]))

    def fork(self, lost: int, *, forgets: bool) -> None:
        """The last `lost` entries are gone; so are the names of generations begun in them."""
        self.log = self.log[: max(self.floor, len(self.log) - lost)]
        if forgets:
            kept = [(name, first) for name, first in self.lineage if first <= len(self.log)]
            self.lineage = kept or self.lineage[:1]
        self.names.append(f"g{len(self.names)}")
        self.lineage.append((self.names[-1], len(self.log) + 1))

    def prune(self, count: int) -> None:
        self.floor = min(len(self.log), self.floor + count)

    def locate(self, client: Client) -> Found:
        return locate(
            tuple(self.lineage),
            head=len(self.log),
            floor=self.floor,
            epoch=client.epoch,
            seq=len(client.entries),
        )

    def common(self, client: Client) -> int:
        """The longest common prefix, entry by entry."""
        common = 0
        for mine, theirs in zip(self.log, client.entries, strict=False):
            if mine != theirs:
                break
            common += 1
        return common


STEPS = st.lists(
    st.tuples(st.just("append"), st.integers(1, 6))
    | st.tuples(st.just("follow"), st.integers(0, 8))
    | st.tuples(st.just("fork"), st.integers(0, 8))
    | st.tuples(st.just("forget"), st.integers(0, 8))
    | st.tuples(st.just("prune"), st.integers(0, 4)),
    max_size=20,
)


def world_of(steps: list[tuple[str, int]]) -> World:
    world = World()
    for what, count in steps:
        if what in ("fork", "forget"):
            world.fork(count, forgets=what == "forget")
        else:
            getattr(world, what)(count)
    return world


@laws
@given(STEPS)
def test_the_answer_is_the_longest_common_prefix(steps: list[tuple[str, int]]) -> None:
    """Every client goes on after all it has in common with the log, and after no more.

    It has lost the thread only below the floor, or when its generation is forgotten.
    """
    world = world_of(steps)
    known = [name for name, _ in world.lineage]
    for client in world.clients:
        common, seq = world.common(client), len(client.entries)
        if client.epoch not in known or common < world.floor:
            expected: Found = Lost()
        elif common == seq:
            expected = Resume(seq)
        else:
            expected = Forked(common)

        assert world.locate(client) == expected


@laws
@given(STEPS)
def test_going_on_leads_to_the_log(steps: list[tuple[str, int]]) -> None:
    """What the client keeps, and what it then gets, is the log: nothing twice, nothing missing."""
    world = world_of(steps)
    for client in world.clients:
        found = world.locate(client)
        if isinstance(found, Resume | Forked):
            assert found.after >= world.floor
            assert client.entries[: found.after] + world.log[found.after :] == world.log


@laws
@given(STEPS, st.integers(0, 60), st.integers(0, 9))
def test_whatever_a_client_claims_is_answered(
    steps: list[tuple[str, int]], seq: int, generation: int
) -> None:
    """A position that never was leads back into the log, between its floor and its head."""
    world = world_of(steps)
    head = len(world.log)
    found = locate(
        tuple(world.lineage), head=head, floor=world.floor, epoch=f"g{generation}", seq=seq
    )

    if isinstance(found, Resume):
        assert world.floor <= found.after == seq <= head
    elif isinstance(found, Forked):
        assert world.floor <= found.after < seq
        assert found.after <= head


@pytest.mark.parametrize(
    ("epoch", "seq", "expected"),
    [
        # a: 1 to 10, b: 11 to 20, c: from 15 (b lost what it had above 14), head 30, floor 4.
        ("a", 3, Lost()),
        ("a", 4, Resume(4)),
        ("a", 10, Resume(10)),
        ("a", 11, Forked(10)),
        ("b", 14, Resume(14)),
        ("b", 15, Forked(14)),
        ("b", 4, Resume(4)),
        ("c", 30, Resume(30)),
        ("c", 31, Forked(30)),
        ("d", 20, Lost()),
        ("", 0, Lost()),
    ],
)
def test_the_edges_of_generations(epoch: str, seq: int, expected: Found) -> None:
    """The last entry of a generation is in common, the first of the next is not."""
    lineage = (("a", 1), ("b", 11), ("c", 15))

    assert locate(lineage, head=30, floor=4, epoch=epoch, seq=seq) == expected
