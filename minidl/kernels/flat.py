"""Images laid out flat, so that a kernel tap is an offset.

Every channel becomes ``phases`` planes: a stride s takes every s-th row and column, and
each of its s x s phases that a tap reads is a plane with the zeros around it, rows of
``pitch`` elements end to end. A band is as many rows of output as are made at once.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..threads import get_num_threads
from ._dispatch import jit
from ._memory import zeros
from .moves import move, thin

SCRATCH = 1 << 17  # elements of flat planes held at once: they fit the second cache
NEAR = 1 << 13  # elements that fit the first cache, which is enough for few weights


class Layout(NamedTuple):
    """The sizes of one run; a band is the rows of output that are made at once."""

    images: int
    groups: int
    inputs: int  # channels of a group in x
    outputs: int  # channels of a group in y, or in g
    height: int  # of x
    width: int
    down: int  # the stride through x
    right: int
    out_height: int  # positions of the window
    out_width: int
    phases: int
    phase: int  # elements from one phase to the next
    halo: int  # rows of a phase that taps reach beyond a band's
    pitch: int
    rows: int  # of a band
    batch: int  # images held at once


def lay_out(x, groups, outputs, stride, out, taps, phases, also=0):
    """Bands and batches that stay in cache, and something for each thread to do.

    Weights are read once for a batch, so the batch should be larger than they are.
    """
    inputs, threads = x.shape[1] // groups, get_num_threads()
    halo, pitch = int(taps[:, 1].max()), out[1] + int(taps[:, 2].max())
    lines = SCRATCH // pitch  # rows that may be held
    rows = (lines - inputs * phases * halo) // (inputs * phases + also)
    rows = max(1, min(rows, out[0], -(-out[0] * len(x) * groups // threads)))
    phase, batch = (rows + halo) * pitch, 1
    if rows == out[0] and len(x):
        weights = inputs * outputs * len(taps)
        held = min(SCRATCH, max(NEAR, 4 * weights))
        held //= inputs * phases * phase + also * rows * pitch
        held = max(1, min(held, len(x) * groups // threads))
        batch = -(-len(x) // -(-len(x) // held))  # batches of equal size
    if batch * inputs * phases * phase >= 1 << 40:
        raise MemoryError(
            f"conv2d: a kernel that reaches over {halo} rows and {pitch} columns needs "
            f"{inputs * phases * phase:,} elements for an image"
        )
    sizes = (*x.shape[2:], *stride, *out, phases, phase, halo, pitch, rows, batch)
    return Layout(len(x), groups, inputs, outputs, *sizes)


def starts_of_taps(taps, layout):
    """Where each (channel, tap) begins in the flat planes of an image."""
    offsets = taps[:, 0] * layout.phase + taps[:, 1] * layout.pitch + taps[:, 2]
    planes = np.arange(layout.inputs) * (layout.phases * layout.phase)
    return (planes[:, None] + offsets).reshape(-1)


def grid(phase, row, column):
    """Taps (k, 3) of a kernel: its phases, and by axis the offsets in them."""
    taps = np.broadcast_arrays(phase, row[:, None], column)
    return np.stack(taps, -1).reshape(-1, 3)


@lru_cache(1024)
def taps_of(kernel, stride, padding, dilation):
    """Taps (phase, row, column), and where in the image each phase begins."""
    reach = [np.arange(k) * d for k, d in zip(kernel, dilation)]
    (rows, row), (columns, column) = (
        np.unique(r % s, return_inverse=True) for r, s in zip(reach, stride)
    )
    starts = [(a - padding[0][0], b - padding[1][0]) for a in rows for b in columns]
    phase = row[:, None] * len(columns) + column
    return grid(phase, *(r // s for r, s in zip(reach, stride))), np.array(starts)


@lru_cache(1024)
def pixels(phase, kernel, size, stride, padding, dilation):
    """One axis of the input gradient: taps that reach the pixels of one phase.

    Pixel ``r = m s + phase - pad`` gets ``w[i] g[m - i d // s]`` from every tap i with
    ``i d = phase`` modulo s. Returns the taps, their offsets, where g begins, the first
    pixel and the number of pixels.
    """
    reach = np.arange(kernel) * dilation
    taps = np.flatnonzero(reach % stride == phase)
    back = reach[taps] // stride
    farthest = int(back.max(initial=0))
    first = -((phase - padding[0]) // stride)
    pixel = first * stride + phase - padding[0]
    return taps, farthest - back, first - farthest, pixel, -((pixel - size) // stride)


def count_shares(layout):
    """How many pieces the work is cut into: groups, batches and bands."""
    bands = -(-layout.out_height // layout.rows)
    return -(-layout.images // layout.batch) * layout.groups * bands


def sums_for(parts, layout, columns, dtype):
    """Zeros (parts, O, columns), to add to; one for all if none shares a group."""
    copies = 1 if layout.groups % max(parts, 1) == 0 else parts
    return zeros((copies, layout.groups * layout.outputs, columns), dtype)


@jit()
def _fill(flat, at, x, x_at, layout, top, left, rows):
    """One phase of an image, ``rows`` rows of it, with zeros where it has no pixels.

    The columns without pixels are zero already: they are the same for all images.
    """
    pitch, down, right = layout.pitch, layout.down, layout.right
    first = min(max(-(left // right), 0), pitch)
    last = max(min((layout.width - 1 - left) // right + 1, pitch), first)
    above = min(max(-(top // down), 0), rows)
    below = max(min((layout.height - 1 - top) // down + 1, rows), above)
    if first == last or above == below:
        above = below = rows
    for t in range(at, at + above * pitch):
        flat[t] = 0
    for t in range(at + below * pitch, at + rows * pitch):
        flat[t] = 0
    source = x_at + (top + above * down) * layout.width + left + first * right
    step = down * layout.width
    at += above * pitch + first
    count = last - first
    if right == 1:
        move(flat, at, pitch, x, source, step, below - above, count)
    elif right == 2:
        thin(flat, at, pitch, x, source, step, below - above, count)
    else:
        for i in range(below - above):
            for q in range(count):
                flat[at + i * pitch + q] = x[source + i * step + q * right]


@jit()
def gather(flat, x, image, group, layout, starts, band, rows):
    """All channels of a group of an image, phase by phase, into ``flat``."""
    channel = (image * layout.groups + group) * layout.inputs
    for c in range(layout.inputs):
        x_at = (channel + c) * layout.height * layout.width
        for p in range(layout.phases):
            top = starts[p, 0] + band * layout.rows * layout.down
            at = (c * layout.phases + p) * layout.phase
            _fill(flat, at, x, x_at, layout, top, starts[p, 1], rows + layout.halo)


@jit()
def share_of(share, layout):
    """Which band, group and images a piece of work is, and how many rows and images.

    The pieces of a group follow each other: they read the same weights.
    """
    bands = (layout.out_height + layout.rows - 1) // layout.rows
    batches = (layout.images + layout.batch - 1) // layout.batch
    band, batch = share % bands, share // bands % batches
    group, start = share // bands // batches, batch * layout.batch
    images = min(layout.batch, layout.images - start)
    rows = min(layout.rows, layout.out_height - band * layout.rows)
    return band, group, start, images, rows
