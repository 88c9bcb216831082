"""A scripted stage: participants without sockets, a store that obeys, and a last inspection.

    async with open_scene() as scene:
        anna, ben = await scene.enter("anna"), await scene.enter("ben")
        await scene.room("tea", anna, ben)
        await anna.ask("send", room="tea", body={"text": "hello"})
        entry = await ben.next("entry")

Participants speak maps in msgpack, as any client would; nothing of the engine's is asked.
"""

from contextlib import asynccontextmanager
from functools import partial, wraps

import msgspec
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from triolet._model.entries import Message
from triolet._model.errors import Close, CloseCode, ErrorCode, Refusal
from triolet._model.limits import Limits
from triolet._runtime.engine import Engine
from triolet._wire.codec import pack_fact
from triolet.adapters.memory import MemoryStore
from triolet.ports.gate import FOREVER, Identity
from triolet.ports.store import Appended, Draft

NOW_MS = 1_700_000_000_000
# Virtual seconds within which everything that is awaited has to happen.
PATIENCE_S = 120


def virtually(function):
    """Make an async function run in virtual time: for examples, each in a run of its own."""

    @wraps(function)
    def run(*args, **kwargs):
        trio.run(partial(function, *args, **kwargs), clock=MockClock(autojump_threshold=0))

    return run


class VirtualClock:
    """The wall clock that goes with the mock clock; it may be set ahead, days at once."""

    def __init__(self):
        self.ahead_ms = 0

    def now_ms(self):
        return NOW_MS + self.ahead_ms + round(trio.current_time() * 1000)


class CountedEntropy:
    """Names in a row, and the middle of every range."""

    def __init__(self):
        self.count = 0

    def token(self):
        self.count += 1
        return f"token-{self.count:016}"

    def uniform(self, low, high):
        return (low + high) / 2


class TableGate:
    """Admits the tokens it has been told of, and overrules what it has been told to."""

    def __init__(self):
        self.identities = {}
        self.verdicts = {}
        self.asked = []

    def knows(self, token, user, **fields):
        self.identities[token] = Identity(user=user, **{"expires_at": FOREVER, **fields})

    async def admit(self, token, opening):
        self.asked.append((token, opening))
        await trio.lowlevel.checkpoint()
        found = self.identities.get(token)
        if found is None:
            raise Refusal(ErrorCode.TOKEN_INVALID if token else ErrorCode.UNAUTHENTICATED)
        if isinstance(found, Refusal):
            raise found
        return found

    def may(self, who, action, *, room="", user=""):
        return self.verdicts.get((who.user, action, room or user))


class Step:
    """What becomes of one call of the store: see `ScriptedStore.script`."""

    def __init__(self, *, before, after, error, error_after, hook):
        self.entered = trio.Event()
        self.left = trio.Event()
        self._released = trio.Event()
        self._before, self._after = before, after
        self._error, self._error_after = error, error_after
        self._hook = hook

    def release(self):
        """Let a held call go on."""
        self._released.set()

    async def run(self, call):
        self.entered.set()
        try:
            if self._hook is not None:
                await self._hook()
            if self._before:
                await self._released.wait()
            if self._error is not None:
                await trio.lowlevel.checkpoint()
                raise self._error
            answer = await call()
            if self._after:
                await self._released.wait()
            if self._error_after is not None:
                raise self._error_after
            return answer
        finally:
            self.left.set()


class ScriptedStore:
    """A store in memory whose calls can be held, failed, or left unanswered after they happened."""

    def __init__(self, store):
        self.real = store
        self.calls = []
        # Awaited around every call, with its name and the call itself, instead of it.
        self.around = None
        self._steps = {}
        self._always = {}
        self.documents = ScriptedPart(self, "documents")
        self.jobs = ScriptedPart(self, "jobs")

    def script(self, name, *, before=False, after=False, error=None, error_after=None, hook=None):
        """Say what becomes of the next call of `name`, behind those said already.

        Args:
            name: the method, `documents.write` of a part.
            before: hold the call before it takes effect, until `release`.
            after: hold its answer, which is then an old one.
            error: it fails, and nothing happens.
            error_after: it happens, and fails all the same.
            hook: awaited first.
        """
        step = Step(before=before, after=after, error=error, error_after=error_after, hook=hook)
        self._steps.setdefault(name, []).append(step)
        return step

    def always(self, name, error=None):
        """Have every call of `name` fail with `error`; None: no more."""
        self._always[name] = error

    def count(self, name):
        return sum(called == name for called, _, _ in self.calls)

    def append_now(self, batch):
        """Never: what is scripted can be held."""
        del batch

    def __getattr__(self, name):
        return self.scripted(name, getattr(self.real, name))

    def scripted(self, name, method):
        """Return a method, of which each call does what was said of `name`."""

        async def call(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            steps = self._steps.get(name)
            if self.around is not None:
                return await self.around(name, lambda: method(*args, **kwargs))
            if steps:
                return await steps.pop(0).run(lambda: method(*args, **kwargs))
            if (error := self._always.get(name)) is not None:
                await trio.lowlevel.checkpoint()
                raise error
            return await method(*args, **kwargs)

        return call


class ScriptedPart:
    """A part of a scripted store: its calls are scripted by the part's name, too."""

    def __init__(self, store, part):
        self._store, self._part = store, part

    def __getattr__(self, name):
        method = getattr(getattr(self._store.real, self._part), name)
        return self._store.scripted(f"{self._part}.{name}", method)


class Participant:
    """Somebody with one in-process connection; what comes in is kept in `heard`, in order."""

    def __init__(self, scene, user, pipe):
        self.scene = scene
        self.user = user
        self.pipe = pipe
        self.session = pipe.session
        self.heard = []
        self.closed = trio.Event()
        self._taken = set()
        self._replies = {}
        self._news = trio.Event()
        self._refs = 0
        # Cleared: nothing is taken from the connection, as by a client that never reads.
        self.reading = trio.Event()
        self.reading.set()

    async def listen(self):
        while True:
            await self.reading.wait()
            try:
                payload = await self.pipe.receive()
            except (trio.EndOfChannel, trio.ClosedResourceError):
                break
            one = msgspec.msgpack.decode(payload)
            self.heard.append(one)
            if "ref" in one:
                self._replies.setdefault(one["ref"], one)
            self._news.set()
            self._news = trio.Event()
        self.closed.set()

    def stop_reading(self):
        self.reading = trio.Event()

    # --- asking ----------------------------------------------------------------------------

    async def say(self, op, **fields):
        """Send a request and return its `ref` at once."""
        self._refs += 1
        await self.pipe.send(msgspec.msgpack.encode({"op": op, "ref": self._refs, **fields}))
        return self._refs

    async def answer(self, ref):
        """Return the reply to a request, whatever it is."""
        return await self._await(lambda: self._replies.get(ref))

    async def ask(self, op, **fields):
        """Send a request and return its `ok`."""
        answer = await self.answer(await self.say(op, **fields))
        assert answer["op"] == "ok", answer
        return answer

    async def refused(self, op, **fields):
        """Send a request and return why it was refused."""
        answer = await self.answer(await self.say(op, **fields))
        assert answer["op"] == "error", answer
        return answer["reason"]

    async def send(self, room, text="hi", **fields):
        return await self.ask("send", room=room, body={"text": text}, **fields)

    # --- hearing ---------------------------------------------------------------------------

    async def next(self, op, **match):
        """Return the next event of a kind that nobody has asked for yet."""
        return await self._await(
            lambda: self._take(
                lambda one: one["op"] == op and all(one.get(k) == v for k, v in match.items())
            )
        )

    def _take(self, fits):
        for index, one in enumerate(self.heard):
            if index not in self._taken and fits(one):
                self._taken.add(index)
                return one
        return None

    async def _await(self, look):
        with trio.fail_after(PATIENCE_S):
            while (found := look()) is None:
                assert not self.closed.is_set(), f"{self.user} was closed: {self.pipe.close}"
                await self._news.wait()
        return found

    def all(self, op, **match):
        """Return every event of a kind heard so far."""
        return [
            one
            for one in self.heard
            if one["op"] == op and all(one.get(k) == v for k, v in match.items())
        ]

    def seqs(self, room):
        """Return the seqs of the entries heard of a room."""
        return [one["seq"] for one in self.all("entry", room=room)]

    def forget(self):
        """Ask and count from here on."""
        self.heard.clear()
        self._taken.clear()

    # --- leaving ---------------------------------------------------------------------------

    async def leave(self):
        """Hang up, and wait until the engine has noticed."""
        self.reading.set()
        self.pipe.hang_up()
        with trio.fail_after(PATIENCE_S):
            await self.closed.wait()
        await settled()

    async def cut(self):
        """Have the engine end the session now, whatever it is waiting for."""
        self.session.close(Close(CloseCode.DRAINING, "cut"))
        await settled()
        assert self.session.is_gone

    async def ended(self):
        """Wait for the engine to end it, and return the close code."""
        with trio.fail_after(PATIENCE_S):
            await self.closed.wait()
        return self.pipe.close.code


async def settled():
    """Wait until everything that can happen now has happened; no time passes."""
    await wait_all_tasks_blocked()


class Scene:
    """An engine, and all who have entered."""

    def __init__(self, engine, store, gate, nursery):
        self.engine = engine
        self.store = store
        self.gate = gate
        self.hub = engine.hub
        self.limits = engine.limits
        self._nursery = nursery
        self.cast = []
        self.written = 0
        self.tasks = tasks_of(engine)

    def pipe(self, user, **fields):
        """Return somebody who has connected and said nothing yet."""
        identity = Identity(user=user, **{"expires_at": FOREVER, **fields})
        return self._listening(user, self.engine.open_pipe(identity))

    def stranger(self):
        """Return somebody for whom nobody vouches: a token is asked."""
        pipe = self.engine.open_pipe(Identity(user="", expires_at=FOREVER))
        pipe.session.identity = None
        return self._listening("", pipe)

    def _listening(self, user, pipe):
        participant = Participant(self, user, pipe)
        self.cast.append(participant)
        self._nursery.start_soon(participant.listen)
        return participant

    async def enter(self, user, *, device=None, **fields):
        """Return somebody who has said hello and was welcomed."""
        participant = self.pipe(user, **fields)
        await participant.pipe.send(
            msgspec.msgpack.encode({"op": "hello", "device": device or f"{user}-phone"})
        )
        await participant.next("welcome")
        return participant

    async def room(self, name, owner, *members, subscribe=True, **fields):
        """Make a room of these people, and have them all follow it; return the head."""
        await owner.ask(
            "create",
            room=name,
            kind=fields.pop("kind", "group"),
            members=[member.user for member in members],
            **fields,
        )
        head = (await self.store.real.room(name)).head
        for participant in (owner, *members) if subscribe else ():
            await participant.ask("subscribe", room=name)
        await settled()
        for participant in (owner, *members):
            participant.forget()
        return head

    def loaded(self, name):
        return self.hub.rooms[name]

    def unload(self, name):
        """Have the hub drop a room that nobody needs, as it does when there are too many."""
        room = self.hub.rooms.pop(name)
        assert (room.pins, room.cursors) == (0, {})
        del self.hub._rooms.idle[name]

    async def elsewhere(self, name, sender, *facts, offer=False, **fields):
        """Write as another node would: into the store, and past this hub unless `offer`."""
        state = await self.store.real.room(name)
        self.written += 1
        draft = Draft(
            room=name,
            sender=sender,
            cid=fields.pop("cid", f"elsewhere-{self.written}"),
            op=fields.pop("op", "send"),
            facts=tuple((fact, pack_fact(fact)) for fact in facts),
            acl_ver=state.acl_ver if state else 0,
            **fields,
        )
        (outcome,) = await self.store.real.append([draft])
        assert isinstance(outcome, Appended), outcome
        for record in outcome.records if offer else ():
            self.hub.offer(record)
        return outcome.records

    async def messages_elsewhere(self, name, count, sender="anna", *, text="hi", offer=False):
        """Write so many messages as another node would."""
        for number in range(count):
            fact = Message({"text": f"{text} {number}"})
            await self.elsewhere(name, sender, fact, offer=offer)

    async def empty(self):
        """Have everybody hang up, and let every grace and interval end."""
        for participant in self.cast:
            if not participant.closed.is_set():
                await participant.leave()
        await trio.sleep(self.limits.grace_s + self.limits.typing_s + 5)
        await settled()


def tasks_of(engine):
    """Return how many tasks each of the engine's nurseries has."""
    return {
        "core": len(engine._nursery.child_tasks),
        "connections": len(engine.connection_nursery.child_tasks),
        "hub": len(engine.hub._nursery.child_tasks),
    }


async def leaves_nothing(scene):
    """Everybody goes; then no task, cursor, seat, pin, watcher, news or byte is left."""
    await scene.empty()
    engine = scene.engine
    assert tasks_of(engine) == scene.tasks
    assert engine.heartbeat.connections == {}
    for participant in scene.cast:
        _leaves_no_session(participant.session)
    _leaves_no_room(engine.hub)
    _leaves_no_news(engine)
    counters = engine.counters
    gauges = (counters.sessions, counters.users, counters.cursors, counters.slow)
    assert gauges == (0, 0, 0, 0)
    assert engine.sequencer.pending_bytes == 0
    assert engine.sequencer._waiting == engine.sequencer._committing == []


def _leaves_no_session(session):
    assert session.is_gone
    assert not session.cursors
    watching = session.watching
    assert watching is None or watching.users == watching.moved == {}
    outbox = session.outbox
    assert (outbox.size, outbox.urgent, outbox.ordinary) == (0, None, None)
    assert not session.pipeline._stale
    assert session.pipeline.inflight == 0
    pump = session._pump
    assert pump is None or (pump._behind == {} and pump._scope is None)


def _leaves_no_room(hub):
    assert hub._rooms.loads == hub.pages._pages == hub._gaps._filling == hub._gaps._full == {}
    for name, room in hub.rooms.items():
        assert name in hub.idle
        assert (room.pins, room.cursors) == (0, {})
        assert [audience.live for audience in room.audiences] == [{}, {}]
        assert room.early == {}
        assert len(room.typists) == 0
        assert room.moves == []
        strangers = [user for user, seat in room.seats.items() if seat.role is None]
        guests = list(room.seats) if not room.complete else strangers
        assert guests == []
        assert room.member_seats == {u: seat for u, seat in room.seats.items() if seat.role}
        assert [user for user, seat in room.seats.items() if seat.cursors] == []


def _leaves_no_news(engine):
    presence, feeder = engine.presence, engine.feeder
    assert (
        presence.present
        == presence.watchers.by_user
        == presence._graces
        == presence._unwritten
        == {}
    )
    assert feeder._news == engine.marks._seats == engine.states._typing == {}
    coalescers = {
        "newcomers": presence._newcomers,
        "writer": presence._writer,
        "told": presence.watchers._told,
        "feed": feeder._coalescer,
        "marks": engine.marks._coalescer,
        "states": engine.states._coalescer,
    }
    assert {name: one._marked for name, one in coalescers.items() if one._marked} == {}
    assert engine.flusher.is_idle


@asynccontextmanager
async def open_scene(*, limits=None, inspect=True, **changes):
    """Run an engine over a scripted store, and inspect what is left of it at the end.

    Args:
        limits: those of the engine.
        changes: to the usual limits, where none are given.
        inspect: False for scenes whose end is not theirs to keep tidy (a crash, a drain).
    """
    clock, entropy = VirtualClock(), CountedEntropy()
    store = ScriptedStore(MemoryStore(clock=clock, entropy=entropy))
    gate = TableGate()
    async with trio.open_nursery() as nursery:
        async with Engine(
            store=store,
            gate=gate,
            clock=clock,
            entropy=entropy,
            limits=limits or Limits(**changes),
        ) as engine:
            await settled()
            scene = Scene(engine, store, gate, nursery)
            yield scene
            if inspect:
                await leaves_nothing(scene)
        nursery.cancel_scope.cancel()
