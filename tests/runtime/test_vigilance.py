"""Laws of who behaves like a bot: told, held back for a while, and never kept out."""

import msgspec
import pytest
import trio
from scene import virtually

from triolet._domain.suspicion import WINDOW_S
from triolet._model.commands import Create, Direct, ListRooms, Send
from triolet._model.errors import ErrorCode, Refusal
from triolet._runtime.pipe import Carriage
from triolet._runtime.vigilance import Vigilance
from triolet.embedded import open_engine
from triolet.ports.gate import FOREVER, Identity, Opening

ANNA = Identity(user="anna", expires_at=FOREVER)
SERVICE = Identity(user="anna", expires_at=FOREVER, tier="service")
BROWSER = Opening(address="192.0.2.1", origin="https://chat.example", agent="Mozilla/5.0")
SPAM = {"text": "buy now, it is cheap and good and near to you"}


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def vigilance(clock):
    return Vigilance(has_captcha=False, now=clock)


def spam(vigilance, identity=ANNA, opening=BROWSER, body=SPAM, rooms=12):
    """Return the part of the rates that was left for each."""
    sends = [Send(ref=1, cid=str(number), room=f"r{number}", body=body) for number in range(rooms)]
    return [vigilance.look(identity, opening, one) for one in sends]


def test_who_behaves_like_a_bot_has_a_quarter_and_is_told_of_once(vigilance, caplog):
    assert spam(vigilance) == [1.0] * 9 + [0.25] * 3
    assert vigilance.factor("anna") == 0.25
    assert vigilance.factor("ben") == 1.0
    assert vigilance.flagged == 1
    assert caplog.text.count("anna behaves like a bot") == 1
    assert "192.0.2.1" not in caplog.text


def test_it_passes_and_what_was_before_counts_no_more(vigilance, clock):
    spam(vigilance)
    clock.now += WINDOW_S

    assert vigilance.factor("anna") == 1.0
    assert spam(vigilance, rooms=4) == [1.0] * 4


def test_what_is_only_read_is_never_looked_at(vigilance):
    for _ in range(100):
        assert vigilance.look(ANNA, None, ListRooms(ref=1)) == 1.0

    assert vigilance.flagged == 0
    assert vigilance._users == {}


@pytest.mark.parametrize(
    ("identity", "opening"), [(SERVICE, BROWSER), (ANNA, Opening(address="in-process"))]
)
def test_services_are_not_looked_at(vigilance, identity, opening):
    assert set(spam(vigilance, identity, opening)) == {1.0}


def test_what_many_say_is_said_by_many(vigilance):
    assert set(spam(vigilance, body={"text": "good morning"})) == {1.0}


def test_where_there_is_a_captcha_nothing_is_written_before_it_is_solved(clock):
    vigilance = Vigilance(has_captcha=True, now=clock)
    with pytest.raises(Refusal) as caught:
        spam(vigilance)
    assert caught.value.code is ErrorCode.CAPTCHA_REQUIRED
    # To read, they need none.
    assert vigilance.look(ANNA, BROWSER, ListRooms(ref=1)) == 0.25
    assert vigilance.suspects() == ["anna"]
    vigilance.pardon("anna")

    assert set(spam(vigilance, rooms=5)) == {1.0}


def test_accounts_from_one_address_make_whoever_comes_from_there_suspicious(vigilance):
    for _ in range(15):
        vigilance.registered("192.0.2.1")

    assert spam(vigilance, rooms=5)[-1] == 0.25
    elsewhere = Opening(address="198.51.100.1", origin="https://a", agent="Mozilla/5.0")
    ben = Identity(user="ben", expires_at=FOREVER)
    assert set(spam(vigilance, ben, elsewhere, rooms=5)) == {1.0}


@pytest.mark.parametrize(("agent", "is_bot"), [("", True), ("Mozilla/5.0", False)])
def test_who_asks_over_http_is_known_by_how_they_asked(vigilance, clock, agent, is_bot):
    """A page that asks its own server says no origin, and is none the worse for it."""
    vigilance.came("anna", Opening(address="192.0.2.1", agent=agent))
    for number in range(16):
        clock.now += 5
        body = {"text": f"{number} is the number of this message, of so many"}
        vigilance.look(ANNA, None, Send(ref=1, cid=str(number), room="tea", body=body))

    assert (vigilance.factor("anna") == 0.25) is is_bot


def test_what_is_remembered_is_bounded(vigilance, monkeypatch):
    monkeypatch.setattr("triolet._runtime.vigilance._USERS_MAX", 10)
    monkeypatch.setattr("triolet._runtime.vigilance._ADDRESSES_MAX", 10)
    for number in range(100):
        identity = Identity(user=f"user{number}", expires_at=FOREVER)
        spam(vigilance, identity)
        vigilance.registered(f"192.0.2.{number}")
        vigilance.came(f"user{number}", BROWSER)

    assert len(vigilance._users) == len(vigilance._addresses) == len(vigilance._suspects) == 10
    assert len(vigilance._openings) == 10


@virtually
async def test_who_asks_without_a_session_is_held_back():
    async with open_engine() as engine:
        engine.vigilance = Vigilance(has_captcha=True)
        for number in range(19):
            await engine.ask(ANNA, Direct(ref=1, user=f"user{number}"))
        with pytest.raises(Refusal) as caught:
            await engine.ask(ANNA, Direct(ref=1, user="user19"))

        assert caught.value.code is ErrorCode.CAPTCHA_REQUIRED
        await engine.ask(ANNA, ListRooms(ref=1))
        engine.vigilance.pardon("anna")
        await engine.ask(ANNA, Create(ref=1, room="tea", kind="group"))


@virtually
async def test_who_has_a_session_is_held_back():
    async with open_engine() as engine:
        engine.vigilance = Vigilance(has_captcha=True)
        async with engine.connect("anna") as inside:
            for number in range(20):
                await inside.direct(f"user{number}")
        assert engine.vigilance.flagged == 0
        pipe = engine.open_pipe(ANNA, Carriage(opening=BROWSER))
        answers = await exchange(pipe, count=25)

    assert answers == [None] * 19 + ["captcha_required"] * 6


async def exchange(pipe, *, count):
    await pipe.send(msgspec.msgpack.encode({"op": "hello"}))
    answers = []
    for ref in range(count):
        asked = {"op": "direct", "ref": ref, "user": f"user{ref}"}
        await pipe.send(msgspec.msgpack.encode(asked))
        with trio.fail_after(10):
            told = {}
            while told.get("ref") != ref:
                told = msgspec.msgpack.decode(await pipe.receive())
        answers.append(told.get("reason"))
    pipe.hang_up()
    return answers
