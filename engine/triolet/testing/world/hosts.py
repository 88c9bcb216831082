"""Who can be reached: machines by name, the sockets they listen on, and dialling one."""

from typing import Final, final

import trio

from .network import Network
from .sockets import Endpoint, Listener
from .streams import SimulatedStream

# When TCP repeats the first packet of a connection.
_KNOCKS_S: Final = (1.0, 2.0, 4.0, 8.0)


@final
class Hosts:
    """The machines of a world.

    Attributes:
        network: what connects them.
        listeners: by the name of the machine.
        processes: who listens there, or did last.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.listeners: dict[str, Listener] = {}
        self.processes: dict[str, str] = {}
        self._silent: dict[str, None] = {}
        self._number = 0

    def listen(self, host: str, process: str = "") -> Listener:
        """Return a new listening socket of a machine's process."""
        self.processes[host] = process
        self._silent.pop(host, None)
        self._number += 1
        self.listeners[host] = Listener(self._number)
        return self.listeners[host]

    def stop(self, host: str) -> None:
        """Forget a machine's listening socket, which was closed."""
        self.listeners.pop(host, None)

    def kill(self, host: str, *, silently: bool) -> None:
        """Take the sockets of a machine's process away; `silently`: the peers are not told."""
        listener = self.listeners.pop(host, None)
        if silently:
            self._silent[host] = None
        for end in self.ends(host):
            if silently:
                end.vanish()
            end.close()
        if listener is not None:
            listener.close()

    def ends(self, host: str) -> list[Endpoint]:
        """Return the open connections of a machine."""
        return [end for end in self.network.open if end.host == host]

    async def dial(self, host: str, to: str) -> SimulatedStream:
        """Connect to a machine.

        Raises:
            ConnectionRefusedError: nobody listens there.
            TimeoutError: it does not answer.
        """
        network = self.network
        link = network.link(host, to)
        for wait_s in _KNOCKS_S:
            await trio.sleep(2 * network.travel_s(link))
            if not (link.is_cut or to in self._silent):
                break
            await trio.sleep(wait_s)
        else:
            raise TimeoutError(f"{to} does not answer")
        listener = self.listeners.get(to)
        if listener is None or listener.is_closed:
            raise ConnectionRefusedError(f"nobody listens at {to}")
        self._number += 2
        near = Endpoint(network, link, host, self._number)
        far = Endpoint(network, link, to, self._number + 1)
        near.peer, far.peer = far, near
        listener.knock(far)
        return SimulatedStream(near)
