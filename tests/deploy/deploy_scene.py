"""Real nginx and HAProxy with the shipped configuration, before real nodes.

Of the configuration only addresses, paths and certificates are changed.
"""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections import Counter
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from triolet.adapters.tokens import mint
from triolet.testing.services.processes import held_port

EXAMPLES = Path(__file__).parents[2] / "examples" / "deploy"
METRICS_TOKEN = "a token for tests, of some length"
SECRET = "a secret for tests, of more than 32 bytes"
# Debian has them where a user's PATH does not look.
PATH = f"{os.environ['PATH']}:/usr/sbin"
# On a machine that is busy with other things.
START_TIMEOUT_S = 90
PATIENCE_S = 90
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def token(user):
    return mint(SECRET.encode(), user, ttl_s=3600, now_ms=int(time.time() * 1000))


# --- ports and certificates ---------------------------------------------------------------


class Ports:
    """Ports that the system gives to nobody else: see `held_port`."""

    def __init__(self):
        self._holding = ExitStack()

    def held(self):
        """Return one more; until somebody listens there, connections to it are refused."""
        return self._holding.enter_context(held_port())

    def close(self):
        """Give them all back."""
        self._holding.close()


class Certificate:
    """A certificate for localhost, made now, and who believes in it."""

    def __init__(self, folder):
        self.key, self.chain = folder / "tls-key.pem", folder / "tls-certificate.pem"
        self.both = folder / "triolet.pem"
        made, key = _certificate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.key.write_bytes(pem)
        self.chain.write_bytes(made.public_bytes(Encoding.PEM))
        self.both.write_bytes(self.chain.read_bytes() + pem)
        self.trust = ssl.create_default_context(cafile=self.chain)


def _certificate():
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made, key


# --- balancers ----------------------------------------------------------------------------


class Balancer:
    """One of the two, as its shipped configuration makes it.

    Args:
        folder: where it writes.
        nodes: the ports of three nodes.
    """

    def __init__(self, folder, ports, certificate, nodes):
        self.folder = folder
        self.port, self.plain_port = ports.held(), ports.held()
        self.certificate = certificate
        self.log = folder / "balancer.log"
        self.process = None
        self.nodes = nodes
        self.changes = self.places() | {
            f"node{number}:8000": f"127.0.0.1:{port}" for number, port in enumerate(nodes, 1)
        }
        self.configure()

    def configure(self):
        """Write the configuration: the shipped one, with our addresses and paths."""
        text = (EXAMPLES / self.source).read_text()
        for theirs, ours in self.changes.items():
            assert theirs in text, f"{self.source} has no {theirs!r} any more"
            text = text.replace(theirs, ours)
        self.configuration = self.folder / self.source
        self.configuration.write_text(text)

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [shutil.which(self.name, path=PATH), *self.arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_TIMEOUT_S
        while not self.is_up():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < until, self.said
            time.sleep(0.02)

    def is_up(self):
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(START_TIMEOUT_S)

    def served(self):
        """Return how many WebSockets that are over each node had, by its port."""
        return self._answered(101)

    def paged(self):
        """Return how many pages each node has answered with 200, by its port."""
        return self._answered(200)

    def _answered(self, status):
        found = re.findall(self._line.format(status=status), self.said)
        told = Counter(int(node) for node in found)
        return Counter({self.nodes[n - 1] if n <= 3 else n: count for n, count in told.items()})

    def has_looked(self):
        """Whether it knows by now which nodes are there."""
        return True

    def workers(self):
        """Return the processes that do the work."""
        pid = self.process.pid
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    @property
    def said(self):
        """All that it has logged anywhere."""
        return "".join(path.read_text("utf-8", "replace") for path in self.folder.glob("*.log"))

    @property
    def url(self):
        return f"wss://localhost:{self.port}/ws"


class Nginx(Balancer):
    name, source = "nginx", "nginx.conf"
    # Of the nodes that were tried the last one.
    _line = r'"node":"(?:[^"]*, )?127.0.0.1:(\d+)","node_status":"(?:[^"]*, )?{status}"'

    def places(self):
        return {
            "/run/nginx/": f"{self.folder}/",
            "/dev/stdout": f"{self.folder}/access.log",
            "/run/secrets/tls_certificate": str(self.certificate.chain),
            "/run/secrets/tls_key": str(self.certificate.key),
            "listen 80 ": f"listen 127.0.0.1:{self.plain_port} ",
            "listen 443 ": f"listen 127.0.0.1:{self.port} ",
        }

    def arguments(self):
        return ["-p", str(self.folder), "-c", str(self.configuration), "-g", "daemon off;"]

    def reload(self):
        self.process.send_signal(signal.SIGHUP)


class Haproxy(Balancer):
    name, source = "haproxy", "haproxy.cfg"
    _line = r" {status} \w+/node(\d) "

    def places(self):
        return {
            "/etc/haproxy/tls/triolet.pem": str(self.certificate.both),
            "bind :80": f"bind 127.0.0.1:{self.plain_port}",
            "bind :443": f"bind 127.0.0.1:{self.port}",
        }

    def arguments(self):
        return ["-W", "-f", str(self.configuration)]

    def has_looked(self):
        usable = {}
        for name, state in re.findall(r"Server sockets/(node\d) is (UP|DOWN)", self.said):
            usable[name] = state == "UP"
        return usable.get("node3") is False and sum(usable.values()) == len(usable) - 1

    def is_up(self):
        # Before it says so a signal may be lost.
        return super().is_up() and "Loading success" in self.said

    def reload(self):
        self.process.send_signal(signal.SIGUSR2)


BALANCERS = {kind.name: kind for kind in (Nginx, Haproxy)}


def require(name):
    """Skip the test where a program is not installed."""
    if shutil.which(name, path=PATH) is None:
        pytest.skip(f"{name} is not installed")


@contextmanager
def balancing(name, folder, ports, certificate, nodes):
    """Have a balancer before `nodes` for the length of a block."""
    require(name)
    folder.mkdir()
    balancer = BALANCERS[name](folder, ports, certificate, nodes)
    balancer.start()
    try:
        yield balancer
    finally:
        balancer.stop()


# --- clients ------------------------------------------------------------------------------


@asynccontextmanager
async def open_tls(balancer, alpn="http/1.1"):
    """Connect as a client does, and say which protocol is to be spoken; hang up at the end."""
    trust = ssl.create_default_context(cafile=balancer.certificate.chain)
    trust.set_alpn_protocols([alpn])
    stream = await trio.open_ssl_over_tcp_stream(
        "localhost", balancer.port, https_compatible=True, ssl_context=trust
    )
    try:
        await stream.do_handshake()
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


def upgrade_head(balancer, path="/ws", *headers):
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: localhost:{balancer.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: triolet.v1.json",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


# No status: the connection ended in the middle of the answer's body.
CUT = -1


async def ask(stream, request):
    """Send a request and return the status and the head of the answer; its body is read, too."""
    await stream.send_all(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = await stream.receive_some()
        if not part:
            return 0, answer
        answer += part
    head, body = answer.split(b"\r\n\r\n", 1)
    status = int(head.split()[1])
    size = next(
        (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"),
        0,
    )
    while status != 101 and len(body) < size:
        part = await stream.receive_some()
        if not part:
            return CUT, head
        body += part
    return status, head + b"\r\n\r\n" + body


def get(path, *headers, host="localhost"):
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()
