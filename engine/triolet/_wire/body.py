"""The JSON data model, which is all that a `body` or `data` may hold, in both formats."""

from typing import Final

from .._model.errors import ErrorCode, Refusal
from .._model.json import JsonMap

# Numbers beyond it lose digits in a browser.
INTEGER_MAX: Final = 2**53


def check_body(body: JsonMap, *, depth_max: int) -> None:
    """Make sure a decoded map is of the JSON data model, in both formats the same.

    Raises:
        Refusal: `INVALID_FIELD`, naming what is wrong: a key that is no string, bytes, an
            extension, a number out of range, U+0000, a lone surrogate, or a map or list
            nested deeper than `depth_max` (the body itself is depth 1).

    >>> check_body({"text": "hi", "to": [1, None, True]}, depth_max=16)
    """
    if len(body) == 1:
        # {"text": "…"} is nearly every message: 0.15 µs instead of 0.8.
        text = body.get("text")
        if type(text) is str and _is_text(text):
            return
    _check_value(body, depth_max)


def _check_value(value: object, depth_left: int) -> None:
    kind = type(value)
    if kind is str:
        if not _is_text(value):  # type: ignore[arg-type]
            raise Refusal(
                ErrorCode.INVALID_FIELD, "text must be valid Unicode, and not contain U+0000"
            )
    elif kind is bool or value is None:
        pass
    elif kind is int:
        if not -INTEGER_MAX < value < INTEGER_MAX:  # type: ignore[operator]
            raise Refusal(ErrorCode.INVALID_FIELD, "integers must be below 2^53")
    elif kind is float:
        if value - value != 0:  # type: ignore[operator]
            raise Refusal(ErrorCode.INVALID_FIELD, "numbers must be finite")
    elif depth_left == 0:
        raise Refusal(ErrorCode.INVALID_FIELD, "nested too deeply")
    elif kind is list:
        for item in value:  # type: ignore[attr-defined]
            _check_value(item, depth_left - 1)
    elif kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) is not str:
                raise Refusal(ErrorCode.INVALID_FIELD, "keys must be strings")
            _check_value(key, 0)
            _check_value(item, depth_left - 1)
    else:
        raise Refusal(ErrorCode.INVALID_FIELD, "binary data and extensions are not allowed")


def _is_text(text: str) -> bool:
    # Decoders refuse lone surrogates, but a caller in this process may hold one.
    try:
        return "\0" not in text and (text.isascii() or bool(text.encode()))
    except UnicodeEncodeError:
        return False
