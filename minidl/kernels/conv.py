"""2-D convolution (cross-correlation) and its two gradients.

``y[n, o, p, q] = b[o] + sum_cij w[o, c, i, j] x[n, c, p s + i d - pad, ...]``

``x`` (N, C, H, W), ``w`` (O, C / groups, kh, kw), ``b`` (O,) or None, and ``y``
(N, O, oh, ow). Which algorithm the CPU takes is the first row of `CHOICES` that fits.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..backend import xp_of
from . import conv_cuda, correlate, depthwise, outer, pointwise
from ._dispatch import Kernel
from ._memory import empty
from .windows import fold, fold_reference, output_size, unfold, unfold_reference

COLUMNS = 1 << 20  # elements of unfolded images held at once


class Case(NamedTuple):
    """What a choice looks at: the sizes of one convolution."""

    step: str  # "forward", "input" or "weight"
    images: int
    groups: int
    inputs: int  # channels in a group
    outputs: int
    positions: int  # of the window in an image
    taps: int
    plain: bool  # 1x1, stride 1, no padding: every pixel is a window
    alone: bool  # depthwise, of a usual width and stride: see `depthwise`


class Choice(NamedTuple):
    """A row of the table: take ``algorithm`` if ``fits``, for this ``reason``."""

    algorithm: str
    when: str
    reason: str
    fits: Callable[[Case], bool]


def _heavy(case: Case) -> bool:
    """Whether there are too many weights for too few positions."""
    weights = case.inputs * case.outputs * case.taps
    positions = case.images * case.positions
    if case.step == "weight":
        return weights >= 1 << 18 and positions <= 1024
    few = weights >= 1 << 19 and positions <= 256
    return case.step == "input" and (few or weights >= 1 << 21)


CHOICES = (
    Choice(
        "columns",
        "no groups; the weight gradient of 2^18 weights at up to 1024 positions; the "
        "input gradient by 2^21 weights, or by 2^19 at up to 256 positions",
        "weights fill more than the caches, and would be read or summed again and "
        "again for few positions; BLAS takes the columns of many images in blocks",
        lambda case: case.groups == 1 and _heavy(case),
    ),
    Choice(
        "pixels",
        "1x1, stride 1, no padding",
        "every pixel is a position: tiles read and write images where they lie",
        lambda case: case.plain,
    ),
    Choice(
        "planes",
        "depthwise, 3, 5 or 7 wide with stride 1 or 3 wide with stride 2; its input "
        "gradient only with one output a channel",
        "every plane has its own kernel: nothing to reuse, so images are read where "
        "they lie and written once",
        lambda case: case.alone,
    ),
    Choice(
        "outer",
        "the weight gradient, with at least 32 outputs and 8 inputs in a group",
        "outputs side by side fill vectors and positions add up in registers: nothing "
        "is added up across the lanes of a vector, which small images pay for dearly",
        lambda case: outer.fits(case.step, case.inputs, case.outputs),
    ),
    Choice(
        "tiles",
        "everything else",
        "sums stay in registers and taps are offsets into flat images: nothing is "
        "unfolded, and groups, strides and dilations cost nothing extra",
        lambda case: True,
    ),
)


def choose(step, x_shape, w_shape, stride, padding, dilation, groups) -> Choice:
    """The row of `CHOICES` for a convolution of these shapes, in this step."""
    out = output_size(x_shape[2:], w_shape[2:], stride, padding, dilation)
    taps = w_shape[2] * w_shape[3]
    plain = taps == max(stride) == 1 and not any(map(sum, padding))
    sizes = (x_shape[0], groups, w_shape[1], w_shape[0] // groups, out[0] * out[1])
    alone = w_shape[1] == 1 and depthwise.fits(
        step, w_shape[2:], tuple(stride), w_shape[0] // groups
    )
    case = Case(step, *sizes, taps, plain, alone)
    return next(choice for choice in CHOICES if choice.fits(case))


def _split(w, groups):
    """Weights (or columns) by group: (g, O / g, C / g, kh, kw)."""
    return w.reshape(groups, w.shape[0] // groups, *w.shape[1:])


def _maps(g, groups):
    """Output maps by group: (N, g, O / g, oh, ow)."""
    return g.reshape(g.shape[0], groups, g.shape[1] // groups, *g.shape[2:])


def reference(x, w, stride, padding, dilation, groups, bias=None):
    """Convolution: every window times every filter of its group, plus the bias."""
    cols = unfold_reference(x, w.shape[2:], stride, padding, dilation)
    cols = _split(cols, groups)  # (g, C / g, kh, kw, N, oh, ow)
    y = xp_of(x, w).einsum("gcijnpq,gocij->ngopq", cols, _split(w, groups))
    y = y.reshape(x.shape[0], w.shape[0], *y.shape[3:])
    return y if bias is None else y + bias.reshape(-1, 1, 1)


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


def _forward_columns(x, w, stride, padding, dilation, groups, bias=None):
    out = output_size(x.shape[2:], w.shape[2:], stride, padding, dilation)
    filters = w.reshape(groups, w.shape[0] // groups, -1)
    y = empty((x.shape[0], w.shape[0], *out), x.dtype)
    for part in _chunks(len(x), w[0].size * groups * out[0] * out[1]):
        cols = unfold(x[part], w.shape[2:], stride, padding, dilation)
        part_y = filters @ cols.reshape(groups, filters.shape[2], -1)
        y[part] = part_y.reshape(w.shape[0], -1, *out).transpose(1, 0, 2, 3)
    if bias is not None:
        y += bias.reshape(-1, 1, 1)
    return y


def _input_columns(g, w, size, stride, padding, dilation, groups):
    filters = w.reshape(groups, w.shape[0] // groups, -1).transpose(0, 2, 1)
    x = empty((g.shape[0], w.shape[1] * groups, *size), g.dtype)
    for part in _chunks(len(g), w[0].size * groups * g.shape[2] * g.shape[3]):
        cols = filters @ _rows(g[part], groups)
        cols = cols.reshape(x.shape[1], *w.shape[2:], -1, *g.shape[2:])
        x[part] = fold(cols, size, w.shape[2:], stride, padding, dilation)
    return x


def _weight_columns(x, g, kernel, stride, padding, dilation, groups):
    taps = x.shape[1] // groups * kernel[0] * kernel[1]
    w = np.zeros((groups, g.shape[1] // groups, taps), x.dtype)
    for part in _chunks(len(x), taps * groups * g.shape[2] * g.shape[3]):
        cols = unfold(x[part], kernel, stride, padding, dilation)
        w += _rows(g[part], groups) @ cols.reshape(groups, taps, -1).transpose(0, 2, 1)
    return w.reshape(g.shape[1], x.shape[1] // groups, *kernel)


ALGORITHMS = {
    "pixels": (
        pointwise.forward,
        pointwise.input_gradient,
        pointwise.weight_gradient,
    ),
    "planes": (
        depthwise.forward,
        depthwise.input_gradient,
        depthwise.weight_gradient,
    ),
    "columns": (_forward_columns, _input_columns, _weight_columns),
    "outer": (correlate.forward, correlate.input_gradient, outer.weight_gradient),
    "tiles": (
        correlate.forward,
        correlate.input_gradient,
        correlate.weight_gradient,
    ),
}


def cpu(x, w, *options):
    if 0 in x.shape:
        return reference(x, w, *options)
    choice = choose("forward", x.shape, w.shape, *options[:4])
    return ALGORITHMS[choice.algorithm][0](x, w, *options)


def input_cpu(g, w, size, *geometry):
    if 0 in g.shape or 0 in size:
        return np.zeros((len(g), w.shape[1] * geometry[-1], *size), g.dtype)
    x_shape = (len(g), w.shape[1] * geometry[-1], *size)
    choice = choose("input", x_shape, w.shape, *geometry)
    return ALGORITHMS[choice.algorithm][1](g, w, size, *geometry)


def weight_cpu(x, g, kernel, *geometry):
    if 0 in g.shape or 0 in x.shape:
        return np.zeros((g.shape[1], x.shape[1] // geometry[-1], *kernel), x.dtype)
    w_shape = (g.shape[1], x.shape[1] // geometry[-1], *kernel)
    choice = choose("weight", x.shape, w_shape, *geometry)
    return ALGORITHMS[choice.algorithm][2](x, g, kernel, *geometry)


def cuda(x, w, stride, padding, dilation, groups, bias=None):
    y = conv_cuda.conv2d(x, w, stride, padding, dilation, groups)
    if bias is not None:
        y += bias.reshape(-1, 1, 1)
    return y


conv2d = Kernel(reference, cpu, cuda)
conv2d_input = Kernel(input_reference, input_cpu, conv_cuda.conv2d_input)
conv2d_weight = Kernel(weight_reference, weight_cpu, conv_cuda.conv2d_weight)
