"""A real server and a push service on the same machine: who is away is told, whatever dies.

What is pushed is read by an implementation of its own, and so is the token that signs it.
"""

import ssl
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread

import http_ece
import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from e2e_scene import TIMEOUT_S, token
from joserfc import jwt
from joserfc.jwk import ECKey

from triolet.testing.services.certificates import make_certificates

ROOM = "dm:anna:ben"
# Within it two requests are answered, however busy the machine is.
DELAY_S = 4


class PushService(ThreadingHTTPServer):
    """Takes pushes over HTTPS: `pushes` are `(path, headers, body)`, `answers` what comes next."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Receiver)
        certificates = make_certificates(folder)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates.cert, certificates.key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.ca = certificates.ca
        self.url = f"https://127.0.0.1:{self.server_address[1]}"
        self.pushes = []
        self.answers = []
        self.came = Condition()

    def wait(self, count, path="/push/1"):
        with self.came:
            assert self.came.wait_for(lambda: len(self.to(path)) >= count, TIMEOUT_S), self.pushes

    def to(self, path="/push/1"):
        """Return what has come to one subscription."""
        return [push for push in self.pushes if push[0] == path]


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        service = self.server
        with service.came:
            service.pushes.append((self.path, dict(self.headers), body))
            status, headers = service.answers.pop(0) if service.answers else (201, {})
            service.came.notify_all()
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def service(tmp_path):
    with PushService(tmp_path) as service:
        thread = Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield service
        service.shutdown()
        thread.join()


@pytest.fixture
def server(make_server, service):
    return make_server(
        TRIOLET_PUSH_NETWORKS="127.0.0.0/8",
        TRIOLET_PUSH_DELAY_S=str(DELAY_S),
        TRIOLET_PUSH_SUBJECT="mailto:ops@example.org",
        SSL_CERT_FILE=str(service.ca),
    )


class Person:
    """Somebody who asks over HTTP."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.headers = {"Authorization": f"Bearer {token(name, tier='service')}"}

    def ask(self, method, path, body=None):
        url = f"http://127.0.0.1:{self.server.port}/v1{path}"
        how = {"json": body, "headers": self.headers, "timeout": TIMEOUT_S}
        answer = httpx.request(method, url, trust_env=False, **how)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def say(self, *texts, room=ROOM):
        """Say it all at once, and return where the last one is."""
        sends = [{"op": "send", "room": room, "body": {"text": text}} for text in texts]
        answers = self.ask("POST", "/commands", sends)
        assert [one["op"] for one in answers] == ["ok"] * len(texts), answers
        return answers[-1]["seq"]


class Phone:
    """A browser with a subscription."""

    def __init__(self, service, owner, path="/push/1"):
        self._private = ec.generate_private_key(ec.SECP256R1())
        self._secret = bytes(16)
        self.public = owner.ask("GET", "/notifications/key")["key"]
        point = self._private.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        keys = {"p256dh": encoded(point), "auth": encoded(self._secret)}
        subscription = {"endpoint": service.url + path, "expirationTime": None, "keys": keys}
        owner.ask("POST", "/notifications/subscriptions", subscription)

    def read(self, push):
        """Return what was pushed, once it is seen that it is from the server."""
        _, headers, body = push
        said, public = headers["Authorization"].removeprefix("vapid t=").split(", k=")
        assert public == self.public
        point = urlsafe_b64decode(public + "==")
        x, y = encoded(point[1:33]), encoded(point[33:])
        key = ECKey.import_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})
        claims = jwt.decode(said, key, algorithms=["ES256"]).claims
        assert claims["sub"] == "mailto:ops@example.org"
        assert time.time() < claims["exp"] <= time.time() + 24 * 3600
        plain = http_ece.decrypt(body, private_key=self._private, auth_secret=self._secret)
        return msgspec.json.decode(plain) | {"aud": claims["aud"]}


class Witness:
    """Somebody else with a phone: what was due before has come once they are told."""

    def __init__(self, server, service):
        self._service = service
        self._told = 0
        self._phone = Phone(service, Person(server, "carl"), "/push/carl")

    def see(self, anna):
        """Return when whatever was due by now has been pushed."""
        room = anna.ask("POST", "/direct", {"user": "carl"})["room"]
        anna.say("are you there?", room=room)
        self._told += 1
        self._service.wait(self._told, "/push/carl")


def encoded(data):
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture
def people(server):
    anna, ben = Person(server, "anna"), Person(server, "ben")
    anna.ask("POST", "/direct", {"user": "ben"})
    return anna, ben


@pytest.fixture
def witness(server, service):
    return Witness(server, service)


def test_who_is_away_is_told_once_of_several_messages(people, service, witness):
    anna, ben = people
    phone = Phone(service, ben)
    anna.say("one", "two", "three")
    service.wait(1)
    # Read on another device before it is due: withdrawn.
    seq = anna.say("four")
    ben.ask("POST", f"/rooms/{ROOM}/receipt", {"read": seq})
    witness.see(anna)

    (push,) = service.to()
    notice = phone.read(push)
    assert (notice["text"], notice["unread"], notice["badge"]) == ("three", 3, 3)
    assert notice["aud"] == service.url
    assert len(push[1]["Topic"]) == 32
    assert ben.ask("GET", "/notifications/inbox")["badge"] == 0


def test_a_service_that_says_later_is_asked_later_and_one_that_says_gone_never(
    people, service, witness
):
    anna, ben = people
    phone = Phone(service, ben)
    service.answers = [(429, {"Retry-After": "1"}), (201, {}), (410, {})]
    anna.say("one")
    service.wait(2)
    assert [phone.read(push)["text"] for push in service.pushes] == ["one", "one"]
    anna.say("two")
    service.wait(3)
    deadline = time.monotonic() + TIMEOUT_S
    while ben.ask("GET", "/notifications/subscriptions")["devices"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    anna.say("three")
    witness.see(anna)

    assert len(service.to()) == 3


def test_a_server_that_dies_between_the_commit_and_the_push_tells_of_it_when_it_is_back(
    people, server, service, witness
):
    anna, ben = people
    phone = Phone(service, ben)
    anna.say("hello")
    server.kill()
    assert service.pushes == []
    server.start()
    service.wait(1)
    witness.see(anna)

    (push,) = service.to()
    assert phone.read(push)["text"] == "hello"
