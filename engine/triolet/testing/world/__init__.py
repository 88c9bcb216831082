"""A simulated world: nodes, store, network and people in one Trio run, from one seed.

What runs is the production engine and the production client. Only sockets, disk, bus and
clocks are simulated, so a minute with a hundred faults takes a fraction of a second, and the
same script goes the same way each time, in any process.

    python -m triolet.testing world --seeds 500
    python -m triolet.testing world --seed 7 --history seven.jsonl

A scenario of one's own is a list of steps, whose verbs are in `verbs` and `acts`:

>>> from triolet.testing.world import Script, Step, play
>>> outcome = play(
...     Script(
...         people=2,
...         steps=(
...             Step("send", who=0),
...             Step("crash", pick=3),  # dies after its next commit, before it hears of it
...             Step("send", who=1),
...             Step("restart", after_s=2),
...         ),
...     )
... )
>>> outcome.complaints, outcome.entries > 3
([], True)

How it is made: `run` plays a `Script`; `scenario` draws one from a seed; `world` is the stage;
`nodes`, `disk`, `network` with `hosts`, `sockets` and `streams`, and `people` stand on it;
`chance` is where all chance and time come from.
"""

from .disk import Speed as Speed
from .network import Quality as Quality
from .run import Outcome as Outcome
from .run import play as play
from .scenario import Plan as Plan
from .scenario import draw as draw
from .script import Script as Script
from .script import Step as Step
