"""Laws of `triolet.testing.fuzz.grammar`: every op, well-formed; and damage that is noticed."""

from random import Random
from typing import get_args

from triolet._model.commands import Command
from triolet._wire.codec import BadCommand, decode_command
from triolet.testing.fuzz.grammar import command, damaged, encoded, one_of_each

FORMS = ("msgpack", "json")


def read(made, form):
    try:
        return decode_command(encoded(made, form), form)
    except BadCommand as bad:
        return bad


def test_every_op_is_made_with_and_without_each_of_its_fields():
    chance = Random(1)
    made = [command(chance) for _ in range(3_000)]
    for kind in get_args(Command):
        ours = [one for one in made if one["op"] == kind.__struct_config__.tag]
        for name in kind.__struct_encode_fields__:
            assert any(name in one for one in ours), (kind, name)


def test_most_commands_are_well_formed():
    chance = Random(2)
    made = [one for _ in range(50) for one in one_of_each(chance)]
    for form in FORMS:
        good = [not isinstance(read(one, form), BadCommand) for one in made]
        # A title of 65 characters is one, a user of that name is not.
        assert sum(good) > 0.85 * len(made)


def test_damage_is_refused_or_ignored_and_never_anything_else():
    chance = Random(3)
    found = [read(damaged(command(chance), chance), form) for form in FORMS for _ in range(500)]
    reasons = {one.failed.reason for one in found if isinstance(one, BadCommand)}

    assert reasons == {"malformed", "unknown_op", "invalid_field"}
    assert any(not isinstance(one, BadCommand) for one in found)
