"""Folding: how a log of entries reads as messages, edits, deletions and reactions applied.

This is the one definition; stores that fold on write are proved equal to it, and clients
apply live entries to a page of history by the same rules:

- an edit replaces the body, and the latest one says when (`edited_at`);
- a deletion takes the body away and leaves everything else;
- a reaction counts once for each person, from the entry that first put it;
- what points at a message that is not there (pruned, or no message) changes nothing.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final, final

from msgspec import UNSET, UnsetType

from .._model.entries import Delete, Edit, Entry, FoldedMessage, Message, React, Reaction
from .._model.json import JsonMap

# People named under an emoji, those who put it first: a bubble shows a handful and a count.
REACTION_USERS_MAX: Final = 10
# Emojis listed under a message, by code points: Discord allows 20, Slack 50. A bound, because
# nothing else keeps one message from carrying a hundred thousand different ones.
REACTION_EMOJIS_MAX: Final = 50


@final
class _State:
    """One message while it is being folded."""

    __slots__ = ("body", "edited_at", "entry", "erased", "message", "reactions")

    def __init__(self, entry: Entry, message: Message) -> None:
        self.entry = entry
        self.message = message
        self.body: JsonMap | UnsetType = message.body
        self.erased = message.erased
        self.edited_at: int | UnsetType = UNSET
        # Emoji → user, in the order they put it.
        self.reactions: dict[str, dict[str, None]] = {}


@final
class Fold:
    """The messages of one room, folded entry by entry.

    >>> fold = Fold()
    >>> fold.apply(Entry("r", 1, 1, "anna", 5, "c1", Message({"text": "hi"})))
    >>> fold.apply(Entry("r", 2, 1, "ben", 6, "c2", React(1, "🙂", on=True)))
    >>> fold.view(1, "anna").reactions
    {'🙂': Reaction(count=1, mine=False, users=('ben',))}
    """

    def __init__(self) -> None:
        self._states: dict[int, _State] = {}

    def __contains__(self, seq: int) -> bool:
        return seq in self._states

    def apply(self, entry: Entry) -> None:
        """Take the next entry of the log."""
        fact = entry.fact
        if isinstance(fact, Message):
            self._states[entry.seq] = _State(entry, fact)
        elif isinstance(fact, Edit | Delete | React):
            state = self._states.get(fact.target)
            if state is not None:
                _change(state, entry, fact)

    def forget(self, seq: int) -> None:
        """Drop a message that retention removed."""
        self._states.pop(seq, None)

    def author(self, seq: int) -> str | None:
        """Return who wrote the message at `seq`; None: no message there, or an erased one."""
        state = self._states.get(seq)
        return None if state is None or state.erased else state.entry.sender

    def view(self, seq: int, user: str) -> FoldedMessage:
        """Return the message at `seq` as `user` sees it.

        Raises:
            KeyError: there is none.
        """
        state = self._states[seq]
        entry, message = state.entry, state.message
        return FoldedMessage(
            seq=seq,
            n=entry.n,
            at=entry.at,
            cid=entry.cid,
            sender=entry.sender,
            body=state.body,
            reply_to=message.reply_to,
            mentions=message.mentions,
            edited_at=state.edited_at,
            erased=state.erased,
            reactions={
                emoji: Reaction(len(users), user in users, tuple(islice(users, REACTION_USERS_MAX)))
                for emoji, users in islice(sorted(state.reactions.items()), REACTION_EMOJIS_MAX)
            },
        )


def _change(state: _State, entry: Entry, fact: Edit | Delete | React) -> None:
    if isinstance(fact, Edit):
        state.edited_at = entry.at
        if not state.erased:
            state.body = fact.body
    elif isinstance(fact, Delete):
        state.erased = True
        state.body = UNSET
    elif fact.on:
        state.reactions.setdefault(fact.emoji, {}).setdefault(entry.sender)
    else:
        users = state.reactions.get(fact.emoji, {})
        users.pop(entry.sender, None)
        if not users:
            state.reactions.pop(fact.emoji, None)


def fold(entries: Iterable[Entry], user: str) -> tuple[FoldedMessage, ...]:
    """Return the messages of a log as `user` sees them, oldest first."""
    folding = Fold()
    seqs = []
    for entry in entries:
        folding.apply(entry)
        if isinstance(entry.fact, Message):
            seqs.append(entry.seq)
    return tuple(folding.view(seq, user) for seq in seqs)
