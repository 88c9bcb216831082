"""A browser that several people use, and one that gives a page less than it would like."""

import re

import pytest
from chat_person import PASSWORD, Person, meeting, until

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

# As much of a push subscription as the page asks of it.
SUBSCRIBED = """
    globalThis.ended = 0;
    PushManager.prototype.getSubscription = async () => globalThis.ended ? null : {
        toJSON: () => ({ endpoint: "https://push.example/1", keys: { p256dh: "x", auth: "y" } }),
        unsubscribe: async () => (globalThis.ended += 1),
    };
"""
# Phones have no such constructor.
LIKE_A_PHONE = """
    globalThis.Notification = class {
        static permission = "granted";
        constructor() { throw new TypeError("Illegal constructor"); }
    };
    document.hasFocus = () => false;
"""
KEEPS_NOTHING = """
    Object.defineProperty(globalThis, "localStorage", { get() {
        throw new DOMException("denied", "SecurityError");
    } });
    Object.defineProperty(globalThis, "indexedDB", { get() {
        throw new DOMException("denied", "SecurityError");
    } });
"""
SHOWN = """async () => {
    const worker = await navigator.serviceWorker.ready;
    const shown = await worker.getNotifications();
    return shown.map(({ title, body, data }) => [title, body, data.room]);
}"""


def sign_out(person):
    person.page.click("#sign-out")
    person.page.wait_for_selector("#sign-in:not([hidden])")


def poll(page, script, wanted):
    until(page, lambda: page.evaluate(script) == wanted)


def test_who_signs_in_next_sees_nothing_of_the_last_one(browser, server):
    """Neither drafts nor dialogs, neither what is unread nor what waits to be sent."""
    with meeting(browser, server) as (anna, ben):
        page = anna.page
        page.click("#new")
        page.fill("#begin-title", "Tea")
        page.fill("#begin-members", ben.name)
        page.click("#begin-group button")
        expect(page.locator("#room-title")).to_have_text("Tea")
        page.fill("#text", "a secret draft")
        page.fill("#find", "a search")
        sign_out(anna)
        expect(page).to_have_title("Triolet")
        page.fill("#user", ben.name)
        page.fill("#password", PASSWORD)
        page.click("#sign-in button[value=login]")
        page.wait_for_selector(".room:has-text('Tea')")
        assert page.input_value("#find") == ""
        assert "secret" not in page.inner_text("body")
        page.click(".room:has-text('Tea')")
        expect(page.locator("#text")).to_have_value("")
        page.click("#new")
        expect(page.locator("#begin-title")).to_have_value("")
        page.click("#begin [aria-label=Close]")

        # The parts of the first one listen no more: one step back is one step.
        before = page.evaluate("history.length")
        page.go_back()
        page.wait_for_selector("#empty:not([hidden])")
        assert page.evaluate("history.length") == before

        # And hers is still there when she comes back.
        sign_out(anna)
        page.fill("#user", anna.name)
        page.fill("#password", PASSWORD)
        page.click("#sign-in button[value=login]")
        page.wait_for_selector(".room:has-text('Draft: a secret draft')")


def test_nothing_is_pushed_to_where_nobody_is_signed_in(browser, server):
    with meeting(browser, server) as (anna, _):
        anna.context.add_init_script(SUBSCRIBED)
        with anna.page.expect_response(re.compile("/v1/notifications/subscriptions")):
            anna.page.reload()
        anna.wait_state("online")
        sign_out(anna)
        poll(anna.page, "globalThis.ended", 1)
        anna.complaints.clear()  # no push service is called so


def test_a_page_follows_who_is_signed_in_in_the_other(browser, server):
    """And does not forget, when it is ended, who has signed in meanwhile."""
    with meeting(browser, server) as (anna, ben):
        other = anna.context.new_page()
        other.goto(server.url)
        other.wait_for_selector("body[data-state=online]")
        sign_out(anna)
        other.wait_for_selector("#sign-in:not([hidden])")
        anna.page.fill("#user", ben.name)
        anna.page.fill("#password", PASSWORD)
        anna.page.click("#sign-in button[value=login]")
        anna.wait_state("online")
        other.reload()
        expect(other.locator("#my-name")).to_have_text(ben.name)


def test_a_session_that_ends_takes_its_dialogs_along(browser, server):
    with meeting(browser, server) as (anna, _):
        anna.page.click("#new")
        token = server.token("root", roles=("admin",))
        answer = anna.context.request.post(
            f"{server.url}/v1/admin/bans",
            data={"user": anna.name, "reason": "spam"},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.ok, answer.text()
        expect(anna.page.locator("#sign-in-error")).to_have_text("You are banned here.")
        assert anna.page.locator("dialog[open]").count() == 0
        anna.page.fill("#user", "somebody")


def test_where_nothing_may_be_kept_one_chats_all_the_same(browser, server):
    """Until the page is closed; then one signs in again."""
    with meeting(browser, server) as (_, ben):
        cleo = Person(browser, server, f"cleo-{ben.name}", at="/health/live")
        cleo.context.add_init_script(KEEPS_NOTHING)
        cleo.page.goto(server.url)
        cleo.sign("register")
        cleo.begin_with(ben.name)
        cleo.page.type("#text", "Hel")
        cleo.say("Hello!")
        ben.enter(cleo.name)
        ben.sees("Hello!")
        assert cleo.complaints == []
        cleo.context.close()


def test_a_page_without_push_tells_by_the_worker_what_is_wished_for(browser, server):
    """Some browsers let pages show nothing by themselves; the page goes on with it, or without."""
    with meeting(browser, server) as (anna, ben):
        ben.context.grant_permissions(["notifications"], origin=server.url)
        ben.context.add_init_script(LIKE_A_PHONE)
        ben.page.reload()
        ben.wait_state("online")
        ben.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        ben.enter(anna.name)
        anna.say("The kettle is on")
        ben.sees("The kettle is on")
        room = f"dm:{anna.name}:{ben.name}"
        poll(ben.page, SHOWN, [[anna.name, "The kettle is on", room]])

        form = ben.open_settings()
        form.get_by_label("Direct chats").uncheck()
        ben.save_settings()
        with ben.page.expect_response(re.compile("/v1/notifications/inbox")):
            anna.say("and the tea is ready")
        ben.sees("and the tea is ready")
        sign_out(ben)
        poll(ben.page, SHOWN, [])


@pytest.mark.parametrize("address", ["#%", "#100%"])
def test_an_address_that_is_none_leads_to_the_list(browser, server, address):
    with meeting(browser, server) as (anna, _):
        anna.page.goto("about:blank")
        anna.page.goto(f"{server.url}/{address}")
        anna.wait_state("online")
        anna.page.wait_for_selector(".room")
        assert anna.page.locator("#empty").is_visible()


def test_after_a_room_that_is_none_the_list_is_kept_up_all_the_same(browser, server):
    with meeting(browser, server) as (anna, ben):
        ben.page.evaluate("location.hash = 'nowhere'")
        expect(ben.page.locator("#log-state")).to_contain_text("There is no such room")
        expect(ben.page.locator(".room:has-text('nowhere')")).to_have_count(0)
        anna.say("Are you there?")
        expect(ben.page.locator(".room-last")).to_have_text("Are you there?")
        anna.page.wait_for_selector(".mark.delivered")
