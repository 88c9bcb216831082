"""Hypothesis at the controls of a world: it chooses the steps, and makes a failure small.

    from triolet.testing.world.machine import WorldMachine

    TestWorld = WorldMachine.TestCase

Each example collects its steps as data and plays them in the end, in one Trio run; so what is
shrunk are the steps. A failure tells the script, and the command that plays it again.
"""

import tempfile
from pathlib import Path
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from .acts import ACTS
from .run import play
from .script import Script, Step, write
from .verbs import VERBS

_NUMBERS: Final = st.integers(min_value=0, max_value=59)
_PAUSES: Final = st.sampled_from((0.0, 0.01, 0.3, 1.5, 6.0, 60.0))
_AMOUNTS: Final = st.sampled_from((0.0, 0.1, 0.5, 0.9, 1.0))


class Violated(AssertionError):
    """A world broke a promise; the message has the violations and how to see them again."""


class WorldMachine(RuleBasedStateMachine):
    """Steps of a world, as rules: people's acts, faults, and time.

    Attributes:
        folder: where the script of a failure is left.
    """

    folder: Path = Path(tempfile.gettempdir())

    def __init__(self) -> None:
        super().__init__()
        self.script = Script()
        self.steps: list[Step] = []

    @initialize(
        seed=st.integers(min_value=0, max_value=1000),
        nodes=st.integers(min_value=1, max_value=3),
        people=st.integers(min_value=1, max_value=3),
        devices=st.integers(min_value=1, max_value=2),
    )
    def begin(self, seed: int, nodes: int, people: int, devices: int) -> None:
        """Choose a world."""
        self.script = Script(seed=seed, nodes=nodes, people=people, devices=devices, rooms=2)

    @rule(verb=st.sampled_from(sorted(ACTS)), who=_NUMBERS, room=_NUMBERS, pick=_NUMBERS)
    def act(self, verb: str, who: int, room: int, pick: int) -> None:
        """Somebody does something."""
        self.steps.append(Step(verb, who=who, room=room, pick=pick, amount=0.5))

    @rule(verb=st.sampled_from(sorted(VERBS)), who=_NUMBERS, pick=_NUMBERS, amount=_AMOUNTS)
    def fault(self, verb: str, who: int, pick: int, amount: float) -> None:
        """Something goes wrong, or is mended."""
        self.steps.append(Step(verb, who=who, pick=pick, amount=amount))

    @rule(pause_s=_PAUSES)
    def wait(self, pause_s: float) -> None:
        """Time passes."""
        self.steps.append(Step("wait", after_s=pause_s))

    def teardown(self) -> None:
        """Play what was chosen."""
        script = Script(
            seed=self.script.seed,
            nodes=self.script.nodes,
            people=self.script.people,
            devices=self.script.devices,
            rooms=self.script.rooms,
            steps=tuple(self.steps),
        )
        outcome = play(script)
        if outcome.complaints:
            path = self.folder / "world.json"
            write(script, path)
            again = f"python -m triolet.testing world --script {path}"
            raise Violated("\n".join([*outcome.complaints, f"again: {again}"]))
