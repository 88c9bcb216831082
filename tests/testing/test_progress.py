"""What a command tells of how far it is, where nobody looks at a terminal."""

from triolet.testing.progress import bar


def test_a_line_for_each_twentieth_part(capsys):
    """Not one for each unit, which would flood a log."""
    with bar("seeds", 1000) as progress:
        for _ in range(1000):
            progress.advance()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 20
    assert lines[0] == "seeds: 50 of 1000"
    assert lines[-1] == "seeds: 1000 of 1000"


def test_several_units_at_once(capsys):
    with bar("frames", 10) as progress:
        progress.advance(10)
    assert capsys.readouterr().err == "frames: 10 of 10\n"
