"""A store in one SQLite file: for one server, durable, with nothing to install.

How it is built, from the outside in::

    store       the port, as jobs for the writer and reads of snapshots
    opening     lock, file, schema and threads, begun and ended together (files, connections)
    writer      the one thread that writes · ledger  its transactions and what it remembers
    appending   the batch: judged in order, written together · effects  what facts change
    recent      the newest entries in memory · indexing  folding them into the tables by rooms
    readers     connections that read beside it · snapshot, places, reading, directory
    retention   removing the oldest in small steps · checkpoints  keeping the WAL short
"""

from .store import SqliteStore as SqliteStore
from .store import open_sqlite_store as open_sqlite_store
