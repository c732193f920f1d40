"""How many threads compute: one number for Numba's loops and for BLAS.

Unless a number is set, each library follows its own variables and the CPUs that the
process may use. `MINIDL_NUM_THREADS` sets it from outside, `set_num_threads` from
inside; results differ between numbers by rounding only, and not at all for one number.
To be imported before NumPy is: see `OPENBLAS_THREAD_TIMEOUT` below.
"""

import os
import sys
import threading

from .errors import ArgumentError

VARIABLE = "MINIDL_NUM_THREADS"
POOL = "NUMBA_NUM_THREADS"  # Numba's own variable: how many threads it starts
MOST = 1024  # a typing error must not start a million threads

# OpenBLAS reads this once, when NumPy is loaded. Left to itself, each of its threads
# keeps a CPU busy for 0.1 s after every matrix product, waiting for the next one, and
# takes that CPU from the loops between two products. 2^20 cycles are about 0.5 ms.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")

_number: int | None = None
_here = threading.local()  # what Numba was told in this Python thread: it asks for that


def _pool() -> int:
    """How many threads Numba has started, or will start when it is first loaded."""
    numba = sys.modules.get("numba")
    if numba is not None:
        return numba.config.NUMBA_NUM_THREADS
    try:
        return max(1, int(os.environ[POOL]))
    except (KeyError, ValueError):
        return len(os.sched_getaffinity(0)) if _AFFINITY else os.cpu_count() or 1


_AFFINITY = hasattr(os, "sched_getaffinity")


def get_num_threads() -> int:
    """The number of threads that loops and matrix products may use."""
    return _pool() if _number is None else _number


def set_num_threads(n: int) -> None:
    """Use ``n`` threads from now on, in every Python thread: 1 <= n <= 1024.

    Numba fixes how many threads there are when it is loaded, at the first loop; until
    then any number works, later any up to the largest of that time (as many as CPUs,
    unless more were asked for). BLAS libraries loaded later are not governed.

    Raises: ArgumentError for another ``n``.
    """
    global _number
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise ArgumentError(f"set_num_threads: n must be an integer; got {n!r}")
    _number = _apply("set_num_threads: n", n.__index__())


def _apply(where: str, n: int) -> int:
    """Check ``n``, make room for it in Numba's pool, tell BLAS."""
    if not 1 <= n <= MOST:
        raise ArgumentError(f"{where} must be in [1, {MOST}]; got {n}")
    if n > _pool():
        if "numba" in sys.modules:
            raise ArgumentError(
                f"{where} must be at most {_pool()}, the threads that Numba has had "
                f"since it was loaded; got {n}; to have more, set {POOL}={n} in the "
                "environment before Python starts"
            )
        os.environ[POOL] = str(n)  # Numba reads it once, when it is loaded
    from threadpoolctl import ThreadpoolController

    ThreadpoolController().limit(limits=n, user_api="blas")
    return n


def from_environment() -> None:
    """Do what ``MINIDL_NUM_THREADS`` says, if it is set.

    Raises: ArgumentError that names the variable.
    """
    global _number
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return
    if not text.isdecimal():
        raise ArgumentError(f"{VARIABLE}: must be an integer >= 1; got {text!r}")
    _number = _apply(f"{VARIABLE}:", int(text))


def enter_loop() -> None:
    """Tell Numba the number in this Python thread: it keeps one for each."""
    if _number is not None and getattr(_here, "number", None) != _number:
        import numba

        numba.set_num_threads(_number)
        _here.number = _number
