"""Laws of `adapters.postgres.listener`: it is never deaf in silence."""

import trio

from triolet._model.limits import Limits
from triolet.adapters.postgres.address import parse
from triolet.adapters.postgres.listener import Listener
from triolet.testing.chaos.proxy import open_proxy
from triolet.testing.entropy import CountingEntropy

PATIENCE_S = 60


class Told:
    """What a listener tells, and when."""

    def __init__(self):
        self.payloads, self.came_back = [], 0
        self.news = trio.Event()

    async def heard(self, sender, payload):
        assert sender
        self.payloads.append(payload)
        self._tell()

    def comes_back(self):
        self.came_back += 1
        self._tell()

    def _tell(self):
        self.news.set()
        self.news = trio.Event()

    async def until(self, is_true):
        with trio.fail_after(PATIENCE_S):
            while not is_true():
                await self.news.wait()


def a_listener(url, told, **bounds):
    return Listener(
        parse(url),
        heard=told.heard,
        came_back=told.comes_back,
        entropy=CountingEntropy(),
        limits=Limits(**bounds),
    )


def notify(server, url, payload):
    sql = f"SELECT pg_notify('triolet_' || md5(current_schema()), '{payload}')"
    server.execute(sql, url.rpartition("/")[2])


async def test_it_says_when_it_hears(postgres_url, postgres_server):
    """From then on nothing is missed; and the tables of the bus are there."""
    told = Told()
    listener = a_listener(postgres_url, told)
    assert not listener.is_up
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        await listener.tried.wait()
        assert (True, 1) == (listener.is_up, told.came_back)
        for payload in ("1", "2"):
            await trio.to_thread.run_sync(notify, postgres_server, postgres_url, payload)
        await told.until(lambda: told.payloads == [b"1", b"2"])
        nursery.cancel_scope.cancel()
    assert not listener.is_up
    assert "0" == postgres_server.execute(
        "SELECT count(*) FROM triolet_leases", postgres_url.rpartition("/")[2]
    )


async def test_a_first_attempt_that_fails_has_been_made(autojump_clock):
    """Whoever opens the bus need not wait for a database that is not there."""
    told = Told()
    listener = a_listener("postgresql://127.0.0.1:1/chat", told)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        with trio.fail_after(PATIENCE_S):
            await listener.tried.wait()
        assert (False, 0) == (listener.is_up, told.came_back)
        nursery.cancel_scope.cancel()


async def test_a_server_that_says_nothing_is_found_out(postgres_url, postgres_server, caplog):
    """A way that loses everything resets nothing: it is asked, and given up."""
    told = Told()
    async with open_proxy("127.0.0.1", postgres_server.port) as proxy:
        url = postgres_url.replace(str(postgres_server.port), str(proxy.port))
        # In `bus_timeout_s` a server that is there answers also on a machine that is busy.
        bounds = {"canary_timeout_s": 0.2, "bus_timeout_s": 3, "postgres_connect_timeout_s": 10}
        listener = a_listener(url, told, **bounds)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            await listener.tried.wait()
            # Silence alone is none: it has been asked twice by then.
            await trio.sleep(0.5)
            assert listener.is_up
            proxy.sever()
            with trio.fail_after(PATIENCE_S):
                while listener.is_up:  # noqa: ASYNC110 - it tells nobody
                    await trio.sleep(0.02)
            proxy.heal()
            await told.until(lambda: told.came_back >= 2)
            await trio.to_thread.run_sync(notify, postgres_server, postgres_url, "again")
            await told.until(lambda: told.payloads == [b"again"])
            nursery.cancel_scope.cancel()
    assert "does not hear" in caplog.text
