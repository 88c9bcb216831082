"""The recorded vectors are what the engine says and understands."""

import json
from typing import get_args

import msgpack
import msgspec
import pytest

from triolet._model.commands import Command
from triolet._model.events import Subscribed, SubscribedMany, Synced, Watching, Written
from triolet._wire.codec import OkReply, decode_command, decode_event, decode_reply, encode_command
from triolet.testing.__main__ import main
from triolet.testing.conformance.vectors import RECORDED, build, recorded

VECTORS = {f"{vector.side}: {vector.name}": vector for vector in recorded()}
OKS = {
    "ok, written": Written,
    "ok, subscribed": Subscribed,
    "ok, subscribed to several": SubscribedMany,
    "ok, synced": Synced,
    "ok, watching": Watching,
}


def payloads(vector):
    return (bytes.fromhex(vector.msgpack), "msgpack"), (vector.json.encode(), "json")


def test_what_was_recorded_is_what_would_be():
    """The wire of this version is frozen: a change of a vector is a change of the protocol."""
    assert recorded() == build()


@pytest.mark.parametrize("vector", VECTORS.values(), ids=list(VECTORS))
def test_both_payloads_carry_the_map(vector):
    """Judged by libraries that are not the engine's."""
    assert msgpack.unpackb(bytes.fromhex(vector.msgpack)) == vector.map
    assert json.loads(vector.json) == vector.map


@pytest.mark.parametrize("vector", [v for v in VECTORS.values() if v.side == "client"])
def test_the_engine_understands_the_clients_messages(vector):
    """Both formats are one command, and its own encoding carries the same map."""
    commands = [decode_command(payload, form) for payload, form in payloads(vector)]
    assert commands[0] == commands[1]
    again = msgspec.msgpack.decode(encode_command(commands[0], "msgpack"))
    # A field that has its default may be left out.
    assert again.items() <= vector.map.items()
    assert decode_command(encode_command(commands[0], "json"), "json") == commands[0]


@pytest.mark.parametrize("vector", [v for v in VECTORS.values() if v.side == "server"])
def test_the_client_understands_the_servers_messages(vector):
    events = [decode_event(payload, form) for payload, form in payloads(vector)]
    if vector.map["op"] == "horoscope":
        assert events == [None, None]
        return
    if isinstance(events[0], OkReply):
        kind = OKS.get(vector.name)
        if kind is None:
            return
        events = [decode_reply(payload, form, kind) for payload, form in payloads(vector)]
    assert events[0] == events[1]
    assert events[0] is not None


def test_every_op_has_a_vector():
    ops = {kind.__struct_config__.tag for kind in get_args(Command)}
    assert ops == {v.map["op"] for v in VECTORS.values() if v.side == "client"}


def test_the_command_writes_them(tmp_path, capsys):
    assert main(["conformance", "--vectors", str(tmp_path / "v.json")]) == 0
    assert (tmp_path / "v.json").read_bytes() == RECORDED.read_bytes()
    assert str(len(VECTORS)) in capsys.readouterr().out
