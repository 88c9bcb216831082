"""What an operator decides of administration."""

from typing import Annotated, final

from msgspec import Meta, Struct

from ..secret import Secret


@final
class AdminSettings(Struct, frozen=True, kw_only=True):
    """What admins may see, and for how long.

    Attributes:
        audit_days: how long is kept what admins did.
        backups_kept: so many backups of SQLite are kept, the oldest are removed; 0: all.
        metrics_token: lets whoever has it read `/metrics`; without one only this machine may.
    """

    audit_days: Annotated[int, Meta(ge=1, le=36_500)] = 400
    backups_kept: Annotated[int, Meta(ge=0, le=10_000)] = 7
    metrics_token: Secret | None = None
