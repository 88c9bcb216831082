"""One connection to a Redis server: RESP3, many requests at once, each answered in its turn.

Answers come in the order of the requests, so a request that nobody waits for any more keeps its
place, and its answer goes nowhere. What the server pushes (doorbells) comes in between.
"""

import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, final

import hiredis
import trio

from ..._model.limits import Limits
from .address import Address

# One command: its name and what it is given.
Command: TypeAlias = tuple[str | int | float | bytes | memoryview, ...]

# Its stub has a tuple of one.
_pack: Final[Callable[[Command], bytes]] = hiredis.pack_command  # type: ignore[assignment]

_READ_BYTES: Final = 64 * 1024
# Requests without an answer: what the largest call of a port asks, ten times.
_UNANSWERED_MAX: Final = 100_000
# What the reader of RESP returns when there is no whole reply.
_NOTHING: Final = object()
# A connection is looked at so often for each `bus_answer_timeout_s`.
_LOOKS: Final = 4


class LinkLost(Exception):
    """The connection is gone, and with it the answers that had not come."""


class Refused(Exception):
    """What Redis answered instead of doing what was asked; its first word is a code."""


class _Nonsense(Exception):
    """What came in is not RESP."""


@final
class Answers:
    """What requests that were sent together are answered; to be waited for once, or never.

    Attributes:
        asked: how many there will be.
        replies: those that have come; a refusal is a value among them.
    """

    __slots__ = ("_is_tolerant", "_lost", "_missing", "_task", "asked", "replies")

    def __init__(self, count: int, *, is_tolerant: bool) -> None:
        self.replies: list[object] = []
        self.asked = count
        self._missing = count
        # A refusal comes beside the answers, not instead of one: see `Link.submit`.
        self._is_tolerant = is_tolerant
        self._lost: str | None = None
        self._task: trio.lowlevel.Task | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all answers have come."""
        return not self._missing

    def take(self, reply: object) -> bool:
        """Take the next answer; return whether it was the last one."""
        self.replies.append(reply)
        if self._is_tolerant and isinstance(reply, Refused):
            return False
        self._missing -= 1
        if self._missing:
            return False
        self._wake()
        return True

    def lose(self, reason: str) -> None:
        """No answer will come any more."""
        self._lost = reason
        self._wake()

    def _wake(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    async def wait(self) -> list[object]:
        """Return the answers.

        Raises:
            LinkLost: they will not come; what was asked may have been done.
        """
        if self._missing and self._lost is None:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abandon)
        else:
            await trio.lowlevel.checkpoint()
        if self._lost is not None:
            raise LinkLost(self._lost)
        return self.replies

    def _abandon(self, raise_cancel: object) -> trio.lowlevel.Abort:
        del raise_cancel
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


@final
class Link:
    """See the module. `run` carries it for as long as it lasts.

    Args:
        stream: the connection, new.
        limits: how long answers are waited for, and how many bytes wait to be sent.
        pushed: called with what the server pushes: synchronous, must not raise.

    Attributes:
        lost: why the connection is gone, if it is.
    """

    def __init__(
        self, stream: trio.abc.Stream, limits: Limits, *, pushed: Callable[[list[object]], None]
    ) -> None:
        self._stream = stream
        self._limits = limits
        self._pushed = pushed
        self._reader = hiredis.Reader(
            protocolError=_Nonsense, replyError=Refused, notEnoughData=_NOTHING
        )
        self._waiting: deque[Answers] = deque()
        self._unanswered = 0
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._wakeup = trio.Event()
        # Something came in since it was last looked.
        self._has_heard = False
        self._scope = trio.CancelScope()
        self.lost: str | None = None

    # --- asking --------------------------------------------------------------------------

    def submit(self, commands: Sequence[Command]) -> Answers:
        """Send commands, soon and in order, after whatever was submitted before.

        Raises:
            LinkLost: nothing was sent: it is gone, or takes nothing at the moment.
        """
        packed = [_pack(command) for command in commands]
        return self._submit(packed, len(commands), is_tolerant=False)

    def submit_pushing(self, commands: Sequence[Command]) -> Answers:
        """Send commands that are answered by pushes, and a PING: its answer comes after them.

        A refusal of one of them is an answer too many: it is among the replies.

        Raises:
            LinkLost: nothing was sent: it is gone, or takes nothing at the moment.
        """
        packed = [_pack(command) for command in (*commands, (b"PING",))]
        return self._submit(packed, 1, is_tolerant=True)

    def _submit(self, packed: list[bytes], count: int, *, is_tolerant: bool) -> Answers:
        if self.lost is not None:
            raise LinkLost(self.lost)
        is_full = self._out_bytes > self._limits.bus_pending_bytes_max
        if is_full or self._unanswered > _UNANSWERED_MAX:
            raise LinkLost("too much waits for it")
        answers = Answers(count, is_tolerant=is_tolerant)
        if count:
            self._waiting.append(answers)
            self._unanswered += count
            data = b"".join(packed)
            self._out.append(data)
            self._out_bytes += len(data)
            self._wakeup.set()
        return answers

    async def call(self, *commands: Command) -> list[object]:
        """Send commands and return what each was answered.

        Raises:
            LinkLost: it may have been done.
            Refused: the first refusal among the answers.
        """
        return without_refusals(await self.submit(commands).wait())

    # --- being carried ---------------------------------------------------------------------

    async def run(self) -> None:
        """Carry what is asked and answered until the connection is lost."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for task in (self._read, self._write, self._watch):
                        nursery.start_soon(self._guard, task)
        finally:
            self.lose("closed")
            await trio.aclose_forcefully(self._stream)

    async def _guard(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.lose(_said(error))
        except LinkLost:
            return  # it was lost in the turn in which it was to be asked whether it is there
        except _Nonsense as error:
            self.lose(f"it does not speak RESP: {error}")

    def lose(self, reason: str) -> None:
        """Give the connection up; whoever waits for answers is told."""
        if self.lost is None:
            self.lost = reason
            while self._waiting:
                self._waiting.popleft().lose(reason)
            self._out.clear()
            self._scope.cancel()

    async def _read(self) -> None:
        reader, waiting = self._reader, self._waiting
        while True:
            data = await self._stream.receive_some(_READ_BYTES)
            if not data:
                self.lose("closed by the server")
                return
            self._has_heard = True
            reader.feed(bytes(data))
            while (reply := reader.gets()) is not _NOTHING:
                if type(reply) is hiredis.PushNotification:
                    self._pushed(reply)
                elif not waiting:
                    self.lose(f"an answer that nobody asked for: {reply!r:.100}")
                    return
                elif waiting[0].take(reply):
                    self._unanswered -= waiting.popleft().asked

    async def _write(self) -> None:
        while True:
            if not self._out:
                self._wakeup = trio.Event()
                await self._wakeup.wait()
            data, self._out, self._out_bytes = b"".join(self._out), [], 0
            await self._stream.send_all(data)

    async def _watch(self) -> None:
        """Give up a server that does not answer, and ask one that has nothing to say.

        Looks are counted, not seconds: a process that had no processor for a second has not
        looked either, and what it was answered meanwhile is read first.
        """
        timeout_s = self._limits.bus_answer_timeout_s
        silent = waited = 0
        while True:
            await trio.sleep(timeout_s / _LOOKS)
            silent = 0 if self._has_heard else silent + 1
            waited = waited + 1 if self._waiting and silent else 0
            self._has_heard = False
            if waited > _LOOKS:
                self.lose(f"no answer within {timeout_s:g} s")
                return
            if silent >= _LOOKS and not self._waiting:
                self.submit([(b"PING",)])


def without_refusals(replies: list[object]) -> list[object]:
    """Return the replies.

    Raises:
        Refused: the first of them that is one.
    """
    for reply in replies:
        if isinstance(reply, Refused):
            raise reply
    return replies


def _said(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    return str(cause) or type(cause).__name__


async def connect(address: Address, context: ssl.SSLContext | None) -> trio.abc.Stream:
    """Return a connection to a server, with nothing said on it yet.

    Raises:
        OSError: there is none to be had.
    """
    tcp = await trio.open_tcp_stream(address.host, address.port)
    if context is None:
        return tcp
    stream = trio.SSLStream(tcp, context, server_hostname=address.host)
    try:
        await stream.do_handshake()
    except BaseException as error:
        await trio.aclose_forcefully(tcp)
        if isinstance(error, trio.BrokenResourceError):
            raise OSError(f"no TLS: {_said(error)}") from error
        raise
    return stream
