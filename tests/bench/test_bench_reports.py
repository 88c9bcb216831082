"""Reports say what was measured, and nothing that was not."""

import sys
from pathlib import Path

import pytest

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.goals import GOALS, AtMost, Flat, judge
from bench.report.markdown import page
from bench.report.results import Results, merged, read, write
from bench.report.rows import tables, verdicts
from bench.scenarios import Figure, Sample

CASE = "1 to 1,000, 1 in flight, 100 B"
GOAL = AtMost("fanout", CASE, "triolet (sqlite)", "cost", 0.5, ("ws", "nats"))


def sample(who: str, cost: float, case: str = CASE, **busy: float) -> Sample:
    figures = (Figure("cost", "µs", cost), Figure("rate", "1/s", 1000 / cost))
    return Sample("fanout", case, who, figures, {"delivered": 7}, busy)


RESULTS = Results(
    {"cpu": "one, 2 cores"},
    {"triolet": "1", "ws": "8.1"},
    {"nats": "not here"},
    tuple(
        sample(who, cost)
        for who, costs in {"ws": (8, 10, 9), "triolet (sqlite)": (4, 5, 3)}.items()
        for cost in costs
    ),
)


def test_what_is_written_is_read_again(tmp_path):
    write(tmp_path / "new" / "found.json", RESULTS)
    assert RESULTS == read(tmp_path / "new" / "found.json")


def test_another_file_is_refused(tmp_path):
    (tmp_path / "other.json").write_text('{"machine": {}}')
    with pytest.raises(ValueError, match=r"other\.json"):
        read(tmp_path / "other.json")


def test_runs_of_two_files_are_one(tmp_path):
    """Who was missing in one and there in the other is not missing."""
    other = Results({}, {"nats": "2.9"}, {"channels": "no"}, (sample("nats", 1),))
    both = merged([RESULTS, other])
    assert {"channels": "no"} == both.missing
    assert {"triolet": "1", "ws": "8.1", "nats": "2.9"} == both.peers
    assert (*RESULTS.samples, *other.samples) == both.samples


def test_a_ratio_is_taken_between_medians_and_a_missing_peer_is_not_beaten():
    against_ws, against_nats = judge(RESULTS.samples, [GOAL])
    assert (4 / 9, True) == (against_ws.measured, against_ws.is_met)
    assert (None, False) == (against_nats.measured, against_nats.is_met)


@pytest.mark.parametrize(("value", "is_met"), [(0.44, False), (0.45, True)])
def test_a_goal_is_reached_at_its_value_and_below(value, is_met):
    (verdict,) = judge(RESULTS.samples, [GOAL._replace(value=value, of=("ws",))])
    assert is_met == verdict.is_met


def test_an_absolute_goal_is_held_against_the_median():
    (verdict,) = judge(RESULTS.samples, [GOAL._replace(value=4, of=())])
    assert (4, True) == (verdict.measured, verdict.is_met)


def test_what_was_not_run_is_not_judged():
    assert [] == judge(RESULTS.samples, [GOAL._replace(case="another")])
    assert verdicts(()) is None


def test_flat_is_the_most_over_the_least_and_needs_every_case():
    goal = Flat("fanout", (CASE, "more"), "triolet (sqlite)", "cost", 1.2)
    (incomplete,) = judge(RESULTS.samples, [goal])
    assert (None, False) == (incomplete.measured, incomplete.is_met)
    (complete,) = judge([*RESULTS.samples, sample("triolet (sqlite)", 5, "more")], [goal])
    assert (1.25, False) == (complete.measured, complete.is_met)


def test_every_goal_names_a_scenario_and_servers_that_exist():
    from bench.peers.all import PEERS
    from bench.scenarios import every

    whos = {
        peer.name if len(peer.stores) == 1 else f"{peer.name} ({store})"
        for peer in PEERS.values()
        for store in peer.stores
    }
    for goal in GOALS:
        assert goal.scenario in every()
        assert goal.who in whos
        assert isinstance(goal, Flat) or set(goal.of) <= whos
        assert goal.value > 0


def test_a_table_ranks_by_cost_with_the_ratio_to_ours():
    (table,) = tables(RESULTS.samples)
    assert [
        ("triolet (sqlite)", "4.00 (3.00 to 5.00)", "1.00", "250"),
        ("ws", "9.00 (8.00 to 10.0)", "2.25", "111"),
    ] == list(table.rows)
    assert ("verified: 42 delivered",) == table.notes


def test_what_makes_a_figure_doubtful_is_told():
    (table,) = tables([sample("ws", 1, generator=0.95, others=0.2)])
    assert "the generator was busy 95% of the time: it bounds the rate" in table.notes
    assert any("others took up to 20%" in note for note in table.notes)


def test_the_page_has_the_machine_the_missing_and_each_table():
    text = page(RESULTS)
    assert "- missing: nats: not here" in text
    assert "| ws | 9.00 (8.00 to 10.0) | 2.25 | 111 |" in text


def test_the_same_results_give_the_same_charts(tmp_path):
    """A chart is drawn for what was compared, and for growth; its bytes depend on nothing else."""
    grown = [sample("ws", cost, f"1 to {cost}0, 1 in flight, 100 B") for cost in (1, 2)]
    samples = [*RESULTS.samples, *grown]
    # Here, for matplotlib takes a second, and whoever looks for tests would wait for it.
    from bench.report.chart import draw

    first = draw(samples, tmp_path / "first")
    again = draw(samples, tmp_path / "again")
    assert ["fanout.svg", "fanout-growth.svg"] == [path.name for path in first]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert "triolet (sqlite)" in first[0].read_text()
