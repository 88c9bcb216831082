"""Triolet: realtime messaging on Trio's structured concurrency.

The house, from the door down; imports point down only:

    triolet.testing    contract suites that prove adapters
    triolet.embedded   the engine in your process: `open_engine`, `Engine.connect`
    triolet.copying    one store's rows into another one
    triolet.client     the network client: `connect`, `Client`
    triolet._runtime   the tasks: sequencer, hub, cursors, sessions, the socket edge
    triolet.adapters   stores (memory, SQLite), token gate, clock
    triolet.ports      what the engine needs of the world: Store, Bus, Gate, Clock
    triolet._domain    the rules, pure: who may, where a cursor stands, who is here
    triolet._wire      bytes: msgpack, JSON, WebSocket frames
    triolet._model     the nouns: commands, entries, events, errors, limits

A room is a log, a subscription is a cursor on it, live is being at its head.
"""

from ._model.entries import Delete as Delete
from ._model.entries import Edit as Edit
from ._model.entries import Entry as Entry
from ._model.entries import FoldedMessage as FoldedMessage
from ._model.entries import Member as Member
from ._model.entries import Message as Message
from ._model.entries import Meta as Meta
from ._model.entries import React as React
from ._model.errors import Abandon as Abandon
from ._model.errors import BusUnavailable as BusUnavailable
from ._model.errors import CloseCode as CloseCode
from ._model.errors import ConfigurationError as ConfigurationError
from ._model.errors import ConnectionClosed as ConnectionClosed
from ._model.errors import ErrorCode as ErrorCode
from ._model.errors import OutcomeUnknown as OutcomeUnknown
from ._model.errors import QueueFull as QueueFull
from ._model.errors import Refusal as Refusal
from ._model.errors import Retry as Retry
from ._model.errors import SchemaTooNew as SchemaTooNew
from ._model.errors import StoreError as StoreError
from ._model.errors import StoreUnavailable as StoreUnavailable
from ._model.errors import TrioletError as TrioletError
from ._model.events import Closed as Closed
from ._model.events import Feed as Feed
from ._model.events import Notice as Notice
from ._model.events import Observed as Observed
from ._model.events import Presence as Presence
from ._model.events import Receipts as Receipts
from ._model.events import Reset as Reset
from ._model.events import Signal as Signal
from ._model.events import Typing as Typing
from ._model.limits import Limits as Limits
from .client import Backoff as Backoff
from .client import Client as Client
from .client import ClientLimits as ClientLimits
from .client import State as State
from .client import connect as connect
from .embedded import Engine as Engine
from .embedded import open_engine as open_engine
from .ports.jobs import Job as Job
from .ports.jobs import NewJob as NewJob

__version__ = "0.1.0"
