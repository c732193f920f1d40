"""Fastfood: two Walsh-Hadamard transforms between diagonals and a permutation.

    y = S H G P H B x

for each row of x and each of m blocks, whose results stand side by side. S, G and B are
diagonals, ``(P u)[i] = u[p[i]]``, H is the unnormalised transform. A block's numbers
stay in the cache from the first diagonal to the last: x is read and y written once.
Backward computes what lies between anew; it takes four more transforms, and less
time than to store it and to read it again.

Arrays: x (rows, width), zeros are thought beyond its width up to d; s, g, b (m, d);
p (m, d), whole numbers; y and its gradient e (rows, m d). d is a power of two.
"""

import numpy as np

from ..backend import xp_of
from ._dispatch import Kernel, jit
from ._memory import LINE, empty
from ._pool import mine
from ._share import share
from .butterfly import gather, near_gathered, near_products, stream_products, tile
from .fwht import BLOCK, combine, fwht

LARGE = 1 << 21  # bytes of results that are written past the caches
CHUNKS = 8  # of the rows: each sums for itself, whoever computes it

# Products are joined to the sums they go into.
loops = dict(nogil=True, error_model="numpy", fastmath={"contract", "nsz"})


def _taken(u, p):
    """``P u`` for u (rows, m, d)."""
    return xp_of(u).take_along_axis(u, p[None], axis=2)


def _inside(x, b, p):
    """``H B x`` permuted: (rows, m, d)."""
    xp, (width, d) = xp_of(x), (x.shape[1], b.shape[1])
    x = xp.pad(x, ((0, 0), (0, d - width)))
    return _taken(fwht(x[:, None] * b), p)


def reference(x, s, g, b, p):
    """``S H G P H B x`` of every row and block."""
    return (s * fwht(g * _inside(x, b, p))).reshape(len(x), s.size)


def _outside(e, s):
    """``H S e``: (rows, m, d)."""
    return fwht(s * e.reshape(len(e), *s.shape))


def _back(e, s, g, p):
    """``H P' G H S e``: (rows, m, d)."""
    xp = xp_of(e)
    return fwht(_taken(g * _outside(e, s), xp.argsort(p, axis=1)))


def input_reference(e, s, g, b, p, width):
    """The transpose, ``B H P' G H S e`` summed over the blocks: (rows, width)."""
    return (b * _back(e, s, g, p)).sum(axis=1)[:, :width]


def gradients_reference(x, e, s, g, b, p):
    """All derivatives of ``<e, y>``: by x, s, g and b."""
    xp, u, back = xp_of(x), _inside(x, b, p), _back(e, s, g, p)
    by_s = (e.reshape(len(e), *s.shape) * fwht(g * u)).sum(axis=0)
    by_g = (_outside(e, s) * u).sum(axis=0)
    by_b = xp.zeros_like(b)
    by_b[:, : x.shape[1]] = (x[:, None] * back[..., : x.shape[1]]).sum(axis=0)
    return (b * back).sum(axis=1)[:, : x.shape[1]], by_s, by_g, by_b


@jit(**loops)
def _mixed(u, x, x_at, a, a_at, width):
    """``u = H (a x)`` of ``width`` products, zeros from there on."""
    n, size = len(u), tile(u)
    block = min(n, BLOCK)
    for start in range(0, n, block):
        i, j, rest = x_at + start, a_at + start, width - start
        near_products(u, start, x, i, a, j, rest, block, min(n, size))
        combine(u, start, size, block)
    combine(u, 0, block, n)


@jit(**loops)
def _shuffled(y, x, p, a, at):
    """``y = H (a (P x))``, with p and a from ``at`` on."""
    n, size = len(y), tile(y)
    block = min(n, BLOCK)
    near_gathered(y, x, p, at, a, at, n, min(n, size))
    for start in range(0, n, block):
        combine(y, start, size, block)
    combine(y, 0, block, n)


@jit(**loops)
def _scaled(x, a, y):
    for i in range(len(y)):
        y[i] = x[i] * a[i]


@jit(**loops)
def _summed(x, a, y):
    for i in range(len(y)):
        y[i] += x[i] * a[i]


@jit(**loops)
def _last(u, x, b, by_b, y, first):
    """``by_b += u x`` and ``y += u b``, where ``first`` y begins."""
    if first:
        for i in range(len(y)):
            by_b[i] += u[i] * x[i]
            y[i] = u[i] * b[i]
    else:
        for i in range(len(y)):
            by_b[i] += u[i] * x[i]
            y[i] += u[i] * b[i]


@jit(**loops)
def _forward(part, parts, x, s, g, b, p, y, streams):
    rows, width = x.shape
    m, d = s.shape
    t, u = np.empty(d, x.dtype), np.empty(d, x.dtype)
    y = y.reshape(y.size)
    x, g, b, p = x.reshape(x.size), g.reshape(m * d), b.reshape(m * d), p.reshape(m * d)
    s = s.reshape(m * d)
    for r in range(*mine(part, parts, rows)):
        for k in range(m):
            at = k * d
            _mixed(u, x, r * width, b, at, width)
            _shuffled(t, u, p, g, at)
            out = (r * m + k) * d
            if streams:
                stream_products(y, out, t, s, at, d)
            else:
                _scaled(t, s[at : at + d], y[out : out + d])


@jit(**loops)
def _backward(part, parts, e, s, moved, b, inverse, y):
    """The transpose into y (rows, width); ``inverse`` is that of p, ``moved`` g so."""
    rows, width = y.shape
    m, d = s.shape
    t, u = np.empty(d, e.dtype), np.empty(d, e.dtype)
    flat = e.reshape(e.size)
    s, moved, inverse = s.reshape(m * d), moved.reshape(m * d), inverse.reshape(m * d)
    for r in range(*mine(part, parts, rows)):
        for k in range(m):
            at = k * d
            _mixed(u, flat, (r * m + k) * d, s, at, d)
            _shuffled(t, u, inverse, moved, at)
            if k == 0:
                _scaled(t, b[k], y[r])
            else:
                _summed(t, b[k], y[r])


@jit(**loops)
def _sums(part, parts, x, e, s, g, moved, b, p, inverse, y, sums, streams):
    """The transpose into y, and each chunk's derivatives by s, g, b into its sums."""
    rows, width = x.shape
    m, d = s.shape
    t, u, v = np.empty(d, x.dtype), np.empty(d, x.dtype), np.empty(d, x.dtype)
    xs, es, bs = x.reshape(x.size), e.reshape(e.size), b.reshape(m * d)
    flat = y.reshape(y.size)
    s, g, moved = s.reshape(m * d), g.reshape(m * d), moved.reshape(m * d)
    p, inverse = p.reshape(m * d), inverse.reshape(m * d)
    for chunk in range(*mine(part, parts, len(sums))):
        by_s, by_g, by_b = sums[chunk, 0], sums[chunk, 1], sums[chunk, 2]
        for r in range(*mine(chunk, len(sums), rows)):
            for k in range(m):
                at, here = k * d, (r * m + k) * d
                _mixed(u, xs, r * width, bs, at, width)
                gather(v, u, p, at, d)
                _mixed(u, v, 0, g, at, d)
                _summed(es[here : here + d], u, by_s[k])
                _mixed(u, es, here, s, at, d)
                _summed(u, v, by_g[k])
                _shuffled(t, u, inverse, moved, at)
                if streams and m == 1:
                    _summed(t, x[r], by_b[k, :width])
                    stream_products(flat, r * width, t, bs, at, width)
                else:
                    _last(t, x[r], b[k], by_b[k], y[r], k == 0)


def _ready(*arrays):
    return (np.ascontiguousarray(a) for a in arrays)


def _narrow(p):
    """Places in as few bytes as they fit: they share the first cache with numbers."""
    return np.ascontiguousarray(p, np.uint16 if p.shape[1] <= 1 << 16 else np.uint32)


def _streams(y, d):
    """Whether results are so large that nothing of them stays in the caches, and rows
    begin at multiples of the widest vector."""
    aligned = y.ctypes.data % LINE == 0 and d * y.itemsize % LINE == 0
    return bool(aligned and y.nbytes >= LARGE)


def _inverse(p):
    """The permutations that undo those in the rows of p: (m, d)."""
    found = np.empty(p.shape, p.dtype)
    np.put_along_axis(found, p, np.arange(p.shape[1])[None], axis=1)
    return found


def cpu(x, s, g, b, p):
    x, s, g, b = _ready(x, s, g, b)
    y = empty((len(x), s.size), x.dtype)
    share(_forward, 8 * y.size, x, s, g, b, _narrow(p), y, _streams(y, s.shape[1]))
    return y


def input_cpu(e, s, g, b, p, width):
    e, s, b = _ready(e, s, b)
    back, y = _inverse(p), empty((len(e), width), e.dtype)
    moved = np.ascontiguousarray(np.take_along_axis(g, back, axis=1))
    back = _narrow(back)
    share(_backward, 8 * e.size, e, s, moved, b, back, y)
    return y


def gradients_cpu(x, e, s, g, b, p):
    x, e, s, g, b = _ready(x, e, s, g, b)
    back, y = _inverse(p), empty(x.shape, x.dtype)
    moved = np.ascontiguousarray(np.take_along_axis(g, back, axis=1))
    sums = np.zeros((max(1, min(CHUNKS, len(x))), 3, *s.shape), x.dtype)
    places = _narrow(p), _narrow(back)
    streams = _streams(y, x.shape[1])
    share(_sums, 16 * e.size, x, e, s, g, moved, b, *places, y, sums, streams)
    return (y, *sums.sum(axis=0))


fastfood = Kernel(reference, cpu)
fastfood_input = Kernel(input_reference, input_cpu)
fastfood_gradients = Kernel(gradients_reference, gradients_cpu)
