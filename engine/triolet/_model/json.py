"""The JSON data model as a type: what a `body` or `data` may hold."""

from typing import Any, TypeAlias

# Checked beyond the type by `codec.check_body`: depth, integer range, NaN, U+0000.
# `Any` stays inside: msgspec has no recursive types, and mypy's would be rejected by it.
JsonMap: TypeAlias = dict[str, Any]
