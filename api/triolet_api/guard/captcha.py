"""CAPTCHAs: what a person has solved, verified by whoever set it."""

from typing import Final, Protocol, final

import trio

# Where answers are verified: the request is the same at both.
URLS: Final = {
    "turnstile": "https://challenges.cloudflare.com/turnstile/v0/siteverify",
    "hcaptcha": "https://api.hcaptcha.com/siteverify",
}
# What shows one in a page; it renders where it is told to.
SCRIPTS: Final = {
    "turnstile": "https://challenges.cloudflare.com/turnstile/v0/api.js?render=explicit",
    "hcaptcha": "https://js.hcaptcha.com/1/api.js?render=explicit",
}
# Where a page that shows one loads from, as the providers ask for: scripts and frames, and at one
# of them styles and requests too.
SOURCES: Final = {
    "turnstile": ("https://challenges.cloudflare.com",),
    "hcaptcha": ("https://hcaptcha.com", "https://*.hcaptcha.com"),
}
# Answers are up to 2 KiB at one, some 4 KiB at the other.
ANSWER_CHARS_MAX: Final = 8192


@final
class CaptchaUnavailable(Exception):
    """Whoever verifies answers cannot be asked."""


class Captcha(Protocol):
    """Verifies what somebody has solved."""

    async def verify(self, answer: str, address: str) -> bool:
        """Return whether an answer is good; each is, once.

        Raises:
            CaptchaUnavailable: that cannot be found out.
        """
        ...


@final
class RecordedCaptcha:
    """Takes the answers it was given, each once: for tests, and for trying a page out.

    Attributes:
        good: answers that are good.
        asked: what was asked, `(answer, address)`.
        is_gone: nothing can be found out.
    """

    def __init__(self, *good: str) -> None:
        self.good = list(good)
        self.asked: list[tuple[str, str]] = []
        self.is_gone = False

    async def verify(self, answer: str, address: str) -> bool:
        """See `Captcha`."""
        await trio.lowlevel.checkpoint()
        self.asked.append((answer, address))
        if self.is_gone:
            raise CaptchaUnavailable("gone")
        if answer not in self.good:
            return False
        self.good.remove(answer)
        return True
