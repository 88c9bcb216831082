"""Logs on stderr: one line an event, whatever is in it, and no token or secret."""

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final, TextIO, final

# A JWT by its shape (`eyJ` is base64url for `{"`), what is named as a token or secret, and what
# stands before a host. Each looks at a character a bounded number of times, a JWT by beginning
# once in each run of its characters: what is logged may be anybody's, and 32 KB of it must not
# hold the loop for seconds.
_JWT: Final = re.compile(r"(?<![\w-])(?=[\w-]++\.[\w-]++\.)([\w-]*?)eyJ[\w-]{8,}\.[\w-]+\.[\w-]*")
_NAMED: Final = re.compile(
    r"""(?ix) ( \b(?:access_|refresh_|ssl)? (?:token|secret|password) ["']? \s* [=:] \s* ["']?
              | \bbearer \s+ ) [^\s&"',;)}\]]+"""
)
_IN_URL: Final = re.compile(r"(://[^:/@\s]*):(?:(?!://)[^@\s])*@")
# Line breaks of any kind, and the controls a terminal would obey.
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# The innermost calls of a traceback say where; the loop's own frames below them do not.
_FRAMES_MAX: Final = 8
# An exception group of a nursery with many children.
_GROUPED_MAX: Final = 5
_LINE_MAX: Final = 4000


def mask(text: str) -> str:
    """Return `text` without what would let its reader in.

    >>> mask("GET /ws?token=abc.def&x=1")
    'GET /ws?token=***&x=1'
    >>> mask("Authorization: Bearer abc")
    'Authorization: Bearer ***'
    >>> mask("no answer from postgresql://anna:abc@db/chat")
    'no answer from postgresql://anna:***@db/chat'
    """
    return _IN_URL.sub(r"\1:***@", _NAMED.sub(r"\1***", _JWT.sub(r"\1***", text)))


@final
class LineFormatter(logging.Formatter):
    """Time, level, logger and message in one line; an exception follows on the same one.

    Args:
        process: what is told before the logger, of which process it is; empty: there is one.
    """

    def __init__(self, process: str = "") -> None:
        super().__init__()
        self._process = f"{process} " if process else ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {_tell(record.exc_info[1])}"
        line = f"{at[:-6]}Z {record.levelname} {self._process}{record.name} {mask(text)}"
        return _CONTROLS.sub(_escape, line[:_LINE_MAX])


def _escape(found: re.Match[str]) -> str:
    return repr(found.group())[1:-1]


def _tell(error: BaseException) -> str:
    """Return what happened, where, and why; for a group, each of its errors."""
    if isinstance(error, BaseExceptionGroup):
        inner = "; ".join(_tell(one) for one in error.exceptions[:_GROUPED_MAX])
        return f"{type(error).__name__} of {len(error.exceptions)}: [{inner}]"
    told = f"{type(error).__name__}: {error} ({_places(error)})"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return told if cause is None else f"{told} from {type(cause).__name__}: {cause}"


def _places(error: BaseException) -> str:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return " < ".join(reversed(frames[-_FRAMES_MAX:]))


def set_up_logs(level: str, stream: TextIO | None = None, *, process: str = "") -> None:
    """Send every logger's events of `level` and above to `stream`, stderr by default."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter(process))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
