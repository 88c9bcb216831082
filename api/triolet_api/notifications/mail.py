"""Digests by e-mail: what somebody has not read, and has not read for a while."""

import hmac
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from functools import partial
from hashlib import sha256
from typing import Final, final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import trio

from triolet._model.errors import ConfigurationError

from .providers import Again, Delivered, Gone, Outcome, Refused
from .reading import UnreadRoom, text_of
from .settings import MailSettings

# The standard library's client blocks, so it has threads: as many as mails go at once.
_THREADS: Final = 2
_TIMEOUT_S: Final = 20
# A digest is for coming back, not for reading all of it.
_ROOMS_MAX: Final = 20
_TEXT_CHARACTERS_MAX: Final = 200
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
# Ports of `smtp` and `smtps` (RFC 8314).
_PORTS: Final = {"smtp": 587, "smtps": 465}


def check_mail(settings: MailSettings) -> None:
    """Refuse settings that no mail can be sent by.

    Raises:
        ConfigurationError: the server is none, or there is no sender.
    """
    url = settings.server.reveal()
    if not url:
        return
    parts = urlsplit(url)
    try:
        is_whole = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ConfigurationError("mail.server: this is no smtp://host:port or smtps://host:port")
    if _is_plain(parts) and parts.hostname not in _LOOPBACK:
        raise ConfigurationError("mail.server: without TLS only this machine is asked")
    if not settings.sender:
        raise ConfigurationError("mail.sender: a mail is from somebody")


def _is_plain(parts: SplitResult) -> bool:
    return parse_qs(parts.query).get("tls") == ["off"]


@final
class Mail:
    """Makes digests and sends them.

    Args:
        settings: the server, and who sends.
        secret: makes the links that end digests.
    """

    def __init__(self, settings: MailSettings, secret: bytes) -> None:
        check_mail(settings)
        self._settings = settings
        self._key = hmac.new(secret, b"triolet mail", sha256).digest()
        self._limiter = trio.CapacityLimiter(_THREADS)

    # --- leaving -----------------------------------------------------------------------------

    def leaving_token(self, user: str) -> str:
        """Return what proves, in a link, that it was mailed to a user."""
        return hmac.new(self._key, b"leave:" + user.encode(), sha256).hexdigest()

    def is_leaving(self, user: str, token: str) -> bool:
        """Whether a token was mailed to a user."""
        return hmac.compare_digest(self.leaving_token(user).encode(), token.encode())

    # --- sending -----------------------------------------------------------------------------

    def digest(
        self, user: str, email: str, rooms: Sequence[UnreadRoom], *, is_shown: bool
    ) -> EmailMessage:
        """Return a mail that tells what is unread in some rooms.

        Args:
            user: whose rooms they are.
            email: where it goes.
            rooms: at least one.
            is_shown: whether texts are shown, or only that there are some.
        """
        message = EmailMessage()
        count = sum(one.unread for one in rooms)
        message["From"] = self._settings.sender
        message["To"] = email
        message["Subject"] = f"{count} unread messages" if count > 1 else "1 unread message"
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._settings.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        lines = [line for one in rooms[:_ROOMS_MAX] for line in _lines(one, is_shown=is_shown)]
        if len(rooms) > _ROOMS_MAX:
            lines.append(f"… and {len(rooms) - _ROOMS_MAX} more rooms")
        if self._settings.url:
            base = self._settings.url.rstrip("/")
            leave = f"{base}/v1/notifications/leave?user={user}&token={self.leaving_token(user)}"
            message["List-Unsubscribe"] = f"<{leave}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
            lines += ["", base]
        message.set_content("\n".join(lines) + "\n")
        return message

    async def send(self, message: EmailMessage) -> Outcome:
        """Send a mail, and say what came of it."""
        try:
            with trio.fail_after(2 * _TIMEOUT_S):
                await trio.to_thread.run_sync(
                    partial(_send, self._settings.server.reveal(), message),
                    abandon_on_cancel=True,
                    limiter=self._limiter,
                )
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            if all(500 <= code < 600 for code in codes):
                return Gone()
            return Again(None, "the recipient was refused for now")
        except smtplib.SMTPResponseException as error:
            why = f"answered {error.smtp_code}"
            is_lasting = 500 <= error.smtp_code < 600
            return Refused(why, is_lasting=True) if is_lasting else Again(None, why)
        except (smtplib.SMTPException, OSError, trio.TooSlowError) as error:
            # Without its text: it may tell a password.
            return Again(None, type(error).__name__)
        return Delivered()


def _lines(one: UnreadRoom, *, is_shown: bool) -> list[str]:
    name = one.title or (one.last.sender if one.is_direct and one.last is not None else one.room)
    # A title is whatever somebody called the room: it says no lines of ours.
    lines = [f"{_on_a_line(name)}: {one.unread} unread"]
    if is_shown and one.last is not None and not one.last.erased:
        text = text_of(one.last, characters_max=_TEXT_CHARACTERS_MAX)
        lines.append(f"  {one.last.sender}: {_on_a_line(text)}")
    return lines


def _on_a_line(text: str) -> str:
    return " ".join(text.split())


def _send(url: str, message: EmailMessage) -> None:
    """Send a mail; in a thread of its own."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    context = ssl.create_default_context()
    client: smtplib.SMTP
    if parts.scheme == "smtps":
        client = smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT_S, context=context)
    else:
        client = smtplib.SMTP(host, port, timeout=_TIMEOUT_S)
    with client:
        if parts.scheme == "smtp" and not _is_plain(parts):
            client.starttls(context=context)
        if parts.username:
            client.login(unquote(parts.username), unquote(parts.password or ""))
        client.send_message(message)
