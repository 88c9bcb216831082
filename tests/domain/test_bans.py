"""Laws of bans: one a user and one a network, found by whom they hold, until they end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet._domain.addresses import address_of, network_of
from triolet._domain.bans import Ban, BanTable, banned, key_of

NETWORKS = ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "::/0", "2001:db8::/32"]
ADDRESSES = ["10.1.2.3", "10.1.9.9", "10.9.9.9", "192.0.2.1", "2001:db8::1", "fe80::1", "nonsense"]
bans = st.builds(
    Ban, network=st.sampled_from(NETWORKS), until=st.integers(0, 3), reason=st.text(max_size=2)
) | st.builds(Ban, user=st.sampled_from("ab"), until=st.integers(0, 3))


@given(st.lists(bans | st.sampled_from(["forget"])), st.integers(0, 4))
def test_a_table_knows_what_a_list_of_the_latest_bans_knows(steps, now):
    table, model = BanTable(), {}
    for step in steps:
        if step == "forget":
            table.forget(now)
            model = {key: ban for key, ban in model.items() if not 0 < ban.until <= now}
        else:
            table.put(step)
            model[step.key] = step
    hold = [ban for ban in model.values() if not 0 < ban.until <= now]

    assert len(table) == len(model)
    assert sorted(one.key for one in table) == sorted(model)
    for user in "abc":
        assert table.of_user(user, now=now) in ([b for b in hold if b.user == user] or [None])
    for text in ADDRESSES:
        at = address_of(text)
        fit = [
            ban
            for ban in hold
            if ban.network and at is not None and at.version == network_of(ban.network).version
            if at in network_of(ban.network)
        ]
        assert table.of_address(text, now=now) in (fit or [None])
    for key in list(model):
        table.drop(key)
        assert table.get(key) is None
    assert len(table) == 0
    assert table.of_address("10.1.2.3", now=0) is None


def test_a_ban_that_is_over_hides_none_that_holds():
    table = BanTable([Ban(network="10.1.0.0/16", until=5), Ban(network="10.0.0.0/8")])

    assert table.of_address("10.1.2.3", now=9).network == "10.0.0.0/8"


def test_a_network_is_kept_in_one_way_only():
    assert key_of(network="::ffff:192.0.2.1") == key_of(network="192.0.2.1/32")
    assert banned(Ban(network="2001:DB8::"), now=1).network == "2001:db8::/128"


@pytest.mark.parametrize(
    "ban",
    [Ban(), Ban(user="a", network="::/0"), Ban(user="a/b"), Ban(network="x"),
     Ban(user="a", until=7), Ban(user="a", until=-1), Ban(user="a", reason="x" * 501)],
)  # fmt: skip
def test_what_is_no_ban(ban):
    with pytest.raises(ValueError, match=r"ban|name|network|reason"):
        banned(ban, now=7)
