"""The rounds of a run: every planned measurement once a round, each on a fresh server."""

from pathlib import Path
from typing import Final, NamedTuple, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .errors import ServerFailed, Unexpected
from .report import results
from .report.results import Results
from .scenarios import Case, Options, Sample

_OURS: Final = "triolet"


class Planned(NamedTuple):
    """One measurement of a round."""

    scenario: str
    case: Case
    options: Options

    @property
    def label(self) -> str:
        """What it is called while it runs."""
        return f"{self.scenario} of {self.options.who}: {self.case.name}"


@final
class Rounds:
    """Runs a plan several times over, so that all who are compared share the machine's moods."""

    def __init__(self, console: Console, plan: list[Planned], repeat: int) -> None:
        self._console = console
        self._plan = plan
        self._repeat = repeat
        self._samples: list[Sample] = []
        self._missing: dict[str, str] = {}

    def run(self, found: Results, kept: Path | None) -> Results:
        """Run it all; what was measured so far is in `kept` at any time.

        Another peer that fails is reported as missing in that case; our own failure ends the run.

        Raises:
            Unexpected: Triolet said something it should not have.
            ServerFailed: Triolet's server ended.
        """
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        # Drawn when a run reports, never by a thread of its own: that one would take the
        # generator's core whenever it likes.
        with Progress(
            *columns, console=self._console, auto_refresh=False, transient=True
        ) as progress:
            task = progress.add_task("", total=len(self._plan) * self._repeat)
            done = 0
            for round_number in range(1, self._repeat + 1):
                for planned in self._plan:
                    label = f"{planned.label}, {round_number} of {self._repeat}"

                    def told(part: float, text: str, label: str = label, done: int = done) -> None:
                        if self._console.is_terminal:
                            progress.update(
                                task, completed=done + part, description=f"{label}: {text}"
                            )
                            progress.refresh()

                    told(0, "starting")
                    self._measure(planned._replace(options=planned.options._replace(told=told)))
                    done += 1
                    if kept is not None:
                        results.write(kept, self._results(found))
        return self._results(found)

    def _measure(self, planned: Planned) -> None:
        if planned.label in self._missing:
            return
        try:
            self._samples.append(planned.case.run(planned.options))
        except (Unexpected, ServerFailed, OSError) as error:
            if planned.options.peer.name == _OURS:
                raise
            self._missing[planned.label] = f"{type(error).__name__}: {error}"

    def _results(self, found: Results) -> Results:
        samples = (*found.samples, *self._samples)
        return found._replace(missing=found.missing | self._missing, samples=samples)
