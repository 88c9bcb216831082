"""A store with something of everything there is, and what each read of it says."""

from ..._model.entries import Message, Meta
from ...ports.documents import Change
from ...ports.jobs import Ending, JobState
from ...ports.people import Person, Revocation
from ...ports.store import Mark, RoomSpec, Store
from . import drafting as d
from . import jobbing as j
from .home import Home

USERS = ("anna", "ben", "cleo", "dora")
ROOMS = ("a", "big", "cut", "empty", "gone", "mine:odd", "zoo")
# Whose retries are compared: cids of entries that are there, that retention removed, and none.
CIDS = [
    *(("a", user, f"{user}-{number}") for user in USERS for number in range(6)),
    *(("a", "anna", cid) for cid in ("create", "e2", "m1", "m2", "never")),
    *(("big", "anna", f"big-{number}") for number in (0, 7, 199)),
    *(("cut", "anna", f"cut-{number}") for number in range(20)),
    *(("gone", "anna", f"gone-{number}") for number in range(5)),
    *(("ended", "anna", cid) for cid in ("create", "end")),
]


async def fill(store: Store, home: Home) -> None:
    """Write something of everything there is, in several generations."""
    await _lose_the_oldest(store, home)
    await store.new_generation()
    await _talk(store, home)
    await store.new_generation()
    await d.append(store, d.founding("big", "anna", spec=RoomSpec(kind="channel", public=True)))
    await d.append(store, *(d.say("big", "anna", f"big-{n}", "x" * n) for n in range(200)))
    for number in range(30):
        seat = d.seat("big", "anna", f"q{number}", f"user-{number:02}", "reader", logged=False)
        await d.append(store, seat)
    await d.append(store, d.seat("big", "anna", "q99", "user-07", None, logged=False, revokes=True))
    await d.append(store, d.draft("empty", "ben", "c", op="create", create=RoomSpec(kind="group")))
    await _end_one(store)
    await store.new_generation()
    await d.append(store, d.founding("mine:odd", "anna", "ben", spec=RoomSpec(kind="direct")))
    await d.append(store, d.founding("zoo", "dora"), d.say("zoo", "dora", "z", "last"))
    await store.put_marks([Mark(room="a", user="ben", delivered=9, read=8, read_n=4)])
    await store.put_people([Person("ben", "dnd", 7), Person("eve:x", "", 9)])
    await store.show_to("eve:x", "nobody")
    await store.revoke(Revocation("ben", 5))
    await store.revoke(Revocation("zed", home.clock.ms))
    await _document(store, home)
    await _queue(store, home)


async def _document(store: Store, home: Home) -> None:
    """Documents that are there, that have expired and are left, and the last one removed."""
    sizes = [Change(f"size/{size:03}", bytes(size)) for size in range(0, 200, 9)]
    assert await store.documents.write(
        [*sizes, Change("name/ä", b"1"), Change("name/\uffff", b"2")]
    )
    later = Change("name/\U0001f642", b"3", expires_at=home.clock.ms + 10_000)
    assert await store.documents.write([later, Change("past", b"4", expires_at=1)])
    assert await store.documents.write([Change("name/ä", b"5", 1), Change("gone", b"6")])
    assert await store.documents.write([Change("gone", None)])


async def _queue(store: Store, home: Home) -> None:
    """Jobs in each state, and the last one gone again."""
    jobs, now = store.jobs, home.clock.ms
    added = [j.new(key, due_at=now - 9, attempts=2) for key in ("done", "dead", "fails", "runs")]
    added += [j.new("waits"), j.new("ö", priority=7), j.new("late", "i", due_at=now + 9)]
    await jobs.add(added, now=now)
    done, dead, fails, _ = await j.claim(jobs, now=now - 1, until=now + 99)
    endings = [
        Ending(lease=j.lease(done)),
        Ending(lease=j.lease(dead), error="no"),
        Ending(lease=j.lease(fails), error="not now", retry_at=now + 5),
    ]
    assert [True] * 3 == await jobs.finish(endings, now=now)
    await jobs.add([j.new("lost", "j")], now=now)
    for _ in range(2):
        await j.claim(jobs, "j", now=now, until=now)
    await jobs.add([j.new("last")], now=now)
    assert 1 == await jobs.withdraw("k", ["last"])


async def _end_one(store: Store) -> None:
    """Delete a room, and with it the greatest number that a room has."""
    await d.append(store, d.founding("ended", "anna", "ben"), d.say("ended", "ben", "1", "gone"))
    await d.append_one(store, d.draft("ended", "anna", "end", op="delete_room", deletes=True))
    while await store.clear_deleted(limit=100) is not None:
        pass


async def _lose_the_oldest(store: Store, home: Home) -> None:
    """A room that retention has emptied, and one whose beginning is gone with what was changed."""
    await d.append(store, d.founding("gone", "anna", "ben"))
    await d.append(store, *(d.say("gone", "anna", f"gone-{n}") for n in range(5)))
    home.clock.ms += 1000
    await _prune(store, older_than=home.clock.ms, entries_max=0)
    await d.append(store, d.founding("cut", "anna", "dora"))
    await d.append(store, *(d.say("cut", "anna", f"cut-{n}", str(n)) for n in range(20)))
    await d.append(
        store,
        d.edit("cut", "anna", "e1", 5, "of one that goes"),
        d.edit("cut", "anna", "e2", 20, "of one that stays"),
        d.react("cut", "dora", "r1", 6),
        d.react("cut", "dora", "r2", 21),
        d.delete("cut", "anna", "x1", 22),
    )
    await _prune(store, older_than=0, entries_max=15)


async def _prune(store: Store, *, older_than: int, entries_max: int) -> None:
    while await store.prune(older_than=older_than, entries_max=entries_max, limit=1000):
        pass


async def _talk(store: Store, home: Home) -> None:
    """Messages, and all that can be done to them."""
    await d.append(store, d.founding("a", *USERS[:3], spec=RoomSpec(kind="group", title="Tea")))
    for number in range(6):
        home.clock.ms += 1000
        batch = [d.say("a", user, f"{user}-{number}", f"{user} {number}") for user in USERS]
        await d.append(store, *batch)
    await d.append(
        store,
        d.edit("a", "anna", "e1", 5, "better"),
        d.edit("a", "anna", "e2", 5, "best"),
        d.edit("a", "ben", "e3", 6, "secret"),
        d.delete("a", "ben", "x1", 6),
        d.delete("a", "cleo", "x2", 7),
        *(d.react("a", user, f"r{user}", 5, "🙂") for user in reversed(USERS)),
        d.react("a", "ben", "r9", 5, "🙂", on=False),
        d.react("a", "ben", "r10", 5, "🙂"),
        d.react("a", "ben", "r11", 8, "+1"),
        d.react("a", "ben", "r12", 8, "+1", on=False),
        d.draft("a", "anna", "m1", Meta(title="Cake", public=True), op="meta"),
        d.draft("a", "anna", "m2", Message({"text": "two"}), Message({"n": 2}, reply_to=5)),
        d.seat("a", "anna", "s1", "dora", "reader"),
        d.seat("a", "anna", "s2", "cleo", None, revokes=True),
    )


async def everything(store: Store) -> dict[str, object]:
    """Return what each read of a store says."""
    said: dict[str, object] = {
        "rooms": await store.rooms([*ROOMS, "none"], members_max=d.ALL),
        "heads": await store.heads(ROOMS),
        "people": await store.people([*USERS, "eve:x", "none"]),
        "revocations": await store.revocations(since=0, after=None, limit=d.ALL),
        "acquainted": [await store.acquainted(user, USERS) for user in USERS],
        "cids": [await store.find(*cid) for cid in CIDS],
        "names": await store.documents.scan("name/", limit=9),
        "sizes": await store.documents.scan("size/", limit=99, descending=True),
        "jobs": [await store.jobs.listed(state, limit=99) for state in JobState],
        "jobs counted": await store.jobs.counts(),
        "jobs due": [await store.jobs.next_due([kind]) for kind in "ijk"],
        "documents": await store.documents.read(["name/ä", "past", "gone", "none"]),
    }
    for room in ROOMS:
        said[f"log {room}"] = await store.page(
            room, after=0, upto=d.ALL, limit=d.ALL, bytes_max=d.ALL
        )
        for user in USERS:
            said[f"history {room} {user}"] = await d.history(store, room, user)
            said[f"membership {room} {user}"] = await store.membership(room, user)
        said[f"members {room}"] = await store.members(room, after=None, limit=d.ALL)
        said[f"marks {room}"] = await store.marks(room, seq=3, after=None, limit=d.ALL)
        said[f"n {room}"] = [await store.n_at(room, seq) for seq in range(45)]
    for user in (*USERS, "user-03", "user-07"):
        said[f"inbox {user}"] = await store.inbox(user, after=None, limit=d.ALL)
        said[f"positions {user}"] = await store.positions(user, limit=d.ALL)
        said[f"revoked {user}"] = await store.revoked(user)
    return said
