"""A CAPTCHA in the pages: it is the provider's own, and nothing comes from there without one."""

from pathlib import Path

import pytest
from browser_scene import serving
from chat_person import PASSWORD, Person

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

PROGRAM = Path(__file__).with_name("captcha_server.py")
# As much of the provider's script as a page asks of it.
WIDGET = """globalThis.turnstile = { render(place, { sitekey, callback }) {
    const button = document.createElement("button");
    button.textContent = `I am a person, ${sitekey}`;
    button.onclick = () => callback("solved");
    place.append(button);
} };"""

# Begin with so many strangers as only a bot does.
APPROACH = """async (token) => {
    const { connect } = await import("/assets/triolet.js");
    const client = connect(location.origin.replace("http", "ws") + "/ws", { token });
    const strangers = Array.from({ length: 25 }, (_, number) => `stranger${number}`);
    await Promise.allSettled(strangers.map((user) => client.direct(user)));
    client.close();
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(
        tmp_path_factory.mktemp("captcha"),
        str(PROGRAM),
        TRIOLET_GUARD_CAPTCHA_PROVIDER="turnstile",
        TRIOLET_GUARD_CAPTCHA_SITE_KEY="key",
        TRIOLET_GUARD_CAPTCHA_SECRET="hush",
        TRIOLET_GUARD_BOTS="true",
    ) as found:
        yield found


@pytest.fixture
def anna(browser, server, request):
    """Somebody at the page; a policy that is violated is complained of, a refusal is not."""
    person = Person(browser, server, f"anna-{len(request.node.name)}", at="/health/live")
    answer = {"content_type": "text/javascript", "body": WIDGET}
    person.context.route("https://challenges.cloudflare.com/**", lambda one: one.fulfill(**answer))
    person.page.goto(server.url)
    yield person
    assert [said for said in person.complaints if "status of 403" not in said] == []
    person.context.close()


def begin(person):
    person.page.fill("#user", person.name)
    person.page.fill("#password", PASSWORD)
    person.page.click("#sign-in button[value=register]")


def solve(person):
    person.page.get_by_role("button", name="I am a person, key").click()


def test_who_has_solved_it_is_signed_up(anna):
    begin(anna)
    solve(anna)
    anna.wait_state("online")
    expect(anna.page.get_by_role("dialog")).to_have_count(0)


def test_who_closes_it_is_told_and_may_try_again(anna):
    begin(anna)
    anna.page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(anna.page.locator("#sign-in-error")).to_contain_text("not shown that you are no bot")
    begin(anna)
    solve(anna)
    anna.wait_state("online")


def test_what_keeps_it_away_is_told(anna, axe):
    """A browser's extension may, or a network."""
    anna.context.unroute("https://challenges.cloudflare.com/**")
    anna.context.route("https://challenges.cloudflare.com/**", lambda one: one.abort())
    begin(anna)
    dialog = anna.page.get_by_role("dialog")
    expect(dialog.locator(".error")).to_contain_text("(turnstile) cannot be loaded")
    assert axe(anna.page) == []


def test_who_gives_up_sees_what_was_refused_where_it_was_asked(anna, server):
    """The provider's pictures may lie anywhere in the page: no other dialog is over them."""
    begin(anna)
    solve(anna)
    anna.wait_state("online")
    anna.page.evaluate(APPROACH, server.token(anna.name))
    anna.page.click("#new")
    anna.page.fill("#begin-person", "ben")
    anna.page.click("#begin-direct button")
    question = anna.page.get_by_role("dialog", name="Are you a person?")
    expect(question).to_be_visible()
    assert anna.page.evaluate("document.querySelector('dialog:modal')") is None
    question.get_by_role("button", name="Close").click()
    expect(anna.page.locator("#begin-error")).to_contain_text("not shown that you are no bot")


def test_who_writes_like_a_bot_solves_it_and_what_was_written_is_sent(anna, server):
    """Nobody has to write it again."""
    begin(anna)
    solve(anna)
    anna.wait_state("online")
    anna.begin_with("ben")
    anna.page.evaluate(APPROACH, server.token(anna.name))
    anna.say("Hello!")
    solve(anna)
    anna.page.wait_for_selector(".message:has(p:text-is('Hello!')) .mark.sent")
    anna.say("Another")
    anna.page.wait_for_selector(".message:has(p:text-is('Another')) .mark.sent")
