"""Where a contract's store lives, and the clock and entropy it is given."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar, final

import pytest

from ...ports.store import Store
from ..entropy import CountingEntropy

# A Tuesday in November 2023: any time will do, so long as it is not 0.
BEGINNING_MS = 1_700_000_000_000


@final
class StandingClock:
    """A wall clock that is moved by hand."""

    def __init__(self) -> None:
        self.ms = BEGINNING_MS

    def now_ms(self) -> int:
        """Return the time it was set to."""
        return self.ms


@final
class Home:
    """One store's place: a directory, a clock and entropy that outlive its openings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = StandingClock()
        self.entropy = CountingEntropy()
        self._children = 0

    def another(self) -> "Home":
        """Return a home beside this one, for a store that begins empty."""
        self._children += 1
        path = self.path / f"home-{self._children}"
        path.mkdir()
        home = Home(path)
        for _ in range(self._children):
            # Two stores do not begin with the same epoch.
            home.entropy.token()
        return home


class Contract:
    """What the parts of a contract share: how a store is opened."""

    # Whether what was acknowledged is there when the same home is opened again.
    durable: ClassVar[bool] = False

    pytestmark: ClassVar[list[Any]] = [pytest.mark.trio]

    @pytest.fixture
    def home(self, tmp_path: Path) -> Home:
        """A home for the stores of one test."""
        return Home(tmp_path)

    def open_store(self, home: Home) -> AbstractAsyncContextManager[Store]:
        """Open the adapter's store at `home`; called again to reopen it."""
        raise NotImplementedError

    def require_durable(self) -> None:
        """Skip the test for stores that forget."""
        if not self.durable:
            pytest.skip("this store forgets when it is closed")
