"""Composition: the parts of the HTTP layer, put together around one engine.

Each part is made here of what it needs, and its endpoints are added here: this is the place to
see what there is, and the only one that knows all of it.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import final

from msgspec import Struct

from triolet._runtime.engine import Engine
from triolet.adapters.urls import bus_of

from .admin.audit import Audit
from .admin.backup import AdminBackup
from .admin.bans import AdminBans
from .admin.errors import recent_errors
from .admin.jobs import AdminJobs
from .admin.metrics import Metrics
from .admin.observing import Admin
from .admin.people import AdminUsers
from .admin.rooms import AdminRooms
from .admin.sessions import AdminSessions
from .app import create_app
from .application import Application
from .auth.issuing import Signing
from .auth.keeping import SignInKeeper
from .auth.parts import has_accounts, open_accounts
from .belongings import Belongings
from .dispatch import Dispatcher
from .endpoints import Endpoint
from .guard.captcha import SOURCES
from .guard.challenge import Challenge
from .guard.opening import open_guard
from .notifications.keeping import PushKeeper
from .notifications.notifying import open_notifying
from .notifications.routes import Notifications
from .pages.assets import Assets
from .pages.docs import Docs
from .pages.health import Health
from .presence import PresenceDoor
from .rooms.members import Members
from .rooms.messages import Messages
from .rooms.receipts import Receipts
from .rooms.rooms import Rooms
from .settings import Settings
from .stream.commands import Commands
from .stream.streams import Streams


@final
class Api(Struct, frozen=True):
    """The application, and what it offers."""

    app: Application
    endpoints: list[Endpoint]


@asynccontextmanager
async def open_api(
    engine: Engine, settings: Settings, signing: Signing | None = None
) -> AsyncIterator[Api]:
    """Put the HTTP layer of a running engine together; at the end, its tasks have ended.

    Args:
        engine: what it is a door to.
        settings: what an operator decided.
        signing: signs the tokens of who signs in here; None: tokens come from elsewhere.

    Raises:
        ConfigurationError: people shall sign in here, and nothing signs their tokens; or other
            settings that a part cannot work with.
        StoreError: the store cannot be reached.
    """
    async with AsyncExitStack() as stack:
        bus = bus_of(settings.bus_url.reveal(), settings.store_url.reveal())
        guarding = await stack.enter_async_context(open_guard(engine, settings.guard, bus=bus))
        app = create_app(settings.web, origins=settings.origins, give_way=engine.give_way)
        documents, days = engine.store.documents, settings.admin.audit_days
        belongings = Belongings(engine, [SignInKeeper(documents), PushKeeper(documents)])
        audit = Audit(documents, engine.clock, engine.entropy, days=days)
        dispatcher = Dispatcher(app, admit=engine.admit, guard=guarding.guard, audit=audit)
        dispatcher.add(
            Assets(settings.web, SOURCES.get(settings.guard.captcha_provider, ())),
            Health(engine.why_not_ready),
            Docs(dispatcher.endpoints, settings.web),
            Rooms(engine),
            Members(engine),
            Messages(engine),
            Receipts(engine),
            Admin(engine, audit),
            AdminSessions(engine),
            AdminRooms(engine),
            AdminBans(engine),
            AdminJobs(engine),
            AdminUsers(belongings, audit),
            AdminBackup(
                settings.store_url.reveal(),
                settings.data,
                engine.clock,
                kept=settings.admin.backups_kept,
            ),
            Streams(engine),
            Commands(engine),
            PresenceDoor(engine),
        )
        dispatcher.add(Metrics(engine), key=settings.admin.metrics_token)
        if not has_accounts(settings):
            signing = None
        if signing is not None or guarding.pardons is not None:
            dispatcher.add(Challenge(settings.guard))
        if guarding.pardons is not None:
            dispatcher.add(guarding.pardons)
        if signing is not None:
            dispatcher.add(
                *await open_accounts(engine, settings, signing, belongings, guarding.logins)
            )
        if settings.push.enabled:
            notifying = await stack.enter_async_context(open_notifying(engine, settings))
            dispatcher.add(Notifications(engine, notifying))
        with recent_errors(engine.counters):
            yield Api(app, dispatcher.endpoints)
