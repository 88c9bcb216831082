"""Laws of traces: all that a user has left in the logs is found, and nothing of anybody else."""

from scene import open_scene

from triolet._runtime import traces
from triolet._runtime.traces import all_rooms, traces_in


async def found(store, room, user):
    state = await store.room(room)
    return [(one.messages, sorted(one.reactions)) async for one in traces_in(store, state, user)]


async def test_all_rooms_are_found_whoever_is_in_them(scene, monkeypatch):
    monkeypatch.setattr(traces, "_ROOMS_PER_READ", 2)
    anna = await scene.enter("anna")
    for number in range(5):
        await scene.room(f"r{number}", anna, subscribe=False)

    assert [name async for name in all_rooms(scene.store)] == [f"r{n}" for n in range(5)]


async def test_a_users_messages_and_standing_reactions_are_found_page_by_page(scene, monkeypatch):
    monkeypatch.setattr(traces, "_ENTRIES_PER_READ", 3)
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    await scene.room("tea", anna, ben)
    seqs = [(await one.send("tea"))["seq"] for one in (anna, ben, anna, ben, anna)]
    await ben.ask("edit", room="tea", target=seqs[1], body={"text": "better"})
    await ben.ask("delete", room="tea", target=seqs[3])
    await ben.ask("react", room="tea", target=seqs[0], emoji="x")
    await ben.ask("react", room="tea", target=seqs[0], emoji="y")
    await ben.ask("react", room="tea", target=seqs[0], emoji="x", on=False)
    await anna.ask("react", room="tea", target=seqs[1], emoji="z")

    assert await found(scene.store, "tea", "ben") == [([seqs[1]], [(seqs[0], "y")])]
    assert await found(scene.store, "tea", "anna") == [
        ([seqs[0], seqs[2], seqs[4]], [(seqs[1], "z")])
    ]
    assert await found(scene.store, "tea", "eve") == []


async def test_no_more_are_held_than_the_bound(scene, monkeypatch):
    monkeypatch.setattr(traces, "TRACES_MAX", 4)
    monkeypatch.setattr(traces, "_ENTRIES_PER_READ", 2)
    anna = await scene.enter("anna")
    await scene.room("tea", anna)
    seqs = [(await anna.send("tea"))["seq"] for _ in range(11)]
    parts = await found(scene.store, "tea", "anna")

    assert [seq for messages, _ in parts for seq in messages] == seqs
    assert max(len(messages) for messages, _ in parts) <= 5


async def test_what_retention_has_removed_is_not_looked_for():
    async with open_scene() as scene:
        anna = await scene.enter("anna")
        await scene.room("tea", anna)
        seqs = [(await anna.send("tea"))["seq"] for _ in range(6)]
        await scene.store.real.prune(older_than=0, entries_max=2, limit=100)

        assert await found(scene.store, "tea", "anna") == [(seqs[4:], [])]
