"""Convolution and its gradients on flat images, without unfolding anything.

Images lie flat, with the zeros around them (see `flat`). There a kernel tap is nothing
but an offset, whatever the kernel's size, stride, padding and dilation:

    y[o, t] = sum over k of w[o, k] x[off[k] + t],    k = (channel, tap)

A tile of sums stays in registers while k runs (see `tiles`). Windows that begin in a
row's last columns wrap around: they are not kept, and have no weight in gradients
(where x is finite: an infinite pixel makes more taps NaN than it reaches).

The source: Dukhan, "The Indirect Convolution Algorithm", arXiv 1907.02129.
"""

from functools import cache

import numpy as np

from ._dispatch import jit
from ._memory import empty, zeros
from ._pool import in_parts, mine, workers
from .flat import (
    count_shares,
    gather,
    grid,
    lay_out,
    pixels,
    share_of,
    starts_of_taps,
    sums_for,
    taps_of,
)
from .moves import move, spread
from .tiles import AHEAD, dots, tile
from .windows import output_size

SIZES = (8, 4, 2, 1)  # output channels that `tile` takes at once; `dots` at most 4
WIDE = (0, 9, 9, 0, 6)  # and taps that `dots` then takes
FEW = 18  # taps whose rows the first cache holds, a multiple of all that


@jit()
def tiles(m, y, y_at, dy, w, w_at, dw, w_off, b, b_at, x, x_at, off, n):
    """`tile` of m rows, one of `SIZES`, n positions; dy, dw lead to the next row."""
    if m == 8:
        tile(y, y_at, dy, w, w_at, dw, w_off, b, b_at, x, x_at, off, n, 8)
    elif m == 4:
        tile(y, y_at, dy, w, w_at, dw, w_off, b, b_at, x, x_at, off, n, 4)
    elif m == 2:
        tile(y, y_at, dy, w, w_at, dw, w_off, b, b_at, x, x_at, off, n, 2)
    else:
        tile(y, y_at, dy, w, w_at, dw, w_off, b, b_at, x, x_at, off, n, 1)


@jit()
def products(m, dw, dw_at, dw_step, g, g_at, g_step, x, x_at, off, k, span):
    """`dots` for m rows, 1, 2 or 4, and as many columns as `WIDE` says."""
    if m == 4:
        dots(dw, dw_at, dw_step, g, g_at, g_step, x, x_at, off, k, span, 4, 6)
    elif m == 2:
        dots(dw, dw_at, dw_step, g, g_at, g_step, x, x_at, off, k, span, 2, 9)
    else:
        dots(dw, dw_at, dw_step, g, g_at, g_step, x, x_at, off, k, span, 1, 9)


@jit(nogil=True)
def _correlate(
    part, parts, x, w, w_step, w_off, b, y, blocks, off, starts, place, shares, layout
):
    """The ``part``-th of ``parts`` equal parts of all shares of the work."""
    if parts == 0:
        return
    pitch, width, outputs = layout.pitch, layout.out_width, layout.outputs
    y_height, y_width, top, left, down, right = place
    image = layout.inputs * layout.phases * layout.phase
    step = layout.rows * pitch
    xs = np.zeros(layout.batch * image, x.dtype)
    ys = np.empty(8 * step, x.dtype)
    for share in range(*mine(part, parts, shares)):
        band, group, start, images, rows = share_of(share, layout)
        for n in range(images):
            here = xs[n * image :]
            gather(here, x, start + n, group, layout, starts, band, rows)
        length = rows * pitch - (pitch - width)
        for k in range(len(blocks)):
            first, m = blocks[k, 0], blocks[k, 1]
            b_at = group * outputs + first
            w_at = group * (w.size // layout.groups) + first * w_step
            for n in range(images):
                at = n * image
                tiles(
                    m, ys, 0, step, w, w_at, w_step, w_off, b, b_at, xs, at, off, length
                )
                channel = ((start + n) * layout.groups + group) * outputs + first
                row = channel * y_height + top + band * layout.rows * down
                for r in range(m):
                    y_at = (row + r * y_height) * y_width + left
                    line, here = down * y_width, r * step
                    if right == 1:
                        move(y, y_at, line, ys, here, pitch, rows, width)
                    elif right == 2:
                        spread(y, y_at, line, ys, here, pitch, rows, width)
                    else:
                        for p in range(rows):
                            for q in range(width):
                                target = y_at + p * line + q * right
                                y[target] = ys[here + p * pitch + q]


@cache
def blocks_of(outputs, most=8):
    """Output channels in blocks, the largest first: rows (first channel, how many)."""
    blocks, first = [], 0
    while first < outputs:
        many = next(m for m in SIZES if m <= min(most, outputs - first))
        blocks.append((first, many))
        first += many
    return np.array(blocks)


def flat(x):
    """The elements in a row; a read-only array is copied, not compiled for."""
    return (x if x.flags.carray else np.require(x, None, "CAWE")).reshape(-1)


def starting(bias, outputs, dtype):
    """What sums start from."""
    return np.zeros(outputs, dtype) if bias is None else flat(bias)


def _run(x, w, w_step, w_off, bias, y, groups, stride, taps, starts, place, out):
    """Correlate ``x`` with the flat ``w`` into the ``place`` in ``y``.

    The weights of a group's r-th output begin at ``r * w_step``, and ``w_off`` leads to
    those of each (channel, tap).
    """
    outputs = y.shape[1] // groups
    layout = lay_out(x, groups, outputs, stride, out, taps, len(starts))
    off = np.concatenate([starts_of_taps(taps, layout), np.zeros(AHEAD, np.int64)])
    blocks, shares = blocks_of(outputs), count_shares(layout)
    weights = w, w_step, w_off, starting(bias, y.shape[1], x.dtype)
    arrays = flat(x), *weights, y.reshape(-1), blocks, off, starts
    place = (*y.shape[2:], *place)
    work = len(x) * y.shape[1] * out[0] * out[1] * len(w_off)
    in_parts(_correlate, workers(shares, work), *arrays, place, shares, layout)


def forward(x, w, stride, padding, dilation, groups, bias=None):
    """y (N, O, oh, ow): every output position is a flat position."""
    out = output_size(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = empty((len(x), w.shape[0], *out), x.dtype)
    taps, starts = taps_of(w.shape[2:], stride, padding, dilation)
    weights = flat(w), w[0].size, np.arange(w[0].size)
    _run(x, *weights, bias, y, groups, stride, taps, starts, (0, 0, 1, 1), out)
    return y


def input_gradient(g, w, size, stride, padding, dilation, groups):
    """x (N, C, H, W): for each phase of x, a correlation of g with the taps there."""
    o, c, *kernel = w.shape[0] // groups, *w.shape[1:]
    area, w = kernel[0] * kernel[1], flat(w)
    channels = np.arange(o)[:, None] * (c * area)
    make = zeros if max(stride) > 1 else empty  # some phase may have no taps
    x = make((len(g), groups * c, *size), g.dtype)
    for a, b in np.ndindex(*stride):
        i, row, top, y_top, height = pixels(
            a, kernel[0], size[0], stride[0], padding[0], dilation[0]
        )
        j, column, left, y_left, width = pixels(
            b, kernel[1], size[1], stride[1], padding[1], dilation[1]
        )
        if min(len(i), len(j), height, width) > 0:
            taps, starts = grid(0, row, column), np.array([(top, left)])
            place, out = (y_top, y_left, *stride), (height, width)
            w_off = (channels + (i[:, None] * kernel[1] + j).reshape(-1)).reshape(-1)
            weights = w, area, w_off, None
            _run(g, *weights, x, groups, (1, 1), taps, starts, place, out)
    return x


@jit(nogil=True)
def _weigh(part, parts, x, g, dw, blocks, off, starts, shares, layout, g_layout):
    """Add to this part's ``dw`` (O, taps) what its part of all shares gives."""
    if parts == 0:
        return
    image = layout.inputs * layout.phases * layout.phase
    plane = g_layout.phase
    g_image = layout.outputs * plane
    xs = np.zeros(layout.batch * image, x.dtype)
    gs = np.zeros(layout.batch * g_image, x.dtype)
    corner = np.zeros((1, 2), np.int64)
    step, sums = dw.shape[2], dw[part % len(dw)].reshape(-1)
    for share in range(*mine(part, parts, shares)):
        band, group, start, images, rows = share_of(share, layout)
        for b in range(images):
            here = xs[b * image :]
            gather(here, x, start + b, group, layout, starts, band, rows)
            here = gs[b * g_image :]
            gather(here, g, start + b, group, g_layout, corner, band, rows)
        length = rows * layout.pitch - (layout.pitch - layout.out_width)
        span = images, length, g_image, image
        for near in range(0, off.size - 8, FEW):
            for i in range(len(blocks)):
                first, m = blocks[i, 0], blocks[i, 1]
                at, g_at = (group * layout.outputs + first) * step, first * plane
                for k in range(near, min(near + FEW, off.size - 8), WIDE[m]):
                    products(m, sums, at, step, gs, g_at, plane, xs, 0, off, k, span)


def weight_gradient(x, g, kernel, stride, padding, dilation, groups):
    """w (O, C / groups, kh, kw): products of flat rows, summed by each thread."""
    taps, starts = taps_of(kernel, stride, padding, dilation)
    outputs, out = g.shape[1] // groups, g.shape[2:]
    layout = lay_out(x, groups, outputs, stride, out, taps, len(starts), outputs)
    g_layout = layout._replace(
        inputs=outputs,
        height=out[0],
        width=out[1],
        down=1,
        right=1,
        phases=1,
        phase=layout.rows * layout.pitch,
        halo=0,
    )
    off = starts_of_taps(taps, layout)
    count, shares = off.size, count_shares(layout)
    off = np.concatenate([off, np.zeros(8, np.int64)])  # the last block is filled up
    parts = workers(shares, g.size * count)
    dw = sums_for(parts, layout, off.size, x.dtype)
    arrays = flat(x), flat(g), dw, blocks_of(outputs, 4), off, starts
    in_parts(_weigh, parts, *arrays, shares, layout, g_layout)
    return dw.sum(0)[:, :count].reshape(dw.shape[1], -1, *kernel)
