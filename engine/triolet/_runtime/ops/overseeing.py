"""What administrators ask: `stats`."""

from ..._model.commands import Observe
from ..._model.errors import ErrorCode, Refusal
from ..._model.events import Done
from ..pipeline import HANDLERS
from ..session import Session


def _stats(session: Session, command: Observe) -> None:
    identity = session.identity
    if identity is None or "admin" not in identity.roles:
        raise Refusal(ErrorCode.FORBIDDEN, "`stats` is for role `admin`")
    dashboard = session.engine.oversight.dashboard
    if command.on:
        dashboard.watch(session, command.interval_ms / 1000)
    else:
        dashboard.unwatch(session)
    # In order, so that nothing of it comes after it was stopped.
    session.write_in_order(Done(ref=command.ref))


HANDLERS[Observe] = _stats
