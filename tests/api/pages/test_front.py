"""The front page tells everybody how to connect, by the name they came by."""


async def test_the_name_and_the_scheme_are_the_visitors(make_app, serving):
    async with serving(make_app()) as host, host.client() as client:
        headers = {"Host": "chat.example", "X-Forwarded-Proto": "https"}
        response = await client.get("/", headers=headers)

    assert "wss://chat.example/ws" in response.text
    assert "style-src 'self'" in response.headers["content-security-policy"]
