"""Laws of who shows that they are no bot: they may write on, on every node, and nobody else."""

from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from triolet._model.commands import Direct
from triolet._model.errors import ErrorCode, Refusal, StoreUnavailable
from triolet._runtime.vigilance import Vigilance
from triolet.adapters.memory import open_memory_store
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.embedded import open_engine
from triolet.ports.documents import Change
from triolet.ports.gate import FOREVER, Identity
from triolet_api.app import create_app
from triolet_api.dispatch import Dispatcher
from triolet_api.guard.captcha import RecordedCaptcha
from triolet_api.guard.opening import open_guard
from triolet_api.guard.pardons import Pardons
from triolet_api.guard.settings import GuardSettings

ANNA = Identity(user="anna", expires_at=FOREVER)


@asynccontextmanager
async def open_node(store, captcha):
    settings = GuardSettings(bots=True)
    async with (
        open_engine(store) as engine,
        open_guard(engine, settings, bus="", captcha=captcha) as guarding,
    ):
        yield engine, guarding


@pytest.fixture
async def store():
    async with open_memory_store(clock=SystemClock(), entropy=SystemEntropy()) as store:
        yield store


async def approach(engine, count=20):
    """Write to many strangers; return why it ended."""
    try:
        for number in range(count):
            await engine.ask(ANNA, Direct(ref=1, user=f"user{number}"))
    except Refusal as refusal:
        return refusal.code
    return None


async def admit(token, opening):
    return Identity(user=token, expires_at=FOREVER)


@asynccontextmanager
async def asking(serving, guarding):
    app = create_app()
    Dispatcher(app, admit=admit).add(guarding.pardons)
    async with serving(app) as host, host.client() as client:

        async def ask(answer="", who="anna") -> httpx.Response:
            headers = {"Authorization": f"Bearer {who}", "X-Captcha": answer}
            return await client.post("/v1/guard/captcha", headers=headers)

        yield ask


@pytest.mark.usefixtures("real_time")
async def test_who_solves_it_may_write_on(serving, store):
    captcha = RecordedCaptcha("good")
    async with open_node(store, captcha) as (engine, guarding), asking(serving, guarding) as ask:
        assert await approach(engine) is ErrorCode.CAPTCHA_REQUIRED
        for wrong in ("", "bad"):
            answer = await ask(wrong)
            assert (answer.status_code, answer.json()["reason"]) == (403, "captcha_required")
        assert await approach(engine, 1) is ErrorCode.CAPTCHA_REQUIRED
        captcha.is_gone = True
        assert (await ask("good")).status_code == 429
        captcha.is_gone = False
        assert (await ask("good")).status_code == 204

        assert await approach(engine, 10) is None


@pytest.mark.usefixtures("real_time")
async def test_nobody_solves_it_for_another(serving, store):
    captcha = RecordedCaptcha("good")
    async with open_node(store, captcha) as (engine, guarding), asking(serving, guarding) as ask:
        await approach(engine)
        assert (await ask("good", who="ben")).status_code == 204

        assert await approach(engine, 1) is ErrorCode.CAPTCHA_REQUIRED


async def test_other_nodes_know_it_soon(store):
    """Whatever the store does meanwhile."""
    held, reads = Vigilance(has_captcha=True), store.documents.read
    other = Pardons(store.documents, SystemClock(), held, RecordedCaptcha())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other.run)
        async with open_engine(store) as engine:
            engine.vigilance = held
            assert await approach(engine) is ErrorCode.CAPTCHA_REQUIRED
            failures = [StoreUnavailable("away")]

            async def read(keys):
                if failures:
                    raise failures.pop()
                return await reads(keys)

            store.documents.read = read
            await store.documents.write([Change("pardon/anna", b"")])
            await trio.sleep(3)

            assert held.suspects() == []
            assert failures == []
        nursery.cancel_scope.cancel()


async def test_where_there_is_no_captcha_there_is_nothing_to_solve_and_off_is_off(store):
    async with open_node(store, None) as (engine, guarding):
        assert guarding.pardons is None
        assert engine.vigilance is not None
        assert await approach(engine, 30) is None
        assert engine.vigilance.factor("anna") == 0.25
    async with open_engine(store) as engine, open_guard(engine, GuardSettings(), bus=""):
        assert engine.vigilance is None
