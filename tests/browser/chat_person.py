"""Somebody at a browser, and two who meet in a room."""

import time
from contextlib import contextmanager

PASSWORD = "a horse that is correct"
# A machine that does much else beside is slow; and who comes back may wait for its turn.
TIMEOUT_MS = 60_000
BACK_TIMEOUT_MS = 120_000


def until(page, is_so):
    """Wait for something that the page's policy does not let Playwright ask in the page.

    Or for what Playwright is told meanwhile: a function of no arguments.
    """
    look = is_so if callable(is_so) else lambda: page.evaluate(is_so)
    end = time.monotonic() + TIMEOUT_MS / 1000
    while not look():
        assert time.monotonic() < end, is_so
        page.wait_for_timeout(50)


class Person:
    """Somebody at a browser of their own; what the page complains of is in `complaints`."""

    def __init__(self, browser, server, name, *, at="/", **how):
        self.context = browser.new_context(viewport={"width": 1100, "height": 720}, **how)
        self.context.set_default_timeout(TIMEOUT_MS)
        self.page = self.context.new_page()
        self.server, self.name = server, name
        self.complaints = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)
        # A page tells itself of what its policy has kept from it.
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) =>"
            " console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"
        )
        self.page.goto(server.url + at)

    def _heard(self, message):
        # What a browser says of itself when a server is gone is meant by the test.
        is_of_network = "net::ERR" in message.text or "WebSocket connection to" in message.text
        if message.type in ("error", "warning") and not is_of_network:
            self.complaints.append(message.text)

    def sign(self, how):
        self.page.fill("#user", self.name)
        self.page.fill("#password", PASSWORD)
        self.page.click(f"#sign-in button[value={how}]")
        self.page.wait_for_selector("#app:not([hidden])")
        self.wait_state("online")
        return self

    def wait_state(self, state):
        self.page.wait_for_selector(f"body[data-state={state}]", timeout=BACK_TIMEOUT_MS)

    def begin_with(self, other):
        self.page.click("#new")
        self.page.fill("#begin-person", other)
        self.page.click("#begin-direct button")
        # Another room may be open already: this one is when the dialog has gone.
        self.page.wait_for_selector("#begin", state="hidden")
        self.page.wait_for_selector("#conversation:not([hidden])")

    def enter(self, title):
        self.page.click(f".room:has-text('{title}')")
        self.page.wait_for_selector("#conversation:not([hidden])")

    def say(self, text):
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")

    def sees(self, text):
        self.page.wait_for_selector(f".bubble p:text-is('{text}')")

    def texts(self):
        return self.page.locator(".bubble p").all_inner_texts()

    def marks(self, text):
        """The mark of my message, once it is `read`, `delivered` …"""
        return self.page.locator(f".message:has(p:text-is('{text}')) .mark")

    def wait_mark(self, text, mark):
        """Wait until my message got so far.

        One that is not stored yet can be neither edited nor pointed at; each mark draws it anew.
        """
        self.page.wait_for_selector(f".message:has(p:text-is('{text}')) .mark.{mark}")

    def open_settings(self):
        """Open the dialog, and return its form when it shows what is kept."""
        self.page.click("#open-settings")
        self.page.wait_for_selector("#settings", state="visible")
        # Disabled until then.
        self.page.wait_for_selector("#settings-form .primary:enabled")
        return self.page.locator("#settings-form")

    def save_settings(self):
        self.page.click("#settings-form .primary")
        self.page.wait_for_selector("#settings", state="hidden")

    def resize(self, width, height):
        """Make the window so large; the page is told of it a little later."""
        self.page.set_viewport_size({"width": width, "height": height})
        until(self.page, f"innerWidth === {width}")


@contextmanager
def meeting(browser, server, **how):
    """Two people who have signed up, in a room; at the end nothing has been complained of."""
    meeting.number += 1
    anna = Person(browser, server, f"anna{meeting.number}", **how).sign("register")
    ben = Person(browser, server, f"ben{meeting.number}", **how).sign("register")
    anna.begin_with(ben.name)
    try:
        yield anna, ben
        assert anna.complaints == [], anna.complaints
        assert ben.complaints == [], ben.complaints
    finally:
        anna.context.close()
        ben.context.close()


meeting.number = 0
