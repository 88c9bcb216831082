"""A small SMTP server for tests, in a thread: takes mails, and answers as it is told."""

import socketserver
import ssl
import threading
from contextlib import contextmanager
from email import message_from_bytes


class SmtpServer(socketserver.ThreadingTCPServer):
    """Attributes: `mails`, as `(from, to, message)`; `answers` by command, `{"RCPT": "550 no"}`."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, context=None):
        super().__init__(("127.0.0.1", 0), Conversation)
        self.context = context
        self.mails = []
        self.commands = []
        self.answers = {}

    @property
    def port(self):
        return self.server_address[1]


class Conversation(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def finish(self):
        super().finish()
        self.request.close()

    def handle(self):
        self.say("220 ready")
        sender, recipients = "", []
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ")[0].upper()
            self.server.commands.append(verb)
            if verb in self.server.answers:
                self.say(self.server.answers[verb])
            elif verb == "EHLO":
                is_plain = not isinstance(self.request, ssl.SSLSocket)
                offers = ["STARTTLS"] if self.server.context and is_plain else ["AUTH PLAIN"]
                self.say(f"250-hello\r\n250 {offers[0]}")
            elif verb == "STARTTLS":
                self.say("220 go on")
                try:
                    self.request = self.server.context.wrap_socket(self.request, server_side=True)
                except ssl.SSLError:
                    return
                self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
            elif verb == "AUTH":
                self.say("235 welcome")
            elif verb == "MAIL":
                sender = line
                self.say("250 ok")
            elif verb == "RCPT":
                recipients.append(line)
                self.say("250 ok")
            elif verb == "DATA":
                self.say("354 go on")
                data = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.mails.append((sender, recipients, message_from_bytes(data)))
                self.say("250 ok")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")


@contextmanager
def running_smtp(context=None):
    """Run one for as long as the block lasts."""
    with SmtpServer(context) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
