"""Every bound of the engine, in one place, each with its unit and its reason."""

from typing import Final, final

from msgspec import Struct


@final
class Limits(Struct, frozen=True, kw_only=True):
    """The bounds; a field's comment says why the number is what it is.

    >>> Limits(grace_s=2).grace_s
    2
    """

    # --- one message -------------------------------------------------------------------
    # The encoded body of one message. Slack, Discord and Matrix allow 40, 8 and 64 KiB.
    body_bytes_max: int = 32 * 1024
    # One WebSocket message: a body, and as much again for a long token or 1,000 positions.
    message_bytes_max: int = 128 * 1024
    # JSON nesting of a body; deeper structures are programs, not messages. At most 32, the bound
    # of `_wire.keys`.
    body_depth_max: int = 16
    # `data` of a signal: an SDP offer with many candidates is under 6 KiB.
    signal_bytes_max: int = 8 * 1024
    # The request head of a connection: nginx, Apache and Node allow 8 to 16 KiB.
    head_bytes_max: int = 16 * 1024

    # --- one session -------------------------------------------------------------------
    # Requests without an answer; beyond it the server stops reading this socket.
    inflight_max: int = 64
    # Subscriptions of one session: a busy person follows hundreds of rooms.
    subscriptions_max: int = 1000
    # People one session watches: a screen shows dozens, a list scrolls through hundreds.
    watched_max: int = 500
    # Live sessions of one user: phone, laptop, tablets, tabs; more is a loop in a client.
    sessions_per_user_max: int = 100
    # Connections in all; the file descriptors of the reference machine end at 20,000.
    connections_max: int = 18_000
    # Above the high mark an outbox is a slow reader: its cursors are demoted and its socket
    # is not read. 256 KiB is half a second of 4 Mbit/s. Below the low mark it catches up.
    outbox_bytes_high: int = 256 * 1024
    outbox_bytes_low: int = 64 * 1024
    # Rooms a feed event may gather before the rest is left to `sync`.
    feed_rooms_max: int = 1000
    # Malformed frames before a connection is closed with 1008.
    malformed_max: int = 3

    # --- times -------------------------------------------------------------------------
    # The request head is whole by then: who sends it byte by byte (Slowloris) holds a socket.
    handshake_timeout_s: float = 10
    # `hello` has come by then (4009); one round trip on a bad mobile network takes 2 s.
    hello_timeout_s: float = 10
    # Below the 30 s after which mobile networks and some proxies drop idle connections.
    heartbeat_s: float = 25
    # Not one byte taken for so long: the peer is gone or stuck (4008).
    stall_s: float = 30
    # In a close, what is owed and the close frame are taken within so long, and the frame is
    # answered within so long after that.
    close_timeout_s: float = 1
    # A page reload is back within it, so presence does not flicker.
    grace_s: float = 10
    # A typing mark lives so long after its last renewal.
    typing_s: float = 6
    # State events of a room or a session are gathered for so long.
    state_interval_s: float = 0.5
    # Feed events of one room reach a session at most so often.
    feed_interval_s: float = 1
    # Marks are written to the store so often.
    marks_interval_s: float = 1
    # A batch whose outcome stays unknown so long is answered `outcome_unknown`.
    append_deadline_s: float = 10
    # Wait for the missing entry before the gap is read from the store.
    gap_wait_s: float = 0.005
    # Compare the heads of loaded rooms with the store's.
    head_check_s: float = 5
    # Tell a session so long before its token ends; 0: not at all.
    token_notice_s: float = 60
    # Clocks of issuer and server may differ by so much.
    token_leeway_s: float = 30

    # --- one address -------------------------------------------------------------------
    # Not for this machine's own addresses, nor for those that are allowed by name. An IPv6
    # address counts as its /64. Connections: an office or a carrier has hundreds of people
    # behind one; eighteen times as many are all there are.
    address_connections_max: int = 1000
    # Those among them that are no WebSocket, or not yet: a browser opens six, and who sends no
    # request holds one for `handshake_timeout_s`.
    address_http_connections_max: int = 200
    # Commands a second of all who are connected from one, and how many may come at once: ten
    # users' worth.
    address_commands_rate: float = 1000
    address_commands_burst: int = 3000
    # Bans of users and networks: all are in memory, 0.6 KB each.
    bans_max: int = 50_000

    # --- other nodes -------------------------------------------------------------------
    # A call of the bus that takes longer has failed: a round trip takes under a millisecond.
    bus_timeout_s: float = 2
    # A server of the bus that does not answer for so long is given up and connected to again:
    # sooner than the call has failed, so that one of several servers is not taken for all.
    bus_answer_timeout_s: float = 1
    # Name, connection, TLS, password, and following again what was followed.
    bus_connect_timeout_s: float = 5
    # The longest wait between two attempts to connect: a server that is back is used soon.
    bus_backoff_s_max: float = 1
    # A shared rate that is not answered within it is bounded by this node alone: somebody waits.
    limiter_timeout_s: float = 0.5
    # Waiting to be rung in each part of the bus; beyond it doorbells are dropped, and others
    # compare heads.
    bus_pending_bytes_max: int = 16 * 1024 * 1024
    # A node rings itself so often; not heard for so long, it is deaf, and not ready. While it is
    # not heard, heads are compared so often: what others send is here within two intervals.
    canary_interval_s: float = 1
    canary_timeout_s: float = 5
    # Ask the store for revocations and bans that no doorbell has told.
    revocations_check_s: float = 5
    # What a node tells of its users is gone so long after its last beat: a dead node's users go
    # offline then. Beyond a pause of a busy machine, within what people call "a moment ago".
    presence_lease_s: float = 15
    # A node beats so often, and looks then who else does: two beats may get lost, and a ghost
    # is seen for at most a lease and one of these.
    presence_heartbeat_s: float = 5
    # What is known of watched users is read again so often: a doorbell may have been lost.
    # With the grace it stays below grace and lease together, the bound of a ghost.
    presence_check_s: float = 10

    # --- one room ----------------------------------------------------------------------
    # Ready frames kept for cursors that are a little behind.
    ring_entries_max: int = 256
    ring_bytes_max: int = 1024 * 1024
    # Ready frames of all rooms together; at 300 B a frame about 75 MB.
    ring_entries_total_max: int = 250_000
    # Entries that came before their predecessors.
    early_max: int = 64
    # Beyond it the room is reloaded instead of being filled.
    gap_max: int = 256
    # Rooms up to this size tell receipts of everybody to everybody.
    receipts_members_max: int = 64
    # Rooms up to this size appear in the feed, and are cached with all their members.
    feed_members_max: int = 256
    # Rooms with more subscribers carry no typing events.
    typing_subscribers_max: int = 256
    # Names in one typing event.
    typists_max: int = 5
    # Above it, and in public rooms and channels, joins are rows, not entries: 100,000 joins
    # told to 100,000 people would be 10^10 deliveries.
    entry_joins_members_max: int = 1000
    # Rooms kept loaded with nobody subscribed, so that the next one who writes or subscribes
    # need not wait: 2.5 KB each, so 50 MB; and their members together, 250 B each, 50 MB again.
    idle_rooms_max: int = 20_000
    idle_seats_max: int = 200_000

    # --- pages and batches -------------------------------------------------------------
    # Entries of one page that brings a cursor to the head.
    page_entries_max: int = 256
    # Bytes of one page, history included.
    page_bytes_max: int = 256 * 1024
    # Store pages in flight, all cursors together.
    pages_inflight_max: int = 64
    # Drafts and bytes of one commit: 1,000 rows hold the writer for about 10 ms.
    batch_drafts_max: int = 1000
    batch_bytes_max: int = 4 * 1024 * 1024
    # Calls waiting for SQLite's one writing thread: batches, marks, steps of retention.
    writes_pending_max: int = 1000
    # SQLite connections that read: two cores are busy with two, others wait for the disk.
    store_readers_max: int = 4
    # Connections of one node to PostgreSQL, whose default is 100 in all: nine nodes, and an
    # operator who looks.
    postgres_connections_max: int = 10
    # Those of its bus, where there is no Redis, besides the one that listens: one to ring, one
    # for leases.
    postgres_bus_connections_max: int = 2
    # Wait so long for one of them to be free, then answer `store_unavailable`.
    postgres_wait_s: float = 5
    # For each address of each host, so that the second one is tried within a batch's deadline.
    postgres_connect_timeout_s: float = 4
    # An answer that takes longer is given up, and its connection with it: pages and batches
    # take milliseconds, and a server that says nothing has, as a rule, gone.
    postgres_answer_s: float = 10
    # How long a cancelled statement may take to end before its connection is thrown away.
    postgres_cancel_s: float = 2
    # At most so long between two attempts to reach a database that is gone.
    postgres_backoff_s: float = 2
    # A statement that takes longer is logged, with its text and without its parameters.
    slow_query_s: float = 0.5
    # Accepted and not yet committed; beyond it requests get `store_unavailable` at once.
    pending_bytes_max: int = 16 * 1024 * 1024

    # --- rates -------------------------------------------------------------------------
    # Commands a second of one user, and how many may come at once: on all nodes together, within
    # `presence_check_s` of a session on one more.
    commands_rate: float = 100
    commands_burst: int = 300
    # Of those, what makes rooms, which stay, and what reads pages of the store: a screen that is
    # opened asks for a few, a search for old messages for more.
    creates_rate: float = 2
    creates_burst: int = 100
    pages_rate: float = 40
    pages_burst: int = 200
    # How much more users of a tier may ask for, by WebSocket and by HTTP: tokens of `premium`, and
    # of `service`; 0: as much as they like.
    premium_factor: float = 5
    service_factor: float = 0
    # Signals a second of one session; a call's set-up sends dozens of candidates.
    signals_rate: float = 20
    signals_burst: int = 40
    # Hellos a second of the whole node: a resume storm is spread, not suffered.
    hellos_rate: float = 1000
    hellos_burst: int = 2000
    # A hello whose turn comes within this waits for it; the others are told when to come. To come
    # again is a connection and a backoff more: a quarter of a storm came 3 s later for it.
    hello_wait_s: float = 3

    # --- jobs --------------------------------------------------------------------------
    # Of one kind at once on one node, where a handler does not say: most of them wait for others.
    jobs_running_max: int = 16
    # A handler that takes longer is cancelled, where it does not say: requests take seconds.
    jobs_timeout_s: float = 60
    # What is claimed is another node's after so long, if its own has died: three of its quarters
    # may be lost before its handler is cancelled, and clocks may differ by the fourth.
    jobs_lease_s: float = 60
    # Claimed ahead, of one kind, as many as are done within it, at most so many: a claim and an
    # ending of 500 hold SQLite's writer for a few milliseconds.
    jobs_ahead_s: float = 0.25
    jobs_batch_max: int = 500
    # Waiting to be kept: more than a second of SQLite's.
    jobs_pending_max: int = 20_000
    # Look for what no doorbell has told.
    jobs_check_s: float = 5
    # The pause after the first failure, and the longest one: the ten attempts that a job has by
    # itself take half an hour.
    jobs_retry_s: float = 4
    jobs_retry_s_max: float = 3600
    # Handlers of a node that leaves have so long to end; what they leave is given back.
    jobs_drain_s: float = 5
    # Done jobs are remembered by their key: whoever adds one again has heard of it within a day.
    jobs_keep_done_s: float = 86_400

    # --- keeping -----------------------------------------------------------------------
    # How long a cid is remembered; 0: for ever.
    dedupe_days: int = 0
    # How long, and how many, entries of a room are kept; 0: for ever, all.
    retention_days: int = 0
    retention_entries: int = 0

    # --- leaving -----------------------------------------------------------------------
    # Not ready, still serving, so that a load balancer looks away first; 0: there is none.
    lb_delay_s: float = 0
    # Clients are told to leave spread over this window.
    drain_window_s: float = 2


# The bounds that a client must respect.
_TOLD: Final = (
    "body_bytes_max",
    "message_bytes_max",
    "signal_bytes_max",
    "inflight_max",
    "subscriptions_max",
    "watched_max",
)


def told(limits: Limits) -> dict[str, int | float]:
    """Return what `welcome.limits` tells."""
    return {name: getattr(limits, name) for name in _TOLD}
