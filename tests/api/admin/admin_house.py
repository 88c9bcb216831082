"""An engine with its HTTP side, and people who ask: `root` is an admin, others are not."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import trio

from triolet._model.errors import ErrorCode, Refusal
from triolet.embedded import open_engine
from triolet.ports.gate import FOREVER, Identity
from triolet_api.auth.issuing import Signing
from triolet_api.composition import open_api
from triolet_api.secret import Secret
from triolet_api.settings import Settings

# In which whatever was asked has happened, on a machine that is busy with other things.
PATIENCE_S = 60
# So that there are accounts, too.
SIGNING = Signing(Secret(b"a secret of thirty-two bytes and more"))


class Names:
    """A gate to which a token is a name."""

    async def admit(self, token, opening):
        await trio.lowlevel.checkpoint()
        if token is None:
            raise Refusal(ErrorCode.UNAUTHENTICATED)
        roles = ("admin",) if token == "root" else ()
        return Identity(user=token, expires_at=FOREVER, roles=roles)

    def may(self, who, action, *, room="", user=""):
        return None


@asynccontextmanager
async def open_house(serving, settings=None, *, gate=None, **engine_options):
    """Yield what asks: `house.ask("GET", "/admin/stats")` is root's."""
    async with (
        open_engine(gate=gate or Names(), **engine_options) as engine,
        open_api(engine, settings or Settings(), SIGNING) as api,
        serving(api.app) as host,
        host.client() as client,
    ):

        async def ask(method, path, *, who="root", status=None, body=None, **headers):
            headers |= {"Authorization": f"Bearer {who}"} if who else {}
            answer = await client.request(method, f"/v1{path}", json=body, headers=headers)
            is_expected = answer.is_success if status is None else answer.status_code == status
            assert is_expected, (answer.status_code, answer.text)
            return answer.json() if answer.content else None

        yield SimpleNamespace(engine=engine, api=api, ask=ask, client=client)


@asynccontextmanager
async def open_two(serving):
    """Yield two houses whose engines are nodes of one deployment, and know of each other."""
    from triolet._model.limits import Limits
    from triolet.adapters.memory import MemoryBus, open_memory_store
    from triolet.adapters.system import SystemClock, SystemEntropy

    clock, entropy, bus = SystemClock(), SystemEntropy(), MemoryBus()
    limits = Limits(presence_heartbeat_s=0.2, presence_lease_s=5)
    async with (
        open_memory_store(clock=clock, entropy=entropy) as store,
        open_house(serving, store=store, bus=bus.join(), limits=limits) as one,
        open_house(serving, store=store, bus=bus.join(), limits=limits) as other,
    ):
        with trio.fail_after(PATIENCE_S):
            # Beats are told to nobody.
            while not (one.engine.presence.others() and other.engine.presence.others()):  # noqa: ASYNC110
                await trio.sleep(0.05)
        yield one, other
