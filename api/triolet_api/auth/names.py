"""What an account may be called.

Names are the protocol's user ids, and those of accounts are lower case: "Anna" registers and
signs in as `anna`, so that no two people differ in case alone.
"""

import re
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from triolet._model.errors import ErrorCode, Refusal

# As it is typed. The first character keeps `.` and `..` out of paths and `-x` out of commands.
Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}\Z")]

_is_name = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}").fullmatch

# Who bears one of these seems to speak for the service, or is taken for a word of it. An
# operator may give them to whom they belong (`triolet user add`).
_RESERVED: Final = """
    abuse admin administrator all anonymous anybody anyone api billing bot channel contact
    deleted everybody everyone guest help here hostmaster info mail me moderator mods news
    nobody noreply no-reply none null official operator owner postmaster root security self
    service staff support sys sysadmin system team triolet undefined user webmaster you
"""
RESERVED: Final = frozenset(_RESERVED.split())


def account_name(text: str) -> str:
    """Return what the account of somebody who is called `text` is called.

    Raises:
        Refusal: `INVALID_FIELD`: nobody can be called so.

    >>> account_name("Anna")
    'anna'
    """
    # Looked at first: Unicode has signs whose lower case is a letter of ours.
    if _is_name(text) is None:
        raise Refusal(ErrorCode.INVALID_FIELD, "a name is 1 to 64 of a-z 0-9 _ . @ -")
    return text.lower()


def check_free_to_take(name: str) -> None:
    """Refuse names that are not for whoever comes first.

    Raises:
        Refusal: `INVALID_FIELD`.
    """
    if name in RESERVED:
        raise Refusal(ErrorCode.INVALID_FIELD, f"the name {name} is reserved")
