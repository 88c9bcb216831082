"""PostgreSQL: a store for many servers, and a bus where there is no Redis.

How it is built, from the outside in::

    store       the port, as calls of the functions in `sql`
    appending   one batch at a time · drafts  batches as columns, answers as outcomes
    reading     what is asked, and rows as what the port returns · keeping, retention
    schema      the steps of the schema; their SQL is in `sql`
    pool        connections lent and taken back · backoff, statistics
    connection  libpq without blocking, waited for by Trio (waiting)
    statement   SQL with the types of its parameters (kinds)
    address     where the database is: URLs, hosts, names
    migrations  the schema, step by step, by one node at a time
    failures    SQLSTATEs, told apart
"""

from .store import open_postgres_store as open_postgres_store
