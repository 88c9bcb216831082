"""No token in a log, whatever a client or a node does."""

import trio
from deploy_scene import PATIENCE_S, ask, get, open_tls, upgrade_head

MARK = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.bWFyaw"
QUERY = f"?token={MARK}"


async def _send(balancer, request):
    """Send what may be wrong, and read what comes of it."""
    async with open_tls(balancer) as stream:
        await stream.send_all(request)
        with trio.move_on_after(1):
            return await stream.receive_some()


async def said(balancer, *words):
    """Wait until one of these is in the logs."""
    with trio.fail_after(PATIENCE_S):
        while not any(word in balancer.said for word in words):  # noqa: ASYNC110 - a file
            await trio.sleep(0.02)


def requests(balancer):
    """Return requests that bring a token, by what becomes of them."""
    head = f"GET /ws{QUERY} HTTP/1.1\r\nHost: localhost\r\n"
    return {
        "page": get(f"/page{QUERY}"),
        "no upgrade": get(f"/ws{QUERY}"),
        "a question mark in disguise": get(f"/page%3Ftoken={MARK}"),
        "in disguise twice": get(f"/page%253Ftoken={MARK}"),
        "as the page before": get("/page", f"Referer: https://localhost/page{QUERY}"),
        "as a header": get("/page", f"Authorization: Bearer {MARK}"),
        "too large": f"POST /v1/x{QUERY} HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Length: 999999\r\n\r\n".encode(),
        "malformed header": (head + "no colon\r\n\r\n").encode(),
        "malformed line": f"GET /ws{QUERY} bad HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        "too long": get(f"/page{QUERY}{'x' * 70_000}"),
        "no host": f"GET /ws{QUERY} HTTP/1.1\r\n\r\n".encode(),
        "unfinished": head.encode(),
        "a node that hangs up": get(f"/hang-up{QUERY}"),
        "a node that breaks off": get(f"/break-off{QUERY}"),
    }


async def test_no_log_holds_a_token(posted):
    """Law: every kind of failure is told, and none tells the query."""
    balancer, post = posted
    async with open_tls(balancer) as stream:
        assert (await ask(stream, upgrade_head(balancer, f"/ws{QUERY}")))[0] == 101
    for request in requests(balancer).values():
        await _send(balancer, request)
    async with await trio.open_tcp_stream("127.0.0.1", balancer.plain_port) as stream:
        assert (await ask(stream, get(f"/ws{QUERY}")))[0] == 308
    # It came so far, and no farther.
    assert QUERY in post.requests[0].target
    for path in ("/break-off", "/ws", "/page", "/hang-up", "/v1/x"):
        await said(balancer, path)
    assert "eyJ" not in balancer.said
    assert "token" not in balancer.said


async def test_no_log_holds_a_token_when_no_node_is_left(posted):
    """Law: failing to reach any node is told, without the query."""
    balancer, post = posted
    await post.vanish()
    for path in ("/ws", "/page"):
        for request in (upgrade_head(balancer, path + QUERY), get(path + QUERY)):
            async with open_tls(balancer) as stream:
                assert (await ask(stream, request))[0] in (502, 503)
    await said(balancer, " 503 ", '"502"')
    assert "eyJ" not in balancer.said
    assert "token" not in balancer.said
