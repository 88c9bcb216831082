"""A folded message of history, and what later entries make of it, by the engine's own rules.

History comes folded; who shows it applies each later entry (`seq` above the page's `as_of`).
"""

from msgspec import UNSET
from msgspec.structs import replace

from .._domain.fold import REACTION_EMOJIS_MAX, REACTION_USERS_MAX
from .._model.entries import Delete, Edit, Entry, FoldedMessage, Message, React, Reaction


def message_of(entry: Entry) -> FoldedMessage:
    """Return the message that a `message` entry makes."""
    fact = entry.fact
    assert isinstance(fact, Message)
    return FoldedMessage(
        seq=entry.seq,
        n=entry.n,
        at=entry.at,
        cid=entry.cid,
        sender=entry.sender,
        reactions={},
        body=fact.body,
        reply_to=fact.reply_to,
        mentions=fact.mentions,
        erased=fact.erased,
    )


def change(message: FoldedMessage, entry: Entry, me: str) -> FoldedMessage:
    """Return `message` after an edit, a deletion or a reaction, as `me` sees it.

    Of more people than history names, a reaction's count is all that is known: one of the
    unnamed who repeats theirs is counted twice, until history is read again.
    """
    match entry.fact:
        case Edit(body=body):
            body = UNSET if message.erased else body
            return replace(message, body=body, edited_at=entry.at)
        case Delete():
            return replace(message, body=UNSET, erased=True)
        case React(emoji=emoji, on=on):
            reactions = dict(message.reactions)
            before = reactions.pop(emoji, Reaction(count=0, mine=False, users=()))
            after = _put(before, entry.sender, me) if on else _take(before, entry.sender, me)
            if after.count > 0:
                reactions[emoji] = after
            listed = sorted(reactions.items())[:REACTION_EMOJIS_MAX]
            return replace(message, reactions=dict(listed))
        case _:
            return message


def _put(reaction: Reaction, user: str, me: str) -> Reaction:
    if user in reaction.users or (user == me and reaction.mine):
        return reaction
    users = (*reaction.users, user)[:REACTION_USERS_MAX]
    return Reaction(reaction.count + 1, reaction.mine or user == me, users)


def _take(reaction: Reaction, user: str, me: str) -> Reaction:
    is_known = user in reaction.users or reaction.count > len(reaction.users)
    if not is_known or (user == me and not reaction.mine):
        return reaction
    users = tuple(one for one in reaction.users if one != user)
    return Reaction(reaction.count - 1, reaction.mine and user != me, users)
