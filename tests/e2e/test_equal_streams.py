"""One order: whoever follows a room sees the same bytes, live or replayed, at any speed.

Three people write at once, in one room, with edits, deletions and reactions. In each format two
devices of one of them, two other members, one who is slow and one who keeps reconnecting record
the payloads of the entries as they come.
"""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from e2e_scene import TIMEOUT_S, Raw, running

MEMBERS = ("anna", "ben", "cleo", "dan", "eve")
WRITERS = ("anna", "ben", "cleo")
WRITES = 200
# Linux's loopback takes 2.8 MB for somebody who does not read; 360 messages of 16 KiB on
# average are twice that.
TEXT_CHARACTERS_MAX = 32_000
# After so many entries the reconnecting one is cut off.
CUTS = (60, 200)
# So many entries fill no buffer.
LAG_MAX = 40
FORMS = ("msgpack", "json")
LAST = "that was all"


class Writer:
    """Says, edits, deletes and reacts, by chance that can be repeated."""

    def __init__(self, server, name, room, everybodys, readers):
        self.raw = Raw.open(server, name)
        self.chance = random.Random(name)
        self.room = room
        self.mine = []
        self.everybodys = everybodys
        self.readers = readers

    def run(self):
        for number in range(WRITES):
            ask = self.chance.choices(
                (self.say, self.edit, self.delete, self.react), weights=(60, 15, 10, 15)
            )[0]
            ask(f"{self.chance.random()} {number}")
        self.raw.close()

    def body(self, text):
        return {"text": text * self.chance.randrange(1, TEXT_CHARACTERS_MAX // len(text))}

    def write(self, op, **fields):
        answer = self.raw.ask(op=op, room=self.room, **fields)
        if answer["op"] == "error":
            # Somebody else has deleted it meanwhile.
            assert (op, answer["reason"]) == ("react", "no_such_entry")
        else:
            self.wait_for_readers(answer["seq"])
        return answer

    def wait_for_readers(self, seq):
        """Go on when those who are to be live are not far behind, however slow they run here."""
        while seq - min(reader.last for reader in self.readers) > LAG_MAX:
            time.sleep(0.001)

    def say(self, text):
        seq = self.write("send", body=self.body(text))["seq"]
        self.mine.append(seq)
        self.everybodys.append(seq)

    def edit(self, text):
        if self.mine:
            self.write("edit", target=self.chance.choice(self.mine), body=self.body(text))

    def delete(self, _text):
        if self.mine:
            self.write("delete", target=self.mine.pop(self.chance.randrange(len(self.mine))))

    def react(self, _text):
        if self.everybodys:
            target = self.chance.choice(self.everybodys)
            self.write("react", target=target, emoji="👍", on=self.chance.random() < 0.7)


class Recorder:
    """One session in one room: the payloads of its entries, by seq, and what else it was told."""

    def __init__(self, server, name, room, *, form, since=None, **how):
        self.server, self.name, self.room, self.form = server, name, room, form
        self.payloads = {}
        self.others = []
        self.subscribe(since, **how)

    def subscribe(self, since=None, **how):
        self.raw = Raw.open(self.server, self.name, form=self.form, **how)
        granted = self.raw.ask(op="subscribe", room=self.room, since=since)
        assert granted["recovered"] == (since is not None)
        self.epoch = granted["epoch"]
        self.last = since[1] if since else granted["head"]

    def read(self, *, count=None):
        """Record until the last entry, or until there are `count`."""
        while count is None or len(self.payloads) < count:
            payload = self.raw.next_payload()
            message = self.raw.unpack(payload)
            if message["op"] != "entry":
                self.others.append(message)
                continue
            assert message["seq"] == self.last + 1
            self.last = message["seq"]
            self.payloads[self.last] = payload
            if message.get("body") == {"text": LAST}:
                break
        return self

    def read_with_cuts(self):
        for count in CUTS:
            self.read(count=count)
            self.raw.close()
            self.subscribe((self.epoch, self.last))
        return self.read()

    def read_after(self, event):
        assert event.wait(TIMEOUT_S)
        self.read()
        # The snapshot of states comes behind the last entry.
        while not self.others or self.others[-1]["op"] != "typing":
            self.others.append(self.raw.next())

    def __exit__(self, *error):
        self.raw.close()

    def decoded(self):
        return {seq: self.raw.unpack(payload) for seq, payload in self.payloads.items()}


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    """Let it happen; return each format's recorders: live, slow, reconnecting, and fresh."""
    folder = tmp_path_factory.mktemp("streams")
    with ExitStack() as stack:
        server = stack.enter_context(running(folder / "data"))

        def record(name, form, **how):
            recorder = Recorder(server, name, room, form=form, **how)
            stack.push(recorder)
            return recorder

        owner = stack.enter_context(Raw.open(server, "anna"))
        room = owner.ask(op="create", kind="group", members=MEMBERS[1:])["room"]
        live = {
            form: [
                record("anna", form, device="phone"),
                record("anna", form, device="laptop"),
                record("ben", form),
                record("cleo", form),
            ]
            for form in FORMS
        }
        slow = {form: record("dan", form, receive_buffer=4096) for form in FORMS}
        cut = {form: record("eve", form) for form in FORMS}
        since = (live["json"][0].epoch, live["json"][0].last)
        happen(server, owner, room, readers=(live, slow, cut))
        fresh = {form: record("ben", form, since=since).read() for form in FORMS}
        yield live, slow, cut, fresh


def happen(server, owner, room, *, readers):
    """Have it written by three, and read by all, at the same time."""
    live, slow, cut = readers
    everybodys, written = [], threading.Event()
    quick = [one for form in FORMS for one in live[form]]
    writers = [Writer(server, name, room, everybodys, quick) for name in WRITERS]
    with ThreadPoolExecutor(max_workers=len(writers) + 6 * len(FORMS)) as threads:
        reading = [threads.submit(one.read) for one in quick]
        reading += [threads.submit(cut[form].read_with_cuts) for form in FORMS]
        reading += [threads.submit(slow[form].read_after, written) for form in FORMS]
        for writing in [threads.submit(writer.run) for writer in writers]:
            writing.result()
        owner.ask(op="send", room=room, body={"text": LAST})
        written.set()
        for one in reading:
            one.result()


def erasable(recorder):
    """Return the seqs of deleted messages and of their edits."""
    entries = recorder.decoded()
    deleted = {entry["target"] for entry in entries.values() if entry["kind"] == "delete"}
    edits = {
        seq
        for seq, entry in entries.items()
        if entry["kind"] == "edit" and entry["target"] in deleted
    }
    return deleted | edits


@pytest.mark.parametrize("form", FORMS)
def test_all_who_keep_up_get_the_same_bytes(streams, form):
    """Law: two devices of one user and members of a room see one stream, byte for byte."""
    live, _, _, _ = streams
    first, *others = live[form]
    assert len(first.payloads) > WRITES
    for other in others:
        assert other.payloads == first.payloads


@pytest.mark.parametrize("form", FORMS)
def test_what_is_replayed_is_what_was_live_unless_it_was_erased(streams, form):
    """Law: a replay has the same bytes; what was deleted is erased in all replays alike."""
    live, slow, cut, fresh = streams
    first, replayed, gone = live[form][0], fresh[form].payloads, erasable(live[form][0])
    assert gone
    assert {seq for seq, p in replayed.items() if p != first.payloads[seq]} == gone
    for seq in gone:
        entry = fresh[form].raw.unpack(replayed[seq])
        assert entry["erased"] is True
        assert "body" not in entry
    for behind in (slow[form], cut[form]):
        assert behind.payloads.keys() == first.payloads.keys()
        for seq, payload in behind.payloads.items():
            # It was read before the deletion, or after it.
            assert payload in (first.payloads[seq], replayed[seq])


@pytest.mark.parametrize("form", FORMS)
def test_the_slow_one_was_demoted_and_told_the_states_when_it_had_caught_up(streams, form):
    """Law: states come as a snapshot when a cursor reaches the head; nobody typed here."""
    live, slow, _, _ = streams
    (typing,) = [event for event in slow[form].others if event["op"] == "typing"]
    assert typing["users"] == []
    for one in live[form]:
        assert "typing" not in [event["op"] for event in one.others]


def test_both_formats_carry_the_same_maps(streams):
    live, _, _, fresh = streams
    assert live["json"][0].decoded() == live["msgpack"][0].decoded()
    assert fresh["json"].decoded() == fresh["msgpack"].decoded()
