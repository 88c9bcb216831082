"""The count of what nodes ask is the production engine's, and its arithmetic only multiplies."""

import sys
from pathlib import Path

import pytest

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.scale.arithmetic import Platform, Prices, bill
from bench.scale.simulation import Plan, simulate


@pytest.fixture(scope="module")
def two():
    return simulate(Plan(nodes=2, people=6))


def test_each_message_is_appended_once_and_seen_by_all_members(two):
    assert two.messages == 12
    assert two.message["store.append rows"] == 1
    # Twelve people make a room of eight and one of four, and each writes in theirs.
    assert two.delivered == 8 * 8 + 4 * 4


def test_a_message_is_rung_and_heard_by_the_nodes_that_follow_its_room(two):
    assert two.spread == 2
    assert two.message["bus.ring doorbells"] >= 1
    assert two.message["bus.receive doorbells"] >= two.message["bus.ring doorbells"]


def test_a_quiet_node_rings_its_canary_and_compares_heads(two):
    assert two.quiet["bus.ring doorbells"] == pytest.approx(1, abs=0.1)
    assert two.quiet["store.heads"] == pytest.approx(0.2, abs=0.05)
    assert "store.append" not in two.quiet


def test_the_bill_of_ten_times_the_nodes_has_ten_times_the_messages_and_more_than_that_for_the_bus(
    two,
):
    small, large = (bill(two, Prices(), Platform(), nodes=nodes) for nodes in (10, 100))
    assert large.messages_per_s == pytest.approx(10 * small.messages_per_s)
    assert large.node_cores == small.node_cores
    assert large.database_cores == pytest.approx(10 * small.database_cores)
    # Each node reads the beats of all.
    assert large.bus_cores > 10 * small.bus_cores
    assert large.connections == 10 * small.connections
