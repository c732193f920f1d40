"""A loop in parts, each on a Python thread of its own.

The loops run outside the interpreter's lock (``nogil=True``). Against Numba's parallel
range this costs some 30 us more a call, and saves two thirds of the compiling: LLVM
optimises the body of a parallel range three times over.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from .. import threads
from ._dispatch import Jit


@cache
def _pool():
    return ThreadPoolExecutor(threads.MOST, thread_name_prefix="minidl")


if hasattr(os, "register_at_fork"):  # threads do not survive it, nor do their locks
    os.register_at_fork(after_in_child=_pool.cache_clear)


def in_parts(loop: Jit, parts: int, *args) -> None:
    """``loop(part, parts, *args)`` for every part, all at the same time.

    The parts must not write to the same places.
    """
    loop(
        0, 0, *args
    )  # no part at all: compiles, in one thread, what the parts will run
    others = [
        _pool().submit(loop.compiled, part, parts, *args) for part in range(1, parts)
    ]
    try:
        loop.compiled(0, parts, *args)
    finally:  # an interrupt must not leave threads that still write
        for other in others:
            other.result()
