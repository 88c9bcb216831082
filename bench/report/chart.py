"""Charts of what was measured: bars for each case, a line for each server that grows."""

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import matplotlib as mpl

mpl.use("svg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from ..goals import grouped
from ..scenarios import Sample

_OURS: Final = "#b3402a"
_OTHERS: Final = "#8a94a6"
_LINES: Final = ("#1f77b4", "#2ca02c", "#9467bd", "#7f7f7f", "#17becf", "#bcbd22")
_BAR_INCHES: Final = 0.28
_WIDTH_INCHES: Final = 8.0
# The dearest costs so many times the cheapest: on a linear axis nothing else would be seen.
_LOGARITHMIC_FROM: Final = 50
# Text stays text, and the same results give the same bytes: a chart that has not changed
# makes no difference to look at.
_STYLE: Final[Mapping[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "triolet",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
# Messages in flight whose growth is drawn.
_WINDOWS: Final = (1, 32)
_Runs: TypeAlias = Mapping[str, Sequence[float]]
# By server: subscribers and the cost a delivery.
_Lines: TypeAlias = Mapping[str, Sequence[tuple[int, float]]]


def draw(samples: Sequence[Sample], folder: Path) -> list[Path]:
    """Draw a chart of bars for each scenario, and one of lines where cases count subscribers.

    Returns:
        The files written, below `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    by_scenario: dict[str, dict[str, dict[str, list[float]]]] = {}
    names: dict[str, str] = {}
    for (scenario, case, who), runs in grouped(samples).items():
        first = runs[0].figures[0]
        names[scenario] = f"{first.name}, {first.unit}"
        costs = by_scenario.setdefault(scenario, {}).setdefault(case, {})
        costs[who] = [run.figures[0].value for run in runs]
    written = []
    with mpl.rc_context(dict(_STYLE)):
        for scenario, cases in by_scenario.items():
            compared = {case: runs for case, runs in cases.items() if len(runs) > 1}
            if compared:
                written.append(_bars(scenario, names[scenario], compared, folder))
        growing = {
            window: lines
            for window in _WINDOWS
            if (lines := _by_subscribers(by_scenario.get("fanout", {}), window))
        }
        if growing:
            written.append(_growth(names["fanout"], growing, folder))
    return written


def _bars(scenario: str, title: str, cases: Mapping[str, _Runs], folder: Path) -> Path:
    counts = [len(runs) for runs in cases.values()]
    height = sum(counts) * _BAR_INCHES + len(counts) * 0.9
    drawing = Drawing(figsize=(_WIDTH_INCHES, height), layout="constrained")
    drawing.suptitle(f"{scenario}: {title} (less is better)", x=0.01, ha="left", weight="bold")
    panels = drawing.subplots(len(cases), 1, height_ratios=counts, squeeze=False)
    for (axes,), (case, runs) in zip(panels, cases.items(), strict=True):
        _bars_of_case(axes, case, runs)
    return _saved(drawing, folder / f"{scenario}.svg")


def _bars_of_case(axes: Axes, case: str, runs: _Runs) -> None:
    # The cheapest on top: the axis counts from below.
    ranked = sorted(runs.items(), key=lambda item: -statistics.median(item[1]))
    medians = [statistics.median(values) for _, values in ranked]
    below = [median - min(values) for median, (_, values) in zip(medians, ranked, strict=True)]
    above = [max(values) - median for median, (_, values) in zip(medians, ranked, strict=True)]
    names = [who for who, _ in ranked]
    colours = [_OURS if who.startswith("triolet") else _OTHERS for who in names]
    axes.barh(names, medians, xerr=(below, above), color=colours, error_kw={"lw": 0.8})
    for at, (median, over) in enumerate(zip(medians, above, strict=True)):
        axes.annotate(
            f"{median:.3g}", (median + over, at), (4, 0), textcoords="offset points", va="center"
        )
    axes.set_title(case, loc="left", fontsize=9)
    axes.margins(x=0.12)
    if medians[-1] > 0 and medians[0] > _LOGARITHMIC_FROM * medians[-1]:
        axes.set_xscale("log")
        axes.set_xlabel("logarithmic", fontsize=7, loc="right")


def _growth(title: str, growing: Mapping[int, _Lines], folder: Path) -> Path:
    drawing = Drawing(figsize=(_WIDTH_INCHES, 3.4), layout="constrained")
    drawing.suptitle(f"fanout: {title}, by subscribers", x=0.01, ha="left", weight="bold")
    (panels,) = drawing.subplots(1, len(growing), squeeze=False)
    for axes, (window, lines) in zip(panels, growing.items(), strict=True):
        axes.set_prop_cycle(color=_LINES)
        for who, points in lines.items():
            is_ours = who.startswith("triolet")
            axes.plot(
                [count for count, _ in points],
                [cost for _, cost in points],
                marker="o",
                markersize=3,
                label=who,
                color=_OURS if is_ours else None,
                linewidth=2 if is_ours else 1,
            )
        axes.set(xscale="log", xlabel="subscribers", title=f"{window} in flight")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    return _saved(drawing, folder / "fanout-growth.svg")


def _by_subscribers(cases: Mapping[str, _Runs], window: int) -> dict[str, list[tuple[int, float]]]:
    """Return, of who was measured with several numbers of subscribers, the cost at each."""
    found: dict[str, dict[int, float]] = {}
    for case, runs in cases.items():
        asked = re.fullmatch(rf"1 to ([\d,]+), {window} in flight, 100 B", case)
        for who, values in runs.items() if asked else ():
            count = int(asked[1].replace(",", "")) if asked else 0
            found.setdefault(who, {})[count] = statistics.median(values)
    return {who: sorted(costs.items()) for who, costs in found.items() if len(costs) > 1}


def _saved(drawing: Drawing, path: Path) -> Path:
    drawing.savefig(path, metadata={"Date": None})
    return path
