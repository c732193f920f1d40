"""Max pooling over 2 x 2 windows side by side, the usual case, as vector loops.

No window meets the border or another window, so a row of the output comes from two rows
of the input and back, without a search for addresses.
"""

import numpy as np

from ._dispatch import jit
from ._memory import empty
from ._pool import mine
from ._share import share


def fits(x, out, kernel, stride, padding, dilation) -> bool:
    """Whether pooling ``x`` (N, C, H, W) with these options is what this file does."""
    plain = kernel == stride == (2, 2) and padding == (0, 0) and dilation == (1, 1)
    return plain and all(2 * m <= n for m, n in zip(out, x.shape[2:]))


@jit(nogil=True)
def _better(best, v):
    """Whether ``v`` beats what came before: larger, or the first NaN."""
    return not ((best >= v) | (best != best))


@jit(nogil=True)
def _maxima(part, parts, x, y):
    for b in range(*mine(part, parts, len(x))):
        for p in range(y.shape[1]):
            top, low, row = x[b, 2 * p], x[b, 2 * p + 1], y[b, p]
            for q in range(len(row)):
                best = top[2 * q]
                for v in (top[2 * q + 1], low[2 * q], low[2 * q + 1]):
                    best = v if _better(best, v) else best
                row[q] = best


@jit(nogil=True)
def _back(part, parts, x, g, y):
    zero = g.dtype.type(0)
    for b in range(*mine(part, parts, len(x))):
        if 2 * g.shape[1] < y.shape[1] or 2 * g.shape[2] < y.shape[2]:
            y[b] = zero
        for p in range(g.shape[1]):
            top, low, row = x[b, 2 * p], x[b, 2 * p + 1], g[b, p]
            above, below = y[b, 2 * p], y[b, 2 * p + 1]
            for q in range(len(row)):
                a, b1, c, d = top[2 * q], top[2 * q + 1], low[2 * q], low[2 * q + 1]
                second = _better(a, b1)
                best = b1 if second else a
                third = _better(best, c)
                best = c if third else best
                fourth = _better(best, d)
                v = row[q]
                above[2 * q] = zero if second | third | fourth else v
                above[2 * q + 1] = v if second & (not (third | fourth)) else zero
                below[2 * q] = v if third & (not fourth) else zero
                below[2 * q + 1] = v if fourth else zero


def _planes(x):
    return np.ascontiguousarray(x).reshape(-1, *x.shape[2:])


def maxima(x, out):
    """The largest element of each window of ``x``: (N, C, *out)."""
    y = empty((*x.shape[:2], *out), x.dtype)
    share(_maxima, x.size, _planes(x), _planes(y))
    return y


def scatter(g, x):
    """``g`` (N, C, oh, ow) at the maxima of the windows of ``x``, 0 elsewhere."""
    y = empty(x.shape, g.dtype)
    share(_back, x.size, _planes(x), _planes(g), _planes(y))
    return y
