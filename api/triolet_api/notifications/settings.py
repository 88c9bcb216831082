"""What an operator decides of notifications."""

from typing import final

from msgspec import Struct


@final
class PushSettings(Struct, frozen=True, kw_only=True):
    """Web Push."""


@final
class MailSettings(Struct, frozen=True, kw_only=True):
    """Digests by e-mail."""


@final
class WebhookSettings(Struct, frozen=True, kw_only=True):
    """Notifications to a service of one's own."""
