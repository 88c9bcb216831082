"""Tasks of an adapter beside its user's block."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_tasks() -> AsyncIterator[trio.Nursery]:
    """Have a nursery whose tasks are cancelled when the block ends.

    What the block raises leaves it as it is, not in a group: whoever opens a store expects a
    `StoreUnavailable`, and knows nothing of our tasks.
    """
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except Exception as error:  # noqa: BLE001 - raised below
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
