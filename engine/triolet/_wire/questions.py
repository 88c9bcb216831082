"""What a node asks all nodes, and what each answers: only while somebody looks."""

from typing import Literal, TypeAlias, final

from msgspec import Struct

from .._model.observation import Sample, SessionRow

# One row: a user, and how one node tells that they are, as `_domain.presence.Told` has it.
PersonRow: TypeAlias = tuple[str, Literal["online", "away"], bool, str, int]


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


@final
class PeopleWanted(Struct, frozen=True, array_like=True, tag="people?"):
    """Who is with you? At most `limit` of those behind `after`, by name."""

    after: str
    limit: int


@final
class HeadcountWanted(Struct, frozen=True, array_like=True, tag="heads?"):
    """How many are seen, of those whom you count?"""


Question: TypeAlias = (
    SampleWanted | SessionsWanted | SessionsEnding | PeopleWanted | HeadcountWanted
)


@final
class SessionsFound(Struct, frozen=True, array_like=True, tag="sessions"):
    """Sessions in order; `more`: there are others behind them."""

    rows: tuple[SessionRow, ...]
    more: bool


@final
class SessionsEnded(Struct, frozen=True, array_like=True, tag="ended"):
    """So many have ended."""

    count: int


@final
class PeopleFound(Struct, frozen=True, array_like=True, tag="people"):
    """Users by name, each with the node's word of them.

    Those who hide are among them, so that no other node's older word shows them.

    Attributes:
        end: the last one looked at, if there are others behind; empty: there are none.
    """

    rows: tuple[PersonRow, ...]
    end: str


@final
class Headcount(Struct, frozen=True, array_like=True, tag="heads"):
    """So many are seen."""

    count: int


Answer: TypeAlias = Sample | SessionsFound | SessionsEnded | PeopleFound | Headcount
