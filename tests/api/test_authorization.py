"""Authorization: who may do what, for each endpoint and each op, in one table.

Endpoints and ops are those the code declares: one without a row fails here. Each cell is asked of
a room of its own: a private group with an owner, an admin and members, in which `mia` has written.
"""

import time
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
from msgspec import Struct

from triolet._domain.bans import Ban
from triolet._model import commands
from triolet._model.errors import ErrorCode, Refusal
from triolet._model.limits import Limits
from triolet._runtime.pipeline import HANDLERS
from triolet.adapters.system import SystemClock
from triolet.adapters.tokens import TokenGate, mint
from triolet.embedded import open_engine
from triolet.ports.gate import FOREVER, Identity, Opening
from triolet_api.auth.issuing import Signing
from triolet_api.composition import open_api
from triolet_api.secret import Secret
from triolet_api.settings import Settings

SECRET = b"a secret of thirty-two bytes and more"
PASSWORD = "a pass phrase of words"
# In which one op is answered, on a machine that is busy with other things.
PATIENCE_S = 60
# Who asks, in the order of the columns. `anyone` has no token; `other` is a member like mia;
# `chair` is an admin of the room, `root` one of the server; `eve` is banned; `old` has expired;
# `service` has a token of that tier, and is a stranger to all rooms.
PEOPLE = ("anyone", "stranger", "other", "chair", "root", "eve", "old", "service")


class Row(Struct, frozen=True):
    """What each of PEOPLE is answered; what stands in the path, and the body, if they need one."""

    statuses: str
    body: object = None
    query: str = ""
    path: dict[str, str] = {}


def open_to_all(status="200", **more):
    return Row(" ".join([status] * len(PEOPLE)), **more)


def signed_in(status="200", **more):
    return Row(f"401 {status} {status} {status} {status} 403 401 {status}", **more)


def admins(status="200", **more):
    return Row(f"401 403 403 403 {status} 403 401 403", **more)


def services(status="200", **more):
    return Row(f"401 403 403 403 {status} 403 401 {status}", **more)


def of_members(status="200", **more):
    return Row(f"401 404 {status} {status} 404 403 401 404", **more)


def of_chairs(status="200", **more):
    return Row(f"401 404 403 {status} 404 403 401 404", **more)


SUBSCRIPTION = {
    "endpoint": "https://127.0.0.1/push",
    "keys": {"p256dh": "B" * 87, "auth": "B" * 22},
}
ROWS = {
    "assets.chat": open_to_all(),
    "assets.dashboard": open_to_all(),
    "assets.worker": open_to_all(),
    "assets.manifest": open_to_all(),
    "assets.asset": open_to_all(path={"name": "triolet.js"}),
    "health.live": open_to_all(),
    "health.ready": open_to_all(),
    "docs.openapi": open_to_all(),
    "docs.docs": open_to_all(),
    "metrics.read": admins(),
    "rooms.list_mine": signed_in(),
    "rooms.create": signed_in("201", body={"kind": "group"}),
    "rooms.direct": signed_in(body={"user": "mia"}),
    "rooms.get": of_members(),
    "rooms.change": of_chairs(body={"title": "Tea"}),
    # Its owner's to end.
    "rooms.delete": Row("401 404 403 403 404 403 401 404"),
    "members.list_members": of_members(),
    "members.invite": of_chairs("201", body={"user": "new"}),
    "members.set_role": of_chairs(body={"role": "reader"}),
    "members.remove": of_chairs(),
    "members.join": of_members(),
    "messages.history": of_members(),
    "messages.post": of_members("201", body={"body": {"text": "hi"}}),
    # Nobody changes what another one wrote; who chairs may take it back.
    "messages.edit": Row("401 404 403 403 404 403 401 404", body={"body": {"text": "no"}}),
    "messages.delete": of_chairs(),
    "messages.react": of_members(),
    "messages.unreact": of_members(),
    "messages.search": of_members(query="q=tea"),
    "receipts.mark": of_members("204", body={"read": 1}),
    "receipts.list_marks": of_members(query="seq=1"),
    "streams.follow": signed_in(),
    "streams.follow_from": signed_in(body={}),
    "presence-door.get": signed_in(query="users=mia"),
    "presence-door.own": signed_in(),
    "presence-door.online": admins(),
    "presence-door.count": signed_in(),
    "commands.carry_out": signed_in(body={"op": "ping", "ref": 1}),
    "notifications.key": open_to_all(),
    # This endpoint is in a private network.
    "notifications.subscribe": signed_in("422", body=SUBSCRIPTION),
    "notifications.list_devices": signed_in(),
    # One that is none of mine is none.
    "notifications.unsubscribe": signed_in("204", path={"device": "0123456789abcdef"}),
    "notifications.test": signed_in(),
    "notifications.preferences": signed_in(),
    "notifications.set_preferences": signed_in(body={}),
    "notifications.set_room": signed_in(body={"level": "none"}),
    "notifications.inbox": signed_in(),
    "notifications.send": services(body={"user": "mia", "title": "Tea"}),
    "notifications.verify_email": admins("204", body={"email": ""}, path={"user": "mia"}),
    # By what was mailed, and nothing else.
    "notifications.leave": open_to_all("403", query=f"user=mia&token={64 * '0'}"),
    "notifications.leave_page": open_to_all(query=f"user=mia&token={64 * '0'}"),
    "admin.stats": admins(),
    "admin.announce": admins(body={"body": {"text": "soon"}}),
    "admin.audit": admins(),
    "admin-sessions.list_all": admins(),
    "admin-sessions.get": admins("404", path={"session": "none"}),
    "admin-sessions.end": admins("404", path={"session": "none"}),
    "admin-sessions.end_of_user": admins(path={"user": "nobody"}),
    "admin-rooms.list_all": admins(),
    "admin-rooms.get": admins(),
    "admin-rooms.members": admins(),
    "admin-rooms.delete": admins("204"),
    "admin-bans.list_all": admins(),
    "admin-bans.ban": admins("201", body={"user": "nobody"}),
    "admin-bans.lift": admins("204", query="user=nobody"),
    "admin-jobs.list_all": admins(),
    "admin-jobs.requeue": admins(body={"ids": [1]}),
    "admin-jobs.drop": admins(query="ids=1"),
    "admin-users.export": admins(path={"user": "nobody"}),
    "admin-users.erase": admins("204", path={"user": "nobody"}),
    # What is in memory cannot be backed up.
    "admin-backup.make": admins("503"),
    "challenge.captcha": open_to_all(),
    "token-keys.keys": open_to_all(),
    # The name is free once; guesses get slower.
    "auth.register": Row("201" + " 409" * 7, body={"user": "fresh", "password": PASSWORD}),
    "auth.login": Row("401" + " 401" * 4 + " 429" * 3, body={"user": "no", "password": PASSWORD}),
    "auth.refresh": open_to_all("401", body={"refresh_token": "none"}),
    "auth.logout": open_to_all("204", body={"refresh_token": "none"}),
    "own-account.me": signed_in(),
    # Nobody of them has a password here.
    "own-account.password": signed_in("403", body={"old": PASSWORD, "new": PASSWORD}),
    "own-account.sessions": signed_in(),
    "own-account.end": signed_in("404", path={"session": "0" * 22}),
    "own-data.export": signed_in(),
    "own-data.erase": signed_in("403", body={"password": PASSWORD}),
    "admin-accounts.list_all": admins(),
    "admin-accounts.add": admins("201", body={"user": "made", "password": PASSWORD}),
    "admin-accounts.show": admins("404"),
    "admin-accounts.change": admins("404", body={"disabled": False}),
    "admin-accounts.remove": admins("404"),
    "admin-invites.list_all": admins(),
    "admin-invites.make": admins("201", body={}),
    "admin-invites.remove": admins("204", path={"invite": "0" * 64}),
    # The last, for it ends all tokens.
    "own-account.logout_everywhere": signed_in("204"),
}

# Ops over a session, by whom: `anyone`, `eve` and `old` get none.
IN_SESSION = ("stranger", "other", "chair", "root")
NONE, NO = "no_such_room", "forbidden"
TO_ALL, TO_MEMBERS, TO_CHAIRS = ("ok",) * 4, (NONE, "ok", "ok", NONE), (NONE, NO, "ok", NONE)
OPS = {
    "create": (TO_ALL, {"kind": "group"}),
    "direct": (TO_ALL, {"user": "mia"}),
    "join": (TO_MEMBERS, {}),
    "leave": (TO_MEMBERS, {}),
    "invite": (TO_CHAIRS, {"user": "new"}),
    "kick": (TO_CHAIRS, {"user": "mia"}),
    "role": (TO_CHAIRS, {"user": "mia", "role": "reader"}),
    "meta": (TO_CHAIRS, {"title": "Tea"}),
    # For owners alone.
    "delete_room": ((NONE, NO, NO, NONE), {}),
    "subscribe": (TO_MEMBERS, {}),
    "unsubscribe": (TO_ALL, {}),
    "send": (TO_MEMBERS, {"body": {"text": "hi"}}),
    "edit": ((NONE, NO, NO, NONE), {"target": 0, "body": {"text": "no"}}),
    "delete": (TO_CHAIRS, {"target": 0}),
    "react": (TO_MEMBERS, {"target": 0, "emoji": "+"}),
    "history": (TO_MEMBERS, {}),
    "receipt": (TO_MEMBERS, {"read": 1}),
    "receipts": (TO_MEMBERS, {"seq": 1}),
    "typing": (TO_MEMBERS, {"on": True}),
    "signal": (TO_MEMBERS, {"kind": "ring"}),
    "presence": (TO_ALL, {"status": "away"}),
    "watch": (TO_ALL, {"users": ["mia"]}),
    "unwatch": (TO_ALL, {"users": ["mia"]}),
    "rooms": (TO_ALL, {}),
    "sync": (TO_ALL, {"have": []}),
    "refresh": (("token_invalid",) * 4, {"token": "none"}),
    "ping": (TO_ALL, {}),
    "stats": ((NO, NO, NO, "ok"), {"on": True}),
}
# Ops that name a room.
OF_ROOMS = {
    op for op, (wanted, _) in OPS.items() if NONE in wanted or op in ("unsubscribe", "subscribe")
}


class World:
    """A server, and rooms in it."""

    def __init__(self, engine, api, client):
        self.engine, self.api, self.client = engine, api, client
        self.rooms = 0

    async def ask(self, user, command):
        return await self.engine.ask(
            Identity(user=user, expires_at=FOREVER, tier="service"), command
        )

    async def room(self):
        """Make the room of one cell; return what stands for it in paths."""
        self.rooms += 1
        name = f"room{self.rooms}"
        members = ["other", "mia", "chair"]
        await self.ask("olga", commands.Create(kind="group", room=name, members=members))
        await self.ask("olga", commands.SetRole(room=name, user="chair", role="admin"))
        said = await self.ask("mia", commands.Send(room=name, body={"text": "tea"}))
        return {"room": name, "user": "mia", "seq": str(said.seq), "emoji": "%F0%9F%91%8D"}


def token_of(person):
    now_ms, roles = time.time_ns() // 10**6, ("admin",) if person == "root" else ()
    if person == "old":
        return mint(SECRET, person, ttl_s=60, now_ms=now_ms - 3_600_000)
    # Nobody is held up: each asks for a hundred things at once.
    tier = "service" if person == "service" else "premium"
    return mint(SECRET, person, ttl_s=3600, now_ms=now_ms, roles=roles, tier=tier)


TOKENS = {person: token_of(person) for person in PEOPLE if person != "anyone"}


@pytest.fixture
async def world(serving, tmp_path):
    async with open_world(serving, tmp_path) as world:
        yield world


@asynccontextmanager
async def open_world(serving, folder):
    settings = Settings(data=folder, limits=Limits(premium_factor=1000))
    gate = TokenGate(clock=SystemClock(), limits=settings.limits, secret=SECRET)
    async with (
        open_engine(gate=gate, limits=settings.limits) as engine,
        open_api(engine, settings, Signing(Secret(SECRET))) as api,
        serving(api.app) as host,
        host.client() as client,
    ):
        await engine.bans.add(Ban(user="eve"))
        yield World(engine, api, client)


async def status_of(world, one, row, person):
    values = await world.room() | row.path
    url = one.path
    for name, value in values.items():
        url = url.replace(f"{{{name}}}", value)
    headers = {} if person == "anyone" else {"Authorization": f"Bearer {TOKENS[person]}"}
    body = {} if row.body is None else {"json": row.body}
    asking = world.client.stream(one.method, f"{url}?{row.query}", headers=headers, **body)
    async with asking as response:
        return response.status_code


async def test_every_endpoint_answers_each_as_its_row_says(world):
    declared = {one.name: one for one in world.api.endpoints}
    assert sorted(declared) == sorted(ROWS)
    found = {}
    for name, row in ROWS.items():
        statuses = [str(await status_of(world, declared[name], row, who)) for who in PEOPLE]
        found[name] = " ".join(statuses)
    wrong = {name: one for name, one in found.items() if one != ROWS[name].statuses}
    assert wrong == {}


async def answer_of(world, op, fields, person):
    """Ask over a session of its own; return `ok`, or why not."""
    values = await world.room()
    roles = ("admin",) if person == "root" else ()
    pipe = world.engine.open_pipe(
        Identity(user=person, expires_at=FOREVER, roles=roles, tier="service")
    )
    asked = {"op": op, "ref": 1} | fields
    if op in OF_ROOMS:
        asked["room"] = values["room"]
    if "target" in asked:
        asked["target"] = int(values["seq"])
    for message in ({"op": "hello"}, asked):
        await pipe.send(msgspec.msgpack.encode(message))
    with trio.fail_after(PATIENCE_S):
        while True:
            told = msgspec.msgpack.decode(await pipe.receive())
            if told.get("ref") == 1:
                pipe.hang_up()
                return told.get("reason", "ok")


async def test_every_op_answers_each_as_its_row_says(world):
    declared = {kind.__struct_config__.tag for kind in HANDLERS}
    assert declared == set(OPS)
    wrong = {}
    for op, (wanted, fields) in OPS.items():
        found = [await answer_of(world, op, fields, person) for person in IN_SESSION]
        if found != list(wanted):
            wrong[op] = found
    assert wrong == {}


@pytest.mark.parametrize(
    ("person", "code"),
    [
        ("anyone", ErrorCode.UNAUTHENTICATED),
        ("eve", ErrorCode.BANNED),
        ("old", ErrorCode.TOKEN_EXPIRED),
    ],
)
async def test_who_is_nobody_gets_no_session(world, person, code):
    with pytest.raises(Refusal) as caught:
        await world.engine.admit(TOKENS.get(person), Opening(address="192.0.2.7"))
    assert caught.value.code is code
