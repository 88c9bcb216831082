"""Laws of customers: what one address may hold and ask for, and that nothing of it stays."""

from hypothesis import given
from hypothesis import strategies as st

from triolet._domain.addresses import AddressRules, customer_of
from triolet._model.limits import Limits
from triolet._runtime.customers import Customers

LIMITS = Limits(
    address_connections_max=3,
    address_http_connections_max=2,
    address_commands_rate=10,
    address_commands_burst=5,
)


def customers(**rules):
    return Customers(AddressRules(**rules), LIMITS)


def test_an_address_has_so_many_connections_and_fewer_that_are_no_websocket():
    many = customers()
    one, two = many.enter("192.0.2.1", 0.0), many.enter("192.0.2.1", 0.0)
    assert not many.has_room("192.0.2.1"), "two have said nothing yet"
    assert many.has_room("192.0.2.2")
    many.upgraded(one)
    assert many.has_room("192.0.2.1")
    many.upgraded(many.enter("192.0.2.1", 0.0))
    assert not many.has_room("192.0.2.1", is_upgrade=True)
    many.leave(two, was_upgraded=False)

    assert many.has_room("192.0.2.1")


def test_addresses_of_one_ipv6_network_are_one_customer():
    many = customers()
    for last in "123":
        many.upgraded(many.enter(f"2001:db8::{last}", 0.0))

    assert not many.has_room("2001:db8::4")
    assert many.has_room("2001:db8:0:1::4")
    assert list(many.by_name) == ["2001:db8::/64"]


def test_this_machine_and_allowed_networks_are_not_counted():
    many = customers(allow=["192.0.2.0/24"])
    for address in ("127.0.0.1", "::1", "unix", "192.0.2.9"):
        assert [many.enter(address, 0.0) for _ in range(9)] == [None] * 9
        assert many.has_room(address)
    assert many.by_name == {}
    many.upgraded(None)
    many.leave(None, was_upgraded=True)


def test_whoever_hangs_up_and_comes_again_has_no_new_burst():
    many = customers()
    for _ in range(3):
        one = many.enter("192.0.2.1", 0.0)
        taken = [one.take_command(LIMITS, 0.0) == 0 for _ in range(5)]
        many.leave(one, was_upgraded=False)

    assert not any(taken)
    assert list(many.idle) == ["192.0.2.1"]
    many.leave(many.enter("192.0.2.7", 9.0), was_upgraded=False)
    assert (many.idle, many.by_name) == ({}, {}), "forgotten, once it is whole again"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]),
            st.sampled_from(["enter", "upgrade", "leave"]),
        )
    )
)
def test_counts_are_those_of_a_list_and_nothing_is_left_in_the_end(steps):
    many, held = customers(), []
    for address, step in steps:
        mine = [one for one in held if one[0] == address]
        if step == "enter":
            held.append([address, many.enter(address, 0.0), False])
        elif step == "upgrade" and mine and not mine[0][2]:
            many.upgraded(mine[0][1])
            mine[0][2] = True
        elif step == "leave" and mine:
            many.leave(mine[0][1], was_upgraded=mine[0][2])
            held.remove(mine[0])
        for name, one in many.by_name.items():
            known = [each for each in held if customer_of(each[0]) == name]
            assert one.connections == len(known)
            assert one.others == sum(not each[2] for each in known)
    for _, one, was_upgraded in held:
        many.leave(one, was_upgraded=was_upgraded)

    assert many.by_name == {}
