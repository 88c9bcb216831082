"""The guard of a running engine, put together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import final

from msgspec import Struct

from triolet._runtime.engine import Engine
from triolet._runtime.vigilance import Vigilance
from triolet.embedded import open_limiter

from .captcha import URLS, Captcha
from .logins import Logins
from .pardons import Pardons
from .rates import Guard
from .settings import GuardSettings


@final
class Guarding(Struct, frozen=True):
    """What it has; `pardons`: None where nobody looks for bots, or there is no CAPTCHA."""

    guard: Guard
    logins: Logins
    pardons: Pardons | None = None


@asynccontextmanager
async def open_guard(
    engine: Engine, settings: GuardSettings, *, bus: str, captcha: Captcha | None = None
) -> AsyncIterator[Guarding]:
    """Open the guard of an engine.

    Args:
        engine: with its rules of addresses, and its bans.
        settings: what an operator decided.
        bus: its URL, as a whole: nodes with the same Redis count together.
        captcha: what verifies answers, if not what is set.
    """
    async with AsyncExitStack() as stack:
        # Two: the many keys of requests must not make what is in memory forget those of logins.
        rates, tries = [
            await stack.enter_async_context(
                open_limiter(bus, entropy=engine.entropy, limits=engine.limits)
            )
            for _ in range(2)
        ]
        if captcha is None and settings.captcha_provider and settings.captcha_secret is not None:
            from .siteverify import SiteVerify  # noqa: PLC0415 - see there

            url = settings.captcha_url or URLS[settings.captcha_provider]
            captcha = await stack.enter_async_context(
                SiteVerify(url, settings.captcha_secret, timeout_s=settings.captcha_timeout_s)
            )
        vigilance = Vigilance(has_captcha=captcha is not None) if settings.bots else None
        pardons: Pardons | None = None
        if vigilance is not None and captcha is not None:
            pardons = Pardons(engine.store.documents, engine.clock, vigilance, captcha)
            engine.spawn(pardons.run)
        engine.vigilance = vigilance
        stack.callback(setattr, engine, "vigilance", None)
        entrance = engine.entrance
        yield Guarding(
            Guard(entrance, rates, engine.limits, settings, vigilance),
            Logins(
                tries,
                entrance.addresses,
                captcha,
                captcha_failures=settings.captcha_failures,
                captcha_fail_open=settings.captcha_fail_open,
                registered=None if vigilance is None else vigilance.registered,
            ),
            pardons,
        )
