"""What a node asks all nodes, and what each answers: only while somebody looks."""

from typing import TypeAlias, final

from msgspec import Struct

from .._model.observation import Sample, SessionRow


@final
class SampleWanted(Struct, frozen=True, array_like=True, tag="sample?"):
    """How are you, and what have you counted?"""


@final
class SessionsWanted(Struct, frozen=True, array_like=True, tag="sessions?"):
    """Which sessions have you?

    Attributes:
        user: of whom; empty: of everybody.
        after: those behind this place, by user and session.
        limit: at most so many.
        session: this one alone; empty: whichever.
    """

    user: str
    after: tuple[str, str]
    limit: int
    session: str = ""


@final
class SessionsEnding(Struct, frozen=True, array_like=True, tag="end"):
    """End this session, or all of a user; what is empty matches nothing."""

    session: str
    user: str


Question: TypeAlias = SampleWanted | SessionsWanted | SessionsEnding


@final
class SessionsFound(Struct, frozen=True, array_like=True, tag="sessions"):
    """Sessions in order; `more`: there are others behind them."""

    rows: tuple[SessionRow, ...]
    more: bool


@final
class SessionsEnded(Struct, frozen=True, array_like=True, tag="ended"):
    """So many have ended."""

    count: int


Answer: TypeAlias = Sample | SessionsFound | SessionsEnded
