"""What one does with a message is there for fingers, keys and screen readers, too."""

import pytest
from chat_person import TIMEOUT_MS, Person, meeting, until

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

SCROLL_UP = "document.getElementById('scroller').scrollTop = 0"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def test_a_tap_brings_what_one_can_do(browser, server):
    """On a phone, where no pointer rests on anything."""
    with meeting(browser, server) as (anna, ben):
        ben.enter(anna.name)
        ben.say("Tea?")
        anna.sees("Tea?")
        phone = browser.new_context(storage_state=anna.context.storage_state(), **PHONE).new_page()
        phone.set_default_timeout(TIMEOUT_MS)
        phone.goto(f"{server.url}/#dm:{anna.name}:{ben.name}")
        message = phone.locator(".message:has(p:text-is('Tea?'))")
        toolbar = message.get_by_role("toolbar")
        expect(message).to_be_visible()
        expect(toolbar).to_be_hidden()
        message.locator("p").tap()
        expect(toolbar).to_be_visible()
        message.get_by_role("button", name="React").tap()
        phone.get_by_role("button", name="React with 👍").tap()
        expect(ben.page.locator(".chip")).to_have_text("👍 1")
        message.locator("p").tap()
        message.get_by_role("button", name="Reply").tap()
        expect(phone.locator("#about")).to_contain_text("Tea?")
        phone.fill("#text", "With milk")
        phone.locator("#send").tap()
        ben.page.wait_for_selector(".message:has(p:text-is('With milk')) .quote")
        mine = phone.locator(".message.mine:has(p:text-is('With milk'))")
        # It is stored, which this page hears at its own time.
        expect(mine.locator(".mark.read")).to_be_visible()
        mine.locator("p").tap()
        mine.get_by_role("button", name="Delete").tap()
        phone.locator("#sure button[value=yes]").tap()
        ben.page.wait_for_selector(".bubble p.erased")
        phone.context.close()


def test_keys_and_screen_readers_reach_it(browser, server):
    """From the list by arrows; and each message has a button of a name, which a reader presses."""
    with meeting(browser, server) as (anna, _):
        anna.say("one")
        anna.say("two")
        page = anna.page
        # Each mark draws a message anew, and the first one gives it its place in the log.
        for text in ("one", "two"):
            anna.wait_mark(text, "delivered")
        page.locator("#scroller").focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowUp")
        assert page.evaluate("document.activeElement.querySelector('p').innerText") == "one"
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="React", exact=True)).to_be_focused()

        message = page.locator(".message:has(p:text-is('two'))")
        message.get_by_role("button", name=": actions").dispatch_event("click")
        assert page.evaluate("document.activeElement.ariaLabel") == "React"
        expect(message.get_by_role("toolbar")).to_be_visible()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="React with 👍")).to_be_focused()
        page.keyboard.press("Enter")
        expect(message.locator(".chip")).to_have_text("👍 1")


def test_what_is_drawn_anew_is_not_lost(browser, server):
    """A message that is pointed at changes by itself: by marks, by what others do with it."""
    with meeting(browser, server) as (anna, ben):
        ben.enter(anna.name)
        anna.say("one")
        ben.sees("one")
        anna.wait_mark("one", "read")
        page, message = anna.page, anna.page.locator(".message:has(p:text-is('one'))")
        message.locator("p").click()
        page.mouse.move(0, 0)
        message.evaluate("(one) => (one.isFirst = true)")
        toolbar = message.get_by_role("toolbar")
        expect(toolbar).to_be_visible()
        theirs = ben.page.locator(".message:has(p:text-is('one'))")
        theirs.hover()
        theirs.get_by_role("button", name="React").click()
        ben.page.get_by_role("button", name="React with 👍").click()
        expect(message.locator(".chip")).to_have_text("👍 1")
        assert not message.evaluate("(one) => one.isFirst")
        expect(message).to_be_focused()
        expect(toolbar).to_be_visible()

        room = page.locator(".room")
        room.focus()
        ben.say("two")
        expect(room.locator(".room-last")).to_have_text("two")
        expect(room).to_be_focused()


def test_what_is_pressed_is_clicked_whatever_comes_meanwhile(browser, server):
    """A browser clicks nothing that has gone between press and release: it is drawn later."""
    with meeting(browser, server) as (anna, ben):
        anna.say("one")
        room = ben.page.locator(".room")
        expect(room.locator(".badge")).to_have_text("1")
        room.hover()
        ben.page.mouse.down()
        anna.say("two")
        anna.wait_mark("two", "delivered")
        # Longer than anything waits for being drawn, by the page's own clock.
        ben.page.evaluate("new Promise((resolve) => setTimeout(resolve, 600))")
        expect(room.locator(".badge")).to_have_text("1")
        ben.page.mouse.up()
        ben.sees("two")


def test_what_one_does_with_a_message_keeps_the_focus(browser, server):
    """A mark, or a reaction of somebody else's, comes at any time."""
    with meeting(browser, server) as (anna, ben):
        ben.enter(anna.name)
        anna.say("one")
        anna.wait_mark("one", "read")
        message = anna.page.locator(".message:has(p:text-is('one'))")
        message.get_by_role("button", name=": actions").dispatch_event("click")
        react = message.get_by_role("button", name="React")
        expect(react).to_be_focused()
        theirs = ben.page.locator(".message:has(p:text-is('one'))")
        theirs.hover()
        theirs.get_by_role("button", name="React").click()
        ben.page.get_by_role("button", name="React with 👍").click()
        expect(message.locator(".chip")).to_have_text("👍 1")
        expect(react).to_be_focused()


def test_older_messages_are_not_read_aloud(browser, server):
    with meeting(browser, server) as (anna, _):
        for number in range(3):
            anna.say(f"line {number}\n" * 12)
        log = anna.page.locator("[role=log]")
        # All of them are stored, and drawn.
        expect(log.locator(".mark.sent, .mark.delivered, .mark.read")).to_have_count(3)
        expect(log).to_have_attribute("aria-live", "polite")
        # By hand, too, one moves again where the list has just followed its end.
        until(anna.page, f"{SCROLL_UP}, document.querySelector('[role=log]').ariaLive === 'off'")
        anna.page.click("#jump")
        expect(log).to_have_attribute("aria-live", "polite")


def test_what_was_asked_for_is_done_in_the_room_it_was_asked_in(browser, server):
    """A notification may lead elsewhere while a question is open."""
    with meeting(browser, server) as (anna, _):
        cleo = Person(browser, server, f"cleo-{anna.name}").sign("register")
        anna.say("to ben")
        anna.sees("to ben")
        direct = anna.page.evaluate("location.hash")
        anna.begin_with(cleo.name)
        anna.say("to cleo")
        cleo.enter(anna.name)
        cleo.sees("to cleo")
        anna.wait_mark("to cleo", "read")
        anna.page.hover(".message.mine")
        anna.page.get_by_role("button", name="Delete").click()
        anna.page.evaluate("(hash) => (location.hash = hash)", direct)
        anna.sees("to ben")
        anna.page.click("#sure button[value=yes]")
        cleo.page.wait_for_selector(".bubble p.erased")
        expect(anna.page.locator(".bubble p")).to_have_text(["to ben"])
        cleo.context.close()
