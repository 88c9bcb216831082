"""What clients and nodes see of a balancer between them."""

import trio
from deploy_scene import ask, get, open_tls, token, upgrade_head

import triolet


async def test_clients_converse_through_tls(balancer):
    """Law: a client that knows the balancer's address alone sends, and is told."""
    async with (
        triolet.connect(
            balancer.url, token=token("anna"), ssl_context=balancer.certificate.trust
        ) as anna,
    ):
        room = await anna.create("group", title="Tea")
        written = await anna.send(room.room, "hello")
        page = await anna.history(room.room)
    assert [(m.seq, m.body) for m in page.messages] == [(written.seq, {"text": "hello"})]


async def test_a_websocket_is_let_through_on_a_connection_that_has_carried_pages(balancer):
    """Law: pages before an upgrade, on the same connection, do not spoil it.

    A node looks for an upgrade in the first request of a connection only.
    """
    for _ in range(6):
        async with open_tls(balancer) as stream:
            for path, status in (
                ("/", 200),
                ("/ws", 426),
                ("/health/ready", 200),
                ("/nothing", 404),
            ):
                assert (await ask(stream, get(path)))[0] == status, path
            status, answer = await ask(stream, upgrade_head(balancer))
            assert status == 101, answer


async def test_plain_http_is_sent_to_tls(balancer):
    """Law: port 80 serves nothing; it says where to go."""
    stream = await trio.open_tcp_stream("127.0.0.1", balancer.plain_port)
    async with stream:
        status, answer = await ask(stream, get("/some/page", host="chat.example"))
    assert status == 308
    assert b"https://chat.example/some/page" in answer


async def test_a_page_of_the_same_site_may_connect_and_another_may_not(balancer):
    """Law: the node is told the host as the browser knows it, with its port."""
    here = f"Origin: https://localhost:{balancer.port}"
    for origin, expected in ((here, 101), ("Origin: https://evil.example", 403)):
        async with open_tls(balancer) as stream:
            assert (await ask(stream, upgrade_head(balancer, "/ws", origin)))[0] == expected
