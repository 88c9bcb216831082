"""Notifications as a whole: their parts put together, and what hosts tell by them."""

import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from typing import Final, Protocol, final

import trio

from triolet._model.errors import ConfigurationError, ErrorCode, Refusal
from triolet._runtime.engine import Engine
from triolet.adapters.urls import is_shared
from triolet.ports.documents import Change

from ..settings import Settings
from .addresses import Network
from .devices import Devices
from .mail import Mail, check_mail
from .outgoing import AddressRefused, Outgoing, check_url, open_outgoing
from .people import People
from .planning import Planner
from .providers import Notice, Provider
from .rings import HostRing, host_job, key_of
from .sending import Sender
from .settings import WebhookSettings
from .sweeping import Sweeper
from .vapid import VapidKey, make_or_keep_key, new_pem
from .web_push import WebPush
from .webhook import SECRET_BYTES_MIN, Webhook

_log = logging.getLogger(__name__)

# Where nodes share a store, they share the key by it.
_KEY_DOCUMENT: Final = "secret/vapid"
TEXT_CHARACTERS_MAX: Final = 1000


class WayOut(Protocol):
    """How the network is reached: `open_outgoing`."""

    def __call__(self, *, allowed: Sequence[Network]) -> AbstractAsyncContextManager[Outgoing]:
        """Have a way out that reaches the private networks that are allowed, for a while."""
        ...


@final
class Notifying:
    """What is running, and what hosts use of it.

    Attributes:
        key: what subscriptions are bound to.
        devices: where pushes go.
        people: what users wish.
        mail: the way to mailboxes; None: there is none.
    """

    def __init__(
        self, engine: Engine, key: VapidKey, devices: Devices, people: People, mail: Mail | None
    ) -> None:
        self._engine = engine
        self.key = key
        self.devices = devices
        self.people = people
        self.mail = mail

    async def send(
        self,
        user: str,
        title: str,
        text: str = "",
        *,
        url: str = "",
        tag: str = "",
        is_urgent: bool = False,
        key: str = "",
    ) -> bool:
        """Tell a user something of the host's, as they wish; return whether it is new.

        Args:
            user: whom.
            title: what the notification is called.
            text: what it says; where it is too long for a push it is cut.
            url: what a tap opens.
            tag: it takes the place of the one before with the same tag.
            is_urgent: quiet hours do not hold it back.
            key: the same for the same: it is told once, however often it is sent within a day.

        Raises:
            StoreError: it may not be told.
        """
        notice = Notice(
            kind="host",
            user=user,
            title=title[:TEXT_CHARACTERS_MAX],
            text=text[:TEXT_CHARACTERS_MAX],
            url=url[:TEXT_CHARACTERS_MAX],
            tag=f"host:{tag}" if tag else "",
            at=self._engine.clock.now_ms(),
            urgency="high" if is_urgent else "normal",
        )
        key = key_of(user, key or secrets.token_hex(16))
        (is_new,) = await self._engine.jobs.add_many(
            [host_job(HostRing(notice, is_urgent), key=key)]
        )
        return is_new

    async def leave_mail(self, user: str, token: str) -> None:
        """Send a user no mails any more: they followed the link in one.

        Raises:
            Refusal: `FORBIDDEN`: the link is of nobody's mail.
            StoreError: it may not be kept.
        """
        if self.mail is None or not self.mail.is_leaving(user, token):
            raise Refusal(ErrorCode.FORBIDDEN, "this link was not mailed to them")
        await self.people.verify_email(user, "")


@asynccontextmanager
async def open_notifying(
    engine: Engine, settings: Settings, *, way_out: WayOut = open_outgoing
) -> AsyncIterator[Notifying]:
    """Notify for as long as the block lasts; what is left then is told by who comes next.

    Args:
        engine: who is told of whose messages.
        settings: what an operator decided.
        way_out: how the network is reached.

    Raises:
        ConfigurationError: a key, a URL or a server that is none.
        StoreError: the store cannot be reached.
    """
    push, webhook_settings = settings.push, settings.webhook
    check_mail(settings.mail)
    key = await _key(engine, settings)
    async with AsyncExitStack() as stack:
        outgoing = await stack.enter_async_context(
            way_out(allowed=_networks("push", push.networks))
        )
        devices = Devices(engine.store.documents, outgoing, hosts=push.hosts)
        webhook = await _webhook(stack, engine, webhook_settings, way_out)
        mail = Mail(settings.mail, key.derived(b"mail")) if settings.mail.server.reveal() else None
        people = People(
            engine.store.documents,
            devices,
            engine.clock,
            has_webhook=webhook is not None,
            has_mail=mail is not None,
        )
        planner = Planner(engine, engine.jobs, people, push)
        web_push = WebPush(
            outgoing, key, subject=push.subject, clock=engine.clock, ttl_s=push.ttl_s
        )
        sender = Sender(
            engine,
            people,
            planner,
            web_push=web_push,
            webhook=webhook,
            mail=mail,
            settings=push,
            mail_settings=settings.mail,
        )
        sweeper = Sweeper(engine, planner)
        await sweeper.begin()
        sender.handle(engine.jobs)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(planner.run)
            nursery.start_soon(planner.withdraw)
            nursery.start_soon(sweeper.run)
            engine.sequencer.notifier = engine.marks.notifier = planner
            try:
                yield Notifying(engine, key, devices, people, mail)
            finally:
                engine.sequencer.notifier = engine.marks.notifier = None
                nursery.cancel_scope.cancel()


async def _key(engine: Engine, settings: Settings) -> VapidKey:
    """Return the key of pushes: as set, kept in the folder, or in a store that nodes share."""
    if settings.push.key is not None:
        try:
            return VapidKey.from_pem(settings.push.key.reveal())
        except ConfigurationError as error:
            raise ConfigurationError(f"push.key: {error}") from None
    url = settings.store_url.reveal()
    if not is_shared(url) and url != "memory:":
        return make_or_keep_key(settings.data)
    documents = engine.store.documents
    await documents.write([Change(_KEY_DOCUMENT, new_pem(), 0)])
    (kept,) = await documents.read([_KEY_DOCUMENT])
    assert kept is not None, "whoever was first has made it"
    return VapidKey.from_pem(kept.value)


async def _webhook(
    stack: AsyncExitStack, engine: Engine, settings: WebhookSettings, way_out: WayOut
) -> Provider | None:
    url = settings.url.reveal()
    if not url:
        return None
    try:
        check_url(url)
    except AddressRefused as error:
        raise ConfigurationError(f"webhook.url: {error}") from None
    secret = settings.secret
    if secret is None or len(secret.reveal()) < SECRET_BYTES_MIN:
        raise ConfigurationError(f"webhook.secret: at least {SECRET_BYTES_MIN} bytes")
    networks = _networks("webhook", settings.networks)
    outgoing = await stack.enter_async_context(way_out(allowed=networks))
    return Webhook(outgoing, url, secret, engine.clock)


def _networks(section: str, texts: tuple[str, ...]) -> list[Network]:
    try:
        return [ip_network(text) for text in texts]
    except ValueError as error:
        raise ConfigurationError(f"{section}.networks: {error}") from None
