"""Law: snapshot + events = fresh snapshot, for every feature, through reconnections."""

from unittest.mock import patch

import pytest
import trio
from hypothesis import given, settings
from trio.testing import MockClock

from triolet._domain.typists import Typists
from triolet._runtime.feed import Feeder
from triolet._runtime.room import Room
from triolet._runtime.session import Session
from triolet.client import folding
from triolet.embedded import _PipeDialer, open_engine
from triolet.ports.gate import FOREVER, Identity
from triolet.testing.laws import Cast, Door, LawBroken, Step, check_snapshots, scripts

ANNA, BEN, CLEO, DAN = range(4)
HALL, TEA, NEWS, OPEN = range(4)


def run(steps, *, cast=None):
    async def main():
        async with open_engine() as engine:

            def dial(user):
                identity = Identity(user=user, expires_at=FOREVER, tier="service")
                return Door(_PipeDialer(engine, identity))

            await check_snapshots(dial, steps, cast=cast)

    trio.run(main, clock=MockClock(autojump_threshold=0))


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(scripts())
def test_who_follows_knows_what_a_fresh_look_finds(steps):
    run(steps)


# Each was a difference once, or is one that chance seldom draws.
SCENES = {
    "nothing": [],
    "read elsewhere while the phone slept": [
        Step("say", ANNA),
        Step("look"),
        Step("shut", BEN),
        Step("read", BEN),
    ],
    "a public room left elsewhere meanwhile": [
        Step("shut", ANNA),
        Step("leave", ANNA, OPEN),
    ],
    "a public room joined and left, as a guest of it": [
        Step("leave", ANNA, OPEN),
        Step("look"),
        Step("join", ANNA, OPEN),
        Step("look"),
        Step("leave", ANNA, OPEN),
    ],
    "kicked and taken back while away": [
        Step("shut", BEN),
        Step("kick", ANNA, TEA, BEN),
        Step("say", ANNA, TEA),
        Step("invite", ANNA, TEA, BEN, which=2),
        Step("say", ANNA, TEA),
    ],
    "kicked and taken back while there": [
        Step("kick", ANNA, TEA, BEN),
        Step("invite", ANNA, TEA, BEN, which=2),
        Step("read", CLEO, TEA),
    ],
    "a direct room that somebody else began": [Step("direct", DAN, other=BEN)],
    "typing that goes on behind a shut door": [
        Step("type", CLEO),
        Step("shut", ANNA),
        Step("wait", which=2),
        Step("type", DAN),
    ],
    "invisible, and gone": [
        Step("show", DAN, which=3),
        Step("look"),
        Step("go", DAN),
        Step("look"),
        Step("wait", which=5),
    ],
    "gone for good, and seen last": [Step("go", DAN), Step("wait", which=5)],
    "hidden from its guests": [
        Step("leave", ANNA, OPEN),
        Step("look"),
        Step("public", BEN, which=1),
    ],
    "erased while away": [
        Step("say", ANNA),
        Step("react", BEN),
        Step("look"),
        Step("shut", BEN),
        Step("edit", ANNA),
        Step("erase", ANNA),
    ],
}


@pytest.mark.parametrize("name", SCENES)
def test_scenes_that_chance_seldom_draws(name):
    run(SCENES[name])


def test_a_cast_has_names_of_its_own():
    """Two may be at work in one deployment."""
    run([Step("say"), Step("direct", other=DAN)], cast=Cast(prefix="x-"))


def nothing(*_args, **_kwargs):
    return None


def expire_unseen(self, now):
    self.until = {user: until for user, until in self.until.items() if until > now}
    return False


# What is broken, and the script by which that shows.
FAULTS = {
    "receipts are not told": (
        (Room, "tell", nothing),
        [Step("say"), Step("read", BEN)],
    ),
    "typing ends unseen": (
        (Typists, "expire", expire_unseen),
        [Step("type", CLEO), Step("look"), Step("wait", which=4)],
    ),
    "presence is not told": ((Session, "tell_presence", nothing), [Step("show", DAN, which=1)]),
    "the feed is not told": ((Feeder, "moved", nothing), [Step("say", CLEO)]),
    "what was read elsewhere is not told": (
        (Feeder, "read", nothing),
        [Step("say", ANNA), Step("look"), Step("read", BEN)],
    ),
    "an edit is not folded": (
        (folding, "replace", lambda message, **_: message),
        [Step("say"), Step("look"), Step("edit")],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_follower_that_is_not_told_is_found(name):
    """The law can be broken: each feature left out is a difference."""
    (where, what, instead), steps = FAULTS[name]
    with (
        patch.object(where, what, instead),
        pytest.RaisesGroup(LawBroken, flatten_subgroups=True),
    ):
        run(steps)
