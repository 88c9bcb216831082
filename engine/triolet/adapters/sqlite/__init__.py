"""A store in one SQLite file: for one server, durable, with nothing to install.

How it is built, from the outside in::

    store       the port, as jobs for the writer and reads of snapshots
    opening     lock, file, schema and threads, begun and ended together (files, connections)
    writer      the one thread that writes · ledger  its transactions and what it remembers
    appending   the batch: judged in order, written as one row of the journal
    effects     what facts change · erasing  what a deletion takes away
    recent      the newest entries in memory · upkeep  folding them into the tables by rooms
    runs        entries in the tables: 64 a row · segments, sieve, cids  what each cid became
    readers     connections that read beside it · snapshot, reading, directory
    retention   removing the oldest in small steps · forgetting  old cids
    checkpoints keeping the write-ahead log short
    exporting   all rows, for another store · importing, restoring  those of another one
"""

from .exporting import open_sqlite_source as open_sqlite_source
from .importing import open_sqlite_target as open_sqlite_target
from .store import SqliteStore as SqliteStore
from .store import open_sqlite_store as open_sqlite_store
