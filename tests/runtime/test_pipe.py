"""Laws of a connection without a socket."""

import pytest


async def test_a_message_goes_from_one_end_to_the_other(scene):
    """What one member sends, every subscriber gets, the sender's own session included."""
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    await scene.room("tea", anna, ben)

    sent = await anna.send("tea", "hello", cid="c1")
    heard = [await one.next("entry") for one in (anna, ben)]

    assert sent == {"op": "ok", "ref": 3, "room": "tea", "seq": 3, "at": sent["at"], "duplicate": False}
    assert heard[0] == heard[1]
    assert heard[0]["body"] == {"text": "hello"}
