"""`python -m triolet.testing`: each command has a module, a help, and an exit status."""

import pytest

from triolet.testing.__main__ import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_there_and_helps(name, capsys):
    """`--help` leaves with 0 and says what the command is for."""
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    assert COMMANDS[name].split(":")[0].split(",")[0] in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arguments", [[], ["tea"], ["world", "--tea"]])
def test_misuse_leaves_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage:" in capsys.readouterr().err
