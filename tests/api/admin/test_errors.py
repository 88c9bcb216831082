"""The last errors of the log: bounded, masked, and no longer than the block."""

import logging

from triolet._runtime.counters import Counters
from triolet_api.admin.errors import recent_errors

log = logging.getLogger("triolet.test")


def test_warnings_and_worse_are_kept_without_secrets():
    counters = Counters()
    with recent_errors(counters):
        log.info("nothing")
        log.warning("no answer from postgresql://anna:abc@db/chat, token=abc")
        try:
            raise KeyError("abc")
        except KeyError:
            log.exception("it failed")
    log.warning("later")
    rows = list(counters.errors)

    assert [row[1:] for row in rows] == [
        ("WARNING", "triolet.test", "no answer from postgresql://anna:***@db/chat, token=***"),
        ("ERROR", "triolet.test", "it failed: KeyError"),
    ]
    assert counters.errors_logged == 2


def test_only_the_last_ones_are_kept_and_short():
    counters = Counters()
    with recent_errors(counters):
        for number in range(200):
            log.error("%d %s", number, "x" * 5000)

    assert len(counters.errors) == 50
    assert max(len(row[3]) for row in counters.errors) == 300
    assert counters.errors[-1][3].startswith("199 ")
    assert counters.errors_logged == 200


def test_who_logs_does_not_fail_by_it(monkeypatch):
    """A message that does not fit its values is told as the standard library does."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    counters = Counters()
    with recent_errors(counters):
        log.error("%d of them", "many")
        log.error("later")

    assert [row[3] for row in counters.errors] == ["later"]
