"""Documents: small values by key, for what is kept beside rooms: accounts, preferences, bans.

What every adapter promises, and `triolet.testing.contracts` proves:

- *All or none.* The changes of one `write` happen together, or none of them does.
- *Compare and set.* A change may say which version it was decided on; two writers who decided
  on the same one cannot both succeed.
- *Durable.* When `write` has returned True, what it changed survives a crash.
- *In order.* Keys are text without U+0000, compared by code points; a scan sees one state.
- *Forgetful when told.* A document is not seen from its `expires_at` on, and removed later.

There are no indexes: who looks for something by two names writes two documents, in one `write`.
Keys are paths by convention, `account/anna`, so that a prefix names a collection.
"""

from collections.abc import Sequence
from typing import Protocol, final

from msgspec import Struct

# An index over longer keys is slow everywhere, and PostgreSQL has none beyond 2,700 bytes.
KEY_BYTES_MAX = 512
# A document is read whole; what is larger belongs into a file.
VALUE_BYTES_MAX = 256 * 1024
# Changes of one write, and keys of one read: a transaction that others do not wait for.
CHANGES_MAX = 1000


@final
class Document(Struct, frozen=True):
    """A value as it was read.

    Attributes:
        version: greater than every earlier one of the same key, also of one that was removed.
        expires_at: when it is gone, ms; 0: never.
    """

    key: str
    value: bytes
    version: int
    expires_at: int = 0


@final
class Change(Struct, frozen=True):
    """What is to become of one key.

    Attributes:
        value: the new value; None: there is to be none.
        version: what must be there for it to happen: the version that was read, 0: nothing;
            None: whatever there is.
        expires_at: when the new value is gone, ms; 0: never.
    """

    key: str
    value: bytes | None
    version: int | None = None
    expires_at: int = 0


class Documents(Protocol):
    """See the module."""

    async def read(self, keys: Sequence[str]) -> list[Document | None]:
        """Return the documents of these keys, in their order, None where there is none.

        Raises:
            StoreUnavailable: they could not be read.
            ValueError: more than `CHANGES_MAX` keys.
        """
        ...

    async def scan(
        self, prefix: str, *, after: str = "", limit: int, descending: bool = False
    ) -> list[Document]:
        """Return documents whose keys begin with `prefix`, by key, those behind `after`.

        Args:
            prefix: at least one character.
            after: a whole key; empty: from the first (descending: the last) on.
            limit: at most so many, 1 to 1,000.
            descending: the last key first; `after` means those with a smaller key then.

        Raises:
            StoreUnavailable: they could not be read.
            ValueError: a prefix or `after` that no key can be, or a limit out of range.
        """
        ...

    async def write(self, changes: Sequence[Change]) -> bool:
        """Make all changes, or none: False, if a version was another than a change says.

        The changes of one write name different keys.

        Raises:
            StoreUnavailable: nothing was changed.
            OutcomeUnknown: it may have been; read to find out.
            ValueError: a key that is empty, too large or no text, a value that is too large, a
                number below 0, a key twice, or more than `CHANGES_MAX` changes.
        """
        ...

    async def prune(self, *, now: int, limit: int) -> int:
        """Remove documents with `0 < expires_at <= now` (ms), at most `limit`; return how many.

        Raises:
            StoreError: it is tried again later.
        """
        ...
