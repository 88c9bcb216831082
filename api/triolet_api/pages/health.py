"""Health: whether the process lives, and whether it takes connections."""

from collections.abc import Callable
from typing import Final, Literal, final

import msgspec
from msgspec import Struct
from quart import Response

from ..dispatch import JSON_TYPE
from ..endpoints import Access, Call, endpoint


@final
class Live(Struct, frozen=True):
    """The process lives."""

    status: Literal["live"] = "live"


@final
class Readiness(Struct, frozen=True, omit_defaults=True):
    """Whether connections are welcome; `reason`: why not, in a word."""

    status: Literal["ready", "not ready"]
    reason: str = ""


_UNAVAILABLE: Final = 503


@final
class Health:
    """See the module. `why_not_ready`: why the engine takes no connections, if so."""

    def __init__(self, why_not_ready: Callable[[], str]) -> None:
        self._why_not_ready = why_not_ready

    @endpoint("GET", "/health/live", access=Access.ANYONE, rate="free")
    async def live(self, call: Call) -> Live:
        """Answer while the process lives."""
        del call
        return Live()

    @endpoint(
        "GET", "/health/ready", access=Access.ANYONE, rate="free", also=((_UNAVAILABLE, Readiness),)
    )
    async def ready(self, call: Call) -> Readiness | Response:
        """Say whether connections are welcome: 200, or 503 and why not.

        `draining`: it leaves. `store`: it cannot ask the store. `bus`: it hears no other node.
        """
        del call
        reason = self._why_not_ready()
        if not reason:
            return Readiness("ready")
        body = msgspec.json.encode(Readiness("not ready", reason))
        return Response(body, _UNAVAILABLE, content_type=JSON_TYPE)
