"""What the pages say of what went wrong, or is not there yet: something, and the true cause."""

import json
import re

import pytest
from chat_person import Person, meeting, until

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

PHONE = (390, 780)
FITS = "document.documentElement.scrollWidth <= innerWidth"
KICK = """async ([room, token, user]) => {
    const { connect } = await import("/assets/triolet.js");
    const client = connect(location.origin.replace("http", "ws") + "/ws", { token });
    await client.kick(room, user);
    client.close();
}"""


@pytest.fixture
def people(browser, server):
    with meeting(browser, server) as pair:
        yield pair


def make_room(person, title, *, members):
    person.page.click("#new")
    person.page.fill("#begin-title", title)
    person.page.fill("#begin-members", members)
    person.page.click("#begin-group button")
    expect(person.page.locator("#room-head h2")).to_have_text(title)


@pytest.mark.parametrize("at", ["/", "/admin"])
def test_a_session_that_has_ended_meanwhile_is_no_lost_connection(browser, server, at):
    """Who comes back to a page is told to sign in, and not that it is tried again."""
    name = f"late{len(at)}"
    person = Person(browser, server, name).sign("register")
    person.context.route(
        "**/v1/auth/refresh",
        lambda asked: asked.fulfill(status=401, json={"reason": "unauthenticated"}),
    )
    person.page.goto("about:blank")
    person.page.goto(server.url + at)
    expect(person.page.locator("#sign-in-error")).to_contain_text("this session has ended")
    expect(person.page.locator("#app")).to_be_hidden()
    person.context.close()


def test_a_room_has_its_title_whoever_writes_first(people):
    """A room that was just made is known by its name alone, until its row was asked for."""
    anna, ben = people
    anna.page.click("#new")
    anna.page.fill("#begin-title", "Quick tea")
    anna.page.fill("#begin-members", ben.name)
    anna.page.click("#begin-group button")
    until(anna.page, "location.hash.startsWith('#r-')")
    anna.say("at once")
    expect(anna.page.locator("#room-title")).to_have_text("Quick tea")
    expect(anna.page.locator(".room:has-text('at once')")).to_contain_text("Quick tea")


def test_who_is_removed_from_a_room_is_told(people, server):
    anna, ben = people
    make_room(anna, "Tea", members=ben.name)
    ben.enter("Tea")
    room = anna.page.evaluate("decodeURIComponent(location.hash.slice(1))")
    anna.page.evaluate(KICK, [room, server.token(anna.name), ben.name])
    expect(ben.page.locator("#announcement")).to_contain_text("You are no longer in Tea.")
    expect(ben.page.locator("#conversation")).to_be_hidden()


def test_a_room_with_a_long_title_fits_a_phone(people):
    anna, ben = people
    make_room(anna, "Tea, and how it is made in the whole wide world, " * 3, members=ben.name)
    anna.resize(*PHONE)
    assert anna.page.evaluate(FITS)


def test_rooms_and_messages_that_cannot_be_read_are_read_again_on_demand(browser, server):
    """A refusal is told with its cause; what went wrong once need not do so twice."""
    refused = {"rooms", "history"}

    def between(socket):
        door = socket.connect_to_server()

        def up(said):
            asked = json.loads(said)
            if asked["op"] in refused:
                failed = {"code": 5003, "reason": "internal", "message": "the disk is wet"}
                socket.send(json.dumps({"op": "error", "ref": asked["ref"], **failed}))
            else:
                door.send(said)

        socket.on_message(up)

    with meeting(browser, server) as (anna, ben):
        anna.say("Hello!")
        ben.page.wait_for_selector(".room .badge")
        ben.context.route_web_socket(re.compile("/ws$"), between)
        ben.page.reload()
        hint = ben.page.locator("#rooms-hint")
        expect(hint).to_contain_text("Your rooms cannot be read: the disk is wet")
        refused.discard("rooms")
        hint.get_by_role("button", name="Try again").click()
        ben.enter(anna.name)
        state = ben.page.locator("#log-state")
        expect(state).to_contain_text("The messages cannot be read: the disk is wet")
        expect(ben.page.locator("#jump")).to_be_hidden()
        refused.clear()
        state.get_by_role("button", name="Try again").click()
        ben.sees("Hello!")


def test_a_room_that_is_not_there_is_said_to_be_none(browser, server):
    person = Person(browser, server, "lost").sign("register")
    person.page.goto(f"{server.url}/#nowhere")
    expect(person.page.locator("#log-state")).to_contain_text("There is no such room")
    person.context.close()
