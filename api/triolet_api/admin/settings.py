"""What an operator decides of administration."""

from typing import final

from msgspec import Struct


@final
class AdminSettings(Struct, frozen=True, kw_only=True):
    """What admins may see, and for how long."""
