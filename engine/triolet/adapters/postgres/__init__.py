"""PostgreSQL: a store for many servers, and a bus where there is no Redis.

How it is built, from the outside in::

    store       the port, as calls of the functions in `sql`
    appending   one batch at a time · drafts  batches as columns, answers as outcomes
    reading     what is asked, and rows as what the port returns · keeping, retention
    schema      the steps of the schema; their SQL is in `sql`
    bus         the port, over LISTEN and NOTIFY · listener  the connection that hears
    packets     doorbells as notifications · told  tables of what lives for a moment
    pool        connections lent and taken back · backoff, statistics
    migrations  the schema, step by step, by one node at a time
    connection  libpq without blocking, waited for by Trio (waiting)
    statement   SQL with the types of its parameters (kinds)
    address     where the database is: URLs, hosts, names
    failures    SQLSTATEs, told apart · tasks  what runs beside a block
    exporting   all rows, for another store · importing, restoring  those of another one
    identity    who a database is, and who else uses it · foreign  cids from elsewhere

This imports the driver: whoever opens a URL imports it then, and says what is to be installed.
"""

from .bus import open_postgres_bus as open_postgres_bus
from .exporting import open_postgres_source as open_postgres_source
from .importing import open_postgres_target as open_postgres_target
from .store import open_postgres_store as open_postgres_store
