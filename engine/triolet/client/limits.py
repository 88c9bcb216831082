"""Every bound of the client, in one place, each with its unit and its reason."""

from typing import final

from msgspec import Struct


@final
class ClientLimits(Struct, frozen=True, kw_only=True):
    """The bounds; a field's comment says why the number is what it is.

    >>> ClientLimits(queue_max=10).queue_max
    10
    """

    # --- what waits ------------------------------------------------------------------------
    # Requests without an answer, sent or not: an hour offline of somebody who types fast.
    queue_max: int = 1000
    # The same, as bytes on the wire.
    queue_bytes_max: int = 8 * 1024 * 1024
    # How often a refusal that will pass (rate, store) is repeated before the caller hears it;
    # with the server's usual second between them that is four seconds of silence.
    retries_max: int = 4

    # --- what is read ----------------------------------------------------------------------
    # Events one stream buffers. When a room is put on hold, some 3,000 entries are still on
    # their way (outbox, socket buffers), are thrown away and sent again later: a consumer that
    # answers each entry was sent 4.6 times what it took with 1,000 here, with 4,096 1.2 times.
    stream_events_max: int = 4096
    # The same, as bytes on the wire; 4,096 bodies of the greatest size would be 128 MiB.
    stream_bytes_max: int = 4 * 1024 * 1024
    # One message of the server: a history page is 256 KiB, a `sync` may carry many rooms.
    message_bytes_max: int = 16 * 1024 * 1024

    # --- what is remembered ----------------------------------------------------------------
    # Rooms whose heads and marks are remembered for `sync`; the protocol takes no more.
    rooms_max: int = 1000
    # Positions of one subscription request; the protocol takes no more.
    batch_rooms_max: int = 200

    # --- times -----------------------------------------------------------------------------
    # Name, TCP, TLS and WebSocket handshake together.
    dial_timeout_s: float = 10
    # From `hello` to `welcome`; the server gives the other side as long.
    welcome_timeout_s: float = 10
    # A request over HTTP, where there is no WebSocket; the server gives its store 10 s.
    request_timeout_s: float = 30
    # A token provider that takes longer counts as failed.
    token_timeout_s: float = 30
    # Beyond two heartbeats without a byte the connection is half open.
    silence_margin_s: float = 5
    # How long a full stream may stop the reading of the socket: 400 entries a second suffice
    # never to be put on hold, and pings are answered long before the server gives up (50 s).
    patience_s: float = 5
    # How long the client's side of a close may take.
    close_timeout_s: float = 1
    # A typing mark is renewed at most so often, and lives so long (protocol).
    typing_renewal_s: float = 2
    typing_s: float = 6
