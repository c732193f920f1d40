"""2-D convolution (cross-correlation) and its two gradients.

``y[n, o, p, q] = sum over c, i, j of w[o, c, i, j] * x[n, c, p s + i d - pad, ...]``

``x`` (N, C, H, W), ``w`` (O, C / groups, kh, kw), ``y`` (N, O, oh, ow). The CPU rung
unfolds a few images at a time, small enough to stay in cache, and multiplies by BLAS.
"""

import numpy as np

from ..backend import xp_of
from ._dispatch import Kernel
from .windows import fold, fold_reference, output_size, unfold, unfold_reference

COLUMNS = 1 << 20  # elements of unfolded images held at once


def _split(w, groups):
    """Weights (or columns) by group: (g, O / g, C / g, kh, kw)."""
    return w.reshape(groups, w.shape[0] // groups, *w.shape[1:])


def _maps(g, groups):
    """Output maps by group: (N, g, O / g, oh, ow)."""
    return g.reshape(g.shape[0], groups, g.shape[1] // groups, *g.shape[2:])


def reference(x, w, stride, padding, dilation, groups):
    """Convolution: every window times every filter of its group."""
    cols = unfold_reference(x, w.shape[2:], stride, padding, dilation)
    cols = _split(cols, groups)  # (g, C / g, kh, kw, N, oh, ow)
    y = xp_of(x, w).einsum("gcijnpq,gocij->ngopq", cols, _split(w, groups))
    return y.reshape(x.shape[0], w.shape[0], *y.shape[3:])


def input_reference(g, w, size, stride, padding, dilation, groups):
    """Gradient by the input, of spatial ``size``: the adjoint of `reference` in x."""
    maps, filters = _maps(g, groups), _split(w, groups)
    cols = xp_of(g, w).einsum("ngopq,gocij->gcijnpq", maps, filters)
    cols = cols.reshape(groups * w.shape[1], *cols.shape[2:])
    return fold_reference(cols, size, w.shape[2:], stride, padding, dilation)


def weight_reference(x, g, kernel, stride, padding, dilation, groups):
    """Gradient by the weights, of size ``kernel``: the adjoint of `reference` in w."""
    cols = unfold_reference(x, kernel, stride, padding, dilation)
    cols, maps = _split(cols, groups), _maps(g, groups)
    w = xp_of(x, g).einsum("gcijnpq,ngopq->gocij", cols, maps)
    return w.reshape(g.shape[1], *w.shape[2:])


def _chunks(images, columns):
    """Slices over the batch whose unfolded size is about `COLUMNS`."""
    step = max(1, COLUMNS // max(1, columns))
    return [slice(i, i + step) for i in range(0, images, step)]


def _rows(g, groups):
    """(N, O, oh, ow) as (groups, O / groups, N oh ow)."""
    return g.transpose(1, 0, 2, 3).reshape(groups, g.shape[1] // groups, -1)


def cpu(x, w, stride, padding, dilation, groups):
    out = output_size(x.shape[2:], w.shape[2:], stride, padding, dilation)
    filters = w.reshape(groups, w.shape[0] // groups, -1)
    y = np.empty((x.shape[0], w.shape[0], *out), x.dtype)
    for part in _chunks(len(x), w[0].size * groups * out[0] * out[1]):
        cols = unfold(x[part], w.shape[2:], stride, padding, dilation)
        part_y = filters @ cols.reshape(groups, filters.shape[2], -1)
        y[part] = part_y.reshape(w.shape[0], -1, *out).transpose(1, 0, 2, 3)
    return y


def input_cpu(g, w, size, stride, padding, dilation, groups):
    filters = w.reshape(groups, w.shape[0] // groups, -1).transpose(0, 2, 1)
    x = np.empty((g.shape[0], w.shape[1] * groups, *size), g.dtype)
    for part in _chunks(len(g), w[0].size * groups * g.shape[2] * g.shape[3]):
        cols = filters @ _rows(g[part], groups)
        cols = cols.reshape(x.shape[1], *w.shape[2:], -1, *g.shape[2:])
        x[part] = fold(cols, size, w.shape[2:], stride, padding, dilation)
    return x


def weight_cpu(x, g, kernel, stride, padding, dilation, groups):
    taps = x.shape[1] // groups * kernel[0] * kernel[1]
    w = np.zeros((groups, g.shape[1] // groups, taps), x.dtype)
    for part in _chunks(len(x), taps * groups * g.shape[2] * g.shape[3]):
        cols = unfold(x[part], kernel, stride, padding, dilation)
        w += _rows(g[part], groups) @ cols.reshape(groups, taps, -1).transpose(0, 2, 1)
    return w.reshape(g.shape[1], x.shape[1] // groups, *kernel)


conv2d = Kernel(reference, cpu)
conv2d_input = Kernel(input_reference, input_cpu)
conv2d_weight = Kernel(weight_reference, weight_cpu)
