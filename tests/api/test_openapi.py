"""OpenAPI: what is described is what is declared, and is valid."""

import json
from typing import Annotated

import jsonschema
import pytest
from msgspec import Meta, Struct

from triolet._model.errors import ErrorCode
from triolet._model.ids import Room
from triolet_api.endpoints import Access, Call, endpoint, endpoints_of
from triolet_api.openapi import codes_of, document


class Page(Struct):
    after: Room | None = None
    limit: Annotated[int, Meta(ge=1, le=10)] = 5


class Letter(Struct):
    """What is sent."""

    text: Annotated[str, Meta(max_length=5)]


class Letters:
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

    @endpoint("DELETE", "/v1/rooms/{room}/letters", access=Access.ADMIN, rate="admin")
    async def burn(self, call: Call, room: Room) -> None:
        """Burn them all."""

    @endpoint("GET", "/v1/open", access=Access.ANYONE, rate="free", also=((503, Letter),))
    async def read(self, call: Call) -> Letter:
        """Read one."""


@pytest.fixture
def described():
    return json.loads(json.dumps(document(endpoints_of(Letters))))


def test_an_operation(described):
    operation = described["paths"]["/v1/rooms/{room}/letters"]["post"]

    assert operation["operationId"] == "letters.send"
    assert (operation["summary"], operation["description"]) == ("Send a letter", "It arrives.")
    assert operation["security"] == [{"bearer": []}]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Letter"
    }
    assert operation["responses"]["201"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Letter"
    }
    assert "`not_a_member`" in operation["responses"]["403"]["description"]
    assert [(one["name"], one["in"], one["required"]) for one in operation["parameters"]] == [
        ("room", "path", True),
        ("after", "query", False),
        ("limit", "query", False),
    ]


def test_nothing_in_a_query_is_null_and_patterns_are_ecma(described):
    operation = described["paths"]["/v1/rooms/{room}/letters"]["post"]
    by_name = {one["name"]: one["schema"] for one in operation["parameters"]}

    assert by_name["after"] == {"type": "string", "pattern": "^[A-Za-z0-9_.:@-]{1,160}$"}
    assert by_name["room"] == by_name["after"]
    assert by_name["limit"] == {"type": "integer", "minimum": 1, "maximum": 10, "default": 5}


def test_what_nothing_is_answered_with(described):
    operation = described["paths"]["/v1/rooms/{room}/letters"]["delete"]

    assert "content" not in operation["responses"]["204"]


def test_another_status_may_have_the_same_shape_beside_a_problem(described):
    content = described["paths"]["/v1/open"]["get"]["responses"]["503"]["content"]

    assert sorted(content) == ["application/json", "application/problem+json"]


def test_shapes_are_schemas(described):
    schemas = described["components"]["schemas"]

    assert sorted(schemas) == ["Letter", "Problem"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_codes_follow_from_what_is_declared():
    send, burn, read = endpoints_of(Letters)

    assert ErrorCode.NOT_A_MEMBER in codes_of(send)
    assert ErrorCode.FORBIDDEN in codes_of(burn)
    assert ErrorCode.UNAUTHENTICATED not in codes_of(read)
    assert ErrorCode.INVALID_FIELD not in codes_of(read)
