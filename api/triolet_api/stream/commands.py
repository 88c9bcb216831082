"""`POST /v1/commands`: the protocol's requests, one or several, by any node."""

from typing import Annotated, Final, TypeAlias, final

import msgspec
from msgspec import Meta, Struct
from quart import Response

from triolet._model.commands import (
    Command,
    Hello,
    Observe,
    Ping,
    Refresh,
    SendSignal,
    SetPresence,
    Subscribe,
    Unsubscribe,
    Unwatch,
    Watch,
)
from triolet._model.errors import Refusal
from triolet._model.events import Failed, Reply
from triolet._model.json import JsonMap
from triolet._runtime.engine import Engine
from triolet._wire.codec import BadCommand, decode_command, encode_command, failed

from ..endpoints import Access, Call, endpoint

# One, or up to 64: as many as a session may have without an answer.
OneOrMore: TypeAlias = JsonMap | Annotated[list[JsonMap], Meta(min_length=1, max_length=64)]

# What is of a session, and is handed to the one that is named. A ping is: what answers it is the
# stream, whose life is asked for.
_OF_SESSION: Final = (
    Subscribe,
    Unsubscribe,
    Watch,
    Unwatch,
    Refresh,
    Observe,
    SetPresence,
    SendSignal,
    Ping,
)


@final
class Sent(Struct, frozen=True, tag="sent", tag_field="op", omit_defaults=True):
    """It was handed to the session named; its answer comes by the session's stream."""

    ref: int | None = None


@final
class CommandsQuery(Struct, frozen=True):
    """For which of my sessions, as its `welcome` names it; needed for what is of a session."""

    session: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[\w-]+\Z")] | None = None


@final
class Commands:
    """The endpoint of commands."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @endpoint("POST", "/v1/commands", access=Access.USER, rate="write")
    async def carry_out(self, call: Call, query: CommandsQuery, body: OneOrMore) -> Response:
        """Carry out a request of the protocol, or up to 64 in their order.

        The answer has as many, in the same order: `ok` or `error`, each with the request's
        `ref`. What is of a session (`subscribe`, `watch`, `signal` …) needs `session`, is handed
        to it, and answered `sent`; its own answer comes by the stream. So does that of a `ping`
        with a `session`. All together are one request that writes; each counts as a command of
        its user, as over a WebSocket.
        """
        maps = body if isinstance(body, list) else [body]
        answers: list[Reply | Failed | Sent] = []
        waiting: list[Command] = []
        for one in maps:
            command = _read(one)
            if not isinstance(command, Failed) and not self._is_of(query.session, command):
                waiting.append(command)
                continue
            # In their order: those before it first.
            answers += await self._asked(call, waiting)
            waiting = []
            if isinstance(command, Failed):
                answers.append(command)
            else:
                answers.append(await self._forward(call, query.session or "", command))
        answers += await self._asked(call, waiting)
        content = msgspec.json.encode(answers if isinstance(body, list) else answers[0])
        return Response(content, 200, content_type="application/json")

    def _is_of(self, session: str | None, command: Command) -> bool:
        return session is not None and isinstance(command, _OF_SESSION)

    async def _asked(self, call: Call, commands: list[Command]) -> list[Reply | Failed | Sent]:
        if not commands:
            return []
        answers = await self._engine.ask_each(call.identity, commands)
        return [
            failed(answer, _ref_of(command)) if isinstance(answer, Refusal) else answer
            for command, answer in zip(commands, answers, strict=True)
        ]

    async def _forward(self, call: Call, session: str, command: Command) -> Failed | Sent:
        payload = encode_command(command, "json")
        try:
            await self._engine.forward(call.identity, session, payload)
        except Refusal as refusal:
            return failed(refusal, _ref_of(command))
        return Sent(ref=_ref_of(command))


def _read(one: JsonMap) -> Command | Failed:
    """Return a command, or what is wrong with it, in the words of a session."""
    try:
        return decode_command(msgspec.json.encode(one), "json")
    except BadCommand as bad:
        return bad.failed


def _ref_of(command: Command) -> int | None:
    return None if isinstance(command, Hello) else command.ref
