"""Laws of what is said of a session beside it: the user's own, on whatever node it is."""

import msgspec
import pytest
import trio
from scene import settled
from stage import open_stage

from triolet._model.errors import Close, CloseCode, ErrorCode, Refusal
from triolet._runtime.pipe import Carriage
from triolet.ports.gate import FOREVER, Identity

BEN = Identity(user="ben", expires_at=FOREVER)


async def enter(engine, *, text=True):
    """Return a session of Ben's that speaks JSON, and its name."""
    pipe = engine.open_pipe(BEN, Carriage(text=text))
    await pipe.send(b'{"op":"hello"}' if text else msgspec.msgpack.encode({"op": "hello"}))
    welcome = await pipe.receive()
    return pipe, (msgspec.json if text else msgspec.msgpack).decode(welcome)["session"]


async def refused(engine, session, identity=BEN):
    with pytest.raises(Refusal) as caught:
        await engine.forward(identity, session, b'{"op":"ping","ref":1}')
    return caught.value.code


async def test_a_session_here_answers_by_its_own_way(scene):
    pipe, session = await enter(scene.engine)
    await scene.engine.forward(BEN, session, b'{"op":"ping","ref":7}')
    answer = msgspec.json.decode(await pipe.receive())
    pipe.hang_up()

    assert (answer["op"], answer["ref"]) == ("ok", 7)


async def test_nobody_speaks_for_others_or_to_what_is_none(scene):
    """Nor to a session that has a way of its own: a WebSocket's frames keep their order."""
    pipe, session = await enter(scene.engine)
    other, packed = await enter(scene.engine, text=False)
    anna = Identity(user="anna", expires_at=FOREVER)
    codes = [
        await refused(scene.engine, session, anna),
        await refused(scene.engine, "none"),
        await refused(scene.engine, packed),
    ]
    pipe.session.close(Close(CloseCode.DRAINING, "cut"))
    await settled()
    codes.append(await refused(scene.engine, session))
    other.hang_up()

    assert codes == [ErrorCode.INVALID_FIELD] * 4


async def test_a_session_on_another_node_is_told():
    async with open_stage(2) as stage:
        pipe, session = await enter(stage[0].engine)
        await stage[1].engine.forward(BEN, session, b'{"op":"ping","ref":7}')
        with trio.fail_after(5):
            answer = msgspec.json.decode(await pipe.receive())
        # It may be anywhere: nobody is asked whether it is.
        await stage[1].engine.forward(BEN, "none", b'{"op":"ping","ref":8}')
        for number in range(200):
            await stage[1].engine.forward(BEN, session, b'{"op":"ping","ref":%d}' % number)
        await settled()
        pipe.hang_up()
        await settled()
        await stage[1].engine.forward(BEN, session, b'{"op":"ping","ref":9}')
        await settled()

    assert (answer["op"], answer["ref"]) == ("ok", 7)
