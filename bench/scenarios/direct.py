"""`direct`: pairs of people who write to each other, acknowledged and delivered."""

from functools import partial
from typing import Final

from ..load.connection import Connections, converse
from ..load.pairs import Pair, PairsLoad, PairsOutcome
from ..load.window import quantile_ms
from . import Case, Figure, Options, Sample, Scenario, busy_of, services_of

_CONNECTIONS: Final = 400
_WINDOWS: Final = (1, 4)


def open_pairs(options: Options, connections: Connections, count: int) -> list[Pair]:
    """Open `count` pairs, each in a room of its own.

    Senders and receivers alternate, as people do.
    """
    peer = options.peer
    users = [f"{role}{pair:05d}" for pair in range(count) for role in ("s", "r")]
    opened = connections.open([[peer.hello(user)] for user in users], options.connecting(2 * count))
    senders, receivers = opened[::2], opened[1::2]
    rooms = [
        peer.open_pair(users[at], users[at + 1], text=options.text)
        for at in range(0, len(users), 2)
    ]
    channels = [channel for _, channel in rooms]
    converse(zip(senders, (step for step, _ in rooms), strict=True))
    converse(zip(receivers, map(peer.follow, channels), strict=True))
    return [Pair(*ends) for ends in zip(channels, senders, receivers, strict=True)]


def _run(count: int, window: int, options: Options) -> Sample:
    peer = options.peer
    with (
        peer.start(store=options.store, parent=options.parent) as server,
        Connections(server.ports, peer) as connections,
    ):
        pairs = open_pairs(options, connections, count // 2)
        if options.echo:
            converse((pair.sender, peer.follow(pair.channel)) for pair in pairs)
        outcome = PairsLoad(pairs, options.load(server, window), echo=options.echo).run()
    return _sample(options, _case_name(count, window, options), outcome)


def _sample(options: Options, case: str, outcome: PairsOutcome) -> Sample:
    spent = outcome.spent
    (messages,) = spent.counts
    return Sample(
        "direct",
        case,
        options.who,
        (
            Figure("server CPU a message", "µs", 1e6 * spent.server_cpu_s / max(1, messages)),
            Figure("messages", "1/s", messages / spent.wall_s),
            Figure("server CPU used", "%", 100 * spent.server_cpu_s / spent.wall_s),
            *services_of(spent, messages, "a message"),
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


def _case_name(count: int, window: int, options: Options) -> str:
    echo = ", senders subscribed" if options.echo else ""
    return f"{count:,} connections, {window} in flight{echo}"


def _cases(options: Options) -> list[Case]:
    if options.n % 2:
        raise ValueError("`direct` needs pairs: an even number of connections")
    count = options.n or _CONNECTIONS
    return [
        Case(
            _case_name(count, window, options),
            partial(_run, count, window),
            # What durability costs is asked here.
            stores=options.peer.stores,
        )
        for window in ((options.window,) if options.window else _WINDOWS)
    ]


SCENARIO: Final = Scenario(
    "direct",
    "direct messages between pairs, each acknowledged and delivered: server CPU a message",
    _cases,
)
