"""The fast Walsh-Hadamard transform of the last axis, natural order, unnormalised.

``y[i] = sum over j of (-1)^popcount(i & j) x[j]``; the length is a power of two. It is
its own inverse up to the factor n, and its own transpose.

The first levels are done on the vectors of a tile, 8 of them on 256 numbers where a
vector has 16 lanes: inside of each vector, then among vectors. Further levels take up
to 16 vectors that lie far apart, four levels at a time. Rows too long for the first
cache are cut into blocks, and the levels above go over the whole row.
"""

import numpy as np

from ..backend import xp_of
from ._dispatch import Kernel, jit
from ._memory import empty
from ._pool import mine
from ._share import share
from .butterfly import far, near, tile
from .fwht_cuda import cuda

BLOCK = 1 << 12  # numbers that fit the first cache, whatever else is there
CHUNK = 1 << 10  # columns that are combined by one thread
FEW = 8  # rows: as many or fewer long ones are shared among threads piece by piece

loops = dict(nogil=True, error_model="numpy")


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


@jit(**loops)
def _columns(y, at, h, count, radix):
    """In place: ``count`` transforms, side by side, of ``radix`` numbers h apart."""
    if radix == 16:
        far(y, at, h, count, 16)
    elif radix == 8:
        far(y, at, h, count, 8)
    elif radix == 4:
        far(y, at, h, count, 4)
    else:
        far(y, at, h, count, 2)


@jit(**loops)
def combine(y, at, h, n):
    """In place: the levels from h on, of n numbers."""
    while h < n:
        radix = min(n // h, 16)
        for start in range(at, at + n, radix * h):
            _columns(y, start, h, h, radix)
        h *= radix


@jit(**loops)
def transform(y, y_at, x, x_at, count, n):
    """Every row of n among ``count`` numbers of flat x, into y; both may be one.

    Row by row, so that each stays in the cache from its first level to the last.
    """
    size = tile(x)
    if n <= size:
        near(y, y_at, x, x_at, count, n)
        return
    block = min(n, BLOCK)
    for row in range(0, count, n):
        for start in range(row, row + n, block):
            near(y, y_at + start, x, x_at + start, block, size)
            combine(y, y_at + start, size, block)
        combine(y, y_at + row, block, n)


@jit(**loops)
def _rows(part, parts, x, y, n):
    start, end = mine(part, parts, x.size // n)
    transform(y, start * n, x, start * n, (end - start) * n, n)


@jit(**loops)
def _across(part, parts, y, h, radix):
    """One pass over few long rows: a chunk of columns at a time."""
    pieces = h // CHUNK
    for task in range(*mine(part, parts, y.size // radix // CHUNK)):
        at = task // pieces * (radix * h) + task % pieces * CHUNK
        _columns(y, at, h, CHUNK, radix)


def cpu(x):
    x = np.asarray(x)
    if x.flags.carray:  # other memory would be compiled for anew
        y = empty(x.shape, x.dtype)
        _transform(x, y)
        return y
    return in_place(np.array(x, order="C"))


def in_place(x):
    """Transform a C-contiguous NumPy array where it lies, without a copy of it."""
    _transform(x, x)
    return x


def _transform(x, y):
    n, size = x.shape[-1], x.size
    x, y = x.reshape(size), y.reshape(size)
    if n <= BLOCK or size // n > FEW:
        share(_rows, size, x, y, n)
        return
    share(_rows, size, x, y, BLOCK)
    h = BLOCK
    while h < n:
        radix = min(n // h, 16)
        share(_across, size, y, h, radix)
        h *= radix


fwht = Kernel(reference, cpu, cuda)
