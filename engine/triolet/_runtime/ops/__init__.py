"""How each op is carried out: one handler a command, gathered in `session.HANDLERS`."""

from . import live, messages, reading, rooms, subscriptions

__all__ = ["live", "messages", "reading", "rooms", "subscriptions"]
