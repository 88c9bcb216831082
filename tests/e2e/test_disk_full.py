"""The disk is full: nothing acknowledged is lost, reads go on, and room again is enough.

Full for real: a small file system of its own where this process may mount one, and everywhere
a limit on the size of the server's files, which SQLite meets in the same calls.
"""

import itertools
import subprocess
import sys

import pytest
from e2e_scene import Raw, running

resource = pytest.importorskip("resource", reason="Windows has no such limits")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be made so full")

MIB = 1024 * 1024
# With a ballast that is taken away when there is to be room again.
DISK_BYTES, BALLAST_BYTES = 8 * MIB, 4 * MIB
# What a server's files may grow by: a few dozen commits.
GROWTH_BYTES = MIB // 2
HARD_LIMIT = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
TEXT = "x" * 2000


class SmallDisk:
    """A file system of 8 MiB, half of which is taken."""

    def __init__(self, folder):
        self.data = folder / "disk"
        self.data.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(self.data)]
        try:
            subprocess.run(mount, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            why = getattr(error, "stderr", None) or error
            pytest.skip(f"a file system cannot be mounted here: {why}")
        self._ballast = self.data / "ballast"
        self._ballast.write_bytes(bytes(BALLAST_BYTES))

    def limit(self, server):
        """Nothing: it is small from the beginning."""

    def free(self, server):
        self._ballast.unlink()

    def close(self):
        subprocess.run(["umount", str(self.data)], check=True)


class SmallFiles:
    """A folder in which a server's files may grow only so large."""

    def __init__(self, folder):
        self.data = folder / "files"
        self.data.mkdir()

    def limit(self, server):
        largest = max(file.stat().st_size for file in self.data.iterdir())
        self._set(server, largest + GROWTH_BYTES)

    def free(self, server):
        self._set(server, HARD_LIMIT)

    def _set(self, server, size):
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, HARD_LIMIT))

    def close(self):
        """Nothing: it is a folder."""


@pytest.fixture(params=[SmallDisk, SmallFiles], ids=["file system", "file size"])
def disk(request, tmp_path):
    disk = request.param(tmp_path)
    yield disk
    disk.close()


@pytest.fixture
def server(disk, tmp_path):
    with running(disk.data, log=tmp_path / "server.log") as server:
        yield server


class Sender:
    """Sends with cids, and remembers what was acknowledged."""

    def __init__(self, raw, room):
        self.raw, self.room = raw, room
        self.acknowledged = {}
        self.refused = []
        self._numbers = itertools.count()

    def send(self, cid=None):
        """Send; return the refusal, None if there was none."""
        cid = cid or f"c{next(self._numbers)}"
        answer = self.raw.ask(op="send", room=self.room, cid=cid, body={"text": TEXT + cid})
        if answer["op"] == "ok":
            assert not answer["duplicate"]
            self.acknowledged[cid] = answer["seq"]
            return None
        self.refused.append(cid)
        return answer

    def send_until_full(self):
        """Send until ten in a row are refused: in between, something small may still fit."""
        in_a_row = 0
        while in_a_row < 10:
            refusal = self.send()
            in_a_row = in_a_row + 1 if refusal else 0
            if refusal:
                assert refusal["reason"] == "store_unavailable", refusal
                assert refusal["retry_after_ms"] > 0


def read_log(raw, room):
    """Return {cid: (seq, text)} of the whole room, by pages of history."""
    found, after = {}, 0
    while True:
        page = raw.ask(op="history", room=room, after=after, limit=200)
        for message in page["messages"]:
            assert message["cid"] not in found
            found[message["cid"]] = (message["seq"], message["body"]["text"])
            after = message["seq"]
        if not page["more"]:
            return found


def check(raw, sender):
    assert read_log(raw, sender.room) == {
        cid: (seq, TEXT + cid) for cid, seq in sender.acknowledged.items()
    }


def test_a_full_disk_refuses_writes_only_and_room_again_is_enough(server, disk):
    """Law: `store_unavailable` means that nothing was stored; `ok` that it was, for good."""
    with Raw.open(server, "anna") as anna, Raw.open(server, "ben") as ben:
        room = anna.ask(op="create", kind="group", members=["ben"])["room"]
        head = ben.ask(op="subscribe", room=room)
        sender = Sender(anna, room)
        assert sender.send() is None
        disk.limit(server)
        sender.send_until_full()
        assert len(sender.acknowledged) > 20
        # Other writes are refused as well, with the same word.
        refusal = anna.ask(op="create", kind="group")
        assert (refusal["reason"], refusal["retry_after_ms"] > 0) == ("store_unavailable", True)
        # Reads go on: history, a resume from the beginning, presence.
        check(ben, sender)
        since = (head["epoch"], head["head"])
        with Raw.open(server, "ben") as other:
            assert other.ask(op="subscribe", room=room, since=since)["recovered"]
            replayed = (other.next() for _ in itertools.count())
            entries = (one for one in replayed if one["op"] == "entry")
            count = len(sender.acknowledged)
            assert [e["cid"] for e in itertools.islice(entries, count)] == [*sender.acknowledged]
        assert ben.ask(op="watch", users=["anna"])["users"][0][1] == "online"
        disk.free(server)
        # The same cids again, as a client does: each is stored, and once.
        for cid in sender.refused.copy():
            assert sender.send(cid) is None
        assert sender.send() is None
        check(ben, sender)
    assert server.stop() == 0
    server.start()
    with Raw.open(server, "ben") as ben:
        check(ben, sender)
        again = ben.ask(op="subscribe", room=room, since=since)
        assert (again["recovered"], again["epoch"]) == (True, head["epoch"])


def test_a_server_that_ends_while_its_disk_is_full_has_every_acknowledged_message(server, disk):
    """Law: what a full disk has acknowledged outlives the process, however that ends."""
    with Raw.open(server, "anna") as anna:
        room = anna.ask(op="create", kind="group")["room"]
        sender = Sender(anna, room)
        assert sender.send() is None
        disk.limit(server)
        sender.send_until_full()
        server.kill()
    for end in (server.stop, server.kill):
        # A full disk keeps it from writing, not from starting, reading and stopping.
        server.start()
        with Raw.open(server, "anna") as anna:
            check(anna, sender)
        end()
    server.start()
    disk.free(server)
    with Raw.open(server, "anna") as anna:
        sender.raw = anna
        assert sender.send() is None
        check(anna, sender)
