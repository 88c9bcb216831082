"""What a node is told by a balancer, and what it is spared."""

import pytest
import trio
from deploy_scene import ask, get, open_tls, upgrade_head

# What a balancer holds back does not come at all.
HELD_BACK_S = 90
LIES = (
    "X-Forwarded-For: 192.0.2.66",
    "x-forwarded-for: 192.0.2.67",
    "Forwarded: for=192.0.2.66;proto=http",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: evil.example",
    "X-Real-IP: 192.0.2.66",
)


def told(request):
    """Return what a request says of where it comes from."""
    names = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "forwarded")
    return {name: request.headers[name] for name in names if name in request.headers}


async def test_the_clients_address_arrives_and_what_clients_claim_does_not(posted):
    """Law: a node reads one address, the one that connected, whatever headers were sent."""
    balancer, post = posted
    for request in (get("/page", *LIES), upgrade_head(balancer, "/ws?token=t", *LIES)):
        async with open_tls(balancer) as stream:
            await ask(stream, request)
    page, upgrade = post.requests
    expected = {"x-forwarded-for": ["127.0.0.1"], "x-forwarded-proto": ["https"]}
    assert told(page) == told(upgrade) == expected
    assert (page.target, upgrade.target) == ("/page", "/ws?token=t")
    assert upgrade.headers["host"] == [f"localhost:{balancer.port}"]


async def test_bytes_go_through_a_websocket_both_ways(posted):
    """Law: after the upgrade nothing is changed, held back or added."""
    balancer, post = posted
    async with open_tls(balancer) as stream:
        status, answer = await ask(stream, upgrade_head(balancer))
        assert (status, answer[-4:]) == (101, b"\r\n\r\n")
        assert (post.requests[0].version, post.requests[0].is_upgrade) == ("HTTP/1.1", True)
        for size in (1, 100_000):
            sent, got = b"\x82" * size, b""
            await stream.send_all(sent)
            with trio.fail_after(HELD_BACK_S):
                while len(got) < size:
                    got += await stream.receive_some()
            assert got == sent


@pytest.mark.parametrize("path", ["/", "/ws"])
async def test_other_upgrades_stay_outside(posted, path):
    """Law: a node is asked for no protocol that would tunnel past the balancer's rules."""
    balancer, post = posted
    async with open_tls(balancer) as stream:
        headers = (
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABk",
        )
        assert (await ask(stream, get(path, *headers)))[0] == 200
        assert "upgrade" not in post.requests[0].headers


async def test_events_are_passed_on_as_they_come(posted):
    """Law: a stream of events is not gathered: the first is here before the second is sent."""
    balancer, post = posted
    async with open_tls(balancer) as stream:
        await stream.send_all(get("/v1/stream"))
        got = b""
        with trio.fail_after(HELD_BACK_S):
            while b"data: first" not in got:
                got += await stream.receive_some()
            post.go_on.set()
            while b"data: second" not in got:
                got += await stream.receive_some()


async def test_a_large_body_is_refused_before_a_node_hears_of_it(posted):
    """Law: what the node would refuse for its size does not reach it; what it takes does."""
    balancer, post = posted
    for size, expected in ((128 * 1024, 200), (128 * 1024 + 1, 413)):
        async with open_tls(balancer) as stream:
            head = (
                f"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode()
            )
            # More than this is not sent: it is refused by what the head says.
            status, answer = await ask(stream, head + b"x" * (size if expected == 200 else 0))
            assert status == expected, answer
    assert [len(request.body) for request in post.requests] == [128 * 1024]
