"""Law: whatever is done with refresh tokens, in whatever order and on whichever node, at most one
token of a family is good, and one that comes back ends it.
"""

from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from triolet._model.errors import ErrorCode, Refusal, StoreUnavailable
from triolet.adapters.memory import open_memory_store
from triolet.testing.contracts.home import StandingClock
from triolet.testing.entropy import CountingEntropy
from triolet_api.auth.families import Families
from triolet_api.auth.settings import AuthSettings

SECRET = b"s" * 32
GRACE_S = 10
DAY_MS = 86_400_000


class Revoked:
    """What was revoked, in order; may fail."""

    def __init__(self):
        self.log = []
        self.error = None

    async def __call__(self, user, *, family=""):
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self.log.append((user, family))


class Stage:
    """Two nodes on one store."""

    def __init__(self, store, clock, **how):
        self.clock, self.revoked = clock, Revoked()
        self.documents = store.documents
        entropy, chosen = CountingEntropy(), AuthSettings(reuse_grace_s=GRACE_S, **how)
        self.nodes = [
            Families(
                store.documents,
                self.revoked,
                clock=clock,
                entropy=entropy,
                settings=chosen,
                secret=SECRET,
            )
            for _ in range(2)
        ]

    def later(self, seconds):
        self.clock.ms += round(seconds * 1000)


@pytest.fixture
async def stage():
    clock = StandingClock()
    async with open_memory_store(clock=clock, entropy=CountingEntropy()) as store:
        yield Stage(store, clock)


@pytest.fixture
async def make_stage():
    clock = StandingClock()
    async with open_memory_store(clock=clock, entropy=CountingEntropy()) as store:
        yield lambda **how: Stage(store, clock, **how)


async def is_refused(families, token):
    with pytest.raises(Refusal) as refused:
        await families.refresh(token)
    assert refused.value.code == ErrorCode.TOKEN_INVALID
    return refused.value.message


async def test_each_token_is_replaced_by_the_next_on_any_node(stage):
    one, other = stage.nodes
    first = await one.begin("anna", device="phone", agent="curl", network="10.0.0.0/24")
    stage.later(900)
    second = await other.refresh(first.token)
    stage.later(900)
    third = await one.refresh(second.token)
    assert len({first.token, second.token, third.token}) == 3
    (family,) = await other.of("anna")
    assert (family.id, family.device, family.agent) == (first.family.id, "phone", "curl")
    assert family.used - family.created == 1_800_000
    assert stage.revoked.log == []


async def test_who_did_not_get_the_answer_gets_it_again(stage):
    """The same, so that whoever else has asked goes on with one token, too."""
    one, other = stage.nodes
    first = await one.begin("anna")
    second = await one.refresh(first.token)
    stage.later(GRACE_S - 1)
    assert (await other.refresh(first.token)).token == second.token
    stage.later(1)
    await is_refused(other, first.token)
    assert stage.revoked.log == [("anna", first.family.id)]


async def test_two_tabs_that_ask_at_once_go_on_with_one_token(stage):
    first = await stage.nodes[0].begin("anna")
    found = []

    async def ask(families):
        found.append((await families.refresh(first.token)).token)

    async with trio.open_nursery() as nursery:
        for families in stage.nodes * 5:
            nursery.start_soon(ask, families)
    assert len(found) == 10
    assert len(set(found)) == 1
    assert stage.revoked.log == []


async def test_a_token_that_comes_back_ends_the_family_and_no_other(stage):
    one, other = stage.nodes
    stolen, kept = await one.begin("anna"), await one.begin("anna")
    second = await one.refresh(stolen.token)
    third = await one.refresh(second.token)
    said = await is_refused(other, stolen.token)
    assert stage.revoked.log == [("anna", stolen.family.id)]
    assert await is_refused(one, third.token) == said
    assert [family.id for family in await one.of("anna")] == [kept.family.id]
    await one.refresh(kept.token)


async def test_who_only_knows_a_familys_name_cannot_end_it(stage):
    one = stage.nodes[0]
    first = await one.begin("anna")
    forged = first.token[:-43] + "A" * 43
    for token in (forged, "x", forged.replace("anna", "ben"), forged.replace("token", "nekot")):
        await is_refused(one, token)
        await one.end_by(token)
    assert stage.revoked.log == []
    await one.refresh(first.token)


async def test_tokens_of_another_secret_are_none(stage):
    first = await stage.nodes[0].begin("anna")
    other = Families(
        stage.documents,
        stage.revoked,
        clock=stage.clock,
        entropy=CountingEntropy(),
        settings=AuthSettings(),
        secret=b"t" * 32,
    )
    await is_refused(other, first.token)


async def test_any_genuine_token_ends_its_family_on_request(stage):
    one, other = stage.nodes
    first = await one.begin("anna")
    second = await one.refresh(first.token)
    await other.end_by(first.token)
    await is_refused(one, second.token)
    assert await one.of("anna") == []


async def test_ending_can_be_repeated_where_it_failed_halfway(stage):
    """It is marked first: what is not revoked yet is refreshed no more, and whoever tries ends it.

    So a token that came back has its family's sessions ended at the next try at the latest.
    """
    one = stage.nodes[0]
    first = await one.begin("anna")
    stage.revoked.error = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await one.end_by(first.token)
    stage.revoked.error = None
    await is_refused(one, first.token)
    assert stage.revoked.log == [("anna", first.family.id)]
    await one.end_by(first.token)
    assert stage.revoked.log == [("anna", first.family.id)] * 2


async def test_it_is_ended_as_a_whole_also_where_nobody_waits_for_it(stage, monkeypatch):
    one = stage.nodes[0]
    first = await one.begin("anna")
    write = stage.documents.write

    with trio.CancelScope() as scope:

        async def leaving(changes):
            scope.cancel()
            return await write(changes)

        monkeypatch.setattr(stage.documents, "write", leaving)
        await one.end_by(first.token)
    monkeypatch.undo()
    assert await one.of("anna") == []
    assert stage.revoked.log == [("anna", first.family.id)]


async def test_what_takes_too_long_is_told(stage, monkeypatch, autojump_clock):
    one = stage.nodes[0]
    first = await one.begin("anna")

    async def hang(changes):
        await trio.sleep_forever()

    monkeypatch.setattr(stage.documents, "write", hang)
    with pytest.raises(StoreUnavailable, match="too long"):
        await one.end_by(first.token)


async def test_all_families_end_but_one(stage):
    one = stage.nodes[0]
    mine, *others = [await one.begin("anna") for _ in range(3)]
    bens = await one.begin("ben")
    await one.end_all("anna", but=mine.family.id)
    assert sorted(stage.revoked.log) == [("anna", each.family.id) for each in others]
    await one.refresh(mine.token)
    await one.end_all("anna")
    assert await one.of("anna") == []
    await one.refresh(bens.token)


async def test_there_is_nothing_to_end(stage):
    assert not await stage.nodes[0].end("anna", "x" * 22)
    assert stage.revoked.log == []


async def test_beyond_so_many_the_one_unused_for_longest_ends(make_stage):
    stage = make_stage(families_max=2)
    one = stage.nodes[0]
    first = await one.begin("anna")
    stage.later(1)
    second = await one.begin("anna")
    stage.later(1)
    first = await one.refresh(first.token)
    third = await one.begin("anna")
    assert stage.revoked.log == [("anna", second.family.id)]
    assert {each.id for each in await one.of("anna")} == {first.family.id, third.family.id}


async def test_it_is_over_when_it_was_not_used_and_in_the_end(make_stage):
    stage = make_stage(refresh_ttl_days=2, family_ttl_days=5)
    one = stage.nodes[0]
    idle = await one.begin("anna")
    busy = await one.begin("anna")
    for _ in range(4):
        stage.later(86_400)
        busy = await one.refresh(busy.token)
    await is_refused(one, idle.token)
    stage.later(86_400)
    await is_refused(one, busy.token)
    assert await one.of("anna") == []


async def test_a_name_that_begins_like_another_is_another(stage):
    await stage.nodes[0].begin("anna")
    assert await stage.nodes[0].of("ann") == []


@dataclass
class Known:
    """What the model knows of a family: its tokens in the order in which they were made."""

    tokens: list[str] = field(default_factory=list)
    replaced_at: int = 0
    is_over: bool = False


class RefreshTokens(RuleBasedStateMachine):
    """Families on two nodes, against a list of tokens."""

    tokens = Bundle("tokens")

    def __init__(self):
        super().__init__()
        self.clock = StandingClock()
        opening = open_memory_store(clock=self.clock, entropy=CountingEntropy())
        self.stage = Stage(trio.run(opening.__aenter__), self.clock)
        self.known = []

    def node(self, number):
        return self.stage.nodes[number]

    @rule(target=tokens, node=st.integers(0, 1))
    def begin(self, node):
        begun = trio.run(self.node(node).begin, "anna")
        self.known.append(Known([begun.token]))
        return begun.token

    @rule(target=tokens, token=tokens, node=st.integers(0, 1))
    def refresh(self, token, node):
        known = next(one for one in self.known if token in one.tokens)
        at = known.tokens.index(token) - len(known.tokens)
        is_fresh = self.clock.ms - known.replaced_at < 1000 * GRACE_S
        try:
            answer = trio.run(self.node(node).refresh, token).token
        except Refusal:
            assert known.is_over or at < -2 or (at == -2 and not is_fresh)
            known.is_over = True
            return token
        assert not known.is_over
        if at == -1:
            assert answer not in known.tokens
            known.tokens.append(answer)
            known.replaced_at = self.clock.ms
        else:
            assert at == -2
            assert is_fresh
            assert answer == known.tokens[-1]
        return answer

    @rule(token=tokens, node=st.integers(0, 1))
    def log_out(self, token, node):
        trio.run(self.node(node).end_by, token)
        next(one for one in self.known if token in one.tokens).is_over = True

    @rule(seconds=st.sampled_from([1, GRACE_S - 1, GRACE_S, 900]))
    def wait(self, seconds):
        self.stage.later(seconds)

    @invariant()
    def those_that_are_over_were_revoked_and_only_those(self):
        ended = {family for _, family in self.stage.revoked.log}
        over = {one.tokens[0].split(":")[1] for one in self.known if one.is_over}
        assert ended == over
        alive = {one.id for one in trio.run(self.node(0).of, "anna")}
        assert alive == {one.tokens[0].split(":")[1] for one in self.known if not one.is_over}


TestRefreshTokens = RefreshTokens.TestCase
TestRefreshTokens.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
