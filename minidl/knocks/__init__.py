"""The knocks: short graded exercises, one idea each.

A knock is a solution, the stub made from it, and a grader with known wrong answers.
Learners write in ``exercises/``; what they wrote runs in a process of its own.
"""

from . import checks
from .catalogue import Entry, KnockError, all_knocks, find
from .grader import Grader, Mistake, Unavailable
from .notebook import check

__all__ = [
    "Entry",
    "Grader",
    "KnockError",
    "Mistake",
    "Unavailable",
    "all_knocks",
    "check",
    "checks",
    "find",
]
