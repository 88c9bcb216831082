"""`growth`: what a message costs among many rooms, and reading among many stored entries."""

import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Final

from ..filling import fill_log, fill_rooms
from ..load.asking import Asked, AskingLoad
from ..load.connection import Connection, Connections, converse
from ..load.window import quantile_ms
from ..peers import Step
from ..peers.triolet import Triolet
from ..peers.triolet_log import Log, PageReader, Resumer
from ..peers.triolet_rooms import Rooms
from . import Case, Figure, Options, Sample, Scenario, busy_of

# Messages: connections, each with one unacknowledged message, and rooms.
_WRITERS: Final = 200
_ROOMS: Final = (1, 100, 10_000, 100_000)
# Reading: connections, each with one question on its way, and entries in these rooms.
_READERS: Final = 8
_LOG_ROOMS: Final = 20
_ENTRIES: Final = (10_000, 100_000, 1_000_000)
_ENTRIES_FULL: Final = 10_000_000
_PAGE_MESSAGES: Final = 50
# More than a room keeps at hand: a part of each resume comes from the store.
_BEHIND: Final = 400
_SEED: Final = 20_26
_TINY_ROOMS: Final = 50
# What `triolet serve` calls its store.
_FILE: Final = "triolet.db"
# What is read.
_PAGE: Final = "a page"
_RESUME: Final = "a resume"


# Filled once, for all repeats; gone when the program ends.
_filled: dict[tuple[Log, Path | None], "tempfile.TemporaryDirectory[str]"] = {}


def _write(rooms: int, options: Options) -> Sample:
    count, peer = options.n or _WRITERS, options.peer
    known = Rooms(rooms, count, options.text, _SEED)
    assert isinstance(peer, Triolet)
    # Through the wire a room is 0.4 ms; only what is in memory must come that way.
    are_made = options.store == "sqlite"
    with tempfile.TemporaryDirectory(prefix="triolet-bench-", dir=options.parent) as folder:
        data = Path(folder) / "data"
        if are_made:
            fill_rooms(data / _FILE, rooms, count, lambda part: options.told(part, "making rooms"))
        return _write_among(known, peer, data if are_made else None, options)


def _write_among(known: Rooms, peer: Triolet, data: Path | None, options: Options) -> Sample:
    count, rooms = len(known.writers), known.count
    with (
        peer.start(store=options.store, parent=options.parent, data=data) as server,
        Connections(server.ports, peer) as connections,
    ):
        opened = connections.open(
            [[peer.hello(one.user)] for one in known.writers], options.connecting(count)
        )
        steps = [one.prepare(are_made=data is not None) for one in known.writers]
        _prepare(opened, steps, options)
        pairs = list(zip(opened, known.writers, strict=True))
        asked = AskingLoad(pairs, options.load(server, options.window or 1)).run()
        verified = known.verify()
    return _sample(options, write_case(rooms), "a message", asked, verified)


def _prepare(
    opened: Sequence[Connection], prepared: Sequence[Sequence[Step]], options: Options
) -> None:
    """Have each connection say what it has to, in lock-step, however much that is."""
    rounds = max(map(len, prepared))
    for number, steps in enumerate(zip_longest(*prepared)):
        options.told(number / rounds, "making rooms")
        said = zip(opened, steps, strict=True)
        converse((connection, step) for connection, step in said if step is not None)


def _read(entries: int, what: str, options: Options) -> Sample:
    peer, count = options.peer, options.n or _READERS
    assert isinstance(peer, Triolet)
    log = Log(_LOG_ROOMS, entries // _LOG_ROOMS)
    data = _data(log, options)
    with (
        peer.start(store=options.store, parent=options.parent, data=data) as server,
        Connections(server.ports, peer) as connections,
    ):
        askers: list[PageReader | Resumer]
        if what == _PAGE:
            askers = [PageReader(log, _PAGE_MESSAGES, seed) for seed in range(count)]
        else:
            askers = [Resumer(log, _BEHIND, seed) for seed in range(count)]
        conversations = [
            [peer.hello(f"reader-{index}"), *asker.prepare()] for index, asker in enumerate(askers)
        ]
        opened = connections.open(conversations, options.connecting(count))
        pairs = list(zip(opened, askers, strict=True))
        asked = AskingLoad(pairs, options.load(server, 1)).run()
    return _sample(options, read_case(entries, what), what, asked, {"answered": asked.answers})


def _data(log: Log, options: Options) -> Path:
    """Return a server's folder with the log in it, filled when it is the first time."""
    key = (log, options.parent)
    if key not in _filled:
        folder = tempfile.TemporaryDirectory(prefix="triolet-bench-", dir=options.parent)
        file = Path(folder.name) / "data" / _FILE
        fill_log(file, log, lambda part: options.told(part, "filling"))
        _filled[key] = folder
    return Path(_filled[key].name) / "data"


def _sample(
    options: Options, case: str, what: str, asked: Asked, verified: dict[str, int]
) -> Sample:
    spent = asked.spent
    (answers,) = spent.counts
    return Sample(
        "growth",
        case,
        options.who,
        (
            Figure(f"server CPU {what}", "µs", 1e6 * spent.server_cpu_s / max(1, answers)),
            Figure("answers", "1/s", answers / spent.wall_s),
            Figure("server CPU used", "%", 100 * spent.server_cpu_s / spent.wall_s),
            Figure("answered, p50", "ms", quantile_ms(asked.latencies, 0.5)),
            Figure("answered, p99", "ms", quantile_ms(asked.latencies, 0.99)),
        ),
        verified | {"measured": answers},
        busy_of(spent),
    )


def write_case(rooms: int) -> str:
    """Return what a case of writing is called."""
    return f"messages in {rooms:,} {'room' if rooms == 1 else 'rooms'}"


def read_case(entries: int, what: str) -> str:
    """Return what a case of reading is called."""
    kind = f"pages of {_PAGE_MESSAGES}" if what == _PAGE else f"resumes from {_BEHIND} behind"
    return f"{kind}, {entries:,} entries"


def _cases(options: Options) -> list[Case]:
    rooms = (1, _TINY_ROOMS) if options.n else _ROOMS
    entries = (_ENTRIES[0],) if options.n else _ENTRIES
    if options.full:
        entries = (*_ENTRIES, _ENTRIES_FULL)
    return [
        Case(write_case(count), partial(_write, count), stores=options.peer.stores)
        for count in rooms
    ] + [
        Case(read_case(count, what), partial(_read, count, what), stores=("sqlite",))
        for what in (_PAGE, _RESUME)
        for count in entries
    ]


SCENARIO: Final = Scenario(
    "growth",
    "messages in ever more rooms, pages and resumes in ever longer logs: server CPU each",
    _cases,
)
