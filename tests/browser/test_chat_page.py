"""The chat page in real browsers: two people, and all that may go wrong between them."""

import re

import pytest
from browser_scene import serving
from chat_person import Person, meeting, until

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect


# Scroll up, and return what was the first message then.
TO_THE_TOP = """() => {
    document.getElementById("scroller").scrollTop = 0;
    return document.querySelector(".bubble p").innerText;
}"""


@pytest.fixture
def people(browser, server):
    with meeting(browser, server) as pair:
        yield pair


def test_two_people_chat(people):
    """Typing, receipts, replies, reactions, edits and deletions are seen on the other side."""
    anna, ben = people
    anna.say("Hello!")
    ben.enter(anna.name)
    ben.sees("Hello!")
    ben.page.bring_to_front()
    anna.page.wait_for_selector(".mark.read")

    ben.page.type("#text", "On my")
    anna.page.wait_for_selector(f".room-head .typing:has-text('{ben.name} is typing')")
    ben.page.type("#text", " way")
    ben.page.press("#text", "Enter")
    anna.sees("On my way")

    item = anna.page.locator(".message:has(p:text-is('On my way'))")
    item.hover()
    item.get_by_role("button", name="Reply").click()
    anna.say("Good")
    ben.page.wait_for_selector(".message:has(p:text-is('Good')) .quote:has-text('On my way')")
    # Nothing moves under the pointer any more.
    anna.wait_mark("Good", "read")
    item.hover()
    item.get_by_role("button", name="React").click()
    anna.page.get_by_role("button", name="React with 👍").click()
    ben.page.wait_for_selector(".chip:has-text('👍 1')")
    ben.page.press("#text", "ArrowUp")
    ben.say("On my way now")
    anna.page.wait_for_selector(".message:has(p:text-is('On my way now')) .meta:has-text('edited')")

    hello = anna.page.locator(".message:has(p:text-is('Hello!'))")
    hello.hover()
    hello.get_by_role("button", name="Delete").click()
    anna.page.click("#sure button[value=yes]")
    ben.page.wait_for_selector(".bubble p.erased")
    assert "Hello!" not in ben.texts()


def test_who_is_away_sees_a_badge_and_the_number_in_the_title(people):
    anna, ben = people
    for number in range(3):
        anna.say(f"message {number}")
    ben.page.wait_for_selector(".room .badge:text-is('3')")
    expect(ben.page).to_have_title("(3) Triolet")
    # It has come to the device, and nobody has read it.
    anna.page.wait_for_selector(".mark.delivered")
    ben.enter(anna.name)
    ben.page.bring_to_front()
    expect(ben.page).to_have_title("Triolet")


def test_a_page_without_frames_takes_messages_and_counts_them(people):
    """A tab in the background is not drawn by frames, not even one that waits for its next."""
    anna, ben = people
    ben.page.evaluate("globalThis.requestAnimationFrame = () => 0")
    anna.say("first")
    expect(ben.page).to_have_title("(1) Triolet")
    anna.say("second")
    expect(ben.page).to_have_title("(2) Triolet")
    anna.page.wait_for_selector(".mark.delivered")
    ben.enter(anna.name)
    ben.sees("second")


def test_who_looks_at_the_list_alone_is_spared_errors(people):
    """With no room open there is nothing to be read: neither on leaving one nor on coming back."""
    anna, ben = people
    ben.enter(anna.name)
    anna.say("Hello!")
    ben.sees("Hello!")
    ben.page.evaluate("dispatchEvent(new Event('focus')); history.back()")
    ben.page.wait_for_selector("#empty:not([hidden])")
    ben.page.evaluate("dispatchEvent(new Event('focus'))")
    # The delay after which a room counts as read, by the page's own clock.
    ben.page.evaluate("new Promise((resolve) => setTimeout(resolve, 400))")


def test_a_new_chat_is_written_in_before_its_history_is_there(people):
    """The dialog goes when there is a room, and leaves the focus where one writes."""
    anna, ben = people

    def without_history(socket):
        server = socket.connect_to_server()
        socket.on_message(lambda said: None if '"history"' in said else server.send(said))

    ben.context.route_web_socket(re.compile("/ws$"), without_history)
    ben.page.reload()
    ben.wait_state("online")
    ben.begin_with(anna.name)
    ben.page.wait_for_selector("#log-state:has-text('Loading messages')")
    expect(ben.page.locator("#begin")).to_be_hidden()
    expect(ben.page.locator("#text")).to_be_focused()
    ben.page.keyboard.type("Hello!")
    ben.page.keyboard.press("Enter")
    anna.sees("Hello!")


def test_who_was_offline_comes_back_with_each_message_once(people):
    anna, ben = people
    ben.enter(anna.name)
    anna.say("before")
    ben.sees("before")
    ben.context.set_offline(True)
    ben.page.evaluate("dispatchEvent(new Event('offline'))")
    for number in range(20):
        anna.say(f"while away {number}")
    ben.say("written offline")
    expect(ben.marks("written offline")).to_be_visible()
    ben.context.set_offline(False)
    ben.sees("while away 19")
    anna.sees("written offline")

    wanted = [f"while away {number}" for number in range(20)]
    for one in (anna, ben):
        texts = one.texts()
        assert [text for text in texts if text.startswith("while")] == wanted
        assert texts.count("written offline") == 1


def test_a_server_that_is_killed_and_started_again_loses_nothing(browser, tmp_path):
    with serving(tmp_path) as server, meeting(browser, server) as (anna, ben):
        ben.enter(anna.name)
        anna.say("before the crash")
        ben.sees("before the crash")
        anna.page.wait_for_selector(".mark.delivered, .mark.read")
        server.kill()
        anna.page.wait_for_selector("#banner:not([hidden])")
        anna.say("while it is down")
        anna.page.wait_for_selector(".mark.sending")
        server.start()
        anna.wait_state("online")
        ben.sees("while it is down")
        anna.page.wait_for_selector("#banner", state="hidden")
        for one in (anna, ben):
            assert one.texts() == ["before the crash", "while it is down"]


def test_what_was_not_sent_survives_a_reload(browser, tmp_path):
    """It waits in IndexedDB, and leaves when there is a server again."""
    with serving(tmp_path) as server, meeting(browser, server) as (anna, ben):
        ben.enter(anna.name)
        anna.say("first")
        ben.sees("first")
        server.kill()
        anna.wait_state("offline")
        anna.say("second")
        anna.page.wait_for_selector(".mark.sending")
        anna.page.type("#text", "a draft")
        server.start()
        anna.page.reload()
        anna.wait_state("online")
        ben.sees("second")
        anna.sees("second")
        assert anna.page.input_value("#text") == "a draft"
        assert ben.texts() == ["first", "second"]


def test_a_token_that_expires_is_renewed(browser, tmp_path):
    """Nobody notices: the session goes on with another one."""
    with (
        serving(
            tmp_path, TRIOLET_AUTH_ACCESS_TTL_S="60", TRIOLET_LIMIT_TOKEN_NOTICE_S="58"
        ) as server,
        meeting(browser, server) as (anna, ben),
    ):
        with anna.page.expect_response(re.compile("/v1/auth/refresh")) as answer:
            pass
        assert answer.value.status == 200
        ben.enter(anna.name)
        anna.say("still here")
        ben.sees("still here")


def test_a_push_is_shown_and_leads_to_the_room(people):
    """Delivered to the service worker as a push service would."""
    anna, _ = people
    context, page = anna.context, anna.page
    context.grant_permissions(["notifications"], origin=anna.server.url)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    session = context.new_cdp_session(page)
    found, failed = [], []
    session.on(
        "ServiceWorker.workerErrorReported", lambda told: failed.append(told["errorMessage"])
    )
    session.on(
        "ServiceWorker.workerRegistrationUpdated", lambda told: found.extend(told["registrations"])
    )
    session.send("ServiceWorker.enable")
    # One that is still activating may not be told.
    until(page, "navigator.serviceWorker.controller?.state === 'activated'")
    until(page, lambda: found)
    session.send(
        "ServiceWorker.deliverPushMessage",
        {
            "origin": anna.server.url,
            "registrationId": found[0]["registrationId"],
            "data": '{"v": 1, "kind": "message", "title": "Tea", "sender": "ben",'
            ' "text": "The kettle is on", "room": "tea", "badge": 2}',
        },
    )
    until(
        page,
        "navigator.serviceWorker.ready.then((worker) => worker.getNotifications())"
        ".then(([one]) => one?.title === 'Tea' && one.body === 'ben: The kettle is on'"
        " && one.tag === 'tea' && one.data.room === 'tea')",
    )
    assert failed == []


def test_history_scrolls_without_end_and_without_jumps(browser, server):
    """What is in memory stays bounded, and the first message in sight stays where it is.

    `python -m bench.page` does it with 10,000 messages.
    """
    with meeting(browser, server) as (anna, ben):
        room = f"dm:{anna.name}:{ben.name}"
        anna.page.evaluate(
            """async ([room, token]) => {
                const { connect } = await import("/assets/triolet.js");
                const url = location.origin.replace("http", "ws") + "/ws";
                const client = connect(url, { token });
                for (let at = 0; at < 1000; at += 500) {
                    const some = Array.from({ length: 500 }, (_, index) => `line ${at + index}`);
                    await Promise.all(some.map((text) => client.send(room, text)));
                }
                client.close();
            }""",
            [room, server.token(anna.name, tier="service")],
        )
        ben.enter(anna.name)
        ben.sees("line 999")
        scroller = ben.page.locator("#scroller")
        for _ in range(8):
            # At once: an older page may still be on its way.
            first = ben.page.evaluate(TO_THE_TOP)
            expect(ben.page.locator(".bubble p").first).not_to_have_text(first)
            # It is still the first in sight: above it there is more now.
            box = ben.page.locator(f".bubble p:text-is('{first}')").bounding_box()
            top = scroller.bounding_box()["y"]
            assert 0 <= box["y"] - top < 160
            assert ben.page.locator(".message").count() <= 300
        texts = ben.texts()
        numbers = [int(text.split()[1]) for text in texts]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        ben.page.click("#jump")
        ben.sees("line 999")


def test_the_keyboard_suffices(people):
    anna, ben = people
    anna.say("one")
    anna.say("two")
    # What is not sent yet cannot be edited, and a list that changes loses the focus.
    for text in ("one", "two"):
        anna.wait_mark(text, "delivered")
    page = anna.page
    page.keyboard.press("Control+k")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.type(ben.name)
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.wait_for_selector("#about:has-text('Editing')")
    page.keyboard.press("Escape")
    page.wait_for_selector("#about", state="hidden")
    page.locator(".message").last.focus()
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.innerText").startswith("one")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out(browser, server, axe, scheme):
    """Axe-core finds nothing serious: signed out, in a room, in dialogs, on a phone's width."""
    with meeting(browser, server, color_scheme=scheme) as (anna, ben):
        anna.say("Hello, see https://triolet.example/ please")
        ben.enter(anna.name)
        ben.say("I do")
        anna.sees("I do")
        anna.page.hover(".message.mine")
        findings = {"room": axe(anna.page)}
        anna.page.click("#new")
        findings["dialog"] = axe(anna.page)
        anna.page.click("#begin [aria-label=Close]")
        anna.resize(390, 780)
        findings["phone"] = axe(anna.page)
        ben.page.click("button[aria-label='Sign out']")
        ben.page.wait_for_selector("#sign-in:not([hidden])")
        findings["signed out"] = axe(ben.page)
        assert {where: found for where, found in findings.items() if found} == {}


def test_on_a_phone_one_sees_the_list_or_the_room(people):
    anna, _ = people
    anna.resize(390, 780)
    expect(anna.page.locator(".side")).to_be_hidden()
    anna.page.click("#back")
    anna.page.wait_for_selector(".side", state="visible")
    expect(anna.page.locator("#conversation")).to_be_hidden()
    assert anna.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_wrong_password_is_told_and_nobody_is_let_in(browser, server):
    nobody = Person(browser, server, "nobody")
    nobody.page.fill("#user", "nobody")
    nobody.page.fill("#password", "not the password")
    nobody.page.click("#sign-in button[value=login]")
    nobody.page.wait_for_selector("#sign-in-error:has-text('name or the password is wrong')")
    assert nobody.page.locator("#app").is_hidden()
    nobody.context.close()


def test_where_no_websocket_passes_one_chats_all_the_same(browser, server):
    """After two failures the page goes by server-sent events, with the same promises."""
    with meeting(browser, server) as (anna, ben):
        ben.enter(anna.name)
        ben.context.route_web_socket(re.compile("/ws$"), lambda socket: socket.close())
        ben.page.reload()
        ben.wait_state("online")
        anna.say("Can you hear me?")
        ben.sees("Can you hear me?")
        ben.say("By another way")
        anna.sees("By another way")
