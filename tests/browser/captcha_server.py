"""`triolet serve` with a CAPTCHA whose answers are verified here: "solved" is good.

What shows it in a page is the provider's, which a test stands in for.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from triolet_api.cli import cli
from triolet_api.guard import siteverify
from triolet_api.guard.captcha import RecordedCaptcha

ANSWERS_MAX = 100


@asynccontextmanager
async def recorded(url: str, secret: object, **how: Any) -> AsyncIterator[RecordedCaptcha]:
    del url, secret, how
    yield RecordedCaptcha(*["solved"] * ANSWERS_MAX)


if __name__ == "__main__":
    siteverify.SiteVerify = recorded  # type: ignore[misc, assignment]
    cli(prog_name="triolet")
