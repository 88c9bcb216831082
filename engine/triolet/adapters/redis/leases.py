"""Leases and what is told under them, on Redis: whole on each server, so that one is enough.

On each server::

    PREFIX:leases           a set of the names of leases, those included that have ended
    PREFIX:lease:LEASE      lives as long as the lease: its copy's number and version, `3:17`
    PREFIX:states:USER      a hash: lease → number of the copy, a colon, the state
    PREFIX:told:LEASE       a set of the hashes that have a state of the lease, to be cleared

Doorbells are spread over several servers; what is told under leases is on each of them, for
a user of whom nothing is known is offline to everybody. A server that was away has old states,
or none: the version says so, which counts the calls that told something. Who reads asks all
servers, and believes of each lease the copy with the greatest version; who holds the lease
brings such a copy up to date when it renews the lease, under the next number, with which all
that the old copy says is void.

A lease that lives on one server lives. All servers let it lapse by their own clocks, which only
count the seconds of a TTL.
"""

from collections.abc import Mapping, Sequence
from typing import Final, final

import trio

from ...ports.bus import STATE_BYTES_MAX
from .asking import Asked, gather, is_done, require, require_all
from .link import Command
from .server import Server

# Users told in one step of Redis: about a millisecond.
_USERS_PER_STEP: Final = 250
# Names of one MGET.
_NAMES_PER_CALL: Final = 1000
# Leases looked at for whether they have ended, at each renewal by any node; and states of one
# that has which are removed then. In all more than the nodes can tell meanwhile.
_SWEPT_LEASES: Final = 10
_SWEPT_STATES: Final = 500

# Sent whole at each call: 1 KB beside what is told, and never unknown to a server.
# KEYS: lease, told, users' hashes. ARGV: name, version before, version after, states.
_TELL: Final = b"""
local value = redis.call('GET', KEYS[1])
if not value then return 0 end
local number, version = string.match(value, '^(%d+):(%d+)$')
for i = 3, #KEYS do
  local state = ARGV[i + 1]
  if state == '' then
    redis.call('HDEL', KEYS[i], ARGV[1])
    redis.call('SREM', KEYS[2], KEYS[i])
  else
    redis.call('HSET', KEYS[i], ARGV[1], number .. ':' .. state)
    redis.call('SADD', KEYS[2], KEYS[i])
  end
end
if version == ARGV[2] then
  redis.call('SET', KEYS[1], number .. ':' .. ARGV[3], 'KEEPTTL')
end
return 1
"""

# KEYS: the set of leases. ARGV: prefix, how many leases, how many states.
_SWEEP: Final = b"""
local swept = 0
for _, name in ipairs(redis.call('SRANDMEMBER', KEYS[1], ARGV[2])) do
  if redis.call('EXISTS', ARGV[1] .. 'lease:' .. name) == 0 then
    local told = ARGV[1] .. 'told:' .. name
    local hashes = redis.call('SPOP', told, ARGV[3])
    for _, hash in ipairs(hashes) do redis.call('HDEL', hash, name) end
    swept = swept + #hashes
    if #hashes < tonumber(ARGV[3]) then redis.call('SREM', KEYS[1], name) end
    if swept >= tonumber(ARGV[3]) then break end
  end
end
return swept
"""


@final
class _Copy:
    """One server's copy of a lease that is held here."""

    __slots__ = ("is_behind", "number")

    def __init__(self) -> None:
        self.number = 1
        # It may have missed something that was told.
        self.is_behind = False


@final
class _Own:
    """A lease that is held here."""

    __slots__ = ("copies", "states", "version")

    def __init__(self, servers: Sequence[Server]) -> None:
        self.copies = [_Copy() for _ in servers]
        # What is told under it, to bring a copy up to date; not needed where there is one.
        self.states: dict[str, bytes] | None = {} if len(servers) > 1 else None
        self.version = 1


@final
class Leases:
    """See the module.

    Args:
        servers: all of them, in the order that all nodes have.
    """

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._own: dict[str, _Own] = {}

    # --- living --------------------------------------------------------------------------

    async def take(self, lease: str, *, ttl_s: float) -> None:
        """See `Bus.take_lease`: it is taken if one server has it."""
        own = _Own(self._servers)
        asked = [
            server.ask(_beginning(server, lease, f"1:{own.version}", ttl_s))
            for server in self._servers
        ]
        found = await gather(asked)
        for copy, replies in zip(own.copies, require(found), strict=True):
            copy.is_behind = replies is None
        self._own[lease] = own

    async def renew(self, lease: str, *, ttl_s: float) -> bool:
        """See `Bus.renew_lease`: it lives if it lives on one server."""
        asked = [
            server.ask([(b"PEXPIRE", _key(server, "lease", lease), _ms(ttl_s)), _sweeping(server)])
            for server in self._servers
        ]
        found = await gather(asked)
        lives = [isinstance(replies, list) and replies[0] == 1 for replies in found]
        if not any(lives):
            require_all(found)
            self._own.pop(lease, None)
            return False
        own = self._own.get(lease)
        for index, replies in enumerate(found):
            if own is None or not isinstance(replies, list):
                continue
            if own.copies[index].is_behind or not lives[index]:
                await self._restore(index, lease, own, ttl_s=ttl_s)
        return True

    async def _restore(self, index: int, lease: str, own: _Own, *, ttl_s: float) -> None:
        """Bring a server's copy up to date; what fails is done at the next renewal.

        Others believe the new copy when it is whole: until then its version is 0.
        """
        server, copy = self._servers[index], own.copies[index]
        if own.states is None:
            return
        copy.number += 1
        copy.is_behind = False
        commands = _beginning(server, lease, f"{copy.number}:0", ttl_s)
        commands += [_telling(server, lease, step, -1, -1) for step in _in_steps(own.states)]
        commands.append(_telling(server, lease, {}, 0, own.version))
        asked = server.ask(commands)
        try:
            await gather([asked])
        finally:
            copy.is_behind |= not is_done(asked)

    async def end(self, lease: str) -> None:
        """See `Bus.end_lease`: it has ended when all servers know."""
        self._own.pop(lease, None)
        asked = [server.ask([(b"DEL", _key(server, "lease", lease))]) for server in self._servers]
        require_all(await gather(asked))

    async def living(self) -> list[str]:
        """See `Bus.leases`."""
        asked = [server.ask([(b"SMEMBERS", _key(server, "leases"))]) for server in self._servers]
        named: dict[str, None] = {}
        for replies in require(await gather(asked)):
            if replies is not None:
                named |= dict.fromkeys(_texts(replies[0]))
        return sorted(_best(await self._copies(sorted(named))))

    # --- telling -------------------------------------------------------------------------

    async def put(self, lease: str, states: Mapping[str, bytes]) -> None:
        """See `Bus.put_states`: it is told if one server was."""
        for state in states.values():
            if len(state) > STATE_BYTES_MAX:
                raise ValueError(f"a state has at most {STATE_BYTES_MAX} bytes")
        own = self._own.get(lease)
        if own is None or not states:
            # It has ended, and what is told is seen by nobody.
            await trio.lowlevel.checkpoint()
            return
        if own.states is not None:
            told = own.states | dict(states)
            own.states = {user: state for user, state in told.items() if state}
        asked = self._tell(lease, own, states)
        try:
            found = await gather(asked)
        finally:
            # Also where the wait was cancelled, and nobody knows.
            for copy, answers in zip(own.copies, asked, strict=True):
                copy.is_behind |= not is_done(answers)
        require(found)

    def _tell(self, lease: str, own: _Own, states: Mapping[str, bytes]) -> list[Asked]:
        commands: list[list[Command]] = [[] for _ in self._servers]
        for step in _in_steps(states):
            for server, steps in zip(self._servers, commands, strict=True):
                steps.append(_telling(server, lease, step, own.version, own.version + 1))
            own.version += 1
        return [server.ask(steps) for server, steps in zip(self._servers, commands, strict=True)]

    # --- reading -------------------------------------------------------------------------

    async def states(self, users: Sequence[str]) -> list[dict[str, bytes]]:
        """See `Bus.states`: of each lease what the server says that knows the latest."""
        asked = [
            server.ask([(b"HGETALL", _key(server, "states", user)) for user in users])
            for server in self._servers
        ]
        tables = [
            None if rows is None else [_fields(row) for row in rows]
            for rows in require(await gather(asked))
        ]
        named = {lease: None for table in tables if table for row in table for lease in row}
        answer: list[dict[str, bytes]] = [{} for _ in users]
        for lease, (index, number) in _best(await self._copies(sorted(named))).items():
            for told, row in zip(answer, tables[index] or (), strict=False):
                mark, _, state = row.get(lease, b"").partition(b":")
                if mark == number:
                    told[lease] = state
        return answer

    async def _copies(self, leases: Sequence[str]) -> list[dict[str, bytes]]:
        """Return what each server has under the names of leases; nothing where it is gone."""
        pieces = [
            leases[start : start + _NAMES_PER_CALL]
            for start in range(0, len(leases), _NAMES_PER_CALL)
        ]
        asked = [
            server.ask(
                [(b"MGET", *(_key(server, "lease", one) for one in piece)) for piece in pieces],
            )
            for server in self._servers
        ]
        return [
            {} if rows is None else _alive(leases, rows) for rows in require(await gather(asked))
        ]


# --- names ---------------------------------------------------------------------------------


def _key(server: Server, kind: str, name: str | None = None) -> str:
    prefix = server.address.prefix
    return f"{prefix}:{kind}" if name is None else f"{prefix}:{kind}:{name}"


def _ms(ttl_s: float) -> int:
    return max(1, round(1000 * ttl_s))


def _in_steps(states: Mapping[str, bytes]) -> list[dict[str, bytes]]:
    items = list(states.items())
    return [
        dict(items[start : start + _USERS_PER_STEP])
        for start in range(0, len(items), _USERS_PER_STEP)
    ]


# --- what is said, and what is answered ------------------------------------------------------


def _beginning(server: Server, lease: str, value: str, ttl_s: float) -> list[Command]:
    return [
        (b"SET", _key(server, "lease", lease), value, b"PX", _ms(ttl_s)),
        (b"SADD", _key(server, "leases"), lease),
    ]


def _telling(
    server: Server, lease: str, states: Mapping[str, bytes], before: int, after: int
) -> Command:
    keys = [_key(server, "lease", lease), _key(server, "told", lease)]
    keys += [_key(server, "states", user) for user in states]
    return (b"EVAL", _TELL, len(keys), *keys, lease, before, after, *states.values())


def _sweeping(server: Server) -> Command:
    prefix = f"{server.address.prefix}:"
    return (b"EVAL", _SWEEP, 1, _key(server, "leases"), prefix, _SWEPT_LEASES, _SWEPT_STATES)


def _texts(reply: object) -> list[str]:
    """Return the members of a set."""
    assert isinstance(reply, list | set)
    return [str(member, "utf-8") for member in reply]


def _fields(reply: object) -> dict[str, bytes]:
    """Return the fields of a hash."""
    assert isinstance(reply, dict)
    return {str(field, "utf-8"): value for field, value in reply.items()}


def _alive(leases: Sequence[str], replies: Sequence[object]) -> dict[str, bytes]:
    """Return what several MGET answered, of leases that live."""
    values = [value for reply in replies if isinstance(reply, list) for value in reply]
    return {
        lease: value
        for lease, value in zip(leases, values, strict=True)
        if isinstance(value, bytes)
    }


def _best(copies: Sequence[Mapping[str, bytes]]) -> dict[str, tuple[int, bytes]]:
    """Return whom to believe: of each lease the server, and the number of its copy.

    >>> _best([{"a": b"1:7"}, {"a": b"2:9", "b": b"1:1"}, {"a": b"3:9"}])
    {'a': (1, b'2'), 'b': (1, b'1')}
    """
    best: dict[str, tuple[int, bytes]] = {}
    versions: dict[str, int] = {}
    for index, some in enumerate(copies):
        for lease, value in some.items():
            number, _, version = value.partition(b":")
            if int(version) > versions.get(lease, -1):
                best[lease], versions[lease] = (index, number), int(version)
    return best
