"""Laws of `adapters.postgres.pool`: bounded, clean, never an answer for somebody else."""

import pytest
import trio

from triolet._model.limits import Limits
from triolet.adapters.postgres.kinds import (
    BOOL,
    BOOLS,
    BYTEA,
    BYTEAS,
    FLOAT8,
    FLOAT8S,
    INT2,
    INT2S,
    INT4,
    INT4S,
    INT8,
    INT8S,
    TEXT,
    TEXTS,
)
from triolet.adapters.postgres.pool import open_pool
from triolet.adapters.postgres.statement import Statement
from triolet.testing.entropy import CountingEntropy

ADD = Statement("SELECT $1 + 1", INT8)
SLEEP = Statement("SELECT $1::text FROM pg_sleep($2)", TEXT, FLOAT8)


def a_pool(url, **bounds):
    return open_pool(url, entropy=CountingEntropy(), limits=Limits(**bounds))


VALUES = [
    (BOOL, True),
    (BYTEA, b"\0\xff"),
    (INT2, -2),
    (INT4, -4),
    (INT8, 2**62),
    (FLOAT8, 0.5),
    (TEXT, "grüße"),
    (BOOLS, [True, None, False]),
    (BYTEAS, [b"", None, b"\0"]),
    (INT2S, [1, 2]),
    (INT4S, [3]),
    (INT8S, [2**62, None]),
    (TEXTS, ["", "ä", None]),
    (FLOAT8S, [0.25]),
    (INT8S, [1, -1]),
    (TEXT, None),
    (BYTEAS, []),
]


@pytest.mark.parametrize("prepare", [0, 1])
async def test_values_come_back_as_they_went(postgres_url, prepare):
    async with a_pool(f"{postgres_url}?prepare={prepare}") as pool:
        columns = ", ".join(f"${i}" for i in range(1, len(VALUES) + 1))
        statement = Statement(f"SELECT {columns}", *(kind for kind, _ in VALUES))
        for _ in range(2):
            assert [tuple(value for _, value in VALUES)] == await pool.run(
                statement, *(value for _, value in VALUES)
            )


async def test_cancel_storm(postgres_url):
    import random

    rng = random.Random(1)
    wrong = 0
    done = 0
    async with a_pool(postgres_url, postgres_connections_max=4) as pool:

        async def one(i):
            nonlocal wrong, done
            with trio.move_on_after(rng.random() * 0.05 if i % 2 else 100):
                got = await pool.run(SLEEP, str(i), rng.random() * 0.03)
                done += 1
                wrong += got != [(str(i),)]

        for start in range(0, 400, 20):
            async with trio.open_nursery() as nursery:
                for i in range(start, start + 20):
                    nursery.start_soon(one, i)
        assert done
        assert wrong == 0
        assert [(3,)] == await pool.run(ADD, 2)
