"""Endpoints: what a signature and a docstring declare."""

import pytest
from msgspec import Struct
from quart import Response

from triolet._model.errors import ErrorCode
from triolet._model.ids import Room
from triolet_api.endpoints import Access, Call, Parameter, bound, endpoint, endpoints_of


class Page(Struct):
    limit: int = 50


class Letter(Struct):
    text: str


class PostOffice:
    def __init__(self, name: str):
        self.name = name

    @endpoint(
        "POST",
        "/v1/rooms/{room}/letters",
        access=Access.USER,
        rate="write",
        status=201,
        refuses=(ErrorCode.NOT_A_MEMBER,),
    )
    async def send(self, call: Call, room: Room, query: Page, body: Letter) -> Letter:
        """Send a letter.

        It arrives.
        """
        return body

    @endpoint("DELETE", "/v1/letters", access=Access.ADMIN, rate="admin")
    async def burn(self, call: Call) -> None:
        """Burn them all."""

    @endpoint("GET", "/v1/letters", access=Access.ANYONE, rate="read", produces="text/plain")
    async def read(self, call: Call) -> Response:
        """Read one."""
        return Response(self.name)

    @endpoint("GET", "/v1/either", access=Access.ANYONE, rate="read")
    async def either(self, call: Call) -> Letter | Response:
        """Get one or the other."""
        return Letter("one")

    async def no_endpoint(self) -> None: ...


def test_everything_is_read_of_the_signature():
    send, burn, read, either = endpoints_of(PostOffice)

    assert (send.name, send.tag) == ("post-office.send", "post-office")
    assert (send.summary, send.description) == ("Send a letter", "It arrives.")
    assert (send.method, send.path, send.status) == ("POST", "/v1/rooms/{room}/letters", 201)
    assert send.parameters == (Parameter("room", Room),)
    assert (send.query, send.body, send.returns) == (Page, Letter, Letter)
    assert send.refuses == (ErrorCode.NOT_A_MEMBER,)
    assert (burn.status, burn.returns, burn.access) == (204, None, Access.ADMIN)
    assert (read.status, read.returns, read.produces) == (200, None, "text/plain")
    assert either.returns is Letter


async def test_bound_to_an_object_they_are_its_methods():
    found = {one.name: handler for one, handler in bound(PostOffice("ours"))}

    answer = await found["post-office.read"](None)

    assert await answer.get_data() == b"ours"


def test_a_path_and_a_signature_that_differ_are_refused():
    class Wrong:
        @endpoint("GET", "/v1/{one}", access=Access.USER, rate="read")
        async def get(self, call: Call, other: str) -> None:
            """Get it."""

    with pytest.raises(TypeError, match=r"Wrong\.get: its path has \['one'\]"):
        endpoints_of(Wrong)


def test_an_endpoint_says_what_it_does():
    class Mute:
        @endpoint("GET", "/v1", access=Access.USER, rate="read")
        async def get(self, call: Call) -> None: ...

    with pytest.raises(TypeError, match="says what it does"):
        endpoints_of(Mute)
