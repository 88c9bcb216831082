"""Laws of a user who is here: each node admits its part of what one node would."""

from triolet._model.commands import Send
from triolet._model.limits import Limits
from triolet._runtime.present import Present

LIMITS = Limits(commands_rate=10, commands_burst=12)


def taken(present, now):
    """Return how many commands are admitted at one moment."""
    count = 0
    while present.take_command(Send, 1.0, LIMITS, now) == 0:
        count += 1
    return count


def test_a_user_of_one_node_has_the_whole_burst_and_then_the_rate():
    anna = Present("anna")
    assert taken(anna, 0.0) == 12
    assert anna.take_command(Send, 1.0, LIMITS, 0.0) > 0
    assert taken(anna, 1.0) == 10


def test_a_user_of_several_nodes_has_a_part_of_both_on_each():
    anna = Present("anna")
    anna.share(2)
    assert taken(anna, 0.0) == 6
    assert taken(anna, 1.0) == 5


def test_a_user_who_is_on_fewer_nodes_again_has_more_here():
    anna = Present("anna")
    anna.share(2)
    taken(anna, 0.0)
    anna.share(1)
    assert taken(anna, 1.0) == 10
