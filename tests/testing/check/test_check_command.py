"""Law: `check FILE…` says 0 for a good history, 1 for a bad one with why, 2 for none."""

import random

import pytest
from checker_model import ModelSystem
from checker_mutations import an_entry_is_delivered_twice
from msgspec.structs import replace

from triolet.testing import history
from triolet.testing.__main__ import main
from triolet.testing.checker import Promise


@pytest.fixture
def write(tmp_path):
    def write_to(name, events):
        path = tmp_path / name
        with history.Writer(path) as writer:
            for event in events:
                writer.write(event)
        return str(path)

    return write_to


def good(seed=1):
    return ModelSystem(seed).run(100)


def test_a_good_history(write, capsys) -> None:
    events = good()

    assert main(["check", write("good", events)]) == 0

    out = capsys.readouterr().out
    assert out.startswith(f"{len(events)} events\n")
    assert out.endswith("\nevery promise holds\n")
    assert all(promise.value in out for promise in Promise if promise is not Promise.BOUNDED)
    # What had nothing to judge says so.
    assert "        -  no: a position was not recovered, though its entries are there" in out


def test_a_bad_history_is_told_with_its_counter_example(write, capsys) -> None:
    bad = an_entry_is_delivered_twice(good(), random.Random(1))

    assert main(["check", write("bad", bad)]) == 1

    out = capsys.readouterr().out
    assert "  1 TIMES: an entry came twice" in out
    assert "broken: once" in out
    assert "      time  " in out
    assert len(out.split("\n\n")[-1].splitlines()) == 4


def test_counter_examples_can_be_left_out(write, capsys) -> None:
    bad = an_entry_is_delivered_twice(good(), random.Random(1))

    assert main(["check", "--show", "0", write("bad", bad)]) == 1

    assert "      time  " not in capsys.readouterr().out


def test_several_files_are_one_history(write) -> None:
    """Each client its own recorder, and one for the world; a real clock never stands still."""
    events = [replace(event, t=event.t + i * 1e-6) for i, event in enumerate(good())]
    clients = dict.fromkeys(event.client for event in events)
    paths = [
        write(client or "world", [event for event in events if event.client == client])
        for client in clients
    ]

    assert main(["check", *paths]) == 0
    # Whoever is in a history is judged by it: here all of ben's clients are, and nobody else's.
    alone = [path for path in paths if path.endswith(("ben-1", "world"))]
    assert main(["check", *alone]) == 0


def test_bounds_can_be_others(write) -> None:
    events = [
        history.Opened(0, "a", user="anna"),
        history.Opened(0, "b", user="ben"),
        history.Connected(0, "a", 1),
        history.Connected(0, "b", 1),
        history.Presence(1, "a", 1, users=(("ben", "online", 0),)),
        history.Disconnected(2, "b", 1, told=True),
        history.Presence(25, "a", 1, users=(("ben", "offline", 0),)),
    ]
    path = write("ghost", events)

    assert main(["check", path]) == 0
    assert main(["check", "--lease", "5", path]) == 1
    assert main(["check", "--grace", "0", "--lease", "0", "--slack", "30", path]) == 0


def test_what_is_no_history_is_refused_with_its_place(tmp_path, capsys) -> None:
    path = tmp_path / "none"
    path.write_bytes(history.encode(history.Settled(1)) + b"none\n")

    assert main(["check", str(path)]) == 2
    assert f"{path}: line 2: JSON is malformed" in capsys.readouterr().err

    assert main(["check", str(tmp_path / "missing")]) == 2
    assert "missing: No such file" in capsys.readouterr().err


def test_help_names_every_bound(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--help"])

    out = capsys.readouterr().out
    assert all(
        option in out
        for option in (
            "--grace",
            "--lease",
            "--silence",
            "--typing",
            "--slack",
            "--ban",
            "--recheck",
        )
    )


def test_progress_is_told(write, capsys) -> None:
    main(["check", write("long", [history.Settled(t) for t in range(5000)])])

    assert "judging: 5000 of 5000\n" in capsys.readouterr().err
