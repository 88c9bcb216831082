"""Laws of `testing.services.pgbouncer`: a real pooler before a real server."""

import pytest

from triolet.testing.services.pgbouncer import NoPgBouncer, run_pgbouncer


def test_it_is_there_for_the_block_and_leads_to_the_server(postgres_server):
    """Whoever asks by its port is answered by the server, and nobody is after the block."""
    try:
        with run_pgbouncer(postgres_server) as port:
            direct, postgres_server.port = postgres_server.port, port
            try:
                assert str(direct) == postgres_server.execute("SELECT inet_server_port()")
            finally:
                postgres_server.port = direct
    except NoPgBouncer as error:
        pytest.skip(str(error))
    postgres_server.port, direct = port, postgres_server.port
    try:
        with pytest.raises(Exception, match="refused"):
            postgres_server.execute("SELECT 1")
    finally:
        postgres_server.port = direct


def test_what_does_not_start_is_said(postgres_server):
    """With its own words."""
    with pytest.raises(NoPgBouncer, match="PgBouncer"), run_pgbouncer(postgres_server, mode="tea"):
        pass
