"""A bus and a store that count what nodes ask of them, and otherwise are what they wrap."""

import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias, final

from triolet.ports.bus import Heard

# By `bus.ring`, `store.heads` …: calls, and under `… doorbells`, `… rows` what they carried.
Counts: TypeAlias = Counter[str]


@final
class Counted:
    """Stands for a `Bus` or a `Store`: every method is the wrapped one's, and counted.

    Args:
        wrapped: whom to ask.
        name: `bus` or `store`, the first part of each key.
        counts: what is counted, of all nodes together.
    """

    def __init__(self, wrapped: object, name: str, counts: Counts) -> None:
        self._wrapped = wrapped
        self._name = name
        self._counts = counts

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._wrapped, attribute)
        if not inspect.iscoroutinefunction(found):
            return found
        counted = self._counting(f"{self._name}.{attribute}", found)
        # The next time it is found without us.
        setattr(self, attribute, counted)
        return counted

    def _counting(self, key: str, asked: Callable[..., Any]) -> Callable[..., Any]:
        async def counted(*args: object, **options: object) -> object:
            self._counts[key] += 1
            answer = await asked(*args, **options)
            self._weigh(key, args, answer)
            return answer

        return counted

    def _weigh(self, key: str, args: tuple[Any, ...], answer: Any) -> None:
        match key:
            case "bus.ring":
                self._counts["bus.ring doorbells"] += len(args[0])
                self._counts["bus.ring bytes"] += sum(len(one.frame) for one in args[0])
            case "bus.receive":
                assert isinstance(answer, Heard)
                self._counts["bus.receive doorbells"] += len(answer.doorbells)
                self._counts["bus.receive bytes"] += sum(len(one.frame) for one in answer.doorbells)
            case "bus.states":
                self._counts["bus.states rows"] += sum(map(len, answer))
            case "bus.follow" | "bus.unfollow" | "store.heads" | "store.append":
                self._counts[f"{key} rows"] += len(args[0])

    def append_now(self, batch: object) -> None:
        """Leave it to `append`, as a store beyond a network does."""
        del batch
