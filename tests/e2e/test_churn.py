"""After 10,000 connections that come, chat and go, everything is as before.

They end in every way there is: in order, by a reset, in the middle of a frame, with a message
on its way, before `hello`, refused. Most rooms are used again, some only once.
"""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

from e2e_scene import COUNTED, TIMEOUT_S, Raw, frame, token

from triolet._model.ids import direct_room
from triolet.adapters.sqlite.recent import WINDOW_ENTRIES

CYCLES = 10_000
# So many, and all threads and caches that stay are there.
WARM_UP = 1_000
# At a time; the more there are, the more messages share a commit.
THREADS = 64
USERS = 100
# One cycle in so many has a room of its own.
UNIQUE_EVERY = 25
LIMITS = {
    # Fewer than there are, so that rooms are dropped and loaded again all the time.
    "TRIOLET_LIMIT_IDLE_ROOMS_MAX": "50",
    "TRIOLET_LIMIT_GRACE_S": "0.2",
    "TRIOLET_LIMIT_TYPING_S": "0.5",
    # Who has gone is noticed without it; on a busy machine a close frame is written later.
    "TRIOLET_LIMIT_CLOSE_TIMEOUT_S": "10",
    # Sixty-four threads of one process take turns: each says hello when it has its own.
    "TRIOLET_LIMIT_HELLO_TIMEOUT_S": "60",
    "TRIOLET_LIMIT_HELLOS_RATE": "100000",
}
# What ends a little after the visit: the grace, a typing mark, what is written each second.
LASTING = (
    "connections",
    "present",
    "typists",
    "feed_news",
    "marks_unwritten",
    "people_unwritten",
)
# What may differ by chance between two quiet moments.
UNSTEADY = ("resident_kib", "rooms", "rooms_idle")


class Churn:
    """Visits of users who each know their neighbour."""

    def __init__(self, server):
        self.server = server
        self.tokens = [token(f"user-{number}", tier="service") for number in range(USERS)]
        self.ways = (
            *[self.leave_in_order] * 5,
            self.leave_by_reset,
            self.leave_inside_a_frame,
            self.leave_with_a_send_pending,
            self.leave_before_hello,
            self.be_refused,
        )

    def run(self, cycles):
        with ThreadPoolExecutor(max_workers=THREADS) as threads:
            list(threads.map(self.visit_all, (cycles[n::THREADS] for n in range(THREADS))))

    def settle_in(self):
        """Make all rooms, and write as much as the store ever keeps in memory."""
        with ThreadPoolExecutor(max_workers=8) as threads:
            list(threads.map(self.settle, range(USERS)))

    def settle(self, user):
        with Raw.open(self.server, f"user-{user}") as raw:
            room = raw.ask(op="direct", user=f"user-{(user + 1) % USERS}")["room"]
            sent = {"op": "send", "ref": 0, "room": room, "body": {"text": "settling in"}}
            # The store keeps a full window of the newest entries, and one that fills.
            count = 2 * WINDOW_ENTRIES // USERS
            raw.send_bytes(frame(raw.pack(sent)) * count)
            answers = (raw.next() for _ in itertools.count())
            stored = (one for one in answers if one["op"] == "ok")
            assert len(list(itertools.islice(stored, count))) == count

    def visit_all(self, cycles):
        for cycle in cycles:
            with Raw(self.server) as raw:
                self.ways[(cycle + cycle // USERS) % len(self.ways)](raw, cycle)

    def room(self, raw, cycle):
        """Return the room to visit: usually one that is there since the beginning."""
        user, neighbour = f"user-{cycle % USERS}", f"user-{(cycle + 1) % USERS}"
        if cycle % UNIQUE_EVERY == 0:
            return raw.ask(op="create", kind="group", members=[neighbour])["room"]
        return direct_room(user, neighbour)

    def chat(self, raw, cycle):
        """Say hello, follow a room and say something; some watch and type besides."""
        raw.send(op="hello", token=self.tokens[cycle % USERS])
        room = self.room(raw, cycle)
        raw.send(op="subscribe", ref=0, room=room)
        if cycle % 3 == 0:
            raw.send(op="watch", ref=0, users=[f"user-{(cycle + 1) % USERS}"])
            raw.send(op="typing", ref=0, room=room, on=True)
        answer = raw.ask(op="send", room=room, body={"text": f"visit {cycle}"})
        assert answer["op"] == "ok", answer
        return room

    def leave_in_order(self, raw, cycle):
        room = self.chat(raw, cycle)
        events = itertools.chain(raw.events, (raw.next() for _ in itertools.count()))
        entry = next(event for event in events if event["op"] == "entry")
        assert (entry["room"], entry["kind"]) == (room, "message")
        raw.send_bytes(frame(b"\x03\xe8", opcode=8))
        assert raw.wait_close()[0] == 1000

    def leave_by_reset(self, raw, cycle):
        room = self.chat(raw, cycle)
        raw.send(op="typing", room=room, on=True)
        raw.reset()

    def leave_inside_a_frame(self, raw, cycle):
        room = self.chat(raw, cycle)
        half = frame(raw.pack({"op": "send", "room": room, "body": {"text": "x" * 1000}}))
        raw.send_bytes(half[:500])

    def leave_with_a_send_pending(self, raw, cycle):
        room = self.chat(raw, cycle)
        raw.send(op="send", ref=0, room=room, body={"text": "and I am gone"})
        raw.reset()

    def leave_before_hello(self, raw, cycle):
        if cycle % 2:
            raw.reset()

    def be_refused(self, raw, cycle):
        raw.send(op="hello", token=self.tokens[cycle % USERS][:-1])
        assert raw.wait_close()[0] == 4001


def quiet_counts(server):
    """Return the counts once nobody is here, not even in the grace."""
    until = time.monotonic() + TIMEOUT_S
    while True:
        counts = server.counts()
        if not any(counts[what] for what in LASTING):
            return counts
        assert time.monotonic() < until, counts
        time.sleep(0.1)


def steady(counts):
    return {what: count for what, count in counts.items() if what not in UNSTEADY}


def counts_as(server, before):
    """Return the counts once they are as before; or what they are in the end."""
    until = time.monotonic() + TIMEOUT_S
    while steady(counts := quiet_counts(server)) != steady(before) and time.monotonic() < until:
        time.sleep(0.1)
    return counts


def test_ten_thousand_visits_leave_nothing_behind(make_server):
    server = make_server(command=COUNTED, **LIMITS)
    churn = Churn(server)
    churn.settle_in()
    churn.run(range(WARM_UP))
    before = quiet_counts(server)
    churn.run(range(WARM_UP, WARM_UP + CYCLES))
    after = counts_as(server, before)
    assert steady(after) == steady(before)
    assert after["rooms"] == after["rooms_idle"] <= 50
    assert after["resident_kib"] <= 1.1 * before["resident_kib"]
