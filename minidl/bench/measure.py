"""How to time things fairly on a noisy machine, and what one measurement is.

Ours and the peers' run in turn (A B A B ...), each long enough to be timed, after a
warm-up that compiles and fills caches; the ratio is the median over the pairs.
"""

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from ..errors import MinidlError

REST = 0.04  # seconds before each timing
LEAST = 0.02  # seconds that one timing lasts at least
SLOW = 0.25  # a peer that takes longer for one call ...
FEW = 3  # ... joins the first pairs only
PER_SECOND = {"us": 1e6, "ms": 1e3, "s": 1.0}


@dataclass
class Versus:
    """What a peer took, in the row's unit, and its figure / ours, median of pairs."""

    time: float
    ratio: float


@dataclass
class Row:
    """One line of a benchmark: medians in ``unit``, and how we compare to the peers.

    ``peer`` and ``ratio`` are torch's, ``others`` hold further peers by name. ``flop``
    and ``bytes`` are what the work needs at least, so that rates can be derived.
    ``reach`` is the bar: ">= 3x" torch, "<= 1.1x copyto" or "<= 2 s".
    """

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None  # > 1: ours is better (faster, or smaller)
    reach: str = ""
    flop: float | None = None
    bytes: float | None = None
    others: dict[str, Versus] = field(default_factory=dict)
    part: str = ""  # which table of the suite it belongs to
    note: str = ""  # what a reader must know of it

    @property
    def seconds(self) -> float | None:
        """Our time, None where the row holds something else."""
        return self.ours / PER_SECOND[self.unit] if self.unit in PER_SECOND else None

    def rate(self, what: str) -> float | None:
        """``what`` ("flop" or "bytes") per second, None where it is not known."""
        amount = getattr(self, what)
        return None if amount is None else amount / self.seconds

    def times(self, peer: str) -> float | None:
        """Our time as a multiple of another peer's."""
        return 1 / self.others[peer].ratio if peer in self.others else None

    @property
    def reached(self) -> bool | None:
        """Whether the bar holds; None without a bar or without its peer."""
        bar = re.fullmatch(r"([<>]=) ([\d.]+)(x| s)( \w+)?", self.reach)
        if bar is None:
            return None
        sign, number, kind, peer = bar[1], float(bar[2]), bar[3], bar[4]
        found = self.times(peer.strip()) if peer else self.ratio
        found = self.ours if kind == " s" else found
        if found is None:
            return None
        return found >= number if sign == ">=" else found <= number

    def as_dict(self) -> dict:
        """The row as JSON can hold it."""
        return asdict(self) | {"reached": self.reached}


def scaled(seconds: float) -> tuple[float, str]:
    """The time in the unit that suits it."""
    unit = "us" if seconds < 1e-3 else "ms" if seconds < 1 else "s"
    return seconds * PER_SECOND[unit], unit


def nothing() -> None:
    """What a CPU does to finish its work: it has."""


def repeats(function: Callable, sync: Callable = nothing) -> int:
    """How many calls fill `LEAST` seconds, found after a warm-up."""
    function()
    n = 1
    while True:
        spent = timing(function, n, sync) * n
        if spent >= LEAST:
            return n
        n = max(2 * n, int(n * LEAST / max(spent, 1e-9)))


def timing(function: Callable, n: int, sync: Callable = nothing) -> float:
    """Seconds of one call, averaged over ``n``; ``sync`` waits for a device.

    After a rest, as an OpenMP worker spins for some 20 ms after its last work and would
    keep a core from whoever comes next; and after a call that wakes what has rested.
    """
    time.sleep(REST)
    function()
    sync()
    start = time.perf_counter()
    for _ in range(n):
        function()
    sync()
    return (time.perf_counter() - start) / n


def turns(ours: Callable, peers: dict, rounds: int, sync: Callable = nothing):
    """Seconds of each: ours, and by name the peers', the i-th ones next to each other.

    A slow peer has fewer of them.
    """
    calls = {name: (f, repeats(f, sync)) for name, f in peers.items()}
    n, a = repeats(ours, sync), []
    found = {name: [] for name in peers}
    for i in range(rounds):
        a.append(timing(ours, n, sync))
        for name, (function, m) in calls.items():
            if i < FEW or found[name][0] < SLOW:
                found[name].append(timing(function, m, sync))
    return a, found


def pair(
    name: str,
    ours: Callable,
    peer: Callable | None,
    rounds: int,
    reach: str = "",
    *,
    others: dict[str, Callable] | None = None,
    sync: Callable = nothing,
    **about,
) -> Row:
    """Time ``ours``, ``peer`` (may be None) and ``others`` in turn: a `Row`.

    ``about``: further fields of the row.
    """
    peers = {"": peer} if peer else {}
    a, found = turns(ours, peers | (others or {}), rounds, sync)
    middle = statistics.median(a)
    figure, unit = scaled(middle)
    versus = {
        key: Versus(
            statistics.median(b) * PER_SECOND[unit],
            statistics.median(y / x for x, y in zip(a, b)),
        )
        for key, b in found.items()
    }
    main = versus.pop("", None)
    return Row(
        name,
        figure,
        main and main.time,
        unit,
        main and main.ratio,
        reach,
        others=versus,
        **about,
    )


def processes(name, ours, peer, rounds, unit, reach="", **about) -> Row:
    """Two whole processes in turn; ``ours`` and ``peer`` return the figure."""
    a, b = [], []
    for _ in range(rounds):
        a.append(ours())
        if peer:
            b.append(peer())
    ratio = statistics.median(y / x for x, y in zip(a, b)) if peer else None
    theirs = statistics.median(b) if peer else None
    return Row(name, statistics.median(a), theirs, unit, ratio, reach, **about)


def process(code: str, environment=None) -> tuple[float, str]:
    """Wall seconds of ``python -c code`` as a fresh process, and what it printed.

    Raises: MinidlError with the end of what it said if it failed.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, text=True, capture_output=True
    )
    spent = time.perf_counter() - start
    if done.returncode:
        said = done.stderr.strip()[-500:]
        raise MinidlError(f"bench: a process of the benchmark failed: {said}")
    return spent, done.stdout
