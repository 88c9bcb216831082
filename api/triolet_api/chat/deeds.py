"""What each command does."""

import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from triolet._model.errors import ErrorCode, Refusal

from . import words
from .commands import (
    HELP,
    Amend,
    Command,
    Create,
    Delete,
    Help,
    Invite,
    Join,
    Quit,
    React,
    Rooms,
    Say,
    Show,
    Target,
    Who,
    With,
    Wrong,
)
from .conversation import Conversation
from .text import clean_line

if TYPE_CHECKING:
    from .session import Chat

_Deed: TypeAlias = Callable[["Chat", Command], Awaitable[None]]

# An entry follows its acknowledgement at once; a node that has lost it is not waited for.
FAREWELL_TIMEOUT_S: Final = 2

# What is to be told instead of the server's words, which are for developers.
_PLAIN: Final = {
    ErrorCode.NO_SUCH_ROOM: "there is no such room, or none for you",
    ErrorCode.NOT_A_MEMBER: "you are not a member here; /join first",
    ErrorCode.NO_SUCH_ENTRY: "there is no such message",
    ErrorCode.TOO_LARGE: "that is too long",
}


async def execute(chat: "Chat", command: Command) -> None:
    """Do what was asked, or have it done when its turn comes; refusals are told.

    Raises:
        Refusal: a script could not go to a room: what it says next is not for where it is.
    """
    try:
        await _DEEDS[type(command)](chat, command)
    except Refusal as refusal:
        if chat.is_strict and isinstance(command, With | Join | Create):
            raise
        chat.tell(plain(refusal), is_error=True)


def plain(refusal: Refusal) -> str:
    """Return a refusal in words for people."""
    return _PLAIN.get(refusal.code, clean_line(refusal.message))


# --- messages ------------------------------------------------------------------------------


async def _say(chat: "Chat", command: Command) -> None:
    assert isinstance(command, Say)
    conversation = chat.conversation
    if not _is_somewhere(chat):
        return
    target = command.target
    if command.is_reply and target is None:
        target = conversation.last(mine=False) or conversation.last(mine=True)
        if target is None:
            chat.tell("there is nothing to answer yet", is_error=True)
            return
    cid = secrets.token_urlsafe(12)
    conversation.say(cid, command.text, at=chat.now_ms(), reply_to=target)
    chat.unsent[cid] = command.text
    chat.typist.sent()
    chat.face.refresh()

    async def send() -> None:
        try:
            written = await chat.client.send(
                conversation.room, command.text, reply_to=target, cid=cid
            )
        except Refusal as refusal:
            changes = conversation.refused(cid, plain(refusal))
        else:
            changes = conversation.stored(cid, written)
        del chat.unsent[cid]
        if chat.conversation is conversation:
            chat.show(changes)

    await chat.later(send)


async def _amend(chat: "Chat", command: Command) -> None:
    assert isinstance(command, Amend)
    if _is_somewhere(chat):
        aim = _aim(chat.conversation, command.target, mine=True)
        room = chat.conversation.room
        await _change(chat, aim, lambda seq: chat.client.edit(room, seq, command.text))


async def _delete(chat: "Chat", command: Command) -> None:
    assert isinstance(command, Delete)
    if _is_somewhere(chat):
        aim = _aim(chat.conversation, command.target, mine=True)
        room = chat.conversation.room
        await _change(chat, aim, lambda seq: chat.client.delete(room, seq))


async def _react(chat: "Chat", command: Command) -> None:
    assert isinstance(command, React)
    conversation, emoji = chat.conversation, command.emoji
    if not _is_somewhere(chat):
        return

    async def react(seq: int) -> None:
        message = conversation.messages.get(seq)
        mine = message is not None and emoji in message.reactions and message.reactions[emoji].mine
        await chat.client.react(conversation.room, seq, emoji, on=not mine)

    await _change(chat, _aim(conversation, command.target, mine=False), react)


def _aim(conversation: Conversation, target: Target, *, mine: bool) -> Callable[[], int | None]:
    """Return what finds the message, once all that was said before is in the log."""
    if target is None and not mine:
        target = conversation.last(mine=False)
    if target is not None:
        return lambda: target
    waiting = list(conversation.pending)
    if waiting:
        return lambda: conversation.place(waiting[-1])
    return lambda: conversation.last(mine=True)


async def _change(
    chat: "Chat", aim: Callable[[], int | None], change: Callable[[int], Awaitable[object]]
) -> None:
    async def do() -> None:
        seq = aim()
        if seq is None:
            chat.tell("there is no such message yet", is_error=True)
            return
        try:
            await change(seq)
        except Refusal as refusal:
            chat.tell(plain(refusal), is_error=True)

    await chat.later(do)


def _is_somewhere(chat: "Chat") -> bool:
    if chat.conversation.room:
        return True
    chat.tell("nobody would hear that: /with USER or /join ROOM first", is_error=True)
    return False


# --- rooms ---------------------------------------------------------------------------------


async def _with(chat: "Chat", command: Command) -> None:
    assert isinstance(command, With)
    _tell_wait(chat)
    opened = await chat.client.direct(command.user)
    await chat.enter(opened.room)


async def _join(chat: "Chat", command: Command) -> None:
    assert isinstance(command, Join)
    _tell_wait(chat)
    await join(chat, command.room)


async def join(chat: "Chat", room: str) -> None:
    """Go to a room and become a member, if one is not yet.

    Raises:
        Refusal: there is none, or none for me.
    """
    if await chat.enter(room) is None:
        await chat.client.join(room)


async def _create(chat: "Chat", command: Command) -> None:
    assert isinstance(command, Create)
    _tell_wait(chat)
    await chat.client.create("group", room=command.room, members=command.users)
    await chat.enter(command.room)


async def _invite(chat: "Chat", command: Command) -> None:
    assert isinstance(command, Invite)
    if _is_somewhere(chat):
        await chat.client.invite(chat.conversation.room, command.user)


async def _rooms(chat: "Chat", command: Command) -> None:
    assert isinstance(command, Rooms)
    _tell_wait(chat)
    await chat.refresh_inbox()
    chat.tell(words.rooms(list(chat.inbox.values()), chat.me))


def _tell_wait(chat: "Chat") -> None:
    if not chat.conversation.is_online and chat.line.was_online:
        chat.tell("that waits for the connection")


# --- oneself and others --------------------------------------------------------------------


async def _who(chat: "Chat", command: Command) -> None:
    assert isinstance(command, Who)
    chat.tell(words.who(chat.conversation, calendar=chat.calendar, now_ms=chat.now_ms()))
    await trio.lowlevel.checkpoint()


async def _show(chat: "Chat", command: Command) -> None:
    assert isinstance(command, Show)
    await chat.client.presence(command.status)
    chat.tell(f"others see you {words.status(command.status)}")


async def _help(chat: "Chat", command: Command) -> None:
    assert isinstance(command, Help)
    chat.tell(HELP)
    await trio.lowlevel.checkpoint()


async def _quit(chat: "Chat", command: Command) -> None:
    assert isinstance(command, Quit)

    async def leave() -> None:
        # All is stored by now; this is for it to be shown.
        with trio.move_on_after(FAREWELL_TIMEOUT_S):
            await chat.wait_settled()
        chat.leave()

    await chat.later(leave)


async def _wrong(chat: "Chat", command: Command) -> None:
    assert isinstance(command, Wrong)
    chat.tell(command.why, is_error=True)
    await trio.lowlevel.checkpoint()


_DEEDS: Final[dict[type[Command], _Deed]] = {
    Say: _say,
    Amend: _amend,
    Delete: _delete,
    React: _react,
    Who: _who,
    Rooms: _rooms,
    With: _with,
    Create: _create,
    Invite: _invite,
    Join: _join,
    Show: _show,
    Help: _help,
    Quit: _quit,
    Wrong: _wrong,
}
