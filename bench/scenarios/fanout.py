"""`fanout`: one sender, one room, many subscribers."""

from ..load.connection import Connections
from ..load.fan import FanLoad, FanOutcome
from ..load.window import Load, quantile_ms
from . import WARM_UP_PART, Figure, Goal, Options, Run, Sample, Scenario, busy_of

_SUBSCRIBERS = 1_000
_WINDOWS = (4, 1, 32)
_GOAL_WINDOW = 4
_GOAL = Goal("≤", 3)
_SENDER = "sender"


def _run(options: Options, window: int) -> Sample:
    count = options.n or _SUBSCRIBERS
    peer = options.peer
    with (
        peer.start(store=options.store_name, parent=options.parent) as server,
        Connections(server.port, peer.upgrade(server.port)) as connections,
    ):
        step, channel = peer.open_room(_SENDER, "bench", text=options.text)
        (publisher,) = connections.open([[peer.hello(_SENDER), step]], lambda _: None)
        followers = connections.open(
            [[peer.hello(f"f{index:05d}"), peer.follow(channel)] for index in range(count)],
            lambda done: options.told(done / count, "connecting"),
        )
        load = Load(
            server,
            window,
            WARM_UP_PART * options.seconds,
            options.seconds,
            lambda part: options.told(part, "measuring"),
        )
        outcome = FanLoad(channel, publisher, followers, load).run()
    return _sample(options, count, window, outcome)


def _sample(options: Options, subscribers: int, window: int, outcome: FanOutcome) -> Sample:
    spent = outcome.spent
    deliveries, messages = spent.counts
    is_asked = window == _GOAL_WINDOW and subscribers >= _SUBSCRIBERS
    goal = _GOAL if is_asked else None
    return Sample(
        "fanout",
        f"{options.store_name}, 1 to {subscribers}, {window} in flight",
        (
            Figure(
                "server CPU a delivery", "µs", 1e6 * spent.server_cpu_s / max(1, deliveries), goal
            ),
            Figure("deliveries", "1/s", deliveries / spent.wall_s),
            Figure("messages", "1/s", messages / spent.wall_s),
            Figure("server CPU used", "%", 100 * spent.server_cpu_s / spent.wall_s),
            Figure("at the last one, p50", "ms", quantile_ms(outcome.reached, 0.5)),
            Figure("at the last one, p99", "ms", quantile_ms(outcome.reached, 0.99)),
        ),
        {
            "acknowledged": outcome.verified,
            "delivered": outcome.deliveries,
            "measured": deliveries,
        },
        busy_of(spent),
    )


def _runs(options: Options) -> list[Run]:
    def with_window(window: int) -> Run:
        return lambda options: _run(options, window)

    return [with_window(window) for window in ((options.window,) if options.window else _WINDOWS)]


SCENARIO = Scenario(
    "fanout",
    "one room's messages to many subscribers: server CPU a delivery "
    f"(goal {_GOAL.sign} {_GOAL.value:.0f} µs with {_GOAL_WINDOW} in flight)",
    _runs,
)
