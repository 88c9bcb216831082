"""Law: who wants it gets one mail of what they have left unread, and can end it from there."""

import socket
import ssl
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from smtp import running_smtp

from triolet._model.entries import FoldedMessage
from triolet._model.errors import ConfigurationError
from triolet.testing.services.certificates import make_certificates
from triolet_api.address import Address
from triolet_api.notifications.mail import Mail, check_mail
from triolet_api.notifications.providers import Again, Delivered, Gone, Refused
from triolet_api.notifications.reading import UnreadRoom
from triolet_api.notifications.settings import MailSettings

SECRET = b"x" * 32


def mail_to(server, query="?tls=off", **more):
    url = f"smtp://127.0.0.1:{server.port}{query}"
    return Mail(MailSettings(server=Address(url), sender="chat@example.org", **more), SECRET)


def room(name="dm:anna:ben", text="hello", **fields):
    last = FoldedMessage(7, 7, 1, "c", "anna", {}, {"text": text})
    return UnreadRoom(
        **{"room": name, "title": "", "is_direct": True, "unread": 2, "last": last} | fields
    )


def digest(mail, *rooms, is_shown=True):
    return mail.digest("ben", "ben@example.org", rooms or [room()], is_shown=is_shown)


async def test_a_digest_reaches_its_mailbox():
    with running_smtp() as server:
        mail = mail_to(server, url="https://chat.example.org/")
        assert await mail.send(digest(mail, room(), room("tea", "über\nzwei", title="Tea"))) == (
            Delivered()
        )

    ((sender, recipients, message),) = server.mails
    assert "chat@example.org" in sender
    assert len(recipients) == 1
    assert "ben@example.org" in recipients[0]
    assert message["Subject"] == "4 unread messages"
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.get_payload(decode=True).decode()
    assert text.splitlines() == [
        "anna: 2 unread",
        "  anna: hello",
        "Tea: 2 unread",
        "  anna: über zwei",
        "",
        "https://chat.example.org",
    ]


async def test_it_can_be_ended_by_the_link_in_it_and_by_no_other():
    with running_smtp() as server:
        mail = mail_to(server, url="https://chat.example.org")
    message = digest(mail)
    link = urlsplit(message["List-Unsubscribe"].strip("<>"))
    said = parse_qs(link.query)

    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (link.path, said["user"]) == ("/v1/notifications/leave", ["ben"])
    assert mail.is_leaving("ben", said["token"][0])
    assert not mail.is_leaving("anna", said["token"][0])
    assert not mail.is_leaving("ben", "0" * 64)


async def test_texts_are_not_shown_to_who_does_not_want_it():
    with running_smtp() as server:
        mail = mail_to(server)
        await mail.send(digest(mail, room(text="secret"), is_shown=False))

    assert "secret" not in str(server.mails[0][2])


async def test_a_header_cannot_be_made_to_say_more():
    with running_smtp() as server:
        mail = mail_to(server)
        evil = room(title="Tea\r\nBcc: eve@example.org\r\n.\r\nMAIL FROM:<eve@example.org>")
        assert await mail.send(digest(mail, evil)) == Delivered()

    assert len(server.mails) == 1
    assert server.mails[0][2]["Bcc"] is None


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x0b", "\x85", "\u2028"])
async def test_a_title_says_no_lines_of_its_own(end):
    """Whoever calls a room something would write what looks like ours."""
    title = f"Tea{end}{end}Your password has expired:{end}https://evil.example"
    with running_smtp() as server:
        told = digest(mail_to(server), room(title=title), is_shown=False)

    assert told.get_content().splitlines() == [
        "Tea Your password has expired: https://evil.example: 2 unread"
    ]


async def test_by_tls_with_a_password(tmp_path, monkeypatch):
    certificates = make_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.cert, certificates.key)
    with running_smtp(context) as server:
        url = Address(f"smtp://anna:pass%20word@localhost:{server.port}")
        mail = Mail(MailSettings(server=url, sender="chat@example.org"), SECRET)
        # An authority that nobody knows: the password is not told.
        assert isinstance(await mail.send(digest(mail)), Again)
        assert "AUTH" not in server.commands
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
        assert await mail.send(digest(mail)) == Delivered()

    assert "AUTH" in server.commands


async def test_without_tls_nothing_is_said_to_who_should_have_it():
    with running_smtp() as server:
        assert isinstance(await mail_to(server, "").send(digest(mail_to(server))), Again)

    assert server.mails == []


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ({"RCPT": "550 unknown"}, Gone()),
        ({"RCPT": "450 later"}, Again(None, "the recipient was refused for now")),
        ({"MAIL": "421 later"}, Again(None, "answered 421")),
        ({"DATA": "554 no"}, Refused("answered 554", is_lasting=True)),
        ({"DATA": "nonsense"}, Refused("x", is_lasting=True)),
    ],
)
async def test_what_comes_of_it_is_said(answers, outcome):
    with running_smtp() as server:
        server.answers = answers
        found = await mail_to(server).send(digest(mail_to(server)))

    if answers == {"DATA": "nonsense"}:
        assert isinstance(found, Again)
    else:
        assert found == outcome


async def test_a_server_that_is_away_is_tried_again():
    with socket.socket() as nobody:
        # Taken, so that nobody else listens there, and not listened to.
        nobody.bind(("127.0.0.1", 0))
        mail = mail_to(SimpleNamespace(port=nobody.getsockname()[1]))

        assert await mail.send(digest(mail)) == Again(None, "ConnectionRefusedError")


@pytest.mark.parametrize(
    ("server", "sender", "why"),
    [
        ("http://mail.example.org", "a@b", "mail.server"),
        ("smtp://", "a@b", "mail.server"),
        ("smtp://mail.example.org:99999", "a@b", "mail.server"),
        ("smtp://mail.example.org?tls=off", "a@b", "without TLS only this machine"),
        ("smtps://mail.example.org", "", "mail.sender"),
    ],
)
def test_settings_that_no_mail_can_be_sent_by_are_refused(server, sender, why):
    with pytest.raises(ConfigurationError, match=why):
        check_mail(MailSettings(server=Address(server), sender=sender))


def test_no_server_is_no_mail():
    check_mail(MailSettings())
