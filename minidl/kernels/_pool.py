"""A loop in parts, each on a Python thread of its own.

The loops run outside the interpreter's lock (``nogil=True``). Against Numba's parallel
range this costs some 30 us more a call, and saves two thirds of the compiling: LLVM
optimises the body of a parallel range three times over.
"""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

from .. import threads
from ._dispatch import Jit, jit


LITTLE = 1 << 20  # multiplications that take less time than to wake a thread


def workers(shares: int, work: int) -> int:
    """How many parts ``shares`` pieces of work are best computed in, all at a time.

    ``work``: multiplications in all pieces together.
    """
    return min(shares, 1 if work < LITTLE else threads.get_num_threads())


@cache
def _pool():
    return ThreadPoolExecutor(threads.MOST, thread_name_prefix="minidl")


if hasattr(os, "register_at_fork"):  # threads do not survive it, nor do their locks
    os.register_at_fork(after_in_child=_pool.cache_clear)


@jit()
def mine(part, parts, n):
    """Where the ``part``-th of ``parts`` equal shares of ``n`` begins and ends."""
    return (part * n // parts, (part + 1) * n // parts) if parts else (0, 0)


def in_parts(loop: Jit, parts: int, *args) -> None:
    """``loop(part, parts, *args)`` for every part, all at the same time.

    The parts must not write to the same places. All have ended when this returns or
    raises, also after an interrupt.
    """
    loop(0, 0, *args)  # no part at all: compiles, in one thread, what parts will run
    others, alone = [], range(0)
    try:
        for part in range(1, parts):
            others.append(_pool().submit(loop.compiled, part, parts, *args))
    except RuntimeError:  # the interpreter is shutting down, or has threads enough
        alone = range(len(others) + 1, parts)
    try:
        for part in (0, *alone):
            loop.compiled(part, parts, *args)
    finally:
        if others:
            _wait(others)
    for other in others:
        other.result()


def _wait(others) -> None:
    """Until all have ended, even if the user interrupts: they write to our arrays."""
    interrupt = None
    while True:
        try:
            wait(others)
            break
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
