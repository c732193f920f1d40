"""Shift: every channel moved by a whole number of pixels, zeros entering.

``y[n, c, i, j] = x[n, c, i - dy[c], j - dx[c]]``, zero where that lies outside.

``x`` (N, C, H, W); ``dy``, ``dx`` tuples of C integers of any size. One read and one
write of the images: the loop copies whole pieces of rows.
"""

import numpy as np

from ..backend import xp_of
from ._dispatch import Kernel, jit, prange


def reference(x, dy, dx):
    """Each channel's part that stays inside, copied as one slice."""
    y, (height, width) = xp_of(x).zeros(x.shape, x.dtype), x.shape[2:]
    for c, (a, b) in enumerate(zip(dy, dx)):
        if abs(a) < height and abs(b) < width:
            rows = slice(max(a, 0), height + min(a, 0))
            cols = slice(max(b, 0), width + min(b, 0))
            from_rows = slice(max(-a, 0), height - max(a, 0))
            from_cols = slice(max(-b, 0), width - max(b, 0))
            y[:, c, rows, cols] = x[:, c, from_rows, from_cols]
    return y


@jit(parallel=True)
def _loop(x, y, dy, dx):
    planes, height, width = x.shape
    for plane in prange(planes):
        a, b = dy[plane % len(dy)], dx[plane % len(dx)]
        first = min(max(b, 0), width)  # the columns that read inside the image
        last = max(min(width + b, width), first)
        for i in range(height):
            row = y[plane, i]
            source = i - a
            if source < 0 or source >= height:
                row[:] = 0
                continue
            row[:first] = 0
            row[first:last] = x[plane, source, first - b : last - b]
            row[last:] = 0


def cpu(x, dy, dx):
    n, c, height, width = x.shape
    y = np.empty(x.shape, x.dtype)
    limit = height + width  # farther is as far, and cannot overflow
    flat = (n * c, height, width)
    _loop(
        np.ascontiguousarray(x).reshape(flat),
        y.reshape(flat),
        np.array(dy, np.int64).clip(-limit, limit),
        np.array(dx, np.int64).clip(-limit, limit),
    )
    return y


shift = Kernel(reference, cpu)
