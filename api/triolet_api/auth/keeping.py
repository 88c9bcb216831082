"""What signing in keeps of somebody, whether or not people sign in here any more."""

from typing import final

from triolet.ports.documents import Documents

from .accounts import close_account
from .families import families_prefix
from .invites import remove_invites_of


@final
class SignInKeeper:
    """Accounts, sign-ins and invites; see `belongings.Keeper`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def telling_of(self, user: str) -> list[str]:
        """Return nothing: all of it is secrets; what is not is told by `/v1/auth/sessions`."""
        del user
        return []

    async def documents_of(self, user: str) -> list[str]:
        """Return where sign-ins are; the account stays, as a name that is taken."""
        return [families_prefix(user)]

    async def close(self, user: str) -> None:
        """Remove the account, and what it has let others in by.

        Raises:
            StoreError: ask again.
        """
        await close_account(self._documents, user)
        await remove_invites_of(self._documents, user)
