"""Passes over channels: what batch normalisation and biases need of (N, C, ...).

A *plane* is one channel of one image, m values. Sums are taken plane by plane in
float64 and the few numbers of each channel joined afterwards in a fixed order, so that
a result does not depend on the number of threads. Arrays (C,) go with the channels.
"""

import math

import numpy as np

from ..backend import float64, xp_of
from . import norm_cuda
from ._dispatch import Kernel, jit
from ._memory import empty
from ._pool import mine
from ._share import share

# Several partial sums at a time, and products joined to the sum they go into.
vectors = dict(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


def over(x) -> tuple[int, ...]:
    """The axes that are not the channels'."""
    return (0, *range(2, x.ndim))


def spread(a, x):
    """``a`` (C,) with the axes that it needs to broadcast over ``x``."""
    return a.reshape(-1, *[1] * (x.ndim - 2))


def _planes(x):
    """``x`` as (N C, m), in one piece of memory; only awkward layouts are copied."""
    shape = (x.shape[0] * x.shape[1], math.prod(x.shape[2:]))
    return np.ascontiguousarray(x).reshape(shape)


def _as_moments(mean, var, dtype):
    high = mean.astype(dtype)
    rest = (mean - high).astype(dtype)
    return xp_of(mean).stack([high, rest, var.astype(dtype)])


def moments_reference(x):
    """Mean, what rounding it left over, and biased variance of each channel: (3, C).

    Far from zero the second row matters: a float32 mean near 1e4 is off by up to 5e-4.
    Where there are no values, all are 0.
    """
    count = max(x.size // max(x.shape[1], 1), 1)
    wide = x.astype(float64)
    mean = wide.sum(axis=over(x)) / count
    d = wide - spread(mean, x)
    return _as_moments(mean, (d * d).sum(axis=over(x)) / count, x.dtype)


@jit(**vectors)
def _moments(part, parts, x, mean, deviation):
    """Each plane's mean and sum of squared deviations; it stays in cache for both."""
    for b in range(*mine(part, parts, len(x))):
        row, total = x[b], np.float64(0)
        for i in range(len(row)):
            total += row[i]
        center = total / len(row)
        square = np.float64(0)
        for i in range(len(row)):
            d = row[i] - center
            square += d * d
        mean[b], deviation[b] = center, square


def _joined(means, deviations, x):
    """The moments of channels from those of their planes, which are equally large."""
    mean = means.mean(axis=0)
    between = means - mean
    within = deviations.mean(axis=0) / math.prod(x.shape[2:])
    return _as_moments(mean, within + (between * between).mean(axis=0), x.dtype)


def moments_cpu(x):
    if x.size == 0:
        return moments_reference(x)
    means, deviations = np.empty((2, *x.shape[:2]))
    flat = (means.reshape(-1), deviations.reshape(-1))
    share(_moments, x.size, _planes(x), *flat)
    return _joined(means, deviations, x)


def moments_cuda(x):
    if x.size == 0:
        return moments_reference(x)
    return _joined(*norm_cuda.plane_moments(x), x)


def affine_reference(x, scale, shift, center, low):
    """``max((x - center) * scale + shift, low)``; the former (C,), low a number."""
    y = (x - spread(center, x)) * spread(scale, x) + spread(shift, x)
    return xp_of(x, scale).maximum(y, x.dtype.type(low))


@jit(**vectors)
def _affine(part, parts, x, scale, shift, center, low, y):
    for b in range(*mine(part, parts, len(x))):
        c = b % len(scale)
        a, s, m, row, out = scale[c], shift[c], center[c], x[b], y[b]
        for i in range(len(row)):
            v = (row[i] - m) * a + s
            out[i] = low if v < low else v


def affine_cpu(x, scale, shift, center, low):
    y, low = empty(x.shape, x.dtype), x.dtype.type(low)
    share(_affine, x.size, _planes(x), scale, shift, center, low, _planes(y))
    return y


def affine_cuda(x, scale, shift, center, low):
    return norm_cuda.affine(x, *(spread(a, x) for a in (scale, shift, center)), low)


def _gated(g, x, center, scale, shift):
    return xp_of(g, x).where(
        affine_reference(x, scale, shift, center, -math.inf) > 0, g, g.dtype.type(0)
    )


def products_reference(g, x, center, scale, shift):
    """``sum g`` and ``sum g (x - center)`` of each channel: float64 (2, C).

    g counts only where ``(x - center) * scale + shift > 0``, as after a ReLU; with a
    scale of 0 and a shift of 1 everywhere.
    """
    g = _gated(g, x, center, scale, shift).astype(float64)
    d = x.astype(float64) - spread(center, x)
    return xp_of(g, x).stack([g.sum(axis=over(x)), (g * d).sum(axis=over(x))])


@jit(**vectors)
def _products(part, parts, x, g, center, scale, shift, total, product):
    zero = g.dtype.type(0)
    for b in range(*mine(part, parts, len(x))):
        c = b % len(center)
        m, a, d, row, up = center[c], scale[c], shift[c], x[b], g[b]
        s = p = np.float64(0)
        for i in range(len(row)):
            v = up[i]
            v = v if (row[i] - m) * a + d > 0 else zero
            s += v
            p += v * (np.float64(row[i]) - m)
        total[b], product[b] = s, p


def products_cpu(g, x, *channels):
    found = np.empty((2, *x.shape[:2]))
    total, product = found.reshape(2, x.shape[0] * x.shape[1])
    share(_products, x.size, _planes(x), _planes(g), *channels, total, product)
    return found.sum(axis=1)


def products_cuda(g, x, *channels):
    found = norm_cuda.plane_products(g, x, *channels)
    return xp_of(g, x).stack([a.sum(axis=0) for a in found])


def blend_reference(g, x, a, b, c, center, scale, shift):
    """``a g + b (x - center) + c`` for each channel; g counts as in the products."""
    g = _gated(g, x, center, scale, shift)
    a, b, c, center = (spread(v, x) for v in (a, b, c, center))
    return a * g + (b * (x - center) + c)


@jit(**vectors)
def _blend(part, parts, x, g, a, b, c, center, scale, shift, y):
    zero = g.dtype.type(0)
    for k in range(*mine(part, parts, len(x))):
        j = k % len(a)
        p, q, r, m, t, s = a[j], b[j], c[j], center[j], scale[j], shift[j]
        up, row, out = g[k], x[k], y[k]
        for i in range(len(row)):
            d, v = row[i] - m, up[i]
            v = v if d * t + s > 0 else zero
            out[i] = p * v + (q * d + r)


def blend_cpu(g, x, *channels):
    y = empty(x.shape, x.dtype)
    share(_blend, x.size, _planes(x), _planes(g), *channels, _planes(y))
    return y


def blend_cuda(g, x, *channels):
    return norm_cuda.blend(g, x, *(spread(a, x) for a in channels))


def plane_sum_reference(x):
    """The sum of each plane: (N, C)."""
    return x.sum(axis=tuple(range(2, x.ndim)))


@jit(**vectors)
def _sums(part, parts, x, total):
    for b in range(*mine(part, parts, len(x))):
        row, s = x[b], np.float64(0)
        for i in range(len(row)):
            s += row[i]
        total[b] = s


def _plane_sums(x):
    total = np.empty(x.shape[:2])
    share(_sums, x.size, _planes(x), total.reshape(-1))
    return total


def plane_sum_cpu(x):
    if not x.flags.c_contiguous:
        return plane_sum_reference(x)  # to copy it first takes longer
    return _plane_sums(x).astype(x.dtype)


def plane_sum_cuda(x):
    return norm_cuda.plane_sums(x).astype(x.dtype)


def channel_sum_reference(x):
    """The sum of each channel: (C,)."""
    return x.sum(axis=over(x))


def channel_sum_cpu(x):
    if not x.flags.c_contiguous:
        return channel_sum_reference(x)
    return _plane_sums(x).sum(axis=0).astype(x.dtype)


def channel_sum_cuda(x):
    return norm_cuda.plane_sums(x).sum(axis=0).astype(x.dtype)


channel_moments = Kernel(moments_reference, moments_cpu, moments_cuda)
channel_affine = Kernel(affine_reference, affine_cpu, affine_cuda)
channel_products = Kernel(products_reference, products_cpu, products_cuda)
channel_blend = Kernel(blend_reference, blend_cpu, blend_cuda)
channel_sum = Kernel(channel_sum_reference, channel_sum_cpu, channel_sum_cuda)
plane_sum = Kernel(plane_sum_reference, plane_sum_cpu, plane_sum_cuda)
