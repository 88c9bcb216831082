"""What the jobs do: decide what is to be told now, and hand it to each way out.

A handler looks at what is known when it runs, not at what was known when it was rung for: who
has read meanwhile, left, muted or been told is not told. So a job may run twice.
"""

import logging
from typing import Final, TypeVar, final

import msgspec
from msgspec import Struct

from triolet._model.errors import Abandon, Retry
from triolet._runtime.engine import Engine
from triolet._runtime.jobs import Jobs
from triolet.ports.jobs import Job, NewJob

from .deciding import Later, Void, decide, hold, wants
from .mail import Mail
from .people import People, Person
from .planning import Planner
from .preferences import Kind
from .providers import Again, Delivered, Gone, Notice, Outcome, Provider, Refused
from .reading import Reader, Standing, text_of
from .rings import (
    HOST,
    MAIL,
    PUSH,
    ROOM,
    WEBHOOK,
    HostRing,
    MailRing,
    Parcel,
    RoomRing,
    host_job,
    key_of,
    later_job,
    mail_job,
    push_job,
    webhook_job,
)
from .settings import MailSettings, PushSettings
from .web_push import WebPush

_log = logging.getLogger(__name__)
T = TypeVar("T", bound=Struct)

# As much as a lock screen shows.
_TEXT_CHARACTERS_MAX: Final = 300
_CONCURRENCY: Final = 32


@final
class Failed(Exception):
    """It may be taken later; the queue says when."""


@final
class Sender:
    """See the module.

    Args:
        engine: whose rooms these are.
        people: what users wish, and where they can be told.
        planner: looks again at a room that somebody was told of.
        web_push: the way to devices.
        webhook: the way to the operator's service; None: there is none.
        mail: the way to mailboxes; None: there is none.
        settings, mail_settings: how long to wait.
    """

    def __init__(
        self,
        engine: Engine,
        people: People,
        planner: Planner,
        *,
        web_push: WebPush,
        webhook: Provider | None,
        mail: Mail | None,
        settings: PushSettings,
        mail_settings: MailSettings,
    ) -> None:
        self._engine = engine
        self._people = people
        self._planner = planner
        self._web_push = web_push
        self._webhook = webhook
        self._mail = mail
        self._settings = settings
        self._mail_settings = mail_settings
        self._reader = Reader(engine)

    def handle(self, jobs: Jobs) -> None:
        """Have the jobs done."""
        jobs.handle(ROOM, self.ring_room, concurrency=_CONCURRENCY)
        jobs.handle(HOST, self.ring_host, concurrency=_CONCURRENCY)
        jobs.handle(PUSH, self.push, concurrency=_CONCURRENCY)
        if self._webhook is not None:
            jobs.handle(WEBHOOK, self.post, concurrency=_CONCURRENCY)
        if self._mail is not None:
            jobs.handle(MAIL, self.mail, concurrency=2)

    # --- deciding ----------------------------------------------------------------------------

    async def ring_room(self, job: Job) -> None:
        """Decide whether somebody is told of a room, and what."""
        ring = _read(job.payload, RoomRing)
        person = (await self._people.now([ring.user]))[ring.user]
        (notified,) = await self._people.notified([(ring.user, ring.room)])
        standing = await self._reader.stand(ring, notified=notified)
        if standing is None:
            return
        facts, now = standing.facts, self._engine.clock.now_ms()
        delay_ms = int(1000 * self._settings.unread_delay_s)
        decision = decide(facts, ring.room, person.wishes, unread_delay_ms=delay_ms, now=now)
        if isinstance(decision, Later):
            await self._engine.jobs.add_many([later_job(ring, at=decision.at)])
        elif isinstance(decision, Void):
            if max(facts.read, notified) <= ring.baseline:
                # It is unwanted, or was taken back. What comes next has to be another job.
                await self._people.tell(ring.user, ring.room, max(ring.seq, facts.newest))
        else:
            notice = await self._notice(ring, person, standing, decision.kind)
            await self._tell(notice, person, key=key_of(ring.user, ring.room, facts.newest))
            await self._people.tell(ring.user, ring.room, facts.newest)
            # What came while this ran rang for nobody: its job was this one.
            self._planner.look_soon(ring.room, seq=facts.newest, at=now)

    async def _notice(
        self, ring: RoomRing, person: Person, standing: Standing, kind: Kind
    ) -> Notice:
        newest = standing.newest
        assert newest is not None, "there is something to tell"
        is_shown = person.wishes.preview and self._settings.preview
        badge = await self._reader.badge(ring.user, person.wishes)
        return Notice(
            kind=kind,
            user=ring.user,
            title=standing.title or (newest.sender if kind == "direct" else ring.room),
            sender=newest.sender,
            text=text_of(newest, characters_max=_TEXT_CHARACTERS_MAX) if is_shown else "",
            room=ring.room,
            seq=newest.seq,
            at=newest.at,
            unread=standing.unread,
            badge=badge.unread,
            tag=ring.room,
            urgency="normal" if kind == "message" else "high",
        )

    async def ring_host(self, job: Job) -> None:
        """Decide whether somebody is told something of the host's now."""
        ring = _read(job.payload, HostRing)
        user = ring.notice.user
        person = (await self._people.now([user]))[user]
        now = self._engine.clock.now_ms()
        if not wants(person.wishes, "", "host", now=now):
            return
        (about,) = await self._engine.store.people([user])
        is_dnd = about.status == "dnd"
        until = hold(person.wishes, "host", is_dnd=is_dnd, now=now, is_urgent=ring.is_urgent)
        if until is not None:
            later = host_job(ring, key=key_of(job.key, f"at-{until}"), due_at=until)
            await self._engine.jobs.add_many([later])
            return
        badge = await self._reader.badge(user, person.wishes)
        notice = msgspec.structs.replace(ring.notice, badge=badge.unread)
        await self._tell(notice, person, key=key_of(user, "host", job.key))

    async def _tell(self, notice: Notice, person: Person, *, key: str) -> None:
        """Hand a notice to each way out, as jobs of their own: one fails without the others."""
        jobs: list[NewJob] = [push_job(notice, device.id, key=key) for device in person.devices]
        if self._webhook is not None:
            jobs.append(webhook_job(notice, key=key))
        if self._mail is not None and person.email and notice.room:
            delay_ms = int(1000 * self._mail_settings.digest_delay_s)
            last_at = await self._people.mailed_at(notice.user)
            due_at = self._engine.clock.now_ms() + delay_ms
            jobs.append(mail_job(notice.user, last_at=last_at, due_at=due_at))
        if jobs:
            await self._engine.jobs.add_many(jobs)

    # --- sending -----------------------------------------------------------------------------

    async def push(self, job: Job) -> None:
        """Send a notice to a device, unless it is read or old by now."""
        parcel = _read(job.payload, Parcel)
        notice = parcel.notice
        devices = await self._people.devices.of(notice.user)
        device = next((one for one in devices if one.id == parcel.device), None)
        if device is None or await self._is_void(job, notice):
            return
        outcome = await self._web_push.push(device, notice)
        if isinstance(outcome, Gone):
            await self._people.devices.remove(notice.user, device.id)
            self._people.forget(notice.user)
            _log.info("a device of %s is gone", notice.user)
            return
        _settle(outcome, f"a push to {notice.user}")

    async def post(self, job: Job) -> None:
        """Send a notice to the webhook, unless it is read or old by now."""
        assert self._webhook is not None, "there is a webhook"
        notice = _read(job.payload, Parcel).notice
        if not await self._is_void(job, notice):
            _settle(await self._webhook.deliver(notice, key=job.key), "a webhook's call")

    async def _is_void(self, job: Job, notice: Notice) -> bool:
        old_at = job.added_at + 1000 * max(self._settings.ttl_s, 60)
        if self._engine.clock.now_ms() > old_at:
            return True
        if not notice.room:
            return False
        return await self._reader.has_read(notice.user, notice.room, notice.seq)

    async def mail(self, job: Job) -> None:
        """Send a digest of what is unread, if there is anything new."""
        assert self._mail is not None, "there is a way to mailboxes"
        user = _read(job.payload, MailRing).user
        person = (await self._people.now([user]))[user]
        now = self._engine.clock.now_ms()
        until = hold(person.wishes, "message", is_dnd=False, now=now)
        last_at = await self._people.mailed_at(user)
        if until is not None:
            later = mail_job(user, last_at=last_at, due_at=until, again=True)
            await self._engine.jobs.add_many([later])
            return
        rooms = [
            one
            async for one in self._reader.unread_rooms(user)
            if one.last is not None and one.last.at > last_at
        ]
        wanted = [one for one in rooms if wants(person.wishes, one.room, "mention", now=now)]
        if wanted and person.email:
            is_shown = person.wishes.preview and self._settings.preview
            digest = self._mail.digest(user, person.email, wanted, is_shown=is_shown)
            _settle(await self._mail.send(digest), f"a mail to {user}")
        await self._people.mail(user, now)


def _settle(outcome: Outcome, what: str) -> None:
    """Have the queue know what came of it: nothing raised, it is done."""
    match outcome:
        case Delivered() | Gone():
            return
        case Again(after_s, why):
            if after_s is not None:
                raise Retry(why, after_s=after_s)
            raise Failed(why)
        case Refused(why, is_lasting):
            if is_lasting:
                raise Abandon(why)
            _log.warning("%s is dropped: %s", what, why)


def _read(payload: bytes, kind: type[T]) -> T:
    return msgspec.msgpack.decode(payload, type=kind)
