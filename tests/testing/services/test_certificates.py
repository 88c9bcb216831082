"""Law: a client that trusts the authority trusts the server, under both of its names."""

import contextlib
import ssl

import pytest

from triolet.testing.services.certificates import make_certificates


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("trusts", [True, False])
def test_the_authority_vouches_for_the_server(tmp_path, name, trusts):
    made = make_certificates(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(made.cert, made.key)
    asking = ssl.create_default_context(cafile=made.ca if trusts else None)
    ways = [ssl.MemoryBIO() for _ in range(4)]
    client = asking.wrap_bio(ways[0], ways[1], server_hostname=name)
    server = serving.wrap_bio(ways[2], ways[3], server_side=True)

    def shake():
        for _ in range(4):
            for side, there, back in ((client, ways[1], ways[2]), (server, ways[3], ways[0])):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                back.write(there.read())

    if trusts:
        shake()
        assert client.getpeercert()["subject"] == ((("commonName", "localhost"),),)
    else:
        with pytest.raises(ssl.SSLCertVerificationError):
            shake()
