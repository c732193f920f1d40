"""Weight gradients as sums of outer products, one for each position of the window.

    dw[:, k] = sum over positions t of g[:, t] x[off[k] + t],    k = (channel, tap)

With all outputs of a position side by side in a vector, these are the sums of `tile`
again: x holds the factors, turned maps of g the vectors. Nothing is added up across
the lanes of a vector, which in `dots` costs as much as a small image itself.
"""

import numpy as np

from ._dispatch import jit
from ._pool import in_parts, mine, workers
from .correlate import blocks_of, flat, tiles
from .flat import (
    count_shares,
    gather,
    lay_out,
    share_of,
    starts_of_taps,
    sums_for,
    taps_of,
)
from .tiles import AHEAD


def fits(step, inputs, outputs) -> bool:
    """Whether outputs fill vectors, and channels the rows of a tile."""
    return step == "weight" and outputs >= 32 and inputs >= 8


@jit()
def _turn(turned, g, at, area, positions, outputs):
    """Some positions of an image of g: their outputs side by side."""
    for t in range(positions):
        for o in range(outputs):
            turned[t * outputs + o] = g[at + o * area + t]


@jit()
def _keep(dw, group, sums, outputs):
    """Add a group's sums (C / groups, taps, O / groups) to its rows of dw."""
    columns = sums.size // outputs
    for o in range(outputs):
        row = dw[group * outputs + o]
        for k in range(columns):
            row[k] += sums[k * outputs + o]


@jit(nogil=True)
def _weigh(part, parts, x, g, dw, blocks, taps, places, off, starts, shares, layout):
    """Add to this part's ``dw`` (O, taps) what its part of all shares gives."""
    if parts == 0:
        return
    plane = layout.phases * layout.phase
    image, outputs = layout.inputs * plane, layout.outputs
    area = layout.out_height * layout.out_width
    xs = np.zeros(layout.batch * image, x.dtype)
    gs = np.empty(layout.batch * layout.rows * layout.out_width * outputs, x.dtype)
    ys, zero = np.empty(8 * outputs, x.dtype), np.zeros(8, x.dtype)
    sums = np.zeros(layout.inputs * taps.size * outputs, x.dtype)
    total, last = dw[part % len(dw)], -1
    for share in range(*mine(part, parts, shares)):
        band, group, start, images, rows = share_of(share, layout)
        if group != last >= 0:
            _keep(total, last, sums, outputs)
            sums[:] = 0
        last, positions = group, rows * layout.out_width
        for n in range(images):
            here = xs[n * image :]
            gather(here, x, start + n, group, layout, starts, band, rows)
            at = ((start + n) * layout.groups + group) * outputs * area
            at += band * layout.rows * layout.out_width
            here = gs[n * positions * outputs :]
            _turn(here, g, at, area, positions, outputs)
        here = places[: images * positions]  # the w_off of `tile`: x holds the factors
        for k in range(len(blocks)):
            first, m = blocks[k, 0], blocks[k, 1]
            for i in range(taps.size):
                at, n = first * plane + taps[i], outputs
                tiles(m, ys, 0, n, xs, at, plane, here, zero, 0, gs, 0, off, n)
                for r in range(m):
                    row = sums[((first + r) * taps.size + i) * outputs :]
                    for o in range(outputs):
                        row[o] += ys[r * outputs + o]
    if last >= 0:
        _keep(total, last, sums, outputs)


def weight_gradient(x, g, kernel, stride, padding, dilation, groups):
    """w (O, C / groups, kh, kw), summed by each thread."""
    taps, starts = taps_of(kernel, stride, padding, dilation)
    outputs, out = g.shape[1] // groups, g.shape[2:]
    layout = lay_out(x, groups, outputs, stride, out, taps, len(starts), outputs)
    image = layout.inputs * layout.phases * layout.phase
    lines = np.arange(layout.batch)[:, None] * image
    lines = lines + np.arange(layout.rows) * layout.pitch
    places = (lines[:, :, None] + np.arange(out[1])).reshape(-1)
    off = np.append(np.arange(places.size) * outputs, np.zeros(AHEAD, np.int64))
    shares = count_shares(layout)
    parts = workers(shares, g.size * layout.inputs * len(taps))
    dw = sums_for(parts, layout, layout.inputs * len(taps), x.dtype)
    taps = starts_of_taps(taps, layout)[: len(taps)]
    arrays = flat(x), flat(g), dw, blocks_of(layout.inputs), taps, places, off, starts
    in_parts(_weigh, parts, *arrays, shares, layout)
    return dw.sum(0).reshape(g.shape[1], layout.inputs, *kernel)
