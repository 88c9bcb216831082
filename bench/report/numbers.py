"""How numbers are written."""

import statistics
from collections.abc import Sequence


def number(value: float) -> str:
    """Write three digits that matter.

    >>> number(12345.6), number(45.67), number(1.2345)
    ('12,346', '45.7', '1.23')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(values: Sequence[float]) -> str:
    """Write the median, with the lowest and the highest where there are several.

    >>> spread([3.0, 1.0, 2.0]), spread([2.0])
    ('2.00 (1.00 to 3.00)', '2.00')
    """
    median = number(statistics.median(values))
    if len(values) == 1:
        return median
    return f"{median} ({number(min(values))} to {number(max(values))})"
