"""The chat behind its face, with a real engine in the same process."""

from contextlib import asynccontextmanager
from datetime import UTC

import pytest
import trio

import triolet
from triolet._model.errors import ConnectionClosed, Refusal
from triolet._model.events import Notice
from triolet.client import Backoff, LinkClosed, State, open_client
from triolet.embedded import _PipeDialer
from triolet.ports.gate import FOREVER, Identity
from triolet_api.chat.bell import Bell
from triolet_api.chat.changes import Back, Lost, MarksMoved, Noted, Reacted, Refused
from triolet_api.chat.commands import HELP
from triolet_api.chat.options import Place, _open
from triolet_api.chat.session import Chat
from triolet_api.chat.words import Calendar

# Far above what anything here takes; a test that waits for it has failed.
PATIENCE_S = 60


class FakeFace:
    """A face that remembers what it was told to show, and looks at everything at once."""

    def __init__(self):
        self.changes = []
        self.turns = []
        self.is_looking = True
        self.bell = Bell()

    def begin(self, chat):
        self.chat = chat

    def turn_to(self, conversation):
        self.turns.append(conversation.room)
        self._look()

    def show(self, changes):
        self.changes += changes
        self._look()

    def refresh(self):
        self._look()

    async def run(self):
        await trio.sleep_forever()

    def _look(self):
        if self.is_looking and self.chat.conversation.room:
            self.chat.seen(self.chat.conversation.received)
        self.bell.ring()

    async def until(self, is_so):
        with trio.fail_after(PATIENCE_S):
            while not is_so():
                await self.bell.wait()

    @property
    def notes(self):
        return [change.text for change in self.changes if isinstance(change, Noted)]

    @property
    def errors(self):
        return [one.text for one in self.changes if isinstance(one, Noted) and one.is_error]


class Cable:
    """A dialer into the engine whose cable can be pulled."""

    def __init__(self, engine, user):
        identity = Identity(user=user, expires_at=FOREVER, tier="service")
        self._dialer = _PipeDialer(engine, identity)
        self._links = []
        self.is_pulled = False

    async def dial(self):
        if self.is_pulled:
            await trio.lowlevel.checkpoint()
            raise LinkClosed(1006)
        self._links.append(await self._dialer.dial())
        return self._links[-1]

    def pull(self):
        self.is_pulled = True
        for link in self._links:
            link._pipe.hang_up()

    def plug_in(self):
        self.is_pulled = False


class Desk:
    """One person's chat, and what drives it."""

    def __init__(self, chat, face, cable):
        self.chat, self.face, self.cable = chat, face, cable

    @property
    def seen(self):
        return self.chat.conversation

    @property
    def texts(self):
        return [
            message.body["text"] for message in self.seen.messages.values() if not message.erased
        ]

    async def submit(self, *lines):
        for line in lines:
            await self.chat.submit(line)

    async def until(self, is_so):
        await self.face.until(is_so)


@asynccontextmanager
async def sitting(engine, user, *, place=None, is_strict=False):
    cable = Cable(engine, user)
    backoff = Backoff(base_s=0.01, ceiling_s=0.01)
    async with open_client(cable, backoff=backoff) as client:
        face = FakeFace()
        chat = Chat(
            client,
            face,
            me=user,
            address="here",
            calendar=Calendar(UTC),
            now_ms=lambda: 0,
            is_strict=is_strict,
        )
        async with trio.open_nursery() as nursery:

            async def opening():
                await _open(chat, place or Place())

            nursery.start_soon(chat.run, opening)
            if place is not None:
                await face.until(lambda: face.turns or face.errors)
            yield Desk(chat, face, cable)
            chat.leave()


@asynccontextmanager
async def pair(*, limits=None):
    """Two people who look at each other."""
    async with (
        triolet.open_engine(limits=limits or triolet.Limits(state_interval_s=0.01)) as engine,
        sitting(engine, "anna", place=Place(user="ben")) as anna,
        sitting(engine, "ben", place=Place(user="anna")) as ben,
    ):
        yield anna, ben


# --- messages ----------------------------------------------------------------------------


async def test_what_one_says_the_other_sees_and_reads():
    async with pair() as (anna, ben):
        await anna.submit("hello", "how are you?")
        await ben.until(lambda: len(ben.texts) == 2)
        await anna.until(lambda: anna.seen.messages and anna.seen.reach(4).read == 1)

        assert ["hello", "how are you?"] == ben.texts == anna.texts
        assert {} == anna.seen.pending


async def test_what_was_received_and_not_shown_is_delivered_and_not_read():
    async with pair() as (anna, ben):
        ben.face.is_looking = False
        await anna.submit("hello")
        await anna.until(lambda: MarksMoved("ben", 3, is_read=False) in anna.face.changes)
        assert (1, 0) == (anna.seen.reach(3).delivered, anna.seen.reach(3).read)

        ben.face.is_looking = True
        ben.face.refresh()
        await anna.until(lambda: anna.seen.reach(3).read == 1)


async def test_commands_without_a_number_mean_the_message_one_would_expect():
    async with pair() as (anna, ben):
        await anna.submit("one", "two")
        await ben.until(lambda: ben.texts == ["one", "two"])
        await ben.submit("three")
        await anna.until(lambda: "three" in anna.texts)

        await anna.submit("/edit zwei", "/react 🎉", "/reply four")
        await ben.until(lambda: "four" in ben.texts)
        await anna.submit("/delete")
        await ben.until(lambda: "four" not in ben.texts)

        assert ["one", "zwei", "three"] == ben.texts
        *_, three, four = ben.seen.messages.values()
        assert ("anna",) == three.reactions["🎉"].users
        assert three.seq == four.reply_to


async def test_a_command_may_be_about_what_has_not_been_sent_yet():
    async with pair() as (anna, ben):
        anna.cable.pull()
        await anna.submit("hullo", "/edit hello", "bye", "/delete")
        await anna.until(lambda: len(anna.seen.pending) == 2)
        anna.cable.plug_in()

        await ben.until(
            lambda: ben.seen.messages and ben.seen.messages[max(ben.seen.messages)].erased
        )
        assert ["hello"] == ben.texts


async def test_a_reaction_put_twice_is_taken_back():
    async with pair() as (anna, ben):
        await ben.submit("hi")
        await anna.until(lambda: anna.texts == ["hi"])
        await anna.submit("/react 👍")
        await anna.until(lambda: Reacted(3, "anna", "👍", on=True) in anna.face.changes)

        await anna.submit("/react 👍")

        await anna.until(lambda: Reacted(3, "anna", "👍", on=False) in anna.face.changes)
        assert {} == anna.seen.messages[3].reactions


async def test_what_the_server_refuses_is_told():
    async with pair() as (anna, ben):
        await ben.submit("mine")
        await anna.until(lambda: anna.texts == ["mine"])

        await anna.submit("/edit 3 yours", "/delete 99", "/join nowhere", "x" * 40_000)
        await anna.until(lambda: any(isinstance(one, Refused) for one in anna.face.changes))

        assert 3 == len(anna.face.errors)
        assert "there is no such message" in anna.face.errors
        assert "there is no such room, or none for you" in anna.face.errors
        assert {} == anna.seen.pending == anna.chat.unsent


async def test_typing_is_told_until_the_line_is_empty_or_a_command():
    async with pair() as (anna, ben):
        anna.chat.typed("h")
        await ben.until(lambda: ben.seen.typists == ("anna",))
        anna.chat.typed("")
        await ben.until(lambda: ben.seen.typists == ())

        anna.chat.typed("/who")
        anna.chat.typed("hi")
        await ben.until(lambda: ben.seen.typists == ("anna",))
        await anna.submit("hi")
        await ben.until(lambda: ben.texts == ["hi"])
        assert () == ben.seen.typists


async def test_presence_is_told():
    async with pair() as (anna, ben):
        await ben.submit("/away")
        await anna.until(lambda: anna.seen.presence.get("ben", ("", 0))[0] == "away")
        await ben.submit("/who")
        await ben.until(lambda: any("anna" in note for note in ben.face.notes))

        assert "others see you as away" in ben.face.notes
        assert "● anna  online" in ben.face.notes


# --- rooms -------------------------------------------------------------------------------


async def test_rooms_are_made_entered_and_listed():
    async with pair() as (anna, ben):
        await anna.submit("/create tea ben", "welcome")
        await anna.until(lambda: anna.texts == ["welcome"])
        await ben.until(lambda: any("/join tea" in note for note in ben.face.notes))
        await ben.submit("/join tea")
        await ben.until(lambda: ben.texts == ["welcome"])
        await ben.submit("/rooms")
        await ben.until(lambda: any("/with anna" in note for note in ben.face.notes))

        assert ["dm:anna:ben", "tea"] == ben.face.turns


async def test_somebody_is_let_in():
    async with pair() as (anna, ben):
        await anna.submit("/create tea", "/invite ben", "/reply to nobody", "/invite ben")
        await anna.until(lambda: anna.seen.room == "tea" and "ben" in anna.seen.marks)
        await ben.submit("/join tea", "hello")
        await anna.until(lambda: "hello" in anna.texts)

    assert "there is nothing to answer yet" in anna.face.errors


async def test_what_needs_the_connection_says_that_it_waits():
    async with pair() as (anna, _):
        anna.cable.pull()
        await anna.until(lambda: Lost() in anna.face.changes)
        await anna.submit("/create tea")
        await anna.until(lambda: "that waits for the connection" in anna.face.notes)
        anna.cable.plug_in()
        await anna.until(lambda: anna.seen.room == "tea")


async def test_everybody_hears_an_announcement():
    async with pair() as (anna, _):
        notice = Notice(kind="announcement", body={"text": "back at \x1b[5mnoon"})
        await anna.chat._take(notice)

        assert "announcement: back at noon" in anna.face.notes


async def test_the_help_is_told():
    async with pair() as (anna, _):
        await anna.submit("/help", "/dance")
        await anna.until(lambda: anna.face.errors)

        assert HELP in anna.face.notes


async def test_a_room_that_is_not_there_is_made_for_all_by_the_command_line():
    async with (
        triolet.open_engine() as engine,
        sitting(engine, "anna", place=Place(room="tea")) as anna,
        sitting(engine, "ben", place=Place(room="tea")) as ben,
    ):
        await ben.submit("hello")
        await anna.until(lambda: anna.texts == ["hello"])
        await anna.until(lambda: "ben" in anna.seen.marks)


async def test_a_room_that_is_not_for_one_is_told_or_fails():
    async with (
        triolet.open_engine() as engine,
        engine.connect("anna") as anna,
    ):
        await anna.create(room="tea")
        async with sitting(engine, "ben", place=Place(room="tea")) as ben:
            assert ["there is no such room, or none for you"] == ben.face.errors
        with pytest.raises(ExceptionGroup) as caught:
            async with sitting(engine, "ben", place=Place(room="tea"), is_strict=True):
                await trio.sleep_forever()
        assert caught.group_contains(Refusal)


async def test_what_is_said_elsewhere_is_counted_and_does_not_come_here():
    limits = triolet.Limits(state_interval_s=0.01, feed_interval_s=0.01)
    async with pair(limits=limits) as (anna, ben):
        await anna.submit("/create tea ben")
        await anna.until(lambda: anna.seen.room == "tea")
        await ben.submit("hello anna")
        await anna.until(lambda: anna.chat.unread_elsewhere == 1)

        assert [] == anna.texts
        assert "ben wrote to you: /with ben" in anna.face.notes
        await anna.submit("/with ben")
        await anna.until(lambda: anna.texts == ["hello anna"])
        assert 0 == anna.chat.unread_elsewhere


async def test_who_is_put_out_is_in_the_lobby():
    async with (
        triolet.open_engine() as engine,
        engine.connect("anna") as anna,
    ):
        await anna.create(room="tea", members=["ben"])
        async with sitting(engine, "ben", place=Place(room="tea")) as ben:
            await anna.kick("tea", "ben")
            await ben.until(lambda: ben.seen.room == "")
            await ben.submit("hello?")
            await ben.until(lambda: ben.face.errors)

        assert any("you are not in tea any more" in note for note in ben.face.notes)
        assert "nobody would hear that: /with USER or /join ROOM first" in ben.face.errors


async def test_the_lobby_lists_rooms():
    async with (
        triolet.open_engine() as engine,
        engine.connect("anna") as anna,
    ):
        await anna.direct("ben")
        async with sitting(engine, "anna") as desk:
            await desk.until(lambda: desk.face.notes)

        assert ["/with ben"] == desk.face.notes


# --- the connection ----------------------------------------------------------------------


async def test_what_is_said_without_a_connection_waits_and_goes_in_order():
    async with pair() as (anna, ben):
        anna.cable.pull()
        await anna.until(lambda: Lost() in anna.face.changes)
        await anna.submit("one", "two", "three")
        await anna.until(lambda: len(anna.seen.pending) == 3)
        await ben.submit("are you there?")
        await ben.until(lambda: ben.texts == ["are you there?"])
        assert State.ONLINE is not anna.chat.line.state

        anna.cable.plug_in()
        await anna.until(lambda: Back(1) in anna.face.changes)
        await anna.until(lambda: not anna.seen.pending)

        assert ["are you there?", "one", "two", "three"] == anna.texts
        await ben.until(lambda: ben.texts == anna.texts)


async def test_leaving_with_something_unsent_is_asked_twice():
    async with (
        triolet.open_engine() as engine,
        sitting(engine, "anna", place=Place(user="ben")) as anna,
    ):
        anna.cable.pull()
        await anna.submit("hello")
        await anna.until(lambda: anna.chat.unsent)
        anna.chat.quit()

        assert ["1 message not sent yet; once more leaves all the same"] == anna.face.errors
        assert not anna.chat._left.is_set()
        anna.chat.quit()
        assert anna.chat._left.is_set()
        assert ["hello"] == list(anna.chat.unsent.values())


async def test_who_wants_to_leave_leaves_when_all_is_sent():
    async with pair() as (anna, ben):
        anna.cable.pull()
        await anna.submit("hello")
        await anna.until(lambda: anna.chat.unsent)
        anna.chat.quit()
        anna.cable.plug_in()

        with trio.fail_after(PATIENCE_S):
            await anna.chat._left.wait()
        await ben.until(lambda: ben.texts == ["hello"])


async def test_a_server_that_will_not_have_us_ends_the_chat_with_one_error():
    async with triolet.open_engine() as engine, sitting_alone(engine) as chat:
        with pytest.raises(ConnectionClosed) as caught:
            await chat
        assert 4003 == caught.value.code


@asynccontextmanager
async def sitting_alone(engine):
    class Banned:
        async def dial(self):
            await trio.lowlevel.checkpoint()
            raise LinkClosed(4003, "banned")

    async with open_client(Banned(), start_offline=True) as client:
        chat = Chat(
            client, FakeFace(), me="anna", address="", calendar=Calendar(UTC), now_ms=lambda: 0
        )

        async def opening():
            await _open(chat, Place(user="ben"))

        yield chat.run(opening)


async def test_another_log_is_read_anew():
    async with pair() as (anna, ben):
        await ben.submit("one", "two")
        await anna.until(lambda: anna.texts == ["one", "two"])
        reset = triolet.Reset(room=anna.seen.room, epoch="e", head=3, since=("e", 3))

        await anna.chat._take(reset)

        assert "the server has lost what came after [3]" in anna.face.errors
        assert ["one", "two"] == anna.texts
