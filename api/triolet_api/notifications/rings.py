"""What is put into jobs: each kind of them, its payload, and the key that makes it one."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Protocol, final

import msgspec
from msgspec import Struct

from triolet.ports.jobs import KEY_CHARS_MAX, NewJob

from .providers import Notice

# Somebody may have to be told of a room.
ROOM: Final = "notify.room"
# Something of the host's is to be told to somebody.
HOST: Final = "notify.host"
# A notice goes to a device, to the webhook; what is unread goes into a mail.
PUSH: Final = "notify.push"
WEBHOOK: Final = "notify.webhook"
MAIL: Final = "notify.mail"

# Over an hour and a half with the queue's pauses, which double up to half an hour.
_ATTEMPTS_MAX: Final = 12


@final
class RoomRing(Struct, frozen=True, omit_defaults=True):
    """A doorbell: `user` may have to be told of `room`.

    Attributes:
        seq: the last message that it is about.
        baseline: what they had read, or were told of last; less than `seq`.
        since: when the first message that they were not told of came (ms).
        mention: a message that mentions them, or 0.
    """

    user: str
    room: str
    seq: int
    baseline: int
    since: int
    mention: int = 0


@final
class HostRing(Struct, frozen=True, omit_defaults=True):
    """Something of the host's: `is_urgent`: nothing holds it back."""

    notice: Notice
    is_urgent: bool = False


@final
class Parcel(Struct, frozen=True, omit_defaults=True):
    """A notice on its way out; `device`: where it is for one."""

    notice: Notice
    device: str = ""


@final
class MailRing(Struct, frozen=True):
    """A digest may be due for `user`."""

    user: str


class Queue(Protocol):
    """What of the engine's jobs is used here."""

    async def add_many(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Add jobs; see `Jobs.add_many`."""
        ...

    async def withdraw(self, kind: str, keys: Sequence[str]) -> int:
        """Take jobs back that wait; see `Jobs.withdraw`."""
        ...


def key_of(*parts: str | int) -> str:
    """Return the key of a job about these; where it would be too long, one as good.

    >>> key_of("anna", "tea", 7)
    'anna/tea/7'
    >>> len(key_of("a" * 64, "r" * 160, 7))
    97
    """
    key = "/".join(map(str, parts))
    if len(key) <= KEY_CHARS_MAX:
        return key
    return f"{parts[0]}/{blake2b(key.encode(), digest_size=16).hexdigest()}"


def ring_job(ring: RoomRing, *, due_at: int) -> NewJob:
    """Return the job that decides whether somebody is told of a room.

    Until the baseline moves it is one job, also once it is done: whoever does it moves it.

    Args:
        ring: who, and where.
        due_at: when it is decided (ms).
    """
    key = key_of(ring.user, ring.room, ring.baseline)
    return NewJob(kind=ROOM, key=key, payload=_encode(ring), due_at=due_at)


def later_job(ring: RoomRing, *, at: int) -> NewJob:
    """Return the job that decides it again, at a later moment (ms)."""
    key = key_of(ring.user, ring.room, ring.baseline, f"at-{at}")
    return NewJob(kind=ROOM, key=key, payload=_encode(ring), due_at=at)


def host_job(ring: HostRing, *, key: str, due_at: int = 0) -> NewJob:
    """Return the job that tells something of the host's."""
    return NewJob(kind=HOST, key=key, payload=_encode(ring), due_at=due_at)


def push_job(notice: Notice, device: str, *, key: str) -> NewJob:
    """Return the job that pushes a notice to a device; `key`: the notice's."""
    return NewJob(
        kind=PUSH,
        key=key_of(notice.user, device, key),
        payload=_encode(Parcel(notice, device)),
        priority=10 if notice.urgency == "high" else 0,
        attempts_max=_ATTEMPTS_MAX,
    )


def webhook_job(notice: Notice, *, key: str) -> NewJob:
    """Return the job that posts a notice to the webhook."""
    payload = _encode(Parcel(notice))
    return NewJob(kind=WEBHOOK, key=key, payload=payload, attempts_max=_ATTEMPTS_MAX)


def mail_job(user: str, *, last_at: int, due_at: int, again: bool = False) -> NewJob:
    """Return the job that mails a digest; until the next one is sent it is one job.

    Args:
        user: whom.
        last_at: when they got the last one (ms).
        due_at: when it is sent (ms).
        again: it was due, and quiet hours hold it back.
    """
    key = key_of(user, last_at, f"at-{due_at}") if again else key_of(user, last_at)
    return NewJob(kind=MAIL, key=key, payload=_encode(MailRing(user)), due_at=due_at)


_encode: Final = msgspec.msgpack.Encoder().encode
