"""Whoever asks something of the engine, as those see it who carry it out."""

from typing import TYPE_CHECKING, Protocol

from .._model.errors import Refusal
from .._model.events import Outgoing
from ..ports.gate import Identity

if TYPE_CHECKING:
    from .engine import Engine
    from .pipeline import Pipeline


class Asker(Protocol):
    """A session, or somebody who asks without one.

    Attributes:
        device: as others are told it.
        is_gone: nobody waits for answers any more.
        pipeline: what has been asked and is not answered yet.
    """

    user: str
    device: str
    is_gone: bool
    pipeline: "Pipeline"

    @property
    def engine(self) -> "Engine":
        """The engine that is asked."""
        ...

    @property
    def identity(self) -> Identity | None:
        """Who it is; not None once admitted."""
        ...

    def take_signal(self) -> float:
        """Admit one signal and return 0.0, or return how long to wait, s."""
        ...

    def write(self, outgoing: Outgoing) -> None:
        """Answer."""
        ...

    def refuse(self, refusal: Refusal, ref: int | None) -> None:
        """Answer a request with an error."""
        ...

    def look_again(self) -> None:
        """Know that something has been answered."""
        ...
