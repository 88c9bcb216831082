"""What admins do is written down before it happens, and what came of it afterwards.

A row is a document, `audit/TIME-ID`. Where it cannot be written, nothing is done: there is no
act without a row. A row that still says `begun` is of an act of which nobody knows how it ended:
the process did, or the store, meanwhile.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, final

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from triolet._model.errors import (
    ErrorCode,
    OutcomeUnknown,
    Refusal,
    StoreError,
    StoreUnavailable,
)
from triolet.ports.clock import Clock, Entropy
from triolet.ports.documents import Change, Documents

from ..endpoints import Call, Endpoint
from ..logs import mask

logger = logging.getLogger(__name__)

_PREFIX: Final = "audit/"
# Of a time in a key: until the year 2286 they sort as numbers do.
_DIGITS: Final = 13
_DAY_MS: Final = 86_400_000
# Of details, so much is kept: what was asked, not what it carried.
_TEXT_MAX: Final = 200
_ITEMS_MAX: Final = 20
_DEPTH_MAX: Final = 4
# Fields whose values are nobody's to read.
_SECRET_WORDS: Final = ("password", "secret", "token", "authorization", "captcha", "key")
# The outcome of an act is written for so long, also of one that was cancelled.
_END_TIMEOUT_S: Final = 5
BEGUN: Final = "begun"
DONE: Final = "done"


@final
class AuditRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One act.

    Attributes:
        id: its place; later ones are greater.
        at: when it began (ms).
        who: the admin.
        action: the endpoint or command: `admin-sessions.end`.
        target: on whom or what, by name: `session=…`.
        address: where the request came from.
        outcome: `begun`, `done`, the reason of a refusal, or `internal`.
        details: what was asked, shortened, without secrets.
        took_ms: how long it took.
    """

    id: str
    at: int
    who: str
    action: str
    target: str = ""
    address: str = ""
    outcome: str = BEGUN
    details: Any = None
    took_ms: int = 0


# MessagePack has no larger ones; JSON has, and they are written down before they are refused.
_INTEGER_MAX: Final = 2**63 - 1
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(AuditRow).decode


@final
class Audit:
    """See the module.

    Args:
        documents: where rows are kept.
        clock: dates them.
        entropy: tells those of the same millisecond apart.
        days: how long they are kept.
    """

    def __init__(self, documents: Documents, clock: Clock, entropy: Entropy, *, days: int) -> None:
        self._documents = documents
        self._clock = clock
        self._entropy = entropy
        self._kept_ms = days * _DAY_MS

    @asynccontextmanager
    async def around(
        self, call: Call, endpoint: Endpoint, values: Mapping[str, object]
    ) -> AsyncIterator[None]:
        """Write down what an endpoint does; see `dispatch.Auditing`.

        Raises:
            Refusal: `STORE_UNAVAILABLE`: it cannot be written down, so it is not done.
        """
        names = [one.name for one in endpoint.parameters]
        target = " ".join(f"{name}={values[name]}" for name in names)
        details = {name: one for name, one in values.items() if name not in names}
        async with self.acting(
            who=call.identity.user,
            action=endpoint.name,
            target=target,
            address=call.address,
            details=details or None,
        ):
            yield

    @asynccontextmanager
    async def acting(
        self, *, who: str, action: str, target: str = "", address: str = "", details: object = None
    ) -> AsyncIterator[None]:
        """Write down what the block does, before it does it, and what came of it.

        Args:
            who: does it; of a command on the machine itself, `cli:NAME`.
            action: what.
            target: on whom or what.
            address: from where.
            details: anything msgspec can write; secrets are left out.

        Raises:
            Refusal: `STORE_UNAVAILABLE`: it cannot be written down, so it is not done.
        """
        at = self._clock.now_ms()
        row = AuditRow(
            id=f"{at:0{_DIGITS}}-{self._entropy.token()[:16]}",
            at=at,
            who=who,
            action=action,
            target=target[:_TEXT_MAX],
            address=address,
            details=_masked(msgspec.to_builtins(details, str_keys=True, enc_hook=str)),
        )
        await self._begin(row)
        outcome = "cancelled"
        try:
            yield
            outcome = DONE
        except Refusal as refusal:
            outcome = refusal.code.reason
            raise
        except StoreUnavailable:
            outcome = ErrorCode.STORE_UNAVAILABLE.reason
            raise
        except OutcomeUnknown:
            outcome = ErrorCode.OUTCOME_UNKNOWN.reason
            raise
        except Exception:
            outcome = ErrorCode.INTERNAL.reason
            raise
        finally:
            await self._end(row, outcome)

    async def page(self, *, before: str = "", limit: int) -> list[AuditRow]:
        """Return rows, the newest first: those older than the one whose id is `before`.

        Raises:
            StoreError: they cannot be read.
        """
        after = f"{_PREFIX}{before}" if before else ""
        found = await self._documents.scan(_PREFIX, after=after, limit=limit, descending=True)
        return [_decode(one.value) for one in found]

    async def _begin(self, row: AuditRow) -> None:
        try:
            await self._write(row, version=0)
        except OutcomeUnknown:
            # It may be there, as `begun`: nothing is done, and that is what it says.
            raise Refusal(ErrorCode.STORE_UNAVAILABLE, "it cannot be written down") from None

    async def _end(self, row: AuditRow, outcome: str) -> None:
        """Write what came of it; where that fails the act stays done, and its row says `begun`."""
        took_ms = self._clock.now_ms() - row.at
        try:
            with trio.fail_after(_END_TIMEOUT_S, shield=True):
                await self._write(replace(row, outcome=outcome, took_ms=took_ms), version=None)
        except (StoreError, trio.TooSlowError) as error:
            logger.warning("%s by %s ended as %s: %r", row.action, row.who, outcome, error)

    async def _write(self, row: AuditRow, *, version: int | None) -> None:
        change = Change(f"{_PREFIX}{row.id}", _encode(row), version, row.at + self._kept_ms)
        await self._documents.write([change])


def _masked(value: object, *, depth: int = 0) -> object:
    """Return what may be kept of a value: short, and without secrets.

    >>> _masked({"user": "anna", "new_password": "abc", "note": "token=abc"})
    {'user': 'anna', 'new_password': '***', 'note': 'token=***'}
    """
    if isinstance(value, str):
        return mask(value)[:_TEXT_MAX]
    if not isinstance(value, dict | list | tuple):
        return "…" if isinstance(value, int) and abs(value) > _INTEGER_MAX else value
    if depth == _DEPTH_MAX:
        return "…"
    if isinstance(value, dict):
        some = list(value.items())[:_ITEMS_MAX]
        return {
            str(name)[:_TEXT_MAX]: "***" if _is_secret(name, one) else _masked(one, depth=depth + 1)
            for name, one in some
        }
    return [_masked(one, depth=depth + 1) for one in value[:_ITEMS_MAX]]


def _is_secret(name: object, value: object) -> bool:
    """Whether a field holds a secret by its name; a flag (`keep_tokens`) or a number is none."""
    if value is None or isinstance(value, bool | int | float):
        return False
    return any(word in str(name).lower() for word in _SECRET_WORDS)
