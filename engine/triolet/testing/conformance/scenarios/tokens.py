"""Scenes of tokens that end, and of refusals after which a client has to stop."""

from collections.abc import Sequence
from typing import ClassVar, Final, final

import trio

from ..program import Printed
from ..scene import Scene
from ..visit import Asked, Visit

_LIFETIME_MS: Final = 3000


@final
class Expiring(Scene):
    """The token is about to end: a newer one comes over the same connection."""

    name = "token-expiring"
    clause = "Opening: `token_expiring` and `refresh`"
    sends = 0
    lines = ("one",)

    async def hello(self, visit: Visit, asked: Asked) -> None:
        """Say so at once."""
        self.check_token(asked.fields.get("token"))
        ends = self.stage.now_ms() + _LIFETIME_MS
        visit.welcome(expires_at=ends)
        visit.put({"op": "notice", "kind": "token_expiring", "expires_at": ends})
        assert self.stage.nursery is not None
        self.stage.nursery.start_soon(self._expire, visit)

    async def _expire(self, visit: Visit) -> None:
        await trio.sleep(_LIFETIME_MS / 1000)
        if not self.stage.asked("refresh"):
            self.stage.complain("it let its token end, and was told before")
            await visit.socket.close(4002, "token_expired")

    async def refresh(self, visit: Visit, asked: Asked) -> None:
        """Take a newer token."""
        if asked.fields.get("token") == self.stage.asked("hello")[0].fields.get("token"):
            self.stage.complain("it refreshed with the token that is about to end")
        await super().refresh(visit, asked)
        self.finish()

    def is_done(self) -> bool:
        """Whether it was refreshed."""
        return bool(self.stage.asked("refresh")) or len(self.stage.visits) > 1


@final
class Expired(Scene):
    """The token has ended: the client comes back with a newer one, and resumes."""

    name = "token-expired"
    clause = "Closes: 4002"
    lines = ("one", "two")

    async def followed(self, visit: Visit) -> None:
        """Close the first connection."""
        await super().followed(visit)
        if visit.number == 1:
            await visit.settle()
            visit.position = None
            await visit.socket.close(4002, "token_expired")

    def check_token(self, token: object) -> None:
        """The first token is good once."""
        super().check_token(token)
        first = self.stage.visits[0].asked[0].fields.get("token")
        if len(self.stage.visits) > 1 and token == first:
            self.stage.complain("it came back with the token that has ended")


@final
class RefusedHello(Scene):
    """The token has ended before it is used: `hello` is refused, and another one is fetched."""

    name = "hello-refused"
    clause = "A refused hello"

    async def hello(self, visit: Visit, asked: Asked) -> None:
        """Refuse the first one."""
        if visit.number > 1:
            if asked.fields.get("token") == self.stage.visits[0].asked[0].fields.get("token"):
                self.stage.complain("it says hello again with the token that has ended")
            await super().hello(visit, asked)
            return
        visit.refuse(asked, 1002, "token_expired")
        await visit.settle()
        await visit.socket.close(4002, "token_expired")


class _Stopping(Scene):
    """A close after which a client does not come back."""

    sends = 0
    ends = False
    code: ClassVar[int]
    lines = ("one",)

    async def followed(self, visit: Visit) -> None:
        """Close, and watch for a while."""
        await super().followed(visit)
        await visit.settle()
        await visit.socket.close(self.code, "stop")

    def judge(self, printed: Sequence[Printed]) -> None:
        """Also: it stopped, and said so."""
        super().judge(printed)
        if [line.stopped for line in printed if line.stopped is not None] != [self.code]:
            self.stage.complain(f"closed with {self.code}, it did not say that it stopped")
        if len(self.stage.attempts) > 1:
            self.stage.complain(f"closed with {self.code}, it came back")


@final
class Revoked(_Stopping):
    """The user's tokens were revoked."""

    name = "revoked"
    clause = "Closes: 4001"
    code = 4001


@final
class Banned(_Stopping):
    """The user was banned."""

    name = "banned"
    clause = "Closes: 4003"
    code = 4003


SCENES: Final = (Expiring, Expired, RefusedHello, Revoked, Banned)
