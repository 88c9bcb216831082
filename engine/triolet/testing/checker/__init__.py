"""The checker: takes the histories that clients saw, and says which promise they break.

    verdict = check(events)
    if not verdict.holds:
        violation = verdict.violations[0]
        print(violation)
        print(timeline(counter_example(events, violation)))

It knows nothing of the engine: it has a fold, a count and a notion of order of its own, written
from the protocol. A rule that could not be applied (no store to compare with, a log not known
from its beginning) does not count as `judged`.
"""

from .judging import Checker as Checker
from .judging import check as check
from .promises import Bounds as Bounds
from .promises import Promise as Promise
from .promises import Rule as Rule
from .promises import Verdict as Verdict
from .promises import Violation as Violation
from .shrinking import counter_example as counter_example
from .timelines import timeline as timeline
