"""`direct`: pairs of people who write to each other, acknowledged and delivered."""

from ..load.connection import Connections, converse
from ..load.pairs import Pair, PairsLoad, PairsOutcome
from ..load.window import Load, quantile_ms
from . import WARM_UP_PART, Figure, Goal, Options, Run, Sample, Scenario, busy_of

_CONNECTIONS = 400
_GOAL = Goal("≥", 12_000)


def _run(options: Options) -> Sample:
    count = (options.n or _CONNECTIONS) // 2
    window = options.window or 1
    peer = options.peer
    with (
        peer.start(store=options.store_name, parent=options.parent) as server,
        Connections(server.port, peer.upgrade(server.port)) as connections,
    ):
        # Senders and receivers alternate, as people do.
        users = [f"{role}{pair:05d}" for pair in range(count) for role in ("s", "r")]
        opened = connections.open(
            [[peer.hello(user)] for user in users],
            lambda done: options.told(done / len(users), "connecting"),
        )
        senders, receivers = opened[::2], opened[1::2]
        rooms = [
            peer.open_pair(users[at], users[at + 1], text=options.text)
            for at in range(0, len(users), 2)
        ]
        channels = [channel for _, channel in rooms]
        converse(zip(senders, (step for step, _ in rooms), strict=True))
        converse(zip(receivers, map(peer.follow, channels), strict=True))
        if options.echo:
            converse(zip(senders, map(peer.follow, channels), strict=True))
        load = Load(
            server,
            window,
            WARM_UP_PART * options.seconds,
            options.seconds,
            lambda part: options.told(part, "measuring"),
        )
        pairs = [Pair(*ends) for ends in zip(channels, senders, receivers, strict=True)]
        outcome = PairsLoad(pairs, load, echo=options.echo).run()
    return _sample(options, len(users), window, outcome)


def _sample(options: Options, connections: int, window: int, outcome: PairsOutcome) -> Sample:
    spent = outcome.spent
    (messages,) = spent.counts
    # A smaller load has smaller batches: another question, to which the goal is no answer.
    goal = _GOAL if connections >= _CONNECTIONS else None
    echo = ", senders subscribed" if options.echo else ""
    return Sample(
        "direct",
        f"{options.store_name}, {connections} connections, {window} in flight{echo}",
        (
            Figure("messages", "1/s", messages / spent.wall_s, goal),
            Figure("server CPU a message", "µs", 1e6 * spent.server_cpu_s / max(1, messages)),
            Figure("server CPU used", "%", 100 * spent.server_cpu_s / spent.wall_s),
            Figure("acknowledged, p50", "ms", quantile_ms(outcome.acknowledged, 0.5)),
            Figure("acknowledged, p99", "ms", quantile_ms(outcome.acknowledged, 0.99)),
            Figure("delivered, p50", "ms", quantile_ms(outcome.delivered, 0.5)),
            Figure("delivered, p99", "ms", quantile_ms(outcome.delivered, 0.99)),
        ),
        {
            "acknowledged": outcome.verified,
            "delivered": outcome.verified,
            "echoed": outcome.echoes,
            "measured": messages,
        },
        busy_of(spent),
    )


def _runs(options: Options) -> list[Run]:
    if options.n % 2:
        raise ValueError("`direct` needs pairs: an even number of connections")
    return [_run]


SCENARIO = Scenario(
    "direct",
    "direct messages between pairs, each acknowledged after the commit and delivered: "
    f"messages a second on one core (goal {_GOAL.sign} {_GOAL.value:,.0f} on SQLite)",
    _runs,
)
