"""Problems: one shape, and the wire's codes."""

import msgspec
import pytest

from triolet._model.errors import ErrorCode
from triolet_api.problems import STATUS_OF, body_of, code_of


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 418, 422, 429, 500, 502, 503])
def test_every_status_has_a_code(status):
    problem = msgspec.json.decode(body_of(status, code_of(status)))

    assert problem["status"] == status
    assert (problem["code"] >= 5000) == (status >= 500)


def test_every_code_has_a_status():
    """4xx is the client's fault and 5xx ours, here as on the wire."""
    assert list(STATUS_OF) == list(ErrorCode)
    for code, status in STATUS_OF.items():
        assert (code.value >= 5000) == (status >= 500)


def test_a_problem_says_what_and_why():
    assert msgspec.json.decode(body_of(404, ErrorCode.NO_SUCH_ROOM, "there is none")) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "code": 3002,
        "reason": "no_such_room",
        "detail": "there is none",
    }
    assert "detail" not in msgspec.json.decode(body_of(404, ErrorCode.NO_SUCH_ROOM))
