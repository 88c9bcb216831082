"""`resume`: everybody loses the connection, and comes back to where they were."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from ..load.connection import Connections
from ..load.loop import Loop
from ..load.storm import Storm, Stormed
from ..load.window import quantile_ms
from ..peers import Peer, Step
from ..peers.crowd import Plan, plan_of
from ..server import Server
from . import Case, Figure, Options, Sample, Scenario, busy_of

_GUESTS: Final = 5_000
_ROOMS_EACH: Final = 20
# A hundred guests a room.
_GUESTS_PER_NEW_ROOM: Final = 5
# Before the storm, each room carries so many messages, and one more while it lasts.
_FLOW: Final = 2
# A server that has just started does what it left for afterwards.
_SETTLE_S: Final = 1.0
_RESTART: Final = "the server is killed and restarted"
_CUT: Final = "the connections are cut"


def plan_for(guests: int) -> Plan:
    """Return the plan: each guest in 20 rooms."""
    return plan_of(guests, max(_ROOMS_EACH, guests // _GUESTS_PER_NEW_ROOM), _ROOMS_EACH)


def _run(count: int, kind: str, options: Options) -> Sample:
    peer, plan = options.peer, plan_for(count)
    rooms = range(plan.rooms)
    with (
        # The limits are those of an operator who sets none: what a storm meets is asked here.
        peer.start(store=options.store, parent=options.parent, is_raised=False) as server,
        Loop() as loop,
    ):
        crowd = peer.crowd(plan, text=options.text)
        _prepare(server, peer, crowd.prepare())
        storm = Storm(loop, server, peer, crowd, options.told)
        storm.gather()
        for _ in range(_FLOW):
            storm.flow(rooms)
        if kind == _CUT:
            stormed, bare_s = storm.cut(rooms), 0.0
            verified = crowd.verify()
        else:
            stormed = storm.restart(rooms)
            verified = crowd.verify()
            bare_s = _bare_start_s(server)
    return _sample(options, case_name(count, kind), stormed, bare_s, verified)


def _prepare(server: Server, peer: Peer, steps: Sequence[Step]) -> None:
    with Connections(server.ports, peer) as connections:
        connections.open([steps], lambda _: None)


def _bare_start_s(server: Server) -> float:
    """Return what it costs to start on these data, after a crash, with nobody there."""
    server.kill()
    server.restart()
    server.wait_announced()
    time.sleep(_SETTLE_S)
    return server.cpu_s()


def _sample(
    options: Options, case: str, stormed: Stormed, bare_s: float, verified: dict[str, int]
) -> Sample:
    count = len(stormed.back_s)
    cpu_s = max(0.0, stormed.spent.server_cpu_s - bare_s)
    ideal_ms = quantile_ms(stormed.ideal_s, 0.99)
    back_ms = quantile_ms(stormed.back_s, 0.99)
    return Sample(
        "resume",
        case,
        options.who,
        (
            Figure("server CPU a client", "µs", 1e6 * cpu_s / count),
            Figure("back, p99 / ideal", "", back_ms / ideal_ms),
            Figure("ideal, p99", "ms", ideal_ms),
            Figure("back, p50", "ms", quantile_ms(stormed.back_s, 0.5)),
            Figure("back, p99", "ms", back_ms),
            Figure("back, worst", "ms", quantile_ms(stormed.back_s, 1.0)),
            Figure("later than ideal, p50", "ms", quantile_ms(stormed.late_s, 0.5)),
            Figure("later than ideal, p99", "ms", quantile_ms(stormed.late_s, 0.99)),
            Figure("refusals a client", "", stormed.refusals / count),
        ),
        verified | {"back": count},
        busy_of(stormed.spent),
    )


def case_name(count: int, kind: str) -> str:
    """Return what a case is called."""
    return f"{count:,} clients in {_ROOMS_EACH} rooms each, {kind}"


def _cases(options: Options) -> list[Case]:
    count = options.n or _GUESTS
    return [Case(case_name(count, kind), partial(_run, count, kind)) for kind in (_RESTART, _CUT)]


SCENARIO: Final = Scenario(
    "resume",
    "clients who lose the server, or their connections, and come back: server CPU a client",
    _cases,
)
