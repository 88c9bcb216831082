"""The people of a world, each device a real client over the simulated network."""

import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, final

import trio

from ..._model.entries import Entry, Message
from ..._model.errors import ConnectionClosed, ErrorCode, Refusal, TrioletError
from ..._wire.codec import Format
from ...client._link import LinkClosed, WebSocketDialer
from ...client.client import Client, open_client
from ...client.limits import ClientLimits
from ...client.state import ABNORMAL, State
from ..history import Event
from ..recorder import Recorder
from .chance import SeededEntropy
from .hosts import Hosts
from .tokens import Issuer

logger = logging.getLogger(__name__)

# What a person waits for at most; a hundred taps on a dead screen are enough.
_ACTS_MAX: Final = 100


@final
class Device:
    """A client of somebody, as long as the application runs; it may be opened again.

    Attributes:
        client: the real client, None while the application is closed.
        messages: seqs of the messages it has seen, by room.
        acts: how many acts wait for an answer.
        dozes_until: when it reads its events again.
    """

    def __init__(
        self,
        user: str,
        number: int,
        *,
        seed: int,
        hosts: Hosts,
        nodes: list[str],
        issuer: Issuer,
        nursery: trio.Nursery,
        write: Callable[[Event], None],
        complain: Callable[[str], None],
        refused: Callable[[ConnectionClosed], None],
    ) -> None:
        self.user = user
        self.name = f"{user}/{number}"
        self._seed = seed
        self._hosts = hosts
        self._nodes = nodes
        self._issuer = issuer
        self._nursery = nursery
        self._write = write
        self._complain = complain
        self._refused = refused
        self.random = SeededEntropy(seed, f"{self.name} dials").random
        self.form: Format = "json" if number % 2 else "msgpack"
        self.client: Client | None = None
        self.messages: dict[str, list[int]] = {}
        self._limits = ClientLimits()
        self.acts = 0
        self.lives = 0
        self.dozes_until = 0.0
        self._scope: trio.CancelScope | None = None
        self._recorder: Recorder | None = None
        self._acting: trio.Nursery | None = None
        self._closing = trio.Event()

    def open(self) -> None:
        """Start the application, unless it runs."""
        if self._scope is None:
            self.lives += 1
            self._scope = trio.CancelScope()
            self._closing = trio.Event()
            self._nursery.start_soon(self._run, self._scope, self._closing)

    def close(self) -> None:
        """Close the application: it says goodbye."""
        self._closing.set()

    def kill(self) -> None:
        """Take the application away: nobody says goodbye."""
        if self._scope is not None:
            self._hosts.kill(self.name, silently=True)
            if self._recorder is not None:
                self._recorder.vanished()
            self._acting = None
            self._scope.cancel()

    @property
    def is_online(self) -> bool:
        """Whether the application runs and is connected."""
        return self.client is not None and self.client.state is State.ONLINE

    @property
    def is_open(self) -> bool:
        """Whether the application runs."""
        return self._scope is not None

    async def _run(self, scope: trio.CancelScope, closing: trio.Event) -> None:
        name = f"{self.name}.{self.lives}"
        self._recorder = recorder = Recorder(name, self.user, self._write, form=self.form)
        try:
            with scope:
                async with trio.open_nursery() as links:
                    await self._live(links, recorder, closing, SeededEntropy(self._seed, name))
                    links.cancel_scope.cancel()
        finally:
            recorder.left()
            self.client = self._acting = None
            self._scope = None

    async def _live(
        self,
        links: trio.Nursery,
        recorder: Recorder,
        closing: trio.Event,
        entropy: SeededEntropy,
    ) -> None:
        dialer = WebSocketDialer(
            "ws://triolet.test/ws", self.form, links, self._limits, open_stream=self._open_stream
        )
        async with (
            open_client(
                recorder.dialer(dialer),
                token=lambda: self._issuer.token(self.user),
                device=self.name.replace("/", "-"),
                form=self.form,
                entropy=entropy,
                start_offline=True,
                limits=self._limits,
                witness=recorder.witness,
            ) as self.client,
            trio.open_nursery() as nursery,
        ):
            self._acting = nursery
            nursery.start_soon(self._watch, self.client, closing)
            await closing.wait()
            self._acting = None
            nursery.cancel_scope.cancel()

    async def _open_stream(self, url: str, context: ssl.SSLContext | None) -> trio.abc.Stream:
        """Connect to any node, as a load balancer would choose."""
        del url, context
        up = [node for node in self._nodes if node in self._hosts.listeners] or self._nodes
        node = self.random.choice(up)
        try:
            stream = await self._hosts.dial(self.name, node)
        except OSError as error:
            raise LinkClosed(ABNORMAL, str(error)) from error
        if self._recorder is not None:
            self._recorder.reaches(self._hosts.processes[node])
        return stream

    async def _watch(self, client: Client, closing: trio.Event) -> None:
        """Read what the client is told, as an application does."""
        try:
            with client.events() as events:
                async for event in events:
                    if isinstance(event, Entry) and isinstance(event.fact, Message):
                        self.messages.setdefault(event.room, []).append(event.seq)
                    if self.dozes_until > trio.current_time():
                        await trio.sleep_until(self.dozes_until)
        except ConnectionClosed as closed:
            # The server will not have this client any more: somebody has to sign in again.
            self._refused(closed)
            closing.set()

    def act(self, what: str, ask: Callable[[Client], Awaitable[object]]) -> None:
        """Have the client do something, and wait for the answer beside everything else."""
        if self.client is not None and self._acting is not None and self.acts < _ACTS_MAX:
            # Counted from here: whoever waits until nothing is asked must not be too early.
            self.acts += 1
            self._acting.start_soon(self._act, what, ask, self.client)

    async def _act(
        self, what: str, ask: Callable[[Client], Awaitable[object]], client: Client
    ) -> None:
        try:
            await ask(client)
        except Refusal as refusal:
            if refusal.code is ErrorCode.INTERNAL:
                self._complain(f"{self.name}: {what} failed: {refusal}")
        except TrioletError as error:
            # No connection, or none any more: told to whoever asked, and rightly so.
            logger.info("%s: %s: %s", self.name, what, error)
        finally:
            self.acts -= 1
