"""Laws of `fuzz.guided`: it judges what it is led to, tells how far it is, and knows its end."""

import subprocess
import sys

import msgspec

from triolet.testing.fuzz.campaign import Budget
from triolet.testing.fuzz.guided import Order, Tally

# Leads to one input again and again, and writes where atheris does.
SCRIPT = """
import sys
import msgspec
from triolet._wire import frames
from triolet.testing.fuzz import guided

class Atheris:
    def Setup(self, arguments, judge):
        self.judge = judge
        print(arguments, file=sys.stderr)
    def Fuzz(self):
        print("of atheris", flush=True)
        while True:
            self.judge(bytes.fromhex(sys.argv[2]))

if sys.argv[3:]:
    frames._is_utf8 = lambda payload: True
guided.fuzz(Atheris(), msgspec.json.decode(sys.argv[1], type=guided.Order))
"""
# A text frame that is no UTF-8, behind the flags.
NO_UTF8 = "01000000" + "818100000000" + "ff"


def led(data, *planted, **budget):
    order = Order(target="frames", seed=5, budget=Budget(**budget), corpus="in", found="out")
    arguments = [msgspec.json.encode(order).decode(), data, *planted]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, timeout=250, check=False
    )
    tallies = [msgspec.json.decode(line, type=Tally) for line in done.stdout.splitlines()]
    return done, tallies


def test_it_ends_when_so_many_units_are_judged():
    done, tallies = led(NO_UTF8, units=300)

    assert done.returncode == 0
    assert tallies[-1].units == tallies[-1].inputs == 300
    assert [tally.used for tally in tallies] == [count / 300 for count in range(1, 301)]
    assert b"of atheris" in done.stderr


def test_it_ends_when_the_time_is_over_and_tells_a_thousandth_at_most():
    done, tallies = led(NO_UTF8, seconds=1)

    assert done.returncode == 0
    assert tallies[-1].used == 1.0
    assert len(tallies) <= 1_000
    for option in (b"-seed=5", b"-max_total_time=61", b"-artifact_prefix=out/", b"'in'"):
        assert option in done.stderr


def test_what_fails_is_raised_and_counted():
    done, tallies = led(NO_UTF8, "a bug", units=300)

    assert done.returncode == 1
    assert b"Violation" in done.stderr
    assert (tallies[-1].inputs, tallies[-1].units) == (1, 0)
