"""The dashboard in a real browser: its numbers move with what happens, and its deeds are done."""

import os
import subprocess
import sys
import time

import pytest
from browser_scene import SECRET, START_TIMEOUT_S, serving
from chat_person import PASSWORD, TIMEOUT_MS, Person, meeting, until

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect


PRESS_TWICE = """(button) => {
    button.click();
    const asked = button.textContent;
    button.click();
    return asked;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("dashboard")) as found:
        word = found.folder / "password"
        word.write_text(PASSWORD)
        options = ["--password-file", str(word), "--data", str(found.folder / "data")]
        subprocess.run(
            [sys.executable, "-m", "triolet_api", "user", "add", "root", "--role=admin", *options],
            env=os.environ | {"TRIOLET_SECRET": SECRET},
            capture_output=True,
            check=True,
            timeout=START_TIMEOUT_S,
        )
        yield found


@pytest.fixture
def root(browser, server):
    """An admin at the dashboard; at the end nothing has been complained of."""
    person = Person(browser, server, "root", at="/admin")
    person.page.fill("#user", "root")
    person.page.fill("#password", PASSWORD)
    person.page.click("#sign-in button.primary")
    expect(person.page.locator("#health")).to_have_text("All is well")
    yield person
    assert person.complaints == []
    person.context.close()


def tile(page, name):
    return page.locator(f".tile:has(dt:text-is('{name}')) dd")


def test_the_numbers_move_with_what_happens(browser, server, root):
    """Told once a second over the WebSocket, and never asked for over HTTP."""
    asked = []
    root.page.on("request", lambda request: asked.append(request.url))
    expect(tile(root.page, "Connections")).to_have_text("1 ")
    expect(tile(root.page, "Messages")).to_have_text("0 a second")
    with meeting(browser, server) as (anna, _):
        expect(tile(root.page, "Connections")).to_have_text("3 ")
        expect(tile(root.page, "Users online")).to_have_text("3 ")
        # A second later the number is another one: it is looked at while something is said.
        end = time.monotonic() + TIMEOUT_MS / 1000
        while tile(root.page, "Messages").inner_text() == "0 a second":
            assert time.monotonic() < end, "nothing moves"
            anna.say("once more")
        expect(root.page.locator("td:has-text('dm:anna')")).to_be_visible()
    expect(tile(root.page, "Connections")).to_have_text("1 ")
    assert [url for url in asked if "/v1/" in url] == []


def test_a_session_is_ended_and_somebody_banned(browser, server, root):
    with meeting(browser, server) as (anna, ben):
        root.page.get_by_role("tab", name="Sessions").click()
        row = root.page.locator(f"tr:has-text('{anna.name}')")
        # At once: after 3 s one is asked anew, which a busy machine may take for a press.
        assert row.get_by_role("button", name="End").evaluate(PRESS_TWICE) == "Sure?"
        expect(anna.page.locator("#sign-in")).to_be_visible()

        root.page.get_by_role("tab", name="Bans").click()
        root.page.fill("input[name=target]", ben.name)
        root.page.fill("input[name=reason]", "spam")
        root.page.get_by_role("button", name="Ban", exact=True).click()
        expect(root.page.locator(f"td:text-is('{ben.name}')")).to_be_visible()
        expect(ben.page.locator("#sign-in-error")).to_have_text("You are banned here.")
        root.page.get_by_role("button", name="Lift").click()
        expect(root.page.locator(f"td:text-is('{ben.name}')")).to_be_hidden()
    root.page.get_by_role("tab", name="Audit").click()
    expect(root.page.locator("tbody tr")).not_to_have_count(0)


def test_a_list_that_is_read_again_meanwhile_shows_the_last_answer(root):
    """The first one may come after it, with what was there before."""
    asked = []

    def hold_the_first(one):
        if one.request.method == "GET" and not asked:
            asked.append(one)
        else:
            one.continue_()

    root.context.route("**/v1/admin/bans*", hold_the_first)
    root.page.get_by_role("tab", name="Bans").click()
    until(root.page, lambda: asked)
    root.page.fill("input[name=target]", "eve")
    root.page.get_by_role("button", name="Ban", exact=True).click()
    expect(root.page.locator("td:text-is('eve')")).to_be_visible()
    asked[0].fulfill(json={"bans": [{"user": "adam", "at": 1}], "next": ""})
    # What the page does with it is done before it has another answer.
    root.page.evaluate("fetch('/health/live').then((answer) => answer.text())")
    expect(root.page.locator("tbody tr")).to_have_count(1)
    expect(root.page.locator("td:text-is('eve')")).to_be_visible()
    root.page.get_by_role("button", name="Lift").click()
    expect(root.page.locator("td:text-is('eve')")).to_be_hidden()


def test_an_announcement_is_seen_by_all(browser, server, root):
    with meeting(browser, server) as (anna, ben):
        root.page.get_by_role("tab", name="Announce").click()
        root.page.fill("input[name=text]", "Back in a minute")
        root.page.locator("form").get_by_role("button", name="Announce").click()
        for one in (anna, ben):
            expect(one.page.locator("#announcement")).to_contain_text("Back in a minute")


def test_who_is_no_admin_sees_nothing(browser, server):
    nobody = Person(browser, server, "nosy").sign("register")
    nobody.page.goto(f"{server.url}/admin")
    expect(nobody.page.locator("#health")).to_have_text("You are no admin here")
    expect(nobody.page.locator(".panel")).to_contain_text("This is for admins")
    expect(nobody.page.get_by_role("tab")).to_have_count(0)
    nobody.context.close()


def test_it_fits_a_phone(root):
    root.resize(390, 780)
    assert root.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_keeps_anybody_out(root, axe):
    assert axe(root.page) == []
    for name in ("Sessions", "Bans", "Users", "Rooms", "Jobs", "Announce", "Audit"):
        root.page.get_by_role("tab", name=name).click()
        expect(root.page.locator(".panel .busy")).to_have_count(0)
        assert axe(root.page) == [], name
