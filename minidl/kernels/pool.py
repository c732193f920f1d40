"""Max pooling as two adjoint moves: gather at each window's maximum, scatter back.

In both, ``x`` (N, C, H, W) decides where the maxima are; among equal values the first
in row order wins, as in torch, and a NaN wins over everything. Pooling itself is
``gather(x, x)``. ``out`` is the number of windows; padding never wins.
"""

import numpy as np

from ..backend import scatter_add, xp_of
from . import pool_pairs
from ._cuda import Raw, blocks
from ._dispatch import Kernel, jit, prange
from ._memory import empty, zeros


def _winners(x, out, kernel, stride, padding, dilation):
    """Flat index (into H W) of each window's maximum: (N, C, oh, ow)."""
    xp, (h, w) = xp_of(x), x.shape[2:]
    p, q, i, j = (xp.arange(n) for n in (*out, *kernel))
    rows = p[:, None] * stride[0] + i * dilation[0] - padding[0]  # (oh, kh)
    cols = q[:, None] * stride[1] + j * dilation[1] - padding[1]  # (ow, kw)
    rows, cols = rows[:, None, :, None], cols[None, :, None, :]
    inside = (rows >= 0) & (rows < h) & (cols >= 0) & (cols < w)  # (oh, ow, kh, kw)
    at = (rows.clip(0, h - 1) * w + cols.clip(0, w - 1)).reshape(*out, -1)
    values = x.reshape(*x.shape[:2], h * w)[:, :, at]
    values = xp.where(inside.reshape(*out, -1), values, -xp.inf)
    best = values.argmax(-1)
    none = values.max(-1) == -xp.inf  # all -inf: the first tap that lies inside
    first = inside.reshape(*out, -1).argmax(-1)
    best = xp.where(none, first, best)
    return xp.take_along_axis(xp.broadcast_to(at, values.shape), best[..., None], -1)[
        ..., 0
    ]


def gather_reference(h, x, out, kernel, stride, padding, dilation):
    """``h`` read at the maxima of ``x``: (N, C, oh, ow)."""
    at = _winners(x, out, kernel, stride, padding, dilation)
    flat = h.reshape(*h.shape[:2], h.shape[2] * h.shape[3])
    at_flat = at.reshape(*h.shape[:2], out[0] * out[1])
    return xp_of(h).take_along_axis(flat, at_flat, -1).reshape(at.shape)


def scatter_reference(g, x, out, kernel, stride, padding, dilation):
    """``g`` (N, C, oh, ow) added at the maxima of ``x``: the adjoint of `gather`."""
    xp = xp_of(g, x)
    at = _winners(x, out, kernel, stride, padding, dilation)
    flat = xp.zeros((x.shape[0] * x.shape[1], x.shape[2] * x.shape[3]), g.dtype)
    plane, windows = xp.arange(len(flat))[:, None], (len(flat), out[0] * out[1])
    scatter_add(flat, (plane, at.reshape(windows)), g.reshape(windows))
    return flat.reshape(x.shape)


@jit(parallel=True)
def _visit(values, x, y, scatter, size, out, kernel, stride, padding, dilation):
    """For each window of ``x``: read ``values`` at its maximum, or add them there.

    Planes are flat. Which tap wins is chosen without a branch: on real images a branch
    is mispredicted every other time, which costs three times the work itself.
    """
    height, width = size
    dh, dw = dilation
    for b in prange(len(x)):
        for p in range(out[0]):
            top = p * stride[0] - padding[0]
            i0 = (max(-top, 0) + dh - 1) // dh  # the taps that lie inside the image
            i1 = min(kernel[0], (height - 1 - top) // dh + 1)
            for q in range(out[1]):
                left = q * stride[1] - padding[1]
                j0 = (max(-left, 0) + dw - 1) // dw
                j1 = min(kernel[1], (width - 1 - left) // dw + 1)
                at = (top + i0 * dh) * width + left + j0 * dw
                best = x[b, at]
                for i in range(i0, i1):
                    base = (top + i * dh) * width + left
                    for j in range(j0, j1):
                        v = x[b, base + j * dw]
                        keep = (best >= v) | (best != best)
                        best = best if keep else v
                        at = at if keep else base + j * dw
                if scatter:
                    y[b, at] += values[b, p * out[1] + q]
                else:
                    y[b, p * out[1] + q] = values[b, at]


def _planes(x):
    n, c, h, w = x.shape
    return np.ascontiguousarray(x).reshape(n * c, h * w)


def gather_cpu(h, x, out, kernel, stride, padding, dilation):
    if h is x and pool_pairs.fits(x, out, kernel, stride, padding, dilation):
        return pool_pairs.maxima(x, out)
    y = empty((*x.shape[:2], *out), h.dtype)
    xs = _planes(x)
    hs = xs if h is x else _planes(h)
    _visit(
        hs, xs, _planes(y), False, x.shape[2:], out, kernel, stride, padding, dilation
    )
    return y


def scatter_cpu(g, x, out, kernel, stride, padding, dilation):
    if pool_pairs.fits(x, out, kernel, stride, padding, dilation):
        return pool_pairs.scatter(g, x)
    y = zeros(x.shape, g.dtype)
    _visit(
        _planes(g),
        _planes(x),
        _planes(y),
        True,
        x.shape[2:],
        out,
        kernel,
        stride,
        padding,
        dilation,
    )
    return y


_WINNER = r"""
// The place in the plane x of a window's maximum. The first wins among equals,
// and a NaN, which equals nothing, over all.
__device__ I winner(
        const T* __restrict__ x, I height, I width, I top, I left, I kh, I kw,
        I dh, I dw) {
    I best_at = -1;
    T best = 0;
    for (I i = 0; i < kh; i++) {
        I row = top + i * dh;
        if (row < 0 || row >= height) continue;
        for (I j = 0; j < kw; j++) {
            I col = left + j * dw;
            if (col < 0 || col >= width) continue;
            T v = x[row * width + col];
            bool keep = best_at >= 0 && (best >= v || best != best);
            best_at = keep ? best_at : row * width + col;
            best = keep ? best : v;
        }
    }
    return best_at;
}
"""
_gather_device = Raw(
    _WINNER
    + r"""
// A thread looks through one window of x and reads `values` where the maximum is.
extern "C" __global__ void minidl_max_pool_gather(
        const T* __restrict__ x, const T* __restrict__ values, T* __restrict__ y,
        I threads, I height, I width, I oh, I ow, I kh, I kw, I sh, I sw,
        I top, I left, I dh, I dw) {
    I thread = (I)blockIdx.x * (I)blockDim.x + (I)threadIdx.x;
    if (thread >= threads) return;
    I q = thread % ow, p = thread / ow % oh, plane = thread / ow / oh * height * width;
    top = p * sh - top;
    left = q * sw - left;
    y[thread] =
        values[plane + winner(x + plane, height, width, top, left, kh, kw, dh, dw)];
}
""",
    "minidl_max_pool_gather",
)
_places_device = Raw(
    _WINNER
    + r"""
// The same, for the place of the maximum in its plane.
extern "C" __global__ void minidl_max_pool_places(
        const T* __restrict__ x, long long* __restrict__ places,
        I threads, I height, I width, I oh, I ow, I kh, I kw, I sh, I sw,
        I top, I left, I dh, I dw) {
    I thread = (I)blockIdx.x * (I)blockDim.x + (I)threadIdx.x;
    if (thread >= threads) return;
    I q = thread % ow, p = thread / ow % oh, plane = thread / ow / oh * height * width;
    top = p * sh - top;
    left = q * sw - left;
    places[thread] = winner(x + plane, height, width, top, left, kh, kw, dh, dw);
}
""",
    "minidl_max_pool_places",
)
_scatter_device = Raw(
    r"""
// A thread adds, for one pixel, the values of all windows that it won, in their order:
// no atomic addition, and the same sum every time.
extern "C" __global__ void minidl_max_pool_scatter(
        const T* __restrict__ g, const long long* __restrict__ places,
        T* __restrict__ y, I threads, I height, I width, I oh, I ow,
        I kh, I kw, I sh, I sw, I top, I left, I dh, I dw) {
    I thread = (I)blockIdx.x * (I)blockDim.x + (I)threadIdx.x;
    if (thread >= threads) return;
    I col = thread % width, plane = thread / width, row = plane % height;
    I place = row * width + col, first = plane / height * oh * ow;
    T sum = 0;
    for (I i = kh - 1; i >= 0; i--) {
        I p = row + top - i * dh;  // times the stride
        if (p < 0 || p % sh || p / sh >= oh) continue;
        for (I j = kw - 1; j >= 0; j--) {
            I q = col + left - j * dw;
            if (q < 0 || q % sw || q / sw >= ow) continue;
            I window = first + p / sh * ow + q / sw;
            if (places[window] == place) sum += g[window];
        }
    }
    y[thread] = sum;
}
""",
    "minidl_max_pool_scatter",
)


def gather_cuda(h, x, out, *geometry):
    y = xp_of(h, x).empty((*x.shape[:2], *out), h.dtype)
    _by_thread(_gather_device, (x, h), y, x.shape[2:], out, geometry)
    return y


def scatter_cuda(g, x, out, *geometry):
    """Two passes: which pixel won each window, then for each pixel what it won."""
    xp = xp_of(g, x)
    places, y = xp.empty(g.shape, xp.int64), xp.empty(x.shape, g.dtype)
    _by_thread(_places_device, (x,), places, x.shape[2:], out, geometry)
    _by_thread(_scatter_device, (g, places), y, x.shape[2:], out, geometry)
    return y


def _by_thread(kernel, sources, y, size, out, geometry):
    """One thread for each element of ``y``."""
    if y.size:
        sources = map(xp_of(y).ascontiguousarray, sources)
        args = (*sources, y, y.size, *size, *out, *sum(geometry, ()))
        kernel(args[0].dtype, (blocks(y.size),), (256,), args)


max_pool2d_gather = Kernel(gather_reference, gather_cpu, gather_cuda)
max_pool2d_scatter = Kernel(scatter_reference, scatter_cpu, scatter_cuda)
