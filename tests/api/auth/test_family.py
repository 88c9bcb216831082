"""Law: of all tokens a family ever had, one is good, and one more for a moment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet_api.auth.family import (
    Family,
    RefreshToken,
    Verdict,
    ended,
    expires_at,
    is_genuine,
    judge,
    network_of,
    read_refresh_token,
    rotated,
    write_refresh_token,
)

KEY = b"k" * 32
NOW = 1_700_000_000_000
GRACE = 10_000
DAY = 86_400_000


def family(**fields):
    plain = {"user": "anna", "id": "i" * 22, "salt": "s" * 22, "created": NOW, "used": NOW}
    return Family(**plain | fields)


def verdict(one, generation, *, later=0):
    return judge(one, generation, now=NOW + later, grace_ms=GRACE)


class TestJudging:
    def test_a_life(self):
        one = family()
        assert verdict(one, 0) is Verdict.ROTATE
        one = rotated(one, now=NOW)
        assert verdict(one, 1) is Verdict.ROTATE
        assert verdict(one, 0, later=GRACE - 1) is Verdict.REPEAT
        assert verdict(one, 0, later=GRACE) is Verdict.REUSED
        one = rotated(one, now=NOW)
        assert verdict(one, 0) is Verdict.REUSED
        assert verdict(one, 1) is Verdict.REPEAT
        assert [verdict(ended(one), n) for n in range(4)] == [Verdict.ENDED] * 4

    def test_without_a_grace_nothing_is_repeated(self):
        one = rotated(family(), now=NOW)
        assert judge(one, 0, now=NOW, grace_ms=0) is Verdict.REUSED

    def test_a_token_of_the_future_is_none(self):
        """As after a restored backup: nobody can say which of the two is the thief."""
        assert verdict(family(), 1) is Verdict.REUSED

    @given(
        generation=st.integers(0, 6),
        asked=st.integers(0, 8),
        later=st.integers(-1000, 3 * GRACE),
        grace=st.integers(0, GRACE),
    )
    def test_one_is_good_and_one_more_for_a_moment(self, generation, asked, later, grace):
        found = judge(family(generation=generation), asked, now=NOW + later, grace_ms=grace)
        assert (found is Verdict.ROTATE) == (asked == generation)
        assert (found is Verdict.REPEAT) == (asked == generation - 1 and later < grace)


class TestTokens:
    @given(generation=st.integers(0, 10**9 - 1))
    def test_a_token_is_read_as_it_was_written(self, generation):
        text = write_refresh_token(KEY, family(), generation)
        token = read_refresh_token(text)
        assert (token.user, token.family, token.generation) == ("anna", "i" * 22, generation)
        assert is_genuine(KEY, family(), token)
        assert text == write_refresh_token(KEY, family(), generation)

    @pytest.mark.parametrize(
        "other", [family(salt="t" * 22), family(id="j" * 22), family(user="ben")]
    )
    def test_it_is_one_familys(self, other):
        token = read_refresh_token(write_refresh_token(KEY, family(), 3))
        assert not is_genuine(KEY, other, token)
        assert not is_genuine(b"l" * 32, family(), token)
        assert not is_genuine(KEY, family(), RefreshToken("anna", "i" * 22, 4, token.mac))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "anna",
            "a:b:c:d",
            f"an na:{'i' * 22}:1:{'m' * 43}",
            f"anna:{'i' * 22}:-1:{'m' * 43}",
            f"anna:{'i' * 22}:1:{'m' * 43}\n",
            f"anna:{'i' * 22}:1:{'m' * 44}",
            f"anna:{'i' * 22}:1234567890:{'m' * 43}",
            f"anna:{'i' * 22}:\N{ARABIC-INDIC DIGIT ONE}:{'m' * 43}",
        ],
    )
    def test_what_is_none(self, text):
        assert read_refresh_token(text) is None

    def test_what_is_kept_is_no_token(self):
        """Whoever reads the store alone can sign in by none of it."""
        one = family()
        mac = read_refresh_token(write_refresh_token(KEY, one, 0)).mac
        assert mac not in repr(one)
        guessed = read_refresh_token(write_refresh_token(b"", one, 0))
        assert not is_genuine(KEY, one, guessed)


class TestLifetime:
    def test_use_prolongs_it_up_to_its_end(self):
        bounds = {"refresh_ttl_days": 30, "family_ttl_days": 365}
        assert expires_at(family(), **bounds) == NOW + 30 * DAY
        used = family(used=NOW + 100 * DAY)
        assert expires_at(used, **bounds) == NOW + 130 * DAY
        old = family(used=NOW + 360 * DAY)
        assert expires_at(old, **bounds) == NOW + 365 * DAY


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8:1:2:3:4:5:6", "::1", "127.0.0.1"])
def test_a_network_is_not_an_address(address):
    assert network_of(address) not in (address, "")
    assert network_of(address).endswith(("0/24", "::/48"))
