"""Convolution with 1x1 kernels, stride 1 and no padding: images stay where they lie.

Every pixel is a position, so an image is flat already, and `tiles` read and write it
in place: ``y[n, o, t] = b[o] + sum over c of w[o, c] x[n, c, t]``.
"""

import numpy as np

from ..threads import get_num_threads
from ._dispatch import jit
from ._memory import empty
from ._pool import in_parts, mine, workers
from .correlate import FEW, WIDE, blocks_of, flat, products, starting, tiles
from .flat import SCRATCH
from .tiles import AHEAD

NEAR = 1 << 13  # elements of x, all channels of some pixels, that the first cache holds


@jit(nogil=True)
def _multiply(
    part, parts, x, w, w_step, w_off, b, y, blocks, off, images, groups, area, pixels
):
    """The ``part``-th of ``parts`` equal parts of all runs of ``pixels`` pixels."""
    inputs, outputs = w_off.size, b.size // groups
    runs = (area + pixels - 1) // pixels
    shares = images * groups * runs
    for share in range(*mine(part, parts, shares)):
        t, plane = share % runs * pixels, share // runs
        count, group = min(pixels, area - t), plane % groups
        x_at = plane * inputs * area + t
        for k in range(len(blocks)):
            first, m = blocks[k, 0], blocks[k, 1]
            b_at = group * outputs + first
            w_at = group * (w.size // groups) + first * w_step
            y_at = (plane * outputs + first) * area + t
            tiles(
                m, y, y_at, area, w, w_at, w_step, w_off, b, b_at, x, x_at, off, count
            )


def _run(x, w, w_step, w_off, bias, outputs, groups):
    """See `correlate`: the r-th output's weights are at ``r * w_step + w_off``."""
    size, threads, inputs = x.shape[2:], get_num_threads(), len(w_off)
    y, area = empty((len(x), outputs, *size), x.dtype), size[0] * size[1]
    off = np.concatenate([np.arange(inputs) * area, np.zeros(AHEAD, np.int64)])
    runs = -(-threads // max(1, len(x) * groups))  # something for each thread
    pixels = max(48, min(NEAR // inputs, -(-area // runs)) // 48 * 48)
    weights = flat(w), w_step, w_off, starting(bias, outputs, x.dtype)
    arrays = flat(x), *weights, y.reshape(-1), blocks_of(outputs // groups), off
    parts = workers(threads, y.size * inputs)
    in_parts(_multiply, parts, *arrays, len(x), groups, area, pixels)
    return y


def forward(x, w, stride, padding, dilation, groups, bias=None):
    """y (N, O, H, W) of x (N, C, H, W) and w (O, C / groups, 1, 1)."""
    outputs, inputs = w.shape[:2]
    return _run(x, w, inputs, np.arange(inputs), bias, outputs, groups)


def input_gradient(g, w, size, stride, padding, dilation, groups):
    """x (N, C, H, W): g under the transposed weights."""
    inputs = w.shape[1]
    outputs = np.arange(len(w) // groups) * inputs
    return _run(g, w, 1, outputs, None, groups * inputs, groups)


@jit(nogil=True)
def _weigh(part, parts, x, g, dw, blocks, off, images, batch, groups, area):
    """Sums over this part's images, some at a time: ``dw[part]`` (O, C / groups)."""
    if parts == 0:
        return
    inputs, outputs = off.size - 8, dw.shape[1] // groups
    step, sums = off.size, dw[part].reshape(-1)
    g_image, x_image = groups * outputs * area, groups * inputs * area
    begin, end = mine(part, parts, images)
    for image in range(begin, end, batch):
        span = min(batch, end - image), area, g_image, x_image
        for group in range(groups):
            x_at = image * x_image + group * inputs * area
            for near in range(0, inputs, FEW):
                for k in range(len(blocks)):
                    first, m = blocks[k, 0], blocks[k, 1]
                    channel = group * outputs + first
                    at, g_at = channel * step, image * g_image + channel * area
                    for c in range(near, min(near + FEW, inputs), WIDE[m]):
                        products(
                            m, sums, at, step, g, g_at, area, x, x_at, off, c, span
                        )


def weight_gradient(x, g, kernel, stride, padding, dilation, groups):
    """w (O, C / groups, 1, 1): products of images, summed by each thread."""
    inputs, outputs = x.shape[1] // groups, g.shape[1]
    area = x.shape[2] * x.shape[3]
    off = np.concatenate([np.arange(inputs) * area, np.zeros(8, np.int64)])
    parts = workers(len(x), g.size * inputs)
    dw = np.zeros((parts, outputs, off.size), x.dtype)
    batch = max(1, SCRATCH // max(1, (inputs + outputs // groups) * area))
    arrays = flat(x), flat(g), dw, blocks_of(outputs // groups, 4), off
    in_parts(_weigh, parts, *arrays, len(x), batch, groups, area)
    return dw.sum(0)[:, :inputs].reshape(outputs, inputs, 1, 1)
