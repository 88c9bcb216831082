"""Law: a recorder tells exactly what one client did and saw, and changes nothing."""

from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triolet._model.errors import ErrorCode, Refusal
from triolet.client import Backoff, LinkClosed, open_client
from triolet.embedded import _PipeDialer, open_engine
from triolet.ports.gate import FOREVER, Identity
from triolet.testing import history
from triolet.testing.recorder import Recorder, stored

QUICK = Backoff(base_s=0.01, ceiling_s=0.05)


class CutDialer:
    """Dials links that can be cut from outside."""

    def __init__(self, dialer):
        self._dialer = dialer
        self.link = None

    async def dial(self):
        self.link = await self._dialer.dial()
        return self.link


class Stage:
    """An engine, and clients that are recorded on one tape."""

    def __init__(self, engine):
        self.engine = engine
        self.tape = []
        self.dialers = {}
        self.recorders = {}

    @asynccontextmanager
    async def client(self, user, *, form="msgpack"):
        identity = Identity(user=user, expires_at=FOREVER, tier="service")
        self.dialers[user] = dialer = CutDialer(_PipeDialer(self.engine, identity))
        recorder = Recorder(f"{user}-1", user, self.tape.append, origin="a test")
        self.recorders[user] = recorder
        async with open_client(
            recorder.dialer(dialer), backoff=QUICK, witness=recorder.witness, device="d"
        ) as client:
            yield client
        recorder.left()

    def of(self, user, *kinds):
        return [
            event
            for event in self.tape
            if event.client == f"{user}-1" and (not kinds or isinstance(event, kinds))
        ]


@asynccontextmanager
async def open_stage():
    async with open_engine() as engine:
        yield Stage(engine)


async def test_what_is_asked_and_answered_is_written_in_order(autojump_clock):
    async with open_stage() as stage, stage.client("anna") as anna:
        await anna.create(room="r", cid="make")
        await anna.send("r", "one", cid="a")
        await anna.send("r", "one", cid="a")
        with pytest.raises(Refusal):
            await anna.edit("r", 99, "none", cid="b")

    kinds = [
        type(event).__name__ for event in stage.of("anna") if not isinstance(event, history.Unread)
    ]
    sent = stage.of("anna", history.Sent)
    acked = stage.of("anna", history.Acked)
    refused = stage.of("anna", history.Refused)

    assert kinds == [
        "Opened",
        "Greeted",
        "Connected",
        *["Sent", "Acked"] * 3,
        "Sent",
        "Refused",
        "Disconnected",
        "Left",
    ]
    assert [(event.op, event.cid) for event in sent] == [
        ("create", "make"),
        ("send", "a"),
        ("send", "a"),
        ("edit", "b"),
    ]
    assert sent[1].fact == history.Trace(kind="message", body=history.digest({"text": "one"}))
    assert [(event.seq, event.duplicate) for event in acked] == [(1, False), (2, False), (2, True)]
    assert [event.code for event in refused] == [ErrorCode.NO_SUCH_ENTRY]
    assert {event.conn for event in stage.of("anna")[2:]} == {1}


async def test_entries_are_seen_on_the_wire_and_by_the_application(autojump_clock):
    async with open_stage() as stage, stage.client("anna") as anna, stage.client("ben") as ben:
        await anna.create(room="r", members=["ben"])
        stream = ben.events()
        await ben.subscribe("r")
        await anna.send("r", "one", cid="a")
        await anext(stream)

    subscribed = stage.of("ben", history.Subscribed)
    seen = stage.of("ben", history.Seen)

    assert [(event.sub, event.pos, event.head, event.wire) for event in subscribed] == [
        (1, 2, 2, True),
        (2, 2, 2, False),
    ]
    assert [(event.sub, event.entry.seq, event.entry.sender) for event in seen] == [
        (1, 3, "anna"),
        (2, 3, "anna"),
    ]
    assert seen[0].entry.fact.body == history.digest({"text": "one"})


async def test_a_wire_cursor_ends_with_its_connection_and_the_application_s_does_not(
    autojump_clock,
):
    async with open_stage() as stage, stage.client("anna") as anna, stage.client("ben") as ben:
        await anna.create(room="r", members=["ben"])
        stream = ben.events()
        await ben.subscribe("r")
        await stage.dialers["ben"].link.aclose(1000, "")
        await anna.send("r", "one")
        async for event in stream:
            if getattr(event, "seq", 0) == 3:
                break

    subscribed = stage.of("ben", history.Subscribed)
    seen = stage.of("ben", history.Seen)

    assert [(event.sub, event.conn, event.wire) for event in subscribed] == [
        (1, 1, True),
        (2, 1, False),
        (3, 2, True),
    ]
    assert subscribed[2].since == (subscribed[0].epoch, 2)
    assert [(event.sub, event.conn, event.entry.seq) for event in seen] == [(3, 2, 3), (2, 2, 3)]
    assert [event.conn for event in stage.of("ben", history.Disconnected)] == [1, 2]


async def test_a_retry_is_sent_again_on_the_next_connection(autojump_clock):
    class Deaf:
        """Cut after it has carried the command, before the answer."""

        def __init__(self, link):
            self._link = link

        async def send(self, payload):
            await self._link.send(payload)
            if b"send" in payload:
                await trio.testing.wait_all_tasks_blocked()
                await self._link.aclose(1000, "")
                raise LinkClosed(1006)

        async def receive(self):
            payload = await self._link.receive()
            if b"duplicate" in payload and b"x1" not in payload and self.dialer.count == 1:
                await trio.sleep_forever()
            return payload

        async def aclose(self, code, reason):
            await self._link.aclose(code, reason)

    class Dialer:
        def __init__(self, dialer):
            self._dialer = dialer
            self.count = 0

        async def dial(self):
            self.count += 1
            link = await self._dialer.dial()
            if self.count > 1:
                return link
            deaf = Deaf(link)
            deaf.dialer = self
            return deaf

    async with open_stage() as stage:
        async with stage.client("owner") as owner:
            await owner.create(room="r", members=["anna"])
        identity = Identity(user="anna", expires_at=FOREVER, tier="service")
        recorder = Recorder("anna-1", "anna", stage.tape.append)
        dialer = recorder.dialer(Dialer(_PipeDialer(stage.engine, identity)))
        async with open_client(dialer, backoff=QUICK, witness=recorder.witness) as anna:
            written = await anna.send("r", "one", cid="x1")

    sent, acked = stage.of("anna", history.Sent), stage.of("anna", history.Acked)

    assert [(event.conn, event.cid) for event in sent] == [(1, "x1"), (2, "x1")]
    assert [(event.conn, event.seq, event.duplicate) for event in acked] == [(2, written.seq, True)]


async def test_a_cursor_that_ends_says_why(autojump_clock):
    async with open_stage() as stage, stage.client("anna") as anna, stage.client("ben") as ben:
        await anna.create(room="r", members=["ben"])
        stream = ben.room_events("r")
        with stream:
            await ben.subscribe("r")
            await anna.kick("r", "ben")
            async for _ in stream:
                pass
        await anna.subscribe("r")
        await anna.unsubscribe("r")

    ben_closed = stage.of("ben", history.Closed)
    anna_closed = stage.of("anna", history.Closed)

    assert [(event.sub, event.reason, event.seq) for event in ben_closed] == [
        (1, "removed", 3),
        (2, "removed", 3),
    ]
    assert sorted((event.sub, event.reason) for event in anna_closed) == [
        (1, "unsubscribed"),
        (2, "unsubscribed"),
    ]


async def test_a_room_that_ends_ends_its_cursors_and_is_a_durable_request(autojump_clock):
    async with open_stage() as stage, stage.client("anna") as anna, stage.client("ben") as ben:
        await anna.create(room="r", members=["ben"])
        await ben.subscribe("r")
        done = await anna.delete_room("r", cid="end")
        await trio.sleep(1)

    sent = [event for event in stage.of("anna", history.Sent) if event.op == "delete_room"]
    acked = [event for event in stage.of("anna", history.Acked) if event.cid == "end"]
    closed = stage.of("ben", history.Closed)
    assert [(event.room, event.fact) for event in sent] == [("r", None)]
    assert [(event.seq, event.at) for event in acked] == [(done.seq, done.at)]
    assert [event.reason for event in closed] == ["deleted", "deleted"]


async def test_an_answer_says_when_it_was_asked_for(autojump_clock):
    async with open_stage() as stage, stage.client("anna") as anna:
        await anna.create(room="r")
        await anna.subscribe("r")
        began = trio.current_time()
        await anna.history("r")
        await anna.rooms()
        await anna.receipts("r", 1)

    answers = stage.of("anna", history.Folded, history.Unread, history.Receipts)
    asked = {type(event): event.asked for event in answers if event.asked is not None}
    assert asked == {history.Folded: began, history.Unread: began, history.Receipts: began}
    told = {type(event) for event in answers if event.asked is None}
    assert told == {history.Unread, history.Receipts}


async def test_a_second_subscription_from_elsewhere_is_a_cursor_of_its_own(autojump_clock):
    async with open_stage() as stage, stage.client("anna") as anna:
        await anna.create(room="r")
        await anna.send("r", "one")
        stream = anna.room("r").entries()
        first = await anna.subscribe("r")
        await anna.subscribe("r")
        await anna.subscribe("r", since=(first.epoch, 1))
        assert (await anext(stream)).seq == 2

    app = [event for event in stage.of("anna", history.Subscribed) if not event.wire]
    seen = [event.sub for event in stage.of("anna", history.Seen)]

    assert [event.pos for event in app] == [2, 1]
    assert len(stage.of("anna", history.Subscribed)) == 5
    assert app[1].sub in seen


async def test_state_is_written_as_it_was_told(autojump_clock):
    async with open_stage() as stage, stage.client("anna") as anna, stage.client("ben") as ben:
        await anna.create(room="r", members=["ben"])
        stream = ben.events()
        await ben.subscribe("r")
        await ben.watch(["anna"])
        await anna.send("r", "one")
        await anna.typing("r")
        await anna.receipt("r", read=3)
        await anna.presence("away")
        await trio.sleep(2)
        await ben.unwatch(["anna"])
        await ben.rooms()
        await ben.receipts("r", 1)
        await ben.history("r")
        stream.close()

    asked = stage.of("anna", history.Asked)
    shown = [event.users for event in stage.of("ben", history.Presence)]
    typing = [event.users for event in stage.of("ben", history.Typing)]
    marks = [row for event in stage.of("ben", history.Receipts) for row in event.marks]
    unread = stage.of("ben", history.Unread)
    (folded,) = stage.of("ben", history.Folded)

    assert [event.op for event in asked] == ["typing", "receipt", "presence"]
    assert [rows[0][:2] for rows in shown] == [("anna", "online"), ("anna", "away")]
    assert [event.users for event in stage.of("ben", history.Unwatched)] == [("anna",)]
    assert ("anna",) in typing
    assert ("anna", 3, 3) in marks
    assert (unread[-1].head, unread[-1].unread, unread[-1].read) == (3, 1, 2)
    assert (folded.head, folded.after, folded.upto) == (3, 0, 3)
    assert [row.seq for row in folded.messages] == [3]


async def test_pages_of_a_history_say_between_which_seqs_they_have_everything(autojump_clock):
    async with open_stage() as stage, stage.client("anna") as anna:
        await anna.create(room="r")
        for number in range(5):
            await anna.send("r", f"{number}")
        await anna.history("r", limit=2)
        await anna.history("r", before=5, limit=2)
        await anna.history("r", before=3, limit=2)
        await anna.history("r", after=2, limit=2)
        await anna.history("r", after=4, limit=2)

    spans = [(event.after, event.upto) for event in stage.of("anna", history.Folded)]

    assert spans == [(4, 6), (2, 4), (0, 2), (2, 4), (4, 6)]


async def test_the_store_s_log_is_told_whole_however_long(autojump_clock, monkeypatch):
    monkeypatch.setattr("triolet.testing.recorder.logs._PAGE_ENTRIES", 2)
    async with open_stage() as stage:
        async with stage.client("anna") as anna:
            await anna.create(room="r")
            for number in range(4):
                await anna.send("r", f"{number}")
        pages = await stored(stage.engine.store, ["none", "r"], 9)

    assert [[entry.seq for entry in page.entries] for page in pages] == [[1, 2], [3, 4], [5]]
    assert {(page.t, page.room, page.head, page.floor) for page in pages} == {(9, "r", 5, 0)}


@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_farewell_of_a_machine_that_is_gone_tells_nobody(autojump_clock, is_gone):
    async with open_stage() as stage:
        async with stage.client("anna"):
            if is_gone:
                stage.recorders["anna"].vanished()
        (ended,) = stage.of("anna", history.Disconnected)

    assert (ended.code, ended.told) == (1000, not is_gone)


async def test_a_connection_that_ends_before_its_welcome_has_ended_too(autojump_clock):
    class Mute:
        """Cut after the hello has arrived, before its answer does."""

        def __init__(self, link):
            self._link, self.aclose = link, link.aclose
            self._said = trio.Event()

        async def send(self, payload):
            await self._link.send(payload)
            self._said.set()

        async def receive(self):
            await self._said.wait()
            await wait_all_tasks_blocked()
            raise LinkClosed(1006)

    class Once:
        """Dials one mute link, then others."""

        def __init__(self, dialer):
            self._dialer = dialer
            self._links = iter([Mute])

        async def dial(self):
            return next(self._links, lambda link: link)(await self._dialer.dial())

    async with open_engine() as engine:
        tape = []
        identity = Identity(user="anna", expires_at=FOREVER, tier="service")
        recorder = Recorder("anna-1", "anna", tape.append)
        dialer = recorder.dialer(Once(_PipeDialer(engine, identity)))
        async with open_client(dialer, backoff=QUICK, witness=recorder.witness):
            pass

    kinds = history.Greeted | history.Connected | history.Disconnected
    seen = [
        (event.conn, getattr(event, "told", None)) for event in tape if isinstance(event, kinds)
    ]
    assert seen == [(0, None), (0, False), (0, None), (1, None), (1, True)]


async def test_a_hello_says_where_it_goes_if_that_is_known(autojump_clock):
    async with open_stage() as stage:
        async with stage.client("anna"):
            pass
        recorder = stage.recorders["anna"]
        recorder.reaches("node1.2")
        dialer = recorder.dialer(stage.dialers["anna"])
        async with open_client(dialer, backoff=QUICK):
            pass

    assert [event.node for event in stage.of("anna", history.Greeted)] == ["", "node1.2"]
