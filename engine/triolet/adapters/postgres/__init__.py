"""PostgreSQL: a store for many servers, and a bus where there is no Redis.

How it is built, from the outside in::

    pool        connections lent and taken back · backoff, statistics
    connection  libpq without blocking, waited for by Trio (waiting)
    statement   SQL with the types of its parameters (kinds)
    address     where the database is: URLs, hosts, names
    migrations  the schema, step by step, by one node at a time
    failures    SQLSTATEs, told apart
"""
