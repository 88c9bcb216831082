"""Laws of `_domain.observing`: rates are differences, and together is the sum."""

from typing import Any

import pytest

from triolet._domain.observing import ERRORS_SHOWN, ROOMS_SHOWN, observed, shown, together
from triolet._model.observation import Sample


def sample(node: str = "a", **changes: Any) -> Sample:
    fields: dict[str, Any] = {
        "node": node,
        "at": 10_000,
        "up_ms": 9_000,
        "gauges": {"sessions": 3},
        "counts": {"messages": 100},
        "closes": {"1000": 2},
        "refusals": {"forbidden": 1},
        "append_us": {31: 4},
        "bus_us": {},
        "lag_us": {},
        "not_ready": "",
        "unheard": (),
        "is_store_failing": False,
        "busiest": (("tea", 7),),
        "errors": (),
    }
    return Sample(**fields | changes)


def test_a_rate_is_what_was_counted_by_the_time_it_took() -> None:
    later = sample(at=12_000, counts={"messages": 130, "opened": 4})

    assert shown(later, sample()).rates == {"messages": 15.0, "opened": 2.0}


@pytest.mark.parametrize("before", [None, sample(), sample(at=11_000)])
def test_without_time_between_there_are_no_rates(before: Sample | None) -> None:
    assert shown(sample(), before).rates == {}


def test_a_node_that_began_anew_has_no_negative_rates() -> None:
    assert shown(sample(at=11_000, counts={"messages": 1}), sample()).rates == {"messages": 0}


def test_durations_are_of_the_time_between() -> None:
    later = sample(at=11_000, append_us={31: 4, 111: 1})

    assert (shown(later, sample()).append_ms.count, shown(later, None).append_ms.count) == (1, 5)
    assert shown(later, sample()).append_ms.p50 == 1.023


def test_together_everything_is_added() -> None:
    one = (sample(at=11_000, counts={"messages": 110}), sample())
    other = (sample("b", at=12_000, counts={"messages": 104}), sample("b"))
    total = together([one, other])

    assert total.node == ""
    assert total.gauges == {"sessions": 6}
    assert total.counts == {"messages": 214}
    # Each by its own time: 10 a second and 2 a second.
    assert total.rates == {"messages": 12.0}
    assert total.closes == {"1000": 4}
    assert total.refusals == {"forbidden": 2}
    assert total.busiest == (("tea", 14),)


def test_quantiles_of_all_are_those_of_all_durations() -> None:
    one, other = sample(append_us={1: 98}), sample("b", append_us={111: 2})

    assert together([(one, None), (other, None)]).append_ms.p50 == 0.001
    assert together([(one, None), (other, None)]).append_ms.p99 == 1.023


def test_all_are_not_ready_only_if_each_is() -> None:
    bad = sample(not_ready="bus", unheard=("left",), is_store_failing=True)

    assert together([(sample(), None), (bad, None)]).not_ready == ""
    assert together([(bad, None), (bad, None)]).not_ready == "bus"
    assert together([(sample(), None), (bad, None)]).unheard == ("left",)
    assert together([(sample(), None), (bad, None)]).store_failing


def test_the_latest_errors_of_all_come_first_and_rows_are_bounded() -> None:
    errors = tuple((at, "ERROR", "x", "y") for at in range(50))
    rooms = tuple((f"r{n}", n) for n in range(50, 0, -1))
    one, other = sample(errors=errors[::2], busiest=rooms), sample("b", errors=errors[1::2])
    total = together([(one, None), (other, None)])

    assert [row[0] for row in total.errors] == list(range(49, 49 - ERRORS_SHOWN, -1))
    assert len(total.busiest) == ROOMS_SHOWN


def test_nobody_is_nothing() -> None:
    event = observed({}, {}, at=5, interval_ms=0, silent=("a",))

    assert (event.nodes, event.silent, event.total.counts) == ((), ("a",), {})


def test_each_node_is_told_against_its_own_past() -> None:
    now = {"a": sample(at=11_000, counts={"messages": 150}), "b": sample("b", at=11_000)}
    event = observed(now, {"a": sample()}, at=11_000, interval_ms=1000)

    assert [node.rates for node in event.nodes] == [{"messages": 50.0}, {}]
    assert event.total.rates == {"messages": 50.0}
