"""What an operator decides of browsers."""

from typing import final

from msgspec import Struct


@final
class WebSettings(Struct, frozen=True, kw_only=True):
    """What browsers are told."""
