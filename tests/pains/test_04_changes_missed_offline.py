"""Edits, deletes and reactions missed while offline: only new messages are caught up.

Rocket.Chat #41079, #41190, PR #41759, #13324, #30726.
"""

from house import open_house, read
from msgspec import UNSET


async def test_every_change_is_an_entry_behind_the_position():
    """Ben had read three messages when he left; what became of them meanwhile reaches him."""
    async with open_house() as house, house.connect("anna") as anna:
        made = await anna.create("group", members=["ben"])
        seqs = [(await anna.send(made.room, text)).seq for text in ("one", "two", "three")]
        async with house.connect("ben") as ben:
            before = await read(ben, made.room, made.epoch, seqs[-1])
        await anna.edit(made.room, seqs[0], {"text": "one, corrected"})
        await anna.delete(made.room, seqs[1])
        await anna.react(made.room, seqs[2], "👍")
        await anna.set_meta(made.room, title="Tea")
        async with house.connect("ben") as ben:
            since = (made.epoch, before[-1].seq)
            changes = []
            async for entry in ben.room(made.room).entries(since=since):
                changes.append(type(entry.fact).__name__)
                if len(changes) == 4:
                    break
            assert changes == ["Edit", "Delete", "React", "Meta"]
            page = await ben.history(made.room)
            assert page.messages[0].body == {"text": "one, corrected"}
            assert page.messages[1].body is UNSET
            assert page.messages[1].erased
            assert page.messages[2].reactions["👍"].users == ("anna",)
