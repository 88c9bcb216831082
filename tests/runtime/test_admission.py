"""Laws of admission: hellos at a rate, and one judgment whether or not the gate must wait."""

import pytest
import trio
from scene import CountedEntropy, TableGate

from triolet._domain.addresses import INSIDE
from triolet._model.errors import ErrorCode, Refusal
from triolet._model.limits import Limits
from triolet._runtime.admission import Admission
from triolet.ports.gate import FOREVER, Identity, Opening


class PromptTableGate(TableGate):
    """Knows at once whom it has been told of, and must wait for all others."""

    def admit_now(self, token, opening):
        del opening
        found = self.identities.get(token)
        if isinstance(found, Refusal):
            raise found
        return found


class Revoked:
    """Revocations of the moment, by user."""

    def __init__(self, *users):
        self.users = users

    def check(self, identity):
        if identity.user in self.users:
            raise Refusal(ErrorCode.TOKEN_INVALID, "the token was revoked")


class Banned:
    """Bans, of users and addresses alike."""

    def __init__(self, *banned):
        self.banned = banned

    def check(self, user, address):
        if user in self.banned or address in self.banned:
            raise Refusal(ErrorCode.BANNED)


def admission_of(gate, *revoked, banned=(), **limits):
    entropy, limits = CountedEntropy(), Limits(**limits)
    return Admission(gate, Revoked(*revoked), Banned(*banned), entropy=entropy, limits=limits)


async def test_a_gate_that_can_answers_at_once_and_one_that_cannot_is_awaited():
    for gate in (TableGate(), PromptTableGate()):
        gate.knows("a", "anna")
        admission = admission_of(gate)
        now = admission.admit_now("a", Opening())
        later = await admission.admit("a", Opening())

        assert later == Identity(user="anna", expires_at=FOREVER)
        assert now == (later if isinstance(gate, PromptTableGate) else None)
        assert admission.admit_now("unknown", Opening()) is None


async def test_refusals_and_revocations_count_either_way():
    gate = PromptTableGate()
    gate.knows("b", "ben")
    gate.identities["c"] = Refusal(ErrorCode.BANNED)
    admission = admission_of(gate, "ben")
    for token, code in (("b", ErrorCode.TOKEN_INVALID), ("c", ErrorCode.BANNED)):
        with pytest.raises(Refusal) as now:
            admission.admit_now(token, Opening())
        with pytest.raises(Refusal) as later:
            await admission.admit(token, Opening())

        assert now.value.code == later.value.code == code


async def test_who_is_banned_is_refused_before_the_gate_is_asked_or_else_after_it():
    gate = PromptTableGate()
    gate.knows("b", "ben")
    admission = admission_of(gate, banned=("192.0.2.1", "ben"))
    for token, address, asked in (("b", "192.0.2.1", 0), ("b", "192.0.2.2", 1)):
        gate.asked.clear()
        with pytest.raises(Refusal) as later:
            await admission.admit(token, Opening(address=address))
        with pytest.raises(Refusal) as now:
            admission.admit_now(token, Opening(address=address))

        assert later.value.code == now.value.code == ErrorCode.BANNED
        assert len(gate.asked) == asked


async def test_a_host_vouches_for_where_somebody_is_and_not_for_who_is_banned():
    admission, inside = admission_of(TableGate(), banned=("ben",)), Opening(address=INSIDE)
    anna, ben = (Identity(user=user, expires_at=FOREVER) for user in ("anna", "ben"))

    assert admission.vouched(None, inside) is None
    assert admission.vouched(anna, inside) == anna
    with pytest.raises(Refusal):
        admission.vouched(ben, inside)


async def test_hellos_beyond_the_rate_are_told_when_to_come(autojump_clock):
    del autojump_clock
    admission = admission_of(TableGate(), hellos_rate=2, hellos_burst=3, hello_wait_s=0)
    assert [admission.check_rate() for _ in range(3)] == [0, 0, 0]
    with pytest.raises(Refusal) as refused:
        admission.check_rate()
    await trio.sleep(0.5)
    admission.check_rate()

    assert refused.value.code is ErrorCode.RATE_LIMITED
    # Spread over the 2 s that follow the half second it takes.
    assert refused.value.retry_after_ms == 1500


async def test_a_hello_whose_turn_comes_soon_waits_for_it(autojump_clock):
    del autojump_clock
    admission = admission_of(TableGate(), hellos_rate=2, hellos_burst=3, hello_wait_s=1)

    assert [admission.check_rate() for _ in range(5)] == [0, 0, 0, 0.5, 1]
    with pytest.raises(Refusal) as refused:
        admission.check_rate()
    assert refused.value.retry_after_ms == 2500
    await trio.sleep(1)
    assert admission.check_rate() == 0.5
