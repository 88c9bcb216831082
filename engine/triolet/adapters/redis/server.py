"""One Redis server, for as long as the bus lives: whenever the connection is lost, a new one."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

import trio

from ..._model.limits import Limits
from ...ports.clock import Entropy
from .address import Address
from .asking import Asked
from .link import Command, Link, LinkLost, Refused, connect

logger = logging.getLogger(__name__)

# The first wait after a connection was lost; each failure doubles it.
_BACKOFF_S: Final = 0.05
# 2^20 times it is beyond every ceiling.
_DOUBLINGS_MAX: Final = 20


@final
class Server:
    """See the module. `run` keeps the connection.

    Args:
        address: where it is.
        entropy: spreads the nodes that come back when a server does.
        limits: how long is waited for what.
        name: what `CLIENT LIST` shows.
        connected: called with each new connection before it is used by others.
        pushed: called with what the server pushes.

    Attributes:
        tried: set when the first attempt to connect is over, however it ended.
        refused: what was said when a connection was refused by the server itself, which no
            waiting will change: a wrong password, a database that is none.
    """

    def __init__(
        self,
        address: Address,
        entropy: Entropy,
        limits: Limits,
        *,
        name: str,
        connected: Callable[[Link], Awaitable[None]] | None = None,
        pushed: Callable[[list[object]], None] | None = None,
    ) -> None:
        self.address = address
        self._context = address.context() if address.is_tls else None
        self._entropy = entropy
        self._limits = limits
        self._name = name
        self._connected = connected
        self._pushed = pushed or _ignore
        self.tried = trio.Event()
        self.refused = ""
        self._link: Link | None = None
        # Why there is no connection.
        self._trouble = "not connected yet"
        self._failures = 0

    # --- asking --------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether there is a connection."""
        return self._link is not None and self._link.lost is None

    def ask(self, commands: Sequence[Command]) -> Asked:
        """Send commands together, without waiting: see `Link.submit`."""
        try:
            return self.link().submit(commands)
        except LinkLost as lost:
            return lost

    async def call(self, *commands: Command) -> list[object]:
        """Send commands together and return their answers.

        Raises:
            LinkLost: there is no connection, or none any more.
            Refused: the first refusal among the answers.
        """
        return await self.link().call(*commands)

    def link(self) -> Link:
        """Return the connection.

        Raises:
            LinkLost: there is none.
        """
        if self._link is None:
            raise LinkLost(f"{self.address}: {self._trouble}")
        return self._link

    # --- living --------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep a connection for as long as the bus lives."""
        while True:
            try:
                with trio.fail_after(self._limits.bus_connect_timeout_s):
                    stream = await connect(self.address, self._context)
            except (OSError, UnicodeError) as error:  # the latter: of a name that is none
                self._trouble = str(error)
            except trio.TooSlowError:
                self._trouble = "no connection in time"
            else:
                await self._live(stream)
            self._complain()
            self.tried.set()
            self._failures += 1
            doublings = min(self._failures - 1, _DOUBLINGS_MAX)
            ceiling_s = min(_BACKOFF_S * 2**doublings, self._limits.bus_backoff_s_max)
            # Half of it for sure, so that a server that fails at once is not asked at once.
            await trio.sleep(self._entropy.uniform(ceiling_s / 2, ceiling_s))

    async def _live(self, stream: trio.abc.Stream) -> None:
        """Use a connection for as long as it lasts."""
        link = Link(stream, self._limits, pushed=self._pushed)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._begin, link)
            await link.run()
            nursery.cancel_scope.cancel()
        self._link = None
        self._trouble = link.lost or ""

    async def _begin(self, link: Link) -> None:
        try:
            with trio.fail_after(self._limits.bus_connect_timeout_s):
                await link.call(*self._greetings())
                if self._connected is not None:
                    await self._connected(link)
        except LinkLost:
            return
        except trio.TooSlowError:
            link.lose("no answer to the greeting in time")
            return
        except Refused as refused:
            self.refused = str(refused)
            link.lose(f"refused: {refused}")
            return
        if self._failures:
            logger.warning("%s (%s): connected", self.address, self._name)
        self._failures, self.refused, self._link = 0, "", link
        self.tried.set()

    def _greetings(self) -> list[Command]:
        address = self.address
        hello: Command = (b"HELLO", b"3")
        if address.password:
            hello += (b"AUTH", address.user or "default", address.password)
        hello += (b"SETNAME", self._name)
        greetings: list[Command] = [hello, (b"PING",)]
        if address.db:
            greetings.append((b"SELECT", address.db))
        return greetings

    def _complain(self) -> None:
        # Once, until it works again: the attempts that follow fail for the same reason.
        if not self._failures:
            logger.warning("%s (%s): %s", self.address, self._name, self._trouble)


def _ignore(push: list[object]) -> None:
    """Have no use for what is pushed."""
    del push
