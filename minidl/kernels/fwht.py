"""The fast Walsh-Hadamard transform of the last axis, natural order, unnormalised.

``y[i] = sum over j of (-1)^popcount(i & j) x[j]``; the length is a power of two. It is
its own inverse up to the factor n, and its own transpose.

The loop takes three levels at a time (radix 8). A pass reads eight parts of a row side
by side and writes their results interleaved. That rotates the digits of the index by
three, and after all passes the rotation is complete: every access runs along memory
and every level is vectorised, also the innermost. Of short rows a block holds many:
passes that only rotate bring the digits of the row number to the end, so that the
sums then run across rows. Rows too long for the first cache are cut into blocks; the
remaining levels then combine the blocks in place.
"""

import numpy as np

from ..backend import xp_of
from ._dispatch import Kernel, jit, prange
from ._memory import empty
from .fwht_cuda import cuda

BLOCK = 1 << 12  # elements transformed at once: they and a copy fit the first cache
CHUNK = 1 << 10  # columns that one task combines across blocks


def reference(x):
    """Level by level: sums in the first half, differences in the second."""
    xp, n, h = xp_of(x), x.shape[-1], 1
    y = x
    while h < n:
        pairs = y.reshape(*x.shape[:-1], n // (2 * h), 2, h)
        a, b = pairs[..., 0, :], pairs[..., 1, :]
        y = xp.stack([a + b, a - b], axis=-2).reshape(x.shape)
        h *= 2
    return y.copy() if y is x else y


@jit(inline="always")
def _eight(a, b, c, d, e, f, g, h):
    """The transform of eight numbers."""
    a, b, c, d, e, f, g, h = a + b, a - b, c + d, c - d, e + f, e - f, g + h, g - h
    a, c, b, d, e, g, f, h = a + c, a - c, b + d, b - d, e + g, e - g, f + h, f - h
    return a + e, b + f, c + g, d + h, a - e, b - f, c - g, d - h


@jit()
def _interleave(x, y, radix):
    """One pass: y[radix j + k] is output k of x[j], x[m + j], x[2 m + j], ..."""
    m = x.size // radix
    if radix == 2:
        for j in range(m):
            p, q = x[j], x[m + j]
            y[2 * j], y[2 * j + 1] = p + q, p - q
    elif radix == 4:
        p, q, r, s = x[:m], x[m : 2 * m], x[2 * m : 3 * m], x[3 * m :]
        for j in range(m):
            a, b, c, d = p[j] + q[j], p[j] - q[j], r[j] + s[j], r[j] - s[j]
            i = 4 * j
            y[i], y[i + 1], y[i + 2], y[i + 3] = a + c, b + d, a - c, b - d
    else:
        x0, x1, x2, x3 = x[:m], x[m : 2 * m], x[2 * m : 3 * m], x[3 * m : 4 * m]
        x4, x5, x6 = x[4 * m : 5 * m], x[5 * m : 6 * m], x[6 * m : 7 * m]
        x7 = x[7 * m :]
        for j in range(m):
            i = 8 * j
            (
                y[i],
                y[i + 1],
                y[i + 2],
                y[i + 3],
                y[i + 4],
                y[i + 5],
                y[i + 6],
                y[i + 7],
            ) = _eight(x0[j], x1[j], x2[j], x3[j], x4[j], x5[j], x6[j], x7[j])


@jit()
def _rotate(x, y):
    """One pass without sums: y[8 j + k] = x[k m + j]."""
    m = x.size // 8
    x0, x1, x2, x3 = x[:m], x[m : 2 * m], x[2 * m : 3 * m], x[3 * m : 4 * m]
    x4, x5, x6 = x[4 * m : 5 * m], x[5 * m : 6 * m], x[6 * m : 7 * m]
    x7 = x[7 * m :]
    for j in range(m):
        i = 8 * j
        y[i], y[i + 1], y[i + 2], y[i + 3] = x0[j], x1[j], x2[j], x3[j]
        y[i + 4], y[i + 5], y[i + 6], y[i + 7] = x4[j], x5[j], x6[j], x7[j]


@jit()
def _block(x, y, spare, rows, same):
    """The transforms of ``rows`` (a power of 8) rows, one after another, from ``x`` to
    ``y``; ``same`` if they are one memory."""
    turns, passes, rest = 0, 0, rows
    while rest > 1:
        rest //= 8
        turns += 1
    n = x.size // rows
    rest = n
    while rest > 1:
        rest //= min(rest, 8)
        passes += 1
    if passes == 0:
        y[:] = x
        return
    steps, here = turns + passes, x
    if steps % 2 == 1 and same:
        spare[:] = x
        here = spare
    rest = n
    for k in range(steps):
        there = y if (steps - k) % 2 == 1 else spare
        if k < turns:
            _rotate(here, there)
        else:
            radix = min(rest, 8)
            rest //= radix
            _interleave(here, there, radix)
        here = there


@jit(parallel=True)
def _blocks(x, y, rows, same):
    """Every row of ``x`` transformed into ``y``, by ``rows`` and then one by one."""
    count, n = x.shape
    whole = count // rows
    x, y = x.reshape(count * n), y.reshape(count * n)
    for task in prange(whole + count % rows):
        if task < whole:
            start, held = task * rows, rows
        else:
            start, held = whole * rows + task - whole, 1
        a, b = start * n, (start + held) * n
        _block(x[a:b], y[a:b], np.empty(b - a, x.dtype), held, same)


@jit()
def _combine(y, start, h, columns, radix):
    """In place: ``columns`` transforms of ``radix`` numbers that lie ``h`` apart."""
    s, end = start, start + columns
    if radix == 2:
        p, q = y[s:end], y[s + h : end + h]
        for j in range(columns):
            p[j], q[j] = p[j] + q[j], p[j] - q[j]
    elif radix == 4:
        p, q = y[s:end], y[s + h : end + h]
        r, t = y[s + 2 * h : end + 2 * h], y[s + 3 * h : end + 3 * h]
        for j in range(columns):
            a, b, c, d = p[j] + q[j], p[j] - q[j], r[j] + t[j], r[j] - t[j]
            p[j], q[j], r[j], t[j] = a + c, b + d, a - c, b - d
    else:
        x0, x1 = y[s:end], y[s + h : end + h]
        x2, x3 = y[s + 2 * h : end + 2 * h], y[s + 3 * h : end + 3 * h]
        x4, x5 = y[s + 4 * h : end + 4 * h], y[s + 5 * h : end + 5 * h]
        x6, x7 = y[s + 6 * h : end + 6 * h], y[s + 7 * h : end + 7 * h]
        for j in range(columns):
            x0[j], x1[j], x2[j], x3[j], x4[j], x5[j], x6[j], x7[j] = _eight(
                x0[j], x1[j], x2[j], x3[j], x4[j], x5[j], x6[j], x7[j]
            )


@jit(parallel=True)
def _long_rows(x, y, block, same):
    """Rows longer than a block, one task a row: it stays in the second cache."""
    for row in prange(x.shape[0]):
        n, spare = x.shape[1], np.empty(block, x.dtype)
        for start in range(0, n, block):
            end = start + block
            _block(x[row, start:end], y[row, start:end], spare, 1, same)
        h = block
        while h < n:
            radix = min(n // h, 8)
            for start in range(0, n, radix * h):
                _combine(y[row], start, h, h, radix)
            h *= radix


@jit(parallel=True)
def _across(y, h, radix, chunk):
    """One combining pass over few long rows, one task a chunk of columns."""
    rows, n = y.shape
    parts = h // chunk
    tasks = n // radix // chunk
    for task in prange(rows * tasks):
        row, here = task // tasks, task % tasks
        start = here // parts * (radix * h) + here % parts * chunk
        _combine(y[row], start, h, chunk, radix)


def cpu(x):
    x = np.asarray(x)
    if x.flags.carray:  # other memory would be compiled for anew
        y = empty(x.shape, x.dtype)
        _transform(x, y, False)
        return y
    return in_place(np.array(x, order="C"))


def in_place(x):
    """Transform a C-contiguous NumPy array where it lies, without a copy of it."""
    _transform(x, x, True)
    return x


def _transform(x, y, same):
    n = x.shape[-1]
    rows = x.size // n
    x, y = x.reshape(rows, n), y.reshape(rows, n)
    if n <= BLOCK:
        held = 1  # rows in a block
        while n * held * 8 <= BLOCK and held < 64:
            held *= 8
        _blocks(x, y, held, same)
    elif rows >= 8:
        _long_rows(x, y, BLOCK, same)
    else:
        parts = (rows * (n // BLOCK), BLOCK)
        _blocks(x.reshape(parts), y.reshape(parts), 1, same)
        h = BLOCK
        while h < n:
            radix = min(n // h, 8)
            _across(y, h, radix, CHUNK)
            h *= radix


fwht = Kernel(reference, cpu, cuda)
