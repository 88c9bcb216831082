"""The tables' rows, the same for the terminal and for a page."""

import statistics
from collections.abc import Sequence
from typing import Final, NamedTuple

from ..goals import Verdict, grouped, judge, median_of
from ..scenarios import Sample
from .numbers import number, spread

# By whom: above which part of the time a reader must be told, and what.
# The kernel's own threads write what is synced, on whichever core: a tenth is more than that.
_DOUBTS: Final = {
    "generator": (0.9, "the generator was busy {:.0%} of the time: it bounds the rate"),
    "queue": (0.5, "the generator was busy {:.0%} of the time: some of the latency is its own"),
    "capped": (0.02, "it would not have verified at leisure more: {:.0%} below half of saturation"),
    "late": (0.2, "of the worst ping {:.0%} may be the pinger's own: it woke so late"),
    "unpreferred": (0.0, "the pinger could not be given a higher priority than the load"),
    "others": (0.1, "others took up to {:.0%} of a core that should have been ours alone"),
}


class Table(NamedTuple):
    """One question and all who answered it, the cheapest first."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def tables(samples: Sequence[Sample]) -> list[Table]:
    """Return a table for each case: medians, and how the first figure stands to Triolet's."""
    by_case: dict[tuple[str, str], dict[str, list[Sample]]] = {}
    for (scenario, case, who), runs in grouped(samples).items():
        by_case.setdefault((scenario, case), {})[who] = runs
    return [_table(scenario, case, runs) for (scenario, case), runs in by_case.items()]


def _table(scenario: str, case: str, runs_by_who: dict[str, list[Sample]]) -> Table:
    first = next(iter(runs_by_who.values()))[0].figures[0]
    # Not everybody has all of them: only some have a database beside.
    figures = {figure.name: figure for runs in runs_by_who.values() for figure in runs[0].figures}
    others = list(figures.values())[1:]
    ours = [name for name in runs_by_who if name.split(" ")[0] == "triolet"]
    base = median_of(runs_by_who[ours[0]], first.name) if ours else None
    ranked = sorted(runs_by_who.items(), key=lambda item: median_of(item[1], first.name) or 0)
    rows = []
    for who, runs in ranked:
        costs = [run.figures[0].value for run in runs]
        cost = statistics.median(costs)
        ratio = f"{cost / base:.2f}" if base else "-"
        medians = (median_of(runs, figure.name) for figure in others)
        rest = ("" if median is None else number(median) for median in medians)
        rows.append((who, spread(costs), ratio, *rest))
    against = ours[0] if ours else "-"
    columns = (
        "server",
        f"{first.name}, {first.unit}",
        f"÷ {against}",
        *(f"{figure.name}, {figure.unit}" for figure in others),
    )
    notes = tuple(_notes([run for runs in runs_by_who.values() for run in runs]))
    return Table(f"{scenario}: {case}", columns, tuple(rows), notes)


def _notes(runs: list[Sample]) -> list[str]:
    counts: dict[str, int] = {}
    for run in runs:
        for key, count in run.verified.items():
            counts[key] = counts.get(key, 0) + count
    notes = ["verified: " + ", ".join(f"{count:,} {key}" for key, count in counts.items())]
    for name, (limit, warning) in _DOUBTS.items():
        worst = max(run.busy.get(name, 0.0) for run in runs)
        if worst > limit:
            notes.append(warning.format(worst))
    return notes


def verdicts(samples: Sequence[Sample]) -> Table | None:
    """Return the goals beside what was measured, None where no goal's scenario was run."""
    found = judge(samples)
    if not found:
        return None
    rows = tuple((one.goal, _measured(one), f"≤ {one.value:g}", _word(one)) for one in found)
    return Table("goals", ("what", "measured", "goal", ""), rows, ())


def _measured(verdict: Verdict) -> str:
    return "-" if verdict.measured is None else f"{verdict.measured:.3g}"


def _word(verdict: Verdict) -> str:
    if verdict.measured is None:
        return "not measured"
    return "reached" if verdict.is_met else "missed"
