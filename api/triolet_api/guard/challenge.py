"""What a page shows to whoever has to solve a CAPTCHA."""

from typing import final

import trio
from msgspec import Struct

from ..endpoints import Access, Call, endpoint
from .captcha import SCRIPTS
from .settings import CaptchaProvider, GuardSettings


@final
class CaptchaShown(Struct, frozen=True, kw_only=True):
    """Which CAPTCHA.

    Attributes:
        provider: whose; empty: there is none.
        site_key: what its script is given.
        script: what shows it in a page; empty: there is none.
    """

    provider: CaptchaProvider
    site_key: str
    script: str


@final
class Challenge:
    """See the module."""

    def __init__(self, settings: GuardSettings) -> None:
        self._shown = CaptchaShown(
            provider=settings.captcha_provider,
            site_key=settings.captcha_site_key,
            script=SCRIPTS.get(settings.captcha_provider, ""),
        )

    @endpoint("GET", "/v1/auth/captcha", access=Access.ANYONE, rate="free")
    async def captcha(self, call: Call) -> CaptchaShown:
        """Learn which CAPTCHA to show.

        Registering takes one where there is one, and so does signing in after failures, which is
        refused with `captcha_required` then. What it says goes into the header `X-Captcha`.
        """
        del call
        await trio.lowlevel.checkpoint()
        return self._shown
