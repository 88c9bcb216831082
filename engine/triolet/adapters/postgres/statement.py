"""A statement: its text, the types of its parameters, and whether it writes."""

import hashlib
import struct
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, final

from .failures import Refused
from .kinds import Kind

Row: TypeAlias = tuple[Any, ...]
# All rows of an answer, each column as Python's own type: int, float, bool, str, bytes, None,
# lists of these for arrays, and datetimes, Decimals or parsed JSON where a column is of them.
Rows: TypeAlias = list[Row]

_NOT_A_VALUE: Final = (struct.error, UnicodeError, OverflowError, TypeError, AttributeError)


@final
class Statement:
    """One SQL statement, made once and run often; its parameters are `$1`, `$2`, …

    >>> from .kinds import INT8S, TEXT
    >>> heads = Statement("SELECT head FROM heads WHERE id = ANY ($1) AND owner = $2", INT8S, TEXT)

    Attributes:
        sql: its text.
        writes: when its answer is lost, it may have been done. What only reads is asked again.
        within_s: an answer that takes longer is given up; None: the pool's limit.
        name: under which it is prepared: the same in every process, as poolers like it.
    """

    def __init__(
        self, sql: str, *kinds: Kind, writes: bool = False, within_s: float | None = None
    ) -> None:
        self.sql = sql
        self.writes = writes
        self.within_s = within_s
        self.oids = [kind.oid for kind in kinds]
        self.formats = [1] * len(kinds)
        self.text = sql.encode()
        digest = hashlib.blake2s(self.text + repr(self.oids).encode(), digest_size=12)
        self.name = b"triolet_" + digest.hexdigest().encode()
        self._encoders = [kind.encode for kind in kinds]

    def encoded(self, parameters: Sequence[object]) -> list[bytes | None]:
        """Return the parameters as PostgreSQL takes them.

        Raises:
            Refused: 22000: a value is not of its type: too great a number, no Unicode.
        """
        try:
            return [
                None if value is None else encode(value)
                for encode, value in zip(self._encoders, parameters, strict=True)
            ]
        except _NOT_A_VALUE as error:
            raise Refused("22000", f"a parameter of {self.sql!r}: {error}") from error
