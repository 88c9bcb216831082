"""Law: the tables are total. Whatever happens in whatever state, a table says what follows.

Every table of the engine and its client is found here, so that no new one can be forgotten.
"""

import pkgutil
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from typing import Any, get_args

import pytest

import triolet
from triolet._model.commands import (
    Command,
    Hello,
    Observe,
    Refresh,
    Subscribe,
    Unsubscribe,
    Unwatch,
    Watch,
)
from triolet._runtime.pipeline import ALONE, HANDLERS
from triolet.client._requests import ON_LOSS

# Tables keyed by an enum that name some of its members only, and what the others mean.
PARTIAL = {
    "triolet._model.errors.CLOSE_OF_REFUSED_HELLO": "others close as unauthenticated",
    "triolet.ports.transfer._BY_ROOM": "rows of the others belong to no room",
    "triolet.ports.transfer._LARGE": "rows of the others are small",
    "triolet.ports.transfer._SMALL": "the others are read in pages",
    "triolet.ports.transfer._TAKE": "what is folded is only compared",
    "triolet.ports.transfer.TAKE": "what is folded is only compared",
}


def tables() -> Iterator[tuple[str, dict[Any, Any]]]:
    """Yield every module-level dict of the package that is keyed by enum members."""
    for module in pkgutil.walk_packages(triolet.__path__, "triolet."):
        if ".testing" in module.name or module.name.endswith("__main__"):
            continue
        for name, value in vars(import_module(module.name)).items():
            if isinstance(value, dict) and value and all(isinstance(key, Enum) for key in value):
                # Once each, whoever else imports it: where its states are, or its rows begin.
                yield f"{type(next(iter(value))).__module__}.{name}", value


NAMES = dict(tables())


def test_the_tables_are_found() -> None:
    """Those of cursor, session and presence, of the client and of the rooms it follows."""
    machines = [name for name, table in NAMES.items() if _is_machine(table)]

    assert {
        "triolet._domain.cursor.TRANSITIONS",
        "triolet._domain.presence.TRANSITIONS",
        "triolet._domain.session.TRANSITIONS",
        "triolet.client._following.TRANSITIONS",
        "triolet.client.state.TRANSITIONS",
    } <= set(machines)
    assert set(PARTIAL) <= set(NAMES)


def _is_machine(table: dict[Any, Any]) -> bool:
    return all(isinstance(row, dict) for row in table.values())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in PARTIAL])
def test_each_state_answers_each_event(name: str) -> None:
    """A row for each state, in it an answer for each event, and each answer is a state."""
    table = NAMES[name]
    states = type(next(iter(table)))
    assert list(states) == list(table)
    if not _is_machine(table):
        return
    events = {type(event) for row in table.values() for event in row}
    assert len(events) == 1
    for row in table.values():
        assert [event for kind in events for event in kind] == list(row)
        assert {type(after) for after in row.values()} == {states}


def test_each_state_can_be_reached_and_each_event_matters() -> None:
    """No row is dead, and no column: each event changes some state."""
    for name, table in NAMES.items():
        if not _is_machine(table):
            continue
        reached = [next(iter(table))]
        for state in reached:
            reached += [after for after in table[state].values() if after not in reached]
        assert set(table) == set(reached), name


def test_each_command_has_a_handler_and_a_fate() -> None:
    """In the engine, but for `hello`, which comes once; in the client, when a link is lost."""
    commands = set(get_args(Command))

    assert commands - {Hello} == set(HANDLERS)
    assert set(ON_LOSS) <= commands
    assert set(HANDLERS) - set(ALONE) == {
        Observe,
        Refresh,
        Subscribe,
        Unsubscribe,
        Unwatch,
        Watch,
    }
