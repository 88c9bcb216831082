"""Something done at every single step of a scene: cancellation, a cut, an end.

A Trio program is a sequence of steps: a task runs from one checkpoint to the next. Whatever a
scene awaits is awaited between two steps; so who acts at the k-th step, for each k, has acted at
each await of each task, in every state that the scene goes through::

    for cut in cuts(scene):
        trio.run(cut.run, scene, …)

where `scene(cut)` says with `cut.begin(action)` from when on steps count, and what is done.
"""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, final

import trio
from trio.testing import MockClock

# No scene takes so long, on any clock: it waits for something that never comes.
_PATIENCE_S: Final = 300
_FILES: Final = Path("/proc/self/fd")


@final
class Cut(trio.abc.Instrument):
    """Does something at one step of a scene, between two tasks.

    Attributes:
        at: which step, from 0; None: none, steps are counted only.
        steps: how many there were between `begin` and `end`.
        is_done: whether it was done.
    """

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.steps = 0
        self.is_done = False
        self._action: Callable[[], object] | None = None

    def begin(self, action: Callable[[], object]) -> None:
        """Count steps from now on; `action` is synchronous: `scope.cancel`, for example."""
        self._action = action

    def end(self) -> None:
        """Count no more: what follows is the inspection."""
        self._action = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """See `trio.abc.Instrument`."""
        del task
        if self._action is None:
            return
        if self.steps == self.at:
            self.is_done = True
            self._action()
        self.steps += 1


def cuts(
    scene: Callable[[Cut], Awaitable[object]], *, stride: int = 1, real_time: bool = False
) -> Iterator[Cut]:
    """Run a scene undisturbed, and then once for each of its steps; yield each run's cut.

    Args:
        scene: an async function; what it raises leaves here.
        stride: take each `stride`-th step only.
        real_time: the scene has sockets; else time is virtual, and jumps to the next deadline.
    """
    whole = Cut(None)
    _run(scene, whole, real_time=real_time)
    yield whole
    for at in range(0, whole.steps, stride):
        cut = Cut(at)
        _run(scene, cut, real_time=real_time)
        yield cut


def _run(scene: Callable[[Cut], Awaitable[object]], cut: Cut, *, real_time: bool) -> None:
    async def main() -> None:
        # Also in virtual time: where nothing happens any more, a deadline does.
        with trio.fail_after(_PATIENCE_S):
            await scene(cut)

    clock = None if real_time else MockClock(autojump_threshold=0)
    trio.run(main, clock=clock, instruments=[cut])


def tasks() -> list[str]:
    """Return the names of all tasks of this run but Trio's own, sorted."""
    root = trio.lowlevel.current_root_task()
    assert root is not None, "there is a root wherever there is a task"
    found: list[str] = []
    waiting: list[Any] = list(root.child_nurseries[:1])
    while waiting:
        for task in waiting.pop().child_tasks:
            found.append(task.name)
            waiting.extend(task.child_nurseries)
    return sorted(found)


def open_files() -> int | None:
    """Return how many files this process has open; None: this system does not tell."""
    return len(list(_FILES.iterdir())) if _FILES.is_dir() else None
