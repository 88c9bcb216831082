"""What an operator decides against abuse."""

from typing import final

from msgspec import Struct


@final
class GuardSettings(Struct, frozen=True, kw_only=True):
    """Who may come, and how often."""
