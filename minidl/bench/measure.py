"""How to time two things fairly on a noisy machine.

Ours and the peer's run in turn (A B A B ...), each long enough to be timed, after a
warm-up that compiles and fills caches; the ratio is the median over the pairs.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

LEAST = 0.02  # seconds that one timing lasts at least


@dataclass
class Row:
    """One line of a benchmark: medians in ``unit``, and how we compare to the peer."""

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None  # > 1: ours is better (faster, or smaller)
    reach: str = ""

    def as_dict(self) -> dict:
        """The row as JSON can hold it."""
        return asdict(self)


def repeats(function: Callable) -> int:
    """How many calls fill `LEAST` seconds, found after a warm-up."""
    function()
    n = 1
    while True:
        start = time.perf_counter()
        for _ in range(n):
            function()
        spent = time.perf_counter() - start
        if spent >= LEAST:
            return n
        n = max(2 * n, int(n * LEAST / max(spent, 1e-9)))


def timing(function: Callable, n: int) -> float:
    """Seconds of one call, averaged over ``n``."""
    start = time.perf_counter()
    for _ in range(n):
        function()
    return (time.perf_counter() - start) / n


def pair(name, ours, peer, rounds, scale, unit, reach="") -> Row:
    """Time ``ours`` and ``peer`` (may be None) in turn; ratio = peer's time / ours."""
    n = repeats(ours)
    m = repeats(peer) if peer else 0
    a, b = [], []
    for _ in range(rounds):
        a.append(timing(ours, n))
        if peer:
            b.append(timing(peer, m))
    ratio = statistics.median(y / x for x, y in zip(a, b)) if peer else None
    theirs = statistics.median(b) * scale if peer else None
    return Row(name, statistics.median(a) * scale, theirs, unit, ratio, reach)


def process(code: str, environment=None) -> tuple[float, str]:
    """Wall seconds of ``python -c code`` as a fresh process, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, text=True, capture_output=True
    )
    spent = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"benchmark process failed: {done.stderr.strip()[-500:]}")
    return spent, done.stdout


def table(title: str, rows: list[Row], peer: str):
    """The rows as a rich table: a ratio above 1 means that we are ahead."""
    from rich.table import Table

    out = Table(
        title=title,
        caption=f"ratio: {peer} / minidl, median of pairs; > 1: we are ahead",
    )
    out.add_column("what")
    for name in ("minidl", peer, "ratio", "reach"):
        out.add_column(name, justify="right")
    for row in rows:
        value = "-" if row.peer is None else f"{row.peer:,.3g} {row.unit}"
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}x"
        out.add_row(row.name, f"{row.ours:,.3g} {row.unit}", value, ratio, row.reach)
    return out
