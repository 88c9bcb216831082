"""The codec: any bytes are a command or a short answer, and a command is the same in both formats.

An input is a byte, which says the format, and a payload. Whatever is a command must come back
from either format as it was; whatever is none must be answered by an error that can be sent.
"""

from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import ClassVar, Final, final, get_args

from triolet._model.commands import Command
from triolet._model.errors import Refusal
from triolet._model.limits import Limits
from triolet._wire.body import check_body
from triolet._wire.codec import (
    EXPLANATION_CHARS_MAX,
    BadCommand,
    Format,
    decode_command,
    decode_event,
    encode,
    encode_command,
)

from ..grammar import command, damaged, encoded
from ..mutations import mutated
from ..violation import Violation

FORMS: Final[tuple[Format, ...]] = get_args(Format)
_DEPTH_MAX: Final = Limits().body_depth_max
_REF_MAX: Final = 2**53
# The explanation, which may quote the client, and what surrounds it.
_MESSAGE_CHARS_MAX: Final = EXPLANATION_CHARS_MAX + 80
_CODES: Final = (2001, 2002, 2003)


@final
class CodecTarget:
    """See the module, and `target.Target`."""

    name: ClassVar[str] = "codec"
    unit: ClassVar[str] = "messages"
    batch: ClassVar[int] = 1

    def __init__(self) -> None:
        self._before: list[bytes] = []

    def invent(self, chance: Random) -> bytes:
        """See `Target`."""
        made, way = command(chance), chance.random()
        if way < 0.4:
            made = damaged(made, chance)
        flag = chance.randrange(2)
        payload = encoded(made, FORMS[flag])
        if way > 0.3 and way < 0.9:
            payload = mutated(payload, chance, self._before)
        if len(self._before) < 64:
            self._before.append(payload)
        else:
            self._before[chance.randrange(64)] = payload
        return bytes((flag,)) + payload

    def judge(self, inputs: Sequence[bytes]) -> int:
        """See `Target`."""
        for data in inputs:
            form = FORMS[data[0] & 1 if data else 0]
            _judge(data[1:], form)
        return len(inputs)


def _judge(payload: bytes, form: Format) -> None:
    try:
        found = decode_command(payload, form)
    except BadCommand as bad:
        _judge_refusal(bad)
    else:
        _judge_command(found)
    # Which is what the client's side says to all that is no message of the server's.
    with suppress(ValueError):
        decode_event(payload, form)


def _judge_refusal(bad: BadCommand) -> None:
    failed = bad.failed
    if failed.code not in _CODES:
        raise Violation(f"bytes are answered with {failed.code}")
    if not 0 < len(failed.message) <= _MESSAGE_CHARS_MAX:
        raise Violation("an error's message is empty, or as long as what it is about")
    if failed.ref is not None and not 0 <= failed.ref < _REF_MAX:
        raise Violation("an error repeats a `ref` that is none")
    for form in FORMS:
        encode(failed, form)


def _judge_command(found: Command) -> None:
    try:
        check_body(getattr(found, "body", {}), depth_max=_DEPTH_MAX)
        check_body(getattr(found, "data", {}), depth_max=_DEPTH_MAX)
    except Refusal:
        return  # as the engine would answer before it does anything with it
    for form in FORMS:
        again = decode_command(encode_command(found, form), form)
        if again != found or repr(again) != repr(found):
            raise Violation(f"a {type(found).__name__} is another one after {form}")
