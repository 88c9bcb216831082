"""How each op is carried out: one handler a command, gathered in `session.HANDLERS`."""

from . import live, messages, overseeing, reading, rooms, subscriptions

__all__ = ["live", "messages", "overseeing", "reading", "rooms", "subscriptions"]
