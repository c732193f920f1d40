"""What a grader file says about its knock: hints, checks, known wrong answers."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..samples import Draw


class Mistake(AssertionError):
    """A check found the answer wrong; the message teaches what is.

    ``evidence``: what the answer gave, to be compared with known wrong answers.
    """

    def __init__(self, message: str, evidence=None):
        super().__init__(message)
        self.message = message
        self.evidence = message if evidence is None else evidence


class Unavailable(Exception):
    """A check cannot be made on this machine; the message says why."""


@dataclass(frozen=True)
class Check:
    """One question asked of an answer: ``ask(mine, r)`` raises `Mistake` if it fails.

    ``late``: it takes long, and is asked only when all others have passed.
    """

    name: str
    sentence: str
    ask: Callable
    points: int
    late: bool
    seconds: float


@dataclass(frozen=True)
class Wrong:
    """A known wrong answer: edits of the solution, and what they misunderstand."""

    name: str
    diagnosis: str
    edits: tuple[tuple[str, str], ...]

    def apply(self, text: str) -> str:
        """The solution's text with this mistake made.

        Raises: ValueError if an edit does not find its text exactly once.
        """
        for old, new in self.edits:
            if text.count(old) != 1:
                raise ValueError(
                    f"wrong answer {self.name!r}: {old!r} must occur once in the "
                    f"solution; it occurs {text.count(old)} times"
                )
            text = text.replace(old, new)
        return text


class Sampler(Draw):
    """The numbers that a check draws: another set for every seed.

    ``small``: sizes are as small as they may be, to show a mistake on little.
    """

    small = False

    def size(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        drawn = int(self.rng.integers(low, high + 1))
        return low if self.small else drawn

    def choice(self, options):
        """One of a few options."""
        return options[int(self.rng.integers(len(options)))]


@dataclass
class Grader:
    """A knock's three hints, its checks and its known wrong answers."""

    hints: list[str]
    checks: list[Check] = field(default_factory=list)
    wrongs: list[Wrong] = field(default_factory=list)

    def check(self, sentence: str, points=1, *, late=False, seconds=None):
        """Register ``ask(mine, r)``; ``sentence`` says what is checked.

        ``seconds``: how long it may take, 10 unless it is ``late``, then 60.
        """
        limit = seconds or (60.0 if late else 10.0)

        def register(ask):
            name = ask.__name__.strip("_")
            self.checks.append(Check(name, sentence, ask, points, late, limit))
            return ask

        return register

    def wrong(self, name: str, diagnosis: str, *edits: tuple[str, str]):
        """Register a wrong answer: texts of the solution and what replaces each."""
        self.wrongs.append(Wrong(name, diagnosis, edits))

    @property
    def points(self) -> int:
        """What a right answer earns."""
        return sum(check.points for check in self.checks)


def same_evidence(a, b) -> bool:
    """Whether two failures are one and the same mistake, as far as it shows."""
    if isinstance(a, np.ndarray) != isinstance(b, np.ndarray):
        return False
    if isinstance(a, np.ndarray):
        if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
            return False
        if a.dtype.kind not in "fc":
            return bool(np.array_equal(a, b))
        return bool(np.allclose(a, b, rtol=1e-4, atol=1e-7, equal_nan=True))
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(same_evidence, a, b))
    return type(a) is type(b) and a == b
