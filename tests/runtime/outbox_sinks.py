"""What outboxes write to in tests: sockets and readers that take what they are told to take."""

from triolet._runtime.outbox import SocketOutbox

BYTES_LOW = 100


class Pipe:
    """A connection and its socket, which takes `room` bytes in all; None: everything.

    `error` is what its socket raises from now on.
    """

    def __init__(self, room=None):
        self.room = room
        self.error = None
        self.written = b""
        self.writes = []
        self.wanted = False
        self.losses = 0

    def send(self, data):
        if self.error is not None:
            raise self.error
        if self.room == 0:
            raise BlockingIOError
        taken = len(data) if self.room is None else min(self.room, len(data))
        if self.room is not None:
            self.room -= taken
        self.written += data[:taken]
        self.writes.append(data[:taken])
        return taken

    def wait_writable(self, *, wanted):
        self.wanted = wanted

    def lost(self):
        self.losses += 1


class Mailbox:
    """A message sink with a place for `room` messages."""

    def __init__(self, room):
        self.room = room
        self.messages = []

    def put_nowait(self, payload):
        if not self.room:
            return False
        self.room -= 1
        self.messages.append(payload)
        return True


def socket_outbox(flusher, sink):
    return SocketOutbox(flusher, sink, sink, text=False, bytes_low=BYTES_LOW)
