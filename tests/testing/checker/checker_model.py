"""A system that keeps its promises, as small as can be, and the histories that its clients record.

It has the shapes of a real one (retries, resumed cursors, deletions, kicks, people who come and
go, lost answers), and chance decides what happens; so what the checker accepts of it is what
it must accept of an engine.
"""

import heapq
import random
from itertools import count

from triolet._domain.fold import fold
from triolet._model.entries import Delete, Edit, Entry, Member, Message, React
from triolet.testing import history

ROOM, EPOCH, OWNER = "lobby", "e1", "owner"
CLIENTS = {"anna-1": "anna", "anna-2": "anna", "ben-1": "ben", "eva-1": "eva"}
USERS = ("anna", "ben", "eva")
GRACE_S, TYPING_S = 10, 6


class ModelClient:
    """One client: its connection, its cursors, and what it has yet to retry."""

    def __init__(self, name, user):
        self.name = name
        self.user = user
        self.conn = 0
        self.is_online = False
        self.wire = None
        self.app = None
        self.unanswered = []
        self.asked = []


class ModelCursor:
    def __init__(self, sub, pos):
        self.sub = sub
        self.pos = pos


class ModelSystem:
    """Everything at once: call `run`, then read `events`."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.t = 0.0
        self.events = []
        self.log = []
        self.deleted = {}
        self.clients = [ModelClient(name, user) for name, user in CLIENTS.items()]
        self.members = dict.fromkeys(USERS)
        self.marks = dict.fromkeys(USERS, 0)
        self.by_cid = {}
        self.shown = dict.fromkeys(USERS, "offline")
        self.left = {}
        self.typing = {}
        self._timers = []
        self._numbers = count(1)
        self._subs = count(1)

    # --- time and tape -----------------------------------------------------------------

    def say(self, kind, client=None, **fields):
        where = ("", 0) if client is None else (client.name, client.conn)
        self.events.append(kind(round(self.t, 3), *where, **fields))

    def later(self, delay_s, deed):
        heapq.heappush(self._timers, (self.t + delay_s, next(self._numbers), deed))

    def advance(self, seconds):
        end = self.t + seconds
        while self._timers and self._timers[0][0] <= end:
            self.t, _, deed = heapq.heappop(self._timers)
            deed()
        self.t = end

    def user_clients(self, user):
        return [client for client in self.clients if client.user == user and client.is_online]

    @property
    def online(self):
        return [client for client in self.clients if client.is_online]

    # --- the log -----------------------------------------------------------------------

    def append(self, sender, cid, fact):
        n = (self.log[-1].n if self.log else 0) + isinstance(fact, Message)
        entry = Entry(ROOM, len(self.log) + 1, n, sender, 1000 + len(self.log), cid, fact)
        self.log.append(entry)
        self.by_cid[sender, cid] = entry
        if isinstance(fact, Delete):
            self.deleted[fact.target] = entry.seq
        if isinstance(fact, Message) and sender in self.marks:
            self.marks[sender] = entry.seq
        return entry

    def as_told(self, entry):
        """Return an entry as it is told now: erased, if it has been deleted."""
        fact = entry.fact
        if isinstance(fact, Message) and entry.seq in self.deleted:
            fact = Message(reply_to=fact.reply_to, mentions=fact.mentions, erased=True)
        elif isinstance(fact, Edit) and fact.target in self.deleted:
            fact = Edit(fact.target, erased=True)
        told = Entry(entry.room, entry.seq, entry.n, entry.sender, entry.at, entry.cid, fact)
        return history.logged(told)

    def n_at(self, seq):
        return self.log[seq - 1].n if seq else 0

    # --- connections -------------------------------------------------------------------

    def connect(self, client):
        self.say(history.Greeted, client)
        client.conn += 1
        client.is_online = True
        self.say(history.Connected, client, session=f"s{next(self._numbers)}")
        self.left.pop(client.user, None)
        if self.shown[client.user] == "offline":
            self.show(client.user, "online")
        rows = tuple((user, self.shown[user], 0) for user in USERS if user != client.user)
        self.say(history.Presence, client, users=rows)
        if client.app is not None:
            self.subscribe(client)
        waiting, client.unanswered = client.unanswered, []
        for op, cid, fact in waiting:
            self.request(client, op, cid, fact)

    def disconnect(self, client):
        told = self.chance.random() < 0.7
        client.is_online = False
        client.wire = None
        self.say(history.Disconnected, client, code=1000 if told else 1006, told=told)
        if not self.user_clients(client.user):
            # A silent end is found out after the heartbeat.
            number = self.left[client.user] = next(self._numbers)
            self.later(GRACE_S + (0 if told else 40), lambda: self.gone(client.user, number))

    def gone(self, user, number):
        """The grace is over, unless they came back meanwhile, even if they went again."""
        if self.left.get(user) == number and not self.user_clients(user):
            self.show(user, "offline")

    def show(self, user, status):
        self.shown[user] = status
        for client in self.online:
            if client.user != user:
                self.say(history.Presence, client, users=((user, status, 0),))

    # --- cursors -----------------------------------------------------------------------

    def subscribe(self, client, since=None):
        if client.user not in self.members:
            if client.app is not None:
                self.say(history.Closed, client, sub=client.app.sub, room=ROOM, reason="removed")
                client.app = None
            return
        head = len(self.log)
        if client.app is not None:
            since = client.app.pos
        pos = head if since is None else since
        where = None if since is None else (EPOCH, since)
        fields = {"room": ROOM, "epoch": EPOCH, "pos": pos, "head": head, "role": "member"}
        client.wire = ModelCursor(next(self._subs), pos)
        self.say(history.Subscribed, client, sub=client.wire.sub, since=where, wire=True, **fields)
        self.tell_unread(client)
        self.say(history.Typing, client, room=ROOM, users=tuple(self.typing))
        if client.app is None:
            client.app = ModelCursor(next(self._subs), pos)
            self.say(history.Subscribed, client, sub=client.app.sub, since=where, **fields)

    def deliver(self, client):
        if client.wire is None or client.wire.pos >= len(self.log):
            return
        entry = self.log[client.wire.pos]
        for cursor in (client.wire, client.app):
            cursor.pos = entry.seq
            self.say(history.Seen, client, sub=cursor.sub, room=ROOM, entry=self.as_told(entry))
        if isinstance(entry.fact, Member) and (entry.fact.user, entry.fact.role) == (
            client.user,
            None,
        ):
            self.close(client, "removed")

    def close(self, client, reason):
        for cursor in (client.wire, client.app):
            self.say(history.Closed, client, sub=cursor.sub, room=ROOM, reason=reason)
        client.wire = client.app = None

    # --- requests ----------------------------------------------------------------------

    def request(self, client, op, cid, fact):
        self.say(history.Sent, client, op=op, room=ROOM, cid=cid, fact=history.trace(fact))
        known = self.by_cid.get((client.user, cid))
        if known is None and client.user not in self.members:
            self.say(history.Refused, client, room=ROOM, cid=cid, code=3003)
            return
        fate = self.chance.random()
        if fate < 0.05:
            self.lost(client, (op, cid, fact))
            return
        entry = known or self.append(client.user, cid, fact)
        if fate < 0.1:
            self.lost(client, (op, cid, fact))
            return
        client.asked.append((op, cid, fact))
        self.say(
            history.Acked,
            client,
            room=ROOM,
            cid=cid,
            seq=entry.seq,
            at=entry.at,
            duplicate=known is not None,
        )

    def lost(self, client, request):
        """The connection breaks with the answer on its way, or the request."""
        client.unanswered.append(request)
        self.disconnect(client)

    def something(self, client):
        """Do what people do."""
        if client.asked and self.chance.random() < 0.05:
            # An application that has forgotten that it was answered.
            self.request(client, *self.chance.choice(client.asked))
            return
        cid = f"{client.name}-{next(self._numbers)}"
        own = [
            entry.seq
            for entry in self.log
            if isinstance(entry.fact, Message)
            and entry.sender == client.user
            and entry.seq not in self.deleted
        ]
        body = {"text": cid}
        choice = self.chance.random()
        if client.user not in self.members or choice < 0.6 or not own:
            self.request(client, "send", cid, Message(body))
        elif choice < 0.75:
            self.request(client, "edit", cid, Edit(self.chance.choice(own), body))
        elif choice < 0.85:
            self.request(client, "delete", cid, Delete(self.chance.choice(own)))
        else:
            fact = React(
                self.chance.choice(own), self.chance.choice("👍👎"), self.chance.random() < 0.7
            )
            self.request(client, "react", cid, fact)

    # --- state -------------------------------------------------------------------------

    def tell_unread(self, client):
        read = self.marks[client.user]
        head = len(self.log)
        unread = max(0, self.n_at(head) - self.n_at(read))
        self.say(
            history.Unread, client, room=ROOM, epoch=EPOCH, head=head, unread=unread, read=read
        )

    def mark(self, client):
        asked = self.chance.randint(0, len(self.log))
        self.say(history.Asked, client, op="receipt", room=ROOM, read=asked)
        mark = self.marks[client.user] = max(self.marks[client.user], asked)
        for other in self.online:
            if other.wire is not None:
                self.say(history.Receipts, other, room=ROOM, marks=((client.user, mark, mark),))

    def type(self, client):
        self.say(history.Asked, client, op="typing", room=ROOM, on=True)
        number = self.typing[client.user] = next(self._numbers)
        self.tell_typing()
        self.later(TYPING_S, lambda: self.stop_typing(client.user, number))

    def stop_typing(self, user, number):
        if self.typing.get(user) == number:
            del self.typing[user]
            self.tell_typing()

    def tell_typing(self):
        for client in self.online:
            if client.wire is not None:
                self.say(history.Typing, client, room=ROOM, users=tuple(self.typing))

    def read(self, client):
        head, limit = len(self.log), self.chance.randint(1, 5)
        rows = [history.folded_row(row) for row in fold(self.log, client.user)]
        page = rows[-limit:]
        after = page[0].seq - 1 if len(rows) > limit else 0
        self.say(
            history.Folded,
            client,
            room=ROOM,
            epoch=EPOCH,
            head=head,
            after=after,
            upto=head,
            messages=tuple(page),
        )

    # --- everything --------------------------------------------------------------------

    def step(self):
        self.advance(self.chance.choice((0, 0.01, 0.1, 0.5)))
        client, choice = self.chance.choice(self.clients), self.chance.random()
        if not client.is_online:
            if choice < 0.5:
                self.connect(client)
            return
        if choice < 0.35:
            self.something(client)
        elif choice < 0.75:
            for _ in range(self.chance.randint(1, 4)):
                self.deliver(client)
        elif choice < 0.8 and client.user in self.members:
            self.mark(client)
        elif choice < 0.85 and client.user in self.members:
            self.type(client)
        elif choice < 0.9 and client.user in self.members:
            self.read(client)
        elif choice < 0.93:
            self.disconnect(client)
        elif choice < 0.95:
            self.member(client.user)
        elif client.app is None:
            since = self.chance.choice((None, self.chance.randint(0, len(self.log))))
            self.subscribe(client, since)
        elif choice < 0.97 and client.wire is not None:
            self.close(client, "unsubscribed")
        else:
            self.advance(self.chance.choice((3, 15, 60)))

    def member(self, user):
        role = None if user in self.members and self.chance.random() < 0.5 else "member"
        self.append(OWNER, f"owner-{next(self._numbers)}", Member(user, role))
        if role is None:
            del self.members[user]
        elif user not in self.members:
            self.members[user] = None
            self.marks[user] = max(self.marks[user], len(self.log))

    # --- the end -----------------------------------------------------------------------

    def tell_log(self):
        entries = tuple(self.as_told(entry) for entry in self.log)
        self.say(
            history.Stored,
            room=ROOM,
            epoch=EPOCH,
            head=len(entries),
            entries=entries,
            lineage=((EPOCH, 1),),
        )

    def delete(self):
        """The owner ends the room; those who are here are told, and nobody may come back."""
        owner, head = ModelClient("owner-1", OWNER), len(self.log)
        self.say(history.Opened, owner, user=OWNER, origin="a model")
        self.say(history.Connected, owner, session="so")
        self.say(history.Sent, owner, op="delete_room", room=ROOM, cid="end")
        self.tell_log()
        self.say(history.Deleted, room=ROOM, seq=head, user=OWNER, cid="end")
        self.say(history.Acked, owner, room=ROOM, cid="end", seq=head)
        self.members.clear()
        self.typing.clear()
        for client in self.online:
            if client.wire is not None:
                self.close(client, "deleted")

    def try_again(self):
        """Everybody asks for what was not answered, and for something else."""
        for client in self.clients:
            while not client.is_online:
                self.connect_in_vain(client)
            cid = f"{client.name}-late"
            self.say(history.Sent, client, op="send", room=ROOM, cid=cid)
            self.say(history.Refused, client, room=ROOM, cid=cid, code=3002)

    def connect_in_vain(self, client):
        waiting, client.unanswered = client.unanswered, []
        self.connect(client)
        for op, cid, fact in waiting:
            self.say(history.Sent, client, op=op, room=ROOM, cid=cid, fact=history.trace(fact))
            self.say(history.Refused, client, room=ROOM, cid=cid, code=3002)

    def run_to_the_end(self, steps):
        """Live as in `run`, but for the end: the room is deleted, and then all is quiet."""
        self.begin()
        for _ in range(steps):
            self.step()
        self.delete()
        self.try_again()
        self.advance(100)
        self.say(history.Settled)
        return self.events

    # --- a ban -------------------------------------------------------------------------

    def ban(self, user):
        """Somebody is banned: whoever is in goes, and who knocks is sent away."""
        self.say(history.Banned, user=user)
        for client in self.user_clients(user):
            self.end(client)
        self.advance(2)
        for client in self.clients:
            if client.user == user:
                self.say(history.Greeted, client)
                self.say(history.Disconnected, client, code=4003, told=True)

    def end(self, client):
        client.is_online, client.wire = False, None
        self.say(history.Disconnected, client, code=4003, told=True)
        self.left[client.user] = next(self._numbers)
        if not self.user_clients(client.user):
            number = self.left[client.user]
            self.later(GRACE_S, lambda: self.gone(client.user, number))

    def run_with_a_ban(self, steps):
        """Live as in `run`, but for a time when somebody is banned, whom the others talk about."""
        self.begin()
        for _ in range(steps):
            self.step()
        for client in self.clients:
            while not client.is_online:
                self.connect(client)
        everybody = self.clients
        self.ban("ben")
        self.clients = [client for client in everybody if client.user != "ben"]
        for _ in range(steps // 4):
            self.step()
        self.advance(100)
        self.say(history.Pardoned, user="ben")
        self.advance(2)
        self.clients = everybody
        self.come_home()
        self.speak(next(client for client in everybody if client.user == "ben"))
        self.tell_log()
        return self.events

    def speak(self, client):
        """Say something, and be answered."""
        cid, fact = f"{client.name}-back", Message({"text": "back"})
        where = {"room": ROOM, "cid": cid}
        self.say(history.Sent, client, op="send", fact=history.trace(fact), **where)
        if client.user not in self.members:
            self.say(history.Refused, client, code=3003, **where)
            return
        entry = self.append(client.user, cid, fact)
        self.say(history.Acked, client, seq=entry.seq, at=entry.at, **where)

    def begin(self):
        for user in (OWNER, *USERS):
            self.append(OWNER, "make", Member(user, "owner" if user == OWNER else "member"))
        self.marks = dict.fromkeys(USERS, len(self.log))
        for client in self.clients:
            self.say(history.Opened, client, user=client.user, origin="a model")

    def run(self, steps):
        self.begin()
        for _ in range(steps):
            self.step()
        self.advance(100)
        self.come_home()
        self.tell_log()
        return self.events

    def come_home(self):
        """Have everybody at home, and all is quiet."""
        for client in self.clients:
            while not client.is_online:
                self.connect(client)
        for client in self.clients:
            while client.wire is not None and client.wire.pos < len(self.log):
                self.deliver(client)
            if client.is_online:
                self.read(client)
        self.say(history.Settled)
