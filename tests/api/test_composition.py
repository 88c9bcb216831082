"""Composition: the parts together, around a running engine."""

from triolet.embedded import open_engine
from triolet_api.composition import open_api
from triolet_api.settings import Settings


async def test_the_pieces_serve(serving):
    async with (
        open_engine() as engine,
        open_api(engine, Settings()) as api,
        serving(api.app) as host,
        host.client() as client,
    ):
        assert (await client.get("/health/ready")).status_code == 200
