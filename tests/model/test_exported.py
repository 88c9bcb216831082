"""Laws of what is handed to a user: each kind says which it is, and absent fields are left out."""

import msgspec
import pytest

from triolet._model.exported import (
    Exported,
    ExportedDocument,
    ExportedMessage,
    ExportedPerson,
    ExportedReaction,
    ExportedRoom,
)

KINDS = {
    "person": ExportedPerson(user="anna"),
    "room": ExportedRoom(room="tea", room_kind="group", title="Tea", role=None),
    "message": ExportedMessage(room="tea", seq=3, at=5, body={"text": "hi"}),
    "reaction": ExportedReaction(room="tea", target=3, emoji="x", at=6),
    "document": ExportedDocument(key="account/anna", value=b"\x00"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_comes_back_as_what_it_was(kind: str) -> None:
    encoded = msgspec.json.encode(KINDS[kind])
    assert msgspec.json.decode(encoded)["kind"] == kind
    assert msgspec.json.decode(encoded, type=Exported) == KINDS[kind]


def test_what_is_absent_is_left_out() -> None:
    assert set(msgspec.json.decode(msgspec.json.encode(KINDS["message"]))) == {
        "kind",
        "room",
        "seq",
        "at",
        "body",
    }
