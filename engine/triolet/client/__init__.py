"""The client of an engine, over the network or in the same process, by the same methods.

    client      `connect`, `open_client`, and the `Client` they give
    operations  one typed method for each op of the protocol
    room        a room by name, and `async for` over its entries
    streams     events, bounded, lossless for entries
    folding     a message of history, and what later entries make of it
    state       where the connection stands, as a table
    backoff     when to come back
    limits      every bound

Below them a core without I/O (`_session` on `_desk`, with `_requests`, `_following`,
`_standing`, `_answers`), what drives it (`_driver`), and the network (`_link`, or
`_events_link` over `_http`).
"""

from ._effects import ClientEvent as ClientEvent
from ._events_link import EventsDialer as EventsDialer
from ._link import Dialer as Dialer
from ._link import Link as Link
from ._link import LinkClosed as LinkClosed
from ._link import WebSocketDialer as WebSocketDialer
from ._token import TokenProvider as TokenProvider
from .backoff import Backoff as Backoff
from .client import Client as Client
from .client import Statistics as Statistics
from .client import connect as connect
from .client import open_client as open_client
from .limits import ClientLimits as ClientLimits
from .operations import Operations as Operations
from .room import Room as Room
from .state import State as State
from .streams import EventStream as EventStream
