"""What an operator decides of accounts."""

from typing import final

from msgspec import Struct


@final
class AuthSettings(Struct, frozen=True, kw_only=True):
    """Accounts and the tokens they get."""
