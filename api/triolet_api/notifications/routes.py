"""Notifications over HTTP: devices, wishes, what is unread, and what hosts tell."""

from typing import Annotated, Final, final

from msgspec import Meta, Struct, structs
from quart import Response

from triolet._model.errors import ErrorCode, Refusal
from triolet._model.ids import Room, User
from triolet._runtime.engine import Engine

from ..endpoints import Access, Call, endpoint
from .devices import AuthText, Device, Endpoint, PointText
from .notifying import TEXT_CHARACTERS_MAX, Notifying
from .preferences import ROOMS_MAX, Email, Preferences, RoomWish, check_preferences
from .reading import Reader, is_counted, is_told, text_of

_AGENT_CHARACTERS_MAX: Final = 100
# Of one message in an inbox: as much as notifications show.
_TEXT_MAX: Final = 200
# Rooms of one inbox that are listed; the badge counts the others, too.
_INBOX_MAX: Final = 200
# Each test is a request to every device of a user, wherever they say that those are.
_TEST_INTERVAL_MS: Final = 10_000

DeviceId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{16}\Z")]
Text = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX, pattern=r"^[^\x00]*\Z")]
Key = Annotated[str, Meta(max_length=64, pattern=r"^[!-~]*\Z")]


@final
class PushKey(Struct, frozen=True):
    """What a browser subscribes with: `applicationServerKey`, in base64url."""

    key: str


@final
class SubscriptionKeys(Struct, frozen=True):
    """What pushes are encrypted for, in base64url."""

    p256dh: PointText
    auth: AuthText


@final
class Subscription(Struct, frozen=True, rename="camel"):
    """`PushSubscription.toJSON()`, as browsers make it."""

    endpoint: Endpoint
    keys: SubscriptionKeys
    expiration_time: float | None = None


@final
class DeviceRow(Struct, frozen=True):
    """A device that is pushed to: what it called itself, and when it subscribed (ms)."""

    id: str
    agent: str
    added_at: int


@final
class DeviceList(Struct, frozen=True):
    """All of a user's, the one subscribed longest ago first."""

    devices: tuple[DeviceRow, ...]


@final
class UnreadRow(Struct, frozen=True):
    """A room with something unread.

    Attributes:
        is_muted: it does not count for the badge.
        is_told: its last message is one to be notified of now, by what I wish and quiet hours.
        text: of that message, as a notification shows it; empty: without a text.
    """

    room: str
    title: str
    unread: int
    is_muted: bool
    is_told: bool
    text: str


@final
class UnreadInbox(Struct, frozen=True):
    """What is unread.

    Attributes:
        badge: messages in rooms that are not muted.
        rooms: at most 200 rooms, by name.
        more: there are others.
    """

    badge: int
    rooms: tuple[UnreadRow, ...]
    more: bool


@final
class Tried(Struct, frozen=True):
    """How many devices were told to be pushed to."""

    devices: int


@final
class HostNotice(Struct, frozen=True):
    """Something the host service has to tell somebody; see `Notifying.send`."""

    user: User
    title: Text
    text: Text = ""
    url: Text = ""
    tag: Key = ""
    is_urgent: bool = False
    key: Key = ""


@final
class Sent(Struct, frozen=True):
    """Whether it is new; else it was sent before, with the same key."""

    is_new: bool


@final
class VerifiedEmail(Struct, frozen=True):
    """The address that is the user's; empty: none is."""

    email: Email


@final
class Leave(Struct, frozen=True):
    """What a digest's link says."""

    user: User
    token: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


@final
class Notifications:
    """Endpoints of notifications."""

    def __init__(self, engine: Engine, notifying: Notifying) -> None:
        self._engine = engine
        self._notifying = notifying
        self._people = notifying.people
        self._reader = Reader(engine)

    # --- devices -----------------------------------------------------------------------------

    @endpoint("GET", "/v1/notifications/key", access=Access.ANYONE, rate="read")
    async def key(self, call: Call) -> PushKey:
        """Get the public key that browsers subscribe with."""
        del call
        return PushKey(self._notifying.key.public)

    @endpoint(
        "POST",
        "/v1/notifications/subscriptions",
        access=Access.USER,
        rate="write",
        status=201,
        refuses=(ErrorCode.INVALID_FIELD,),
    )
    async def subscribe(self, call: Call, body: Subscription) -> DeviceRow:
        """Have this device pushed to.

        The same endpoint again is the same device. Of more than 20 the oldest goes.
        """
        user = call.identity.user
        device = await self._notifying.devices.add(
            user,
            endpoint=body.endpoint,
            p256dh=body.keys.p256dh,
            auth=body.keys.auth,
            agent=(call.header("User-Agent") or "")[:_AGENT_CHARACTERS_MAX],
            now=self._engine.clock.now_ms(),
        )
        self._people.forget(user)
        return _row(device)

    @endpoint("GET", "/v1/notifications/subscriptions", access=Access.USER, rate="read")
    async def list_devices(self, call: Call) -> DeviceList:
        """List my devices that are pushed to."""
        devices = await self._notifying.devices.of(call.identity.user)
        return DeviceList(tuple(map(_row, devices)))

    @endpoint(
        "DELETE", "/v1/notifications/subscriptions/{device}", access=Access.USER, rate="write"
    )
    async def unsubscribe(self, call: Call, device: DeviceId) -> None:
        """Have a device pushed to no more; one that is none of mine is none."""
        await self._notifying.devices.remove(call.identity.user, device)
        self._people.forget(call.identity.user)

    @endpoint("POST", "/v1/notifications/test", access=Access.USER, rate="write")
    async def test(self, call: Call) -> Tried:
        """Have something pushed to all my devices, to see that it comes; once in ten seconds."""
        user = call.identity.user
        devices = await self._notifying.devices.of(user)
        if devices:
            key = f"test-{self._engine.clock.now_ms() // _TEST_INTERVAL_MS}"
            await self._notifying.send(user, "It works", tag="test", is_urgent=True, key=key)
        return Tried(len(devices))

    # --- wishes ------------------------------------------------------------------------------

    @endpoint("GET", "/v1/notifications/preferences", access=Access.USER, rate="read")
    async def preferences(self, call: Call) -> Preferences:
        """Get what I wish to be told of."""
        return await self._people.wishes(call.identity.user)

    @endpoint(
        "PUT",
        "/v1/notifications/preferences",
        access=Access.USER,
        rate="write",
        refuses=(ErrorCode.INVALID_FIELD,),
    )
    async def set_preferences(self, call: Call, body: Preferences) -> Preferences:
        """Say what I wish to be told of; what is left out is as if it had never been said."""
        try:
            check_preferences(body)
        except ValueError as error:
            raise Refusal(ErrorCode.INVALID_FIELD, str(error)) from None
        await self._people.change_wishes(call.identity.user, lambda _: body)
        return body

    @endpoint(
        "PUT",
        "/v1/notifications/rooms/{room}",
        access=Access.USER,
        rate="write",
        refuses=(ErrorCode.INVALID_FIELD,),
    )
    async def set_room(self, call: Call, room: Room, body: RoomWish) -> RoomWish:
        """Say what of one room I wish to be told of, or mute it for a while."""

        def wished(before: Preferences) -> Preferences:
            rooms = {name: wish for name, wish in before.rooms.items() if name != room}
            if body != RoomWish():
                rooms[room] = body
            if len(rooms) > ROOMS_MAX:
                raise Refusal(ErrorCode.INVALID_FIELD, f"at most {ROOMS_MAX} rooms have wishes")
            return structs.replace(before, rooms=rooms)

        await self._people.change_wishes(call.identity.user, wished)
        return body

    # --- what is unread ------------------------------------------------------------------------

    @endpoint("GET", "/v1/notifications/inbox", access=Access.USER, rate="read")
    async def inbox(self, call: Call) -> UnreadInbox:
        """Get what I have not read: the badge, and the rooms."""
        user = call.identity.user
        wishes, now = await self._people.wishes(user), self._engine.clock.now_ms()
        is_dnd = await self._engine.sight.wished(user) == "dnd"
        badge, rows, more = 0, list[UnreadRow](), False
        async for one in self._reader.unread_rooms(user):
            counts = is_counted(one, wishes, now=now)
            badge += one.unread if counts else 0
            if len(rows) < _INBOX_MAX:
                told = is_told(one, wishes, user, is_dnd=is_dnd, now=now)
                text = text_of(one.last, characters_max=_TEXT_MAX) if one.last else ""
                shown = text if wishes.preview else ""
                rows.append(UnreadRow(one.room, one.title, one.unread, not counts, told, shown))
            else:
                more = True
        return UnreadInbox(badge, tuple(rows), more)

    # --- hosts -------------------------------------------------------------------------------

    @endpoint("POST", "/v1/notifications/send", access=Access.SERVICE, rate="write")
    async def send(self, call: Call, body: HostNotice) -> Sent:
        """Tell somebody something of the host service's.

        For admins, and for services by a token of the tier `service`. Users may have switched it
        off, and quiet hours hold it back unless it is urgent.
        """
        del call
        is_new = await self._notifying.send(
            body.user,
            body.title,
            body.text,
            url=body.url,
            tag=body.tag,
            is_urgent=body.is_urgent,
            key=body.key,
        )
        return Sent(is_new)

    @endpoint("PUT", "/v1/notifications/users/{user}/email", access=Access.ADMIN, rate="admin")
    async def verify_email(self, call: Call, user: User, body: VerifiedEmail) -> None:
        """Say that an e-mail address is a user's: digests go to no other."""
        del call
        await self._people.verify_email(user, body.email)

    @endpoint(
        "POST",
        "/v1/notifications/leave",
        access=Access.ANYONE,
        rate="auth",
        refuses=(ErrorCode.FORBIDDEN,),
        produces="text/html",
    )
    async def leave(self, call: Call, query: Leave) -> Response:
        """Get no digests any more: what the link in a mail does (RFC 8058)."""
        del call
        await self._notifying.leave_mail(query.user, query.token)
        return _page("<p>You are sent no mails any more.</p>")

    @endpoint(
        "GET",
        "/v1/notifications/leave",
        access=Access.ANYONE,
        rate="read",
        produces="text/html",
    )
    async def leave_page(self, call: Call, query: Leave) -> Response:
        """Ask whether somebody wants to get no digests any more."""
        del call
        # Both are of a pattern that HTML leaves as it is.
        action = f"/v1/notifications/leave?user={query.user}&amp;token={query.token}"
        button = "<button>Send me no mails any more</button>"
        return _page(f'<form method="post" action="{action}">{button}</form>')


def _page(content: str) -> Response:
    """Return a page for somebody who follows the link in a digest."""
    policy = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    return Response(
        f'<!doctype html><html lang="en"><title>Digests</title>{content}</html>',
        content_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": policy},
    )


def _row(device: Device) -> DeviceRow:
    return DeviceRow(device.id, device.agent, device.added_at)
