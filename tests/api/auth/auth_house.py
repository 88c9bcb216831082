"""Nodes on which people sign in, with what asks them over HTTP and connects to them."""

from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import trio

from triolet import connect
from triolet._model.limits import Limits
from triolet.adapters.memory import MemoryBus, open_memory_store
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.adapters.tokens import TokenGate, mint
from triolet.client.state import State
from triolet.embedded import open_engine
from triolet_api.app import create_app
from triolet_api.auth.issuing import Signing
from triolet_api.auth.keeping import SignInKeeper
from triolet_api.auth.parts import open_accounts
from triolet_api.auth.settings import AuthSettings
from triolet_api.belongings import Belongings
from triolet_api.dispatch import Dispatcher
from triolet_api.http import open_http_door
from triolet_api.notifications.keeping import PushKeeper
from triolet_api.secret import Secret
from triolet_api.settings import Settings

SECRET = b"s" * 32
PASSWORD = "correct horse"
# In which whatever was asked has happened, on a machine that is busy with other things.
PATIENCE_S = 60
# The least that argon2 is worth asking for: 3 ms.
FAST = {"hash_memory_kib": 8192, "hash_passes": 1}


class Standing:
    """Keys that are in no file."""

    def __init__(self, keys):
        self._keys = keys

    def refresh(self):
        return self._keys


class House:
    """One node."""

    def __init__(self, engine, client, port, clock, parts):
        self.engine, self.client, self.port, self.clock = engine, client, port, clock
        self.parts = parts

    async def call(self, method, path, *, token=None, **how):
        headers = how.pop("headers", {})
        if token:
            headers = {**headers, "Authorization": f"Bearer {token}"}
        return await self.client.request(method, f"/v1{path}", headers=headers, **how)

    async def post(self, path, *, token=None, headers=None, **body):
        return await self.call("POST", path, token=token, headers=headers or {}, json=body)

    async def sign_up(self, user="anna", **more):
        """Register, and return the tokens."""
        answer = await self.post("/auth/register", user=user, password=PASSWORD, **more)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def sign_in(self, user="anna", **more):
        answer = await self.post("/auth/login", user=user, password=PASSWORD, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def is_in(self, token):
        """Whether an access token is good."""
        return (await self.call("GET", "/auth/me", token=token)).status_code == 200

    async def refresh(self, token):
        return await self.post("/auth/refresh", refresh_token=token)

    def root(self):
        """Return an admin's token, as `triolet token` makes it."""
        return mint(SECRET, "root", ttl_s=3600, now_ms=self.clock.now_ms(), roles=("admin",))

    def connect(self, token):
        """Connect to the node's WebSocket."""
        return connect(f"ws://127.0.0.1:{self.port}/ws", token=token)


async def ended(client):
    """Wait until a client's connection is over for good, and return with which code."""
    async for state in client.states():
        if state is State.CLOSED:
            break
    return client.last_close.code


def reason(answer):
    return answer.status_code, answer.json().get("reason")


@asynccontextmanager
async def open_house(*, store=None, bus="", keys=None, attempts=None, **auth):
    settings = Settings(auth=AuthSettings(**FAST | auth))
    signing, clock = Signing(Secret(SECRET), keys and Standing(keys)), SystemClock()
    async with AsyncExitStack() as stack:
        if store is None:
            opening = open_memory_store(clock=clock, entropy=SystemEntropy())
            store = await stack.enter_async_context(opening)
        limits = Limits(revocations_check_s=60)
        gate = TokenGate(
            clock=clock,
            limits=limits,
            secret=SECRET,
            own=signing.ring,
            revoked=store.revoked,
            revoked_now=store.revoked_now,
        )
        opening = open_engine(store, gate=gate, limits=limits, bus=bus)
        engine = await stack.enter_async_context(opening)
        app = create_app(settings.web)
        dispatcher = Dispatcher(app, admit=engine.admit)
        keepers = [SignInKeeper(store.documents), PushKeeper(store.documents)]
        belongings = Belongings(engine, keepers)
        parts = await open_accounts(engine, settings, signing, belongings, attempts)
        dispatcher.add(*parts)
        door = await stack.enter_async_context(open_http_door(app))
        _, port = await engine.listen("127.0.0.1", 0, fallback=door.serve)
        url = f"http://127.0.0.1:{port}"
        client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE_S)
        await stack.enter_async_context(client)
        yield House(engine, client, port, clock, parts)


@asynccontextmanager
async def open_two(**auth):
    """Yield two nodes of one deployment, which tell each other what they revoke."""
    bus = MemoryBus()
    async with (
        open_memory_store(clock=SystemClock(), entropy=SystemEntropy()) as store,
        open_house(store=store, bus=bus.join(), **auth) as one,
        open_house(store=store, bus=bus.join(), **auth) as other,
    ):
        with trio.fail_after(PATIENCE_S):
            # Hearing oneself is told to nobody.
            while not (one.engine.ready() and other.engine.ready()):  # noqa: ASYNC110
                await trio.sleep(0.02)
        yield one, other
