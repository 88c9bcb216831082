"""What an operator decides of administration."""

from collections.abc import Iterator
from typing import Annotated, Final, final

from msgspec import Meta, Struct

from ..secret import Secret

# From this machine nobody counts how often it is guessed at: 128 bits, as hex digits or better.
_KEY_BYTES_MIN: Final = 22


@final
class AdminSettings(Struct, frozen=True, kw_only=True):
    """What admins may see, and for how long.

    Attributes:
        audit_days: how long is kept what admins did.
        backups_kept: so many backups of SQLite are kept, the oldest are removed; 0: all.
        metrics_token: lets whoever has it read `/metrics`, as admins may; at least 22 bytes.
    """

    audit_days: Annotated[int, Meta(ge=1, le=36_500)] = 400
    backups_kept: Annotated[int, Meta(ge=0, le=10_000)] = 7
    metrics_token: Secret | None = None

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """Yield `(setting, what is wrong with it)`."""
        if self.metrics_token is not None and len(self.metrics_token.reveal()) < _KEY_BYTES_MIN:
            yield "metrics_token", f"at least {_KEY_BYTES_MIN} bytes, or it can be guessed"
