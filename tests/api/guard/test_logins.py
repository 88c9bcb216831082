"""Laws of sign-in attempts: guessing gets slower, and no guesser keeps somebody else out."""

import pytest
import trio
from msgspec import Struct

from triolet._domain.addresses import AddressRules
from triolet._model.errors import ErrorCode, Refusal
from triolet.adapters.memory import MemoryLimiter
from triolet_api.guard.captcha import RecordedCaptcha
from triolet_api.guard.logins import Logins

HERE, THERE = "192.0.2.1", "198.51.100.1"


class Attempt(Struct, frozen=True, kw_only=True):
    kind: str = "login"
    user: str = "anna"
    address: str = HERE
    captcha: str = ""


def logins(captcha=None, *, limiter=None, **rules):
    return Logins(limiter or MemoryLimiter(), AddressRules(**rules), captcha)


async def refused(guard, **fields):
    """Return why an attempt may not be made, None: it may."""
    try:
        await guard.check(Attempt(**fields))
    except Refusal as refusal:
        return refusal
    return None


async def fails(guard, times=1, **fields):
    """Fail as often as one may, up to a number; return how often that was."""
    for count in range(times):
        if await refused(guard, **fields):
            return count
        await guard.failed(Attempt(**fields))
    return times


# --- from one address ----------------------------------------------------------------------------


async def test_from_one_address_it_gets_slower_from_seconds_to_an_hour():
    guard, waits = logins(), []
    for _ in range(25):
        refusal = await refused(guard)
        waits.append(0 if refusal is None else refusal.retry_after_ms / 1000)
        if refusal is not None:
            assert refusal.code is ErrorCode.RATE_LIMITED
            await trio.sleep(waits[-1])
            assert await refused(guard) is None, "as it was told"
        await guard.failed(Attempt())

    assert waits[:5] == [0] * 5
    assert 25 < waits[6] <= 31
    assert 200 < waits[12] <= 301
    assert 3000 < waits[-1] <= 3601


async def test_attempts_at_once_are_counted_before_any_of_them_has_failed():
    guard, passed = logins(), []

    async def attempt():
        passed.append(await refused(guard) is None)

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(attempt)
    assert sum(passed) == 5


async def test_who_has_got_it_right_begins_anew():
    guard = logins()
    for _ in range(12):
        assert await fails(guard, 4) == 4
        assert await refused(guard) is None
        await guard.succeeded(Attempt())


async def test_a_password_that_is_changed_is_guessed_no_sooner_than_one_that_signs_in():
    guard = logins()
    assert await fails(guard, 9) == 5
    assert (await refused(guard, kind="password")).code is ErrorCode.RATE_LIMITED


async def test_addresses_of_one_ipv6_network_are_one():
    guard = logins()
    for last in range(5):
        assert await refused(guard, address=f"2001:db8::{last}") is None
    assert await refused(guard, address="2001:db8::ffff")
    assert await refused(guard, address="2001:db8:0:1::1") is None


async def test_many_names_from_one_address_end_at_its_bound_and_not_from_this_machine():
    guard = logins()
    tried = 0
    while await fails(guard, user=f"user-{tried}"):
        tried += 1
        assert tried < 100
    assert tried == 60
    assert await refused(guard, user="another", address=THERE) is None
    for number in range(100):
        assert await fails(guard, user=f"user-{number}", address="127.0.0.1") == 1


# --- from many addresses -------------------------------------------------------------------------


async def flood(guard, user="anna"):
    """Guess as one user from many addresses until nothing more is let in."""
    for number in range(200):
        if not await fails(guard, user=user, address=f"203.0.113.{number}"):
            return number
    raise AssertionError("it never ends")


async def test_guesses_from_everywhere_are_bounded_and_keep_nobody_out_who_was_there_before():
    guard = logins()
    await guard.succeeded(Attempt())
    assert 100 == await flood(guard)

    assert (await refused(guard, address=THERE)).code is ErrorCode.RATE_LIMITED
    assert await refused(guard) is None, "from here anna has signed in before"
    assert await refused(guard, user="ben", address=THERE) is None
    await trio.sleep(3600)
    assert await refused(guard, address=THERE) is None


async def test_with_captchas_nobody_is_kept_out_by_others():
    captcha = RecordedCaptcha("solved")
    guard = logins(captcha)
    for number in range(110):
        await guard.failed(Attempt(address=f"203.0.113.{number}"))

    assert (await refused(guard, address=THERE)).code is ErrorCode.CAPTCHA_REQUIRED
    assert await refused(guard, address=THERE, captcha="solved") is None


# --- CAPTCHAs ------------------------------------------------------------------------------------


async def test_after_failures_of_a_user_or_an_address_signing_in_takes_one():
    captcha = RecordedCaptcha("one", "two", "three")
    guard = logins(captcha)
    assert await fails(guard, 9) == 3
    for fields in ({}, {"user": "ben"}, {"address": THERE}):
        assert (await refused(guard, **fields)).code is ErrorCode.CAPTCHA_REQUIRED
    assert await refused(guard, user="ben", address=THERE) is None
    assert captcha.asked == []
    assert (await refused(guard, captcha="wrong")).code is ErrorCode.CAPTCHA_REQUIRED
    assert await refused(guard, captcha="one") is None
    assert (await refused(guard, captcha="one")).code is ErrorCode.RATE_LIMITED
    assert captcha.asked == [("wrong", HERE), ("one", HERE)], "guesses are counted all the same"


async def test_not_to_have_solved_one_yet_costs_no_attempt():
    guard = logins(RecordedCaptcha("solved"))
    await fails(guard, 3)
    for _ in range(20):
        await refused(guard)
    assert await refused(guard, captcha="solved") is None


async def test_registering_takes_one_always_and_is_bounded_by_address():
    guard = logins(RecordedCaptcha(*map(str, range(40))))
    assert (await refused(guard, kind="register")).code is ErrorCode.CAPTCHA_REQUIRED
    made = 0
    while not (refusal := await refused(guard, kind="register", captcha=str(made))):
        made += 1
    assert (made, refusal.code) == (30, ErrorCode.RATE_LIMITED)
    assert await refused(guard, kind="register", address=THERE, captcha="35") is None
    assert await refused(logins(), kind="register") is None, "where there is none"


@pytest.mark.parametrize(("is_open", "expected"), [(False, ErrorCode.RATE_LIMITED), (True, None)])
async def test_while_none_can_be_verified_nobody_passes_unless_it_is_set(is_open, expected):
    captcha = RecordedCaptcha()
    captcha.is_gone = True
    guard = Logins(MemoryLimiter(), AddressRules(), captcha, captcha_fail_open=is_open)
    refusal = await refused(guard, kind="register", captcha="something")

    assert (refusal.code if refusal else None) is expected
    assert (await refused(guard, kind="register")).code is ErrorCode.CAPTCHA_REQUIRED


async def test_names_that_are_taken_count_as_failures_of_who_registers_and_of_no_user():
    guard = logins()
    for number in range(70):
        await guard.failed(Attempt(kind="register", address=f"203.0.113.{number}"))
    assert await refused(guard, address=THERE) is None
    for _ in range(60):
        await guard.failed(Attempt(kind="register"))
    assert (await refused(guard, user="ben")).code is ErrorCode.RATE_LIMITED


async def test_nodes_that_share_a_limiter_count_together():
    limiter = MemoryLimiter()
    one, other = logins(limiter=limiter), logins(limiter=limiter)
    assert await fails(one, 3) == 3
    assert await fails(other, 9) == 2
