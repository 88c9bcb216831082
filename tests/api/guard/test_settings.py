"""Laws of what is set against abuse: what cannot work is said by its name."""

import pytest

from triolet._model.errors import ConfigurationError
from triolet_api.settings import load_settings


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TRUSTED_PROXIES", "10.0.0.1/8", "10.0.0.0/8 has not"),
        ("DENY", "everybody", "no network"),
        ("ALLOW", "192.0.2.0/24, fe80::%eth0/64", "no network"),
        ("CAPTCHA_PROVIDER", "turnstile", "CAPTCHA_SECRET|captcha_secret"),
        ("FORWARDED_HEADER", "x-real-ip", "expected|Invalid"),
        ("READ_RATE", "0", ">|> 0"),
        ("CAPTCHA_SECRET", "hush…", "none of a provider's"),
        ("CAPTCHA_URL", "https://[::1/verify", "no URL"),
        ("CAPTCHA_URL", "https://:99999/verify", "no URL"),
    ],
)
def test_a_mistake_is_told(name, value, words):
    with pytest.raises(ConfigurationError, match=words):
        load_settings(environ={f"TRIOLET_GUARD_{name}": value})


def test_rules_are_what_was_set():
    environ = {
        "TRIOLET_GUARD_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8",
        "TRIOLET_GUARD_FORWARDED_HEADER": "forwarded",
        "TRIOLET_GUARD_DENY": "198.51.100.0/24",
    }
    rules = load_settings(environ=environ).guard.rules()

    assert rules.client("fd00::1", forwarded="for=192.0.2.1") == "192.0.2.1"
    assert rules.denies("198.51.100.9")


def test_a_captcha_has_a_secret_that_may_be_a_file(tmp_path):
    secret = tmp_path / "captcha"
    secret.write_text("hush\n")
    environ = {
        "TRIOLET_GUARD_CAPTCHA_PROVIDER": "hcaptcha",
        "TRIOLET_GUARD_CAPTCHA_SITE_KEY": "site",
        "TRIOLET_GUARD_CAPTCHA_SECRET_FILE": str(secret),
    }
    assert load_settings(environ=environ).guard.captcha_secret.reveal() == b"hush"
