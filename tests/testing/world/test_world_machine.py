"""Law: Hypothesis finds no steps that break a promise; those it does find, it makes short."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from triolet.adapters.memory import MemoryStore
from triolet.testing.world.machine import Violated, WorldMachine
from triolet.testing.world.run import play
from triolet.testing.world.script import Script, Step, read

QUIET = settings(
    max_examples=8,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)


class Repeating(WorldMachine):
    """One node, and somebody who says little else than the same again."""

    @initialize()
    def begin(self):
        self.script = Script(people=2, rooms=1)

    @rule(pick=st.integers(0, 1))
    def act(self, pick):
        self.steps.append(Step("repeat", pick=pick))

    @rule(after_s=st.sampled_from((0.0, 1.0)))
    def fault(self, after_s):
        self.steps.append(Step("heal", after_s=after_s))

    @rule()
    def wait(self):
        self.steps.append(Step("wait", after_s=1.0))


def test_no_steps_are_found_that_break_a_promise():
    run_state_machine_as_test(WorldMachine, settings=QUIET)


def test_what_breaks_a_promise_is_made_short_and_can_be_played_again(monkeypatch, tmp_path):
    """Here the store forgets cids: two times the same message are enough."""
    append = MemoryStore._append

    def forgetful(self, draft, now_ms):
        for room in self.held.rooms.values():
            room.cids.clear()
        return append(self, draft, now_ms)

    monkeypatch.setattr(MemoryStore, "_append", forgetful)
    monkeypatch.setattr(WorldMachine, "folder", tmp_path)
    shrinking = settings(
        QUIET, max_examples=5, stateful_step_count=6, phases=(Phase.generate, Phase.shrink)
    )

    with pytest.raises(Violated, match=r"stored twice[\s\S]*world --script"):
        run_state_machine_as_test(Repeating, settings=shrinking)

    script = read(tmp_path / "world.json")
    assert [step.verb for step in script.steps] == ["repeat", "repeat"]
    assert play(script).complaints
