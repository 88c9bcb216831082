"""Law: each command that is told of can be asked for help, and what is none is misuse."""

import pytest

from triolet.testing.__main__ import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_tells_what_it_is_for(name, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])

    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert f"python -m triolet.testing {name}" in out
    assert " ".join(COMMANDS[name].split()[:3]) in " ".join(out.split())


@pytest.mark.parametrize("arguments", [[], ["unheard"]])
def test_what_is_no_command_is_misuse(arguments, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: python -m triolet.testing" in capsys.readouterr().err
