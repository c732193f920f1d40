"""Shift: every channel moved by a whole number of pixels, zeros entering.

``y[n, c, i, j] = x[n, c, i - dy[c], j - dx[c]]``, zero where that lies outside.

``x`` (N, C, H, W); ``dy``, ``dx`` tuples of C integers of 64 bits. One read and one
write of the images, vector by vector.
"""

import numpy as np

from ..backend import xp_of
from ._cuda import Raw, blocks, constant, lanes
from ._dispatch import Kernel, jit
from ._memory import empty
from ._pool import mine
from ._share import share
from .slides import moved


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


@jit(nogil=True)
def _loop(part, parts, x, y, dy, dx, height, width):
    area, channels = height * width, len(dy)
    planes = x.size // area
    for plane in range(*mine(part, parts, planes)):
        c = plane % channels
        moved(y, x, plane * area, height, width, dy[c], dx[c])


def cpu(x, dy, dx):
    height, width = x.shape[2:]
    y = empty(x.shape, x.dtype)
    if y.size:
        limit = height + width  # farther is as far, and cannot overflow
        moves = (np.array(d, np.int64).clip(-limit, limit) for d in (dy, dx))
        x = np.require(x, None, "CAWE")  # others are compiled for anew
        share(_loop, x.size, x.reshape(-1), y.reshape(-1), *moves, height, width)
    return y


_device = Raw(
    r"""
extern "C" __global__ void minidl_shift(
        const T* __restrict__ x, T* __restrict__ y,
        const long long* __restrict__ dy, const long long* __restrict__ dx,
        I rows, I channels, I height, I width) {
    const int ROWS = 4;  // of one thread: as many loads are under way at once
    I from[ROWS];        // where the source row starts, -1 where zeros enter
    long long by[ROWS];  // columns to move
    I top = (I)blockIdx.x * ROWS * (I)blockDim.y + (I)threadIdx.y;
    for (int k = 0; k < ROWS; k++) {
        I row = top + k * (I)blockDim.y;
        from[k] = -1;
        by[k] = 0;
        if (row < rows) {
            I plane = row / height, channel = plane % channels;
            long long source = row - plane * height - dy[channel];
            if (source >= 0 && source < height)
                from[k] = (plane * height + (I)source) * width;
            by[k] = dx[channel];
        }
    }
    I step = (I)gridDim.y * (I)blockDim.x;
    for (I j = (I)blockIdx.y * (I)blockDim.x + (I)threadIdx.x; j < width; j += step) {
        T values[ROWS];
        for (int k = 0; k < ROWS; k++) {
            long long source = j - by[k];
            bool inside = from[k] >= 0 && source >= 0 && source < width;
            values[k] = inside ? x[from[k] + (I)source] : T(0);
        }
        for (int k = 0; k < ROWS; k++) {
            I row = top + k * (I)blockDim.y;
            if (row < rows) y[row * width + j] = values[k];
        }
    }
}
""",
    "minidl_shift",
)


def cuda(x, dy, dx):
    xp, (n, c, height, width) = xp_of(x), x.shape
    y = xp.empty(x.shape, x.dtype)
    if y.size:
        columns = lanes(width)
        block = (columns, 256 // columns)
        grid = (blocks(n * c * height, 4 * block[1]), min(-(-width // 256), 65535))
        limit = height + width  # farther is as far, and cannot overflow
        moves = constant(dy, limit), constant(dx, limit)
        args = (xp.ascontiguousarray(x), y, *moves, n * c * height, c, height, width)
        _device(x.dtype, grid, block, args)
    return y


shift = Kernel(reference, cpu, cuda)
