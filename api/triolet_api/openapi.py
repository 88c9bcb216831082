"""OpenAPI 3.1 of the endpoints, made of what they declare."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from triolet import __version__
from triolet._model.errors import ErrorCode

from .endpoints import Access, Endpoint
from .problems import PROBLEM_TYPE, STATUS_OF

_REF: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"
# What any endpoint may answer when something of ours fails.
_OURS: Final = (
    ErrorCode.STORE_UNAVAILABLE,
    ErrorCode.SHUTTING_DOWN,
    ErrorCode.OUTCOME_UNKNOWN,
    ErrorCode.INTERNAL,
)
_TOKEN: Final = (ErrorCode.UNAUTHENTICATED, ErrorCode.TOKEN_EXPIRED, ErrorCode.TOKEN_INVALID)


class Problem(Struct):
    """An error (RFC 9457) with the protocol's code and reason."""

    type: Literal["about:blank"]
    title: str
    status: int
    code: int
    reason: str
    detail: str | None = None


def codes_of(one: Endpoint) -> list[ErrorCode]:
    """Return every code an endpoint may answer with, in their order."""
    codes = {*one.refuses, *_OURS, ErrorCode.RATE_LIMITED, ErrorCode.BANNED}
    if one.access is not Access.ANYONE:
        codes.update(_TOKEN)
    if one.access in (Access.ADMIN, Access.SERVICE):
        codes.add(ErrorCode.FORBIDDEN)
    # Who behaves like a bot shows that they are none before they write on.
    if one.rate in ("auth", "write"):
        codes.add(ErrorCode.CAPTCHA_REQUIRED)
    if one.parameters or one.query is not None or one.body is not None:
        codes.add(ErrorCode.INVALID_FIELD)
    # Any request may carry a body, and a request target or a query that is no text.
    codes.update((ErrorCode.MALFORMED, ErrorCode.TOO_LARGE))
    return sorted(codes)


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the description of these endpoints, ready to be written as JSON.

    Schemas are JSON Schema 2020-12; patterns are ECMA 262's.
    """
    kinds = list(dict.fromkeys(each for one in endpoints for each in _kinds(one)))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schema_of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schema_of, components)
    for one in endpoints:
        if one.query is not None:
            components.pop(one.query.__name__, None)
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Triolet",
            "version": __version__,
            "description": "Rooms, messages, presence and notifications over HTTP. "
            "Errors carry the codes of the WebSocket protocol.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "query": {"type": "apiKey", "in": "query", "name": "token"},
            },
        },
    }
    ecma: dict[str, Any] = _as_ecma(whole)
    return ecma


def _kinds(one: Endpoint) -> list[Any]:
    also = (kind for _, kind in one.also)
    return [
        Problem,
        *(each for each in (one.query, one.body, one.returns, *also) if each is not None),
    ]


def _operation(one: Endpoint, schema_of: dict[Any, Any], components: dict[str, Any]) -> Any:
    operation: dict[str, Any] = {
        "operationId": one.name,
        "tags": [one.tag],
        "summary": one.summary,
        "parameters": _parameters(one, schema_of, components),
        "responses": _responses(one, schema_of),
        "security": _security(one),
    }
    if one.description:
        operation["description"] = one.description
    if one.body is not None:
        content = {_JSON: {"schema": schema_of[one.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _security(one: Endpoint) -> list[dict[str, list[str]]]:
    if one.access is Access.ANYONE:
        return []
    ways = ("bearer", "query") if one.takes_query_token else ("bearer",)
    return [{way: []} for way in ways]


def _parameters(
    one: Endpoint, schema_of: dict[Any, Any], components: dict[str, Any]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": each.name,
            "in": "path",
            "required": True,
            "schema": msgspec.json.schema(each.type),
        }
        for each in one.parameters
    ]
    if one.query is None:
        return found
    schema = components[schema_of[one.query]["$ref"].rpartition("/")[2]]
    for name, each in schema["properties"].items():
        is_required = name in schema.get("required", ())
        found.append(
            {"name": name, "in": "query", "required": is_required, "schema": _without_null(each)}
        )
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of what stands in a query, where nothing is written as nothing."""
    if "anyOf" not in schema:
        return schema
    rest = [each for each in schema["anyOf"] if each != {"type": "null"}]
    more = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return more | (rest[0] if len(rest) == 1 else {"anyOf": rest})


def _responses(one: Endpoint, schema_of: dict[Any, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": HTTPStatus(one.status).phrase}
    if one.returns is not None:
        done["content"] = {one.produces: {"schema": schema_of[one.returns]}}
    elif one.status != HTTPStatus.NO_CONTENT:
        schema = {} if "json" in one.produces else {"type": "string"}
        done["content"] = {one.produces: {"schema": schema}}
    responses: dict[str, Any] = {str(one.status): done}
    for status, kind in one.also:
        content = {one.produces: {"schema": schema_of[kind]}}
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    by_status: dict[int, list[ErrorCode]] = {}
    for code in codes_of(one):
        by_status.setdefault(STATUS_OF[code], []).append(code)
    for status, codes in sorted(by_status.items()):
        told = ", ".join(f"`{code.reason}`" for code in codes)
        response = responses.setdefault(str(int(status)), {"description": told, "content": {}})
        response["content"][PROBLEM_TYPE] = {"schema": schema_of[Problem]}
    return responses


def _as_ecma(node: Any) -> Any:
    r"""Return a schema as tools for OpenAPI understand it.

    Patterns end as ECMA 262 knows it: Python's `\Z` is its `$`. Rows whose items are told one by
    one (`prefixItems`) are lists of any of them: not every tool knows the former yet.
    """
    if isinstance(node, list):
        return [_as_ecma(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {name: _as_ecma(value) for name, value in node.items()}
    if isinstance(found.get("pattern"), str):
        found["pattern"] = found["pattern"].replace(r"\Z", "$")
    if isinstance(found.get("prefixItems"), list):
        kinds = found.pop("prefixItems")
        found["items"] = {
            "anyOf": [each for at, each in enumerate(kinds) if each not in kinds[:at]]
        }
    return found
