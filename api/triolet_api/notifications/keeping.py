"""What notifying keeps of somebody, whether or not it is switched on now."""

from typing import final

from triolet.ports.documents import Documents

from .devices import owned_by
from .people import telling_of


@final
class PushKeeper:
    """Devices, wishes, and what was told; see `belongings.Keeper`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def telling_of(self, user: str) -> list[str]:
        """Return where wishes and the address for mails are; devices are keys and secrets."""
        return telling_of(user)

    async def documents_of(self, user: str) -> list[str]:
        """Return where all of it is.

        Raises:
            StoreUnavailable: it could not be read.
        """
        return [f"push/{user}/", *await owned_by(self._documents, user)]

    async def close(self, user: str) -> None:
        """Do nothing: nobody is notified who is in no room, and has no device."""
