"""A bus and a limiter over Redis or Valkey, for several nodes: RESP3 on hiredis, on Trio.

How it is built, from the outside in::

    opening     the block in which a node is connected
    bus         the port: which server has which channel
    listening   doorbells of one server: following, and following again · heard  what waits
    leases      leases and states, whole on each server
    limiter     rates that nodes keep together
    server      one server: connected again whenever the connection is lost · asking  several
    link        one connection: requests and answers, many at once
    address     what a URL says
"""

from .opening import open_redis_bus as open_redis_bus
from .opening import open_redis_limiter as open_redis_limiter
