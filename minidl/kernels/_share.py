"""Loops over memory: one thread for small arrays, all of them for large ones."""

from .. import threads
from ._dispatch import Jit
from ._pool import in_parts

ALONE = 1 << 17  # elements below which waking threads takes longer than the work


def share(loop: Jit, size: int, *args) -> None:
    """``loop(part, parts, *args)`` for all parts; ``size`` is the work in elements.

    As every part computes what the others would in its place, results do not depend on
    how many there are.
    """
    if size < ALONE:
        loop(0, 1, *args)
    else:
        in_parts(loop, threads.get_num_threads(), *args)
