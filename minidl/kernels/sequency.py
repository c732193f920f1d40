"""Sequency: Walsh functions ordered by their number of sign changes.

Row i of the sequency-ordered Hadamard matrix is row ``order[i]`` of the natural one,
``order[i] = bitreverse(i ^ (i >> 1))``, and changes its sign i times.
"""

from functools import lru_cache

import numpy as np


def sequency_order(n):
    """The natural index of each sequency 0, 1, ..., n - 1, n a power of two: int64.

    The Gray code of the upper half mirrors that of the lower half with one more bit,
    which the reversal puts last: each doubling appends the mirrored order.
    """
    order = np.zeros(1, np.int64)
    while len(order) < n:
        order = np.concatenate([2 * order, 2 * order[::-1] + 1])
    return order


@lru_cache(maxsize=16)
def order_in(xp, n, inverse):
    """`sequency_order` or its inverse as an array of ``xp``: to a GPU it goes once."""
    order = sequency_order(n)
    if inverse:
        order[order.copy()] = np.arange(n)
    return xp.asarray(order)
