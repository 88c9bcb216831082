"""Revoking where no engine runs: servers feel it with their next look at the store."""

from typing import Final, final

from triolet._model.ids import subject_of
from triolet.ports.clock import Clock
from triolet.ports.people import People, Revocation

# Of a family no token counts any more, also none of a node whose clock is ahead (`Revocations`).
_AHEAD_MS: Final = 60_000


@final
class StoreRevoking:
    """See the module, and `families.Revoke`."""

    def __init__(self, people: People, clock: Clock) -> None:
        self._people = people
        self._clock = clock

    async def __call__(self, user: str, *, family: str = "") -> None:
        """Refuse the tokens of a user, or of one of the user's families.

        Raises:
            StoreError: they may still count.
        """
        not_before = self._clock.now_ms() + (_AHEAD_MS if family else 0)
        await self._people.revoke(Revocation(subject_of(user, family), not_before))
