"""Errors over HTTP: `application/problem+json` (RFC 9457) with the wire's code and reason."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Final, final

import msgspec
from quart import Response
from werkzeug.exceptions import HTTPException

from triolet._model.errors import (
    ErrorCode,
    OutcomeUnknown,
    Refusal,
    StoreError,
    StoreUnavailable,
)

_log = logging.getLogger("triolet.http")

PROBLEM_TYPE: Final = "application/problem+json"

# What a refusal is in HTTP.
STATUS_OF: Final[dict[ErrorCode, HTTPStatus]] = {
    ErrorCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.TOKEN_EXPIRED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.TOKEN_INVALID: HTTPStatus.UNAUTHORIZED,
    ErrorCode.BANNED: HTTPStatus.FORBIDDEN,
    ErrorCode.CAPTCHA_REQUIRED: HTTPStatus.FORBIDDEN,
    ErrorCode.MALFORMED: HTTPStatus.BAD_REQUEST,
    ErrorCode.UNKNOWN_OP: HTTPStatus.NOT_FOUND,
    ErrorCode.INVALID_FIELD: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.HELLO_REQUIRED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.NO_SUCH_ROOM: HTTPStatus.NOT_FOUND,
    ErrorCode.NOT_A_MEMBER: HTTPStatus.FORBIDDEN,
    ErrorCode.NO_SUCH_ENTRY: HTTPStatus.NOT_FOUND,
    ErrorCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    ErrorCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.TOO_MANY_ROOMS: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.TOO_MANY_SESSIONS: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.STORE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.SHUTTING_DOWN: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    ErrorCode.OUTCOME_UNKNOWN: HTTPStatus.SERVICE_UNAVAILABLE,
}

# What HTTP's own errors are on the wire; other 4xx are a malformed request, 5xx our fault.
_CODE_OF: Final[dict[int, ErrorCode]] = {
    401: ErrorCode.UNAUTHENTICATED,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.UNKNOWN_OP,
    405: ErrorCode.UNKNOWN_OP,
    413: ErrorCode.TOO_LARGE,
    422: ErrorCode.INVALID_FIELD,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.STORE_UNAVAILABLE,
}


@final
class HeadedRefusal(Refusal):
    """A refusal that is answered with headers of its own.

    Attributes:
        headers: by their names.
    """

    def __init__(
        self,
        code: ErrorCode,
        *,
        headers: Mapping[str, str],
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(code, retry_after_ms=retry_after_ms)
        self.headers = headers


def code_of(status: int) -> ErrorCode:
    """Return the wire's code for an error of HTTP's own.

    >>> code_of(404).reason, code_of(418).reason, code_of(500).reason
    ('unknown_op', 'malformed', 'internal')
    """
    return _CODE_OF.get(status, ErrorCode.MALFORMED if status < 500 else ErrorCode.INTERNAL)


def body_of(status: int, code: ErrorCode, detail: str = "") -> bytes:
    """Return the JSON of a problem."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code.value,
        "reason": code.reason,
    }
    return msgspec.json.encode(problem | ({"detail": detail} if detail else {}))


def problem(status: int, code: ErrorCode | None = None, detail: str = "") -> Response:
    """Return a problem as a response; without `code`, the one that fits the status."""
    return Response(
        body_of(status, code or code_of(status), detail), status, content_type=PROBLEM_TYPE
    )


async def on_refusal(refusal: Refusal) -> Response:
    """Answer a request that the engine or a gate refused."""
    status = STATUS_OF[refusal.code]
    response = problem(status, refusal.code, refusal.message)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    if refusal.retry_after_ms is not None:
        response.headers["Retry-After"] = str(ceil(refusal.retry_after_ms / 1000))
    if isinstance(refusal, HeadedRefusal):
        response.headers.update(refusal.headers)
    return response


async def on_store_error(error: StoreError) -> Response:
    """Answer a request that the store could not carry out."""
    if isinstance(error, StoreUnavailable):
        code, after_ms = ErrorCode.STORE_UNAVAILABLE, error.retry_after_ms
    elif isinstance(error, OutcomeUnknown):
        code, after_ms = ErrorCode.OUTCOME_UNKNOWN, 1000
    else:
        _log.error("the store failed: %s", error)
        return problem(500, ErrorCode.INTERNAL)
    return await on_refusal(Refusal(code, "try again", retry_after_ms=after_ms))


async def on_http_error(error: HTTPException) -> Response:
    """Answer a request that HTTP itself refuses: no such path, method, or a bug (500)."""
    response = problem(error.code or 500)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "www-authenticate"):
            response.headers[name] = value
    return response
