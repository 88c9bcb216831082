"""Settings of the chat page: who sees me, and what I am told of."""

import pytest
from chat_person import meeting, until

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

ASK = """async () => {
    const { Account } = await import("/assets/account.js");
    return await Account.kept().ask("GET", "%s");
}"""
PREFERENCES = ASK % "/v1/notifications/preferences"
SEEN = ASK % "/v1/presence/me"


def test_who_wishes_to_be_seen_by_nobody_is_not(browser, server, axe):
    """At once, and the wish is shown to oneself afterwards, also after a reload."""
    with meeting(browser, server) as (anna, ben):
        ben.enter(anna.name)
        expect(ben.page.locator("#room-about")).to_have_text("online")
        form = anna.open_settings()
        assert axe(anna.page) == []
        seen_by = form.get_by_label("Who sees whether I am here")
        expect(seen_by).to_have_value("shared")
        seen_by.select_option("nobody")
        anna.save_settings()
        expect(ben.page.locator("#room-about")).to_have_text("offline")
        anna.page.select_option("#status", "invisible")
        # Told by the socket, which a reload would end.
        until(anna.page, lambda: anna.page.evaluate(SEEN)["status"] == "invisible")
        ben.page.reload()
        anna.page.reload()
        expect(anna.page.locator("#status")).to_have_value("invisible")
        form = anna.open_settings()
        expect(form.get_by_label("Who sees whether I am here")).to_have_value("nobody")
        anna.page.keyboard.press("Escape")
        expect(anna.page.locator("#open-settings")).to_be_focused()


def test_what_one_is_told_of_is_kept(browser, server):
    """By room, by kind and by hours; what the dialog does not ask stays as it was."""
    with meeting(browser, server) as (anna, ben):
        room = f"dm:{anna.name}:{ben.name}"
        form = anna.open_settings()
        form.get_by_label("Messages in rooms").select_option("mentions")
        form.get_by_label("In the room that is open").select_option("none")
        form.get_by_label("With what was written").uncheck()
        form.get_by_label("From").fill("22:00")
        form.get_by_label("to", exact=True).fill("07:30")
        anna.save_settings()
        kept = anna.page.evaluate(PREFERENCES)
        zone = anna.page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
        assert (kept["level"], kept["preview"], kept["direct"]) == ("mentions", False, True)
        assert kept["rooms"] == {room: {"level": "none"}}
        assert kept["quiet"] == {"start": "22:00", "end": "07:30", "zone": zone, "breaks": []}

        form = anna.open_settings()
        expect(form.get_by_label("From")).to_have_value("22:00")
        form.get_by_label("In the room that is open").select_option("pause")
        form.get_by_label("From").fill("")
        anna.save_settings()
        kept = anna.page.evaluate(PREFERENCES)
        assert kept["quiet"] is None
        assert kept["rooms"][room]["muted_until"] > anna.page.evaluate("Date.now()")
        form = anna.open_settings()
        expect(form.get_by_label("In the room that is open")).to_have_value("pause")


def test_what_is_still_loaded_cannot_be_changed(browser, server):
    """What stood there the last time would be saved, or what is entered overwritten."""
    with meeting(browser, server) as (anna, _):
        form = anna.open_settings()
        form.get_by_label("From").fill("22:00")
        form.get_by_label("to", exact=True).fill("07:30")
        anna.save_settings()
        asked = []

        def hold(one):
            asked.append(one)

        anna.context.route("**/v1/notifications/preferences", hold)
        anna.page.click("#open-settings")
        expect(anna.page.locator("#settings-said")).to_have_text("Loading…")
        expect(form.get_by_label("From")).to_be_disabled()
        expect(form.locator(".primary")).to_be_disabled()
        until(anna.page, lambda: asked)
        asked[0].continue_()
        expect(form.get_by_label("From")).to_be_enabled()
        expect(form.get_by_label("From")).to_have_value("22:00")


def test_settings_that_cannot_be_had_say_so(browser, server):
    with meeting(browser, server) as (anna, _):
        anna.context.route(
            "**/v1/notifications/preferences",
            lambda one: one.fulfill(status=503, json={"detail": "the disk is wet"}),
        )
        anna.page.click("#open-settings")
        expect(anna.page.locator("#settings-said")).to_have_text("the disk is wet")
        expect(anna.page.locator("#settings-form .primary")).to_be_disabled()
        anna.complaints.clear()  # the browser speaks of the 503 itself
