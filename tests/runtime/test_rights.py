"""Laws of the gate's word: it forbids, it allows, or it leaves the decision to the rules."""

import pytest
from scene import open_scene

from triolet._model.errors import ErrorCode, Refusal
from triolet._runtime.rights import may, require, role_for
from triolet.ports.gate import Action


@pytest.mark.parametrize(
    ("verdict", "expected"), [(None, "member"), (True, "owner"), (False, ErrorCode.FORBIDDEN)]
)
async def test_the_gate_overrules_the_seat(verdict, expected):
    async with open_scene() as scene:
        anna, ben = await scene.enter("anna"), await scene.enter("ben")
        await scene.room("tea", anna, ben)
        seat = scene.loaded("tea").seats["ben"]
        scene.gate.verdicts["ben", Action.WRITE, "tea"] = verdict
        try:
            found = role_for(ben.session, seat, Action.WRITE)
        except Refusal as refusal:
            found = refusal.code

        assert found == expected
        assert role_for(ben.session, seat, Action.READ) == "member"


async def test_what_the_gate_leaves_open_is_allowed_unless_it_is_forbidden():
    async with open_scene() as scene:
        anna = await scene.enter("anna")
        require(anna.session, Action.CREATE, room="tea")
        scene.gate.verdicts["anna", Action.CREATE, "tea"] = True
        require(anna.session, Action.CREATE, room="tea")
        scene.gate.verdicts["anna", Action.CREATE, "tea"] = False

        with pytest.raises(Refusal) as caught:
            require(anna.session, Action.CREATE, room="tea")
        assert caught.value.code is ErrorCode.FORBIDDEN
        assert may(anna.session, Action.WATCH, user="ben") is None
