"""Histories: what clients sent and saw, one event a line, for the checker to judge.

Whatever moves an engine writes one: the simulated world, the chaos commands, a load test,
`recorder.Recorder` around a client of an application.
A history is a list of events in the order in which they were recorded, in a file as JSON lines
(`read`, `Writer`); several files of one run are one history, merged by time (`merge`).

What the events mean, by example:

    opened        the client "c1" acts for the user "anna"
    greeted       its hello leaves, on a connection that is new
    connected     its first, second, … connection is there; `disconnected` ends it
    sent          it asked for something durable under a cid; again on each retry
    acked         … and was told its place; `refused`: that it will not be;
    unknown       … or gave up: it is stored once or not at all
    subscribed    the cursor `sub` stands at `pos`, the room's head is `head`
    seen          the next entry came on a cursor; `reset`, `closed`: what came instead
    asked         it said something that is no entry: marks, typing, its status
    receipts, typing, presence, unread      what it was told of others and of itself
    unwatched     … and, by its own wish, is not told any more: people's presence
    folded        it read a page of history: messages with all changes applied
    left          the client was ended by its owner: nobody sees through its eyes any more

and what the world adds, as facts:

    fault         something was broken or mended: nodes, network, disk, clock
    stored        the log of a room, as the store has it in the end
    deleted       … and that it ended so: the room is no more
    started       a life of a node begins
    banned        a user is, in the store; `pardoned`: is so no more
    settled       nothing is broken and all is quiet: who is connected has seen everything

A *cursor* is what one `subscribe` opened.
On the wire it ends with its connection (`wire=True`), and the next one resumes where it was;
to an application one cursor lives through all connections, for the client resumes it.
Both owe the same: each entry after `pos`, once, in order.

Bodies are not recorded but their digests, see `traces`.

    from triolet.testing import history

    history.Acked(1.5, "c1", 1, room="lobby", cid="x", seq=7)
"""

from .events import VERSION as VERSION
from .events import Acked as Acked
from .events import Asked as Asked
from .events import Banned as Banned
from .events import Closed as Closed
from .events import Connected as Connected
from .events import Deleted as Deleted
from .events import Disconnected as Disconnected
from .events import Event as Event
from .events import Fault as Fault
from .events import Folded as Folded
from .events import Greeted as Greeted
from .events import Left as Left
from .events import Opened as Opened
from .events import Pardoned as Pardoned
from .events import Presence as Presence
from .events import Receipts as Receipts
from .events import Refused as Refused
from .events import Reset as Reset
from .events import Seen as Seen
from .events import Sent as Sent
from .events import Settled as Settled
from .events import Started as Started
from .events import Stored as Stored
from .events import Subscribed as Subscribed
from .events import Typing as Typing
from .events import Unknown as Unknown
from .events import Unread as Unread
from .events import Unwatched as Unwatched
from .files import HistoryError as HistoryError
from .files import Writer as Writer
from .files import encode as encode
from .files import merge as merge
from .files import read as read
from .traces import FoldedRow as FoldedRow
from .traces import Logged as Logged
from .traces import Trace as Trace
from .traces import digest as digest
from .traces import folded_row as folded_row
from .traces import logged as logged
from .traces import trace as trace
