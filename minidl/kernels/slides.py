"""A plane moved, or slid over by a small kernel, on vector registers.

As in `tiles`, each is LLVM code beside what it computes, in Python. Pixels outside of
the plane are zero: lanes that would read them are masked, so that nothing is copied.
"""

from contextlib import contextmanager

import numpy as np

from ._dispatch import intrinsic
from ._vectors import Vectors

LANES = 16  # numbers of the widest vector


@contextmanager
def _columns(v, builder, sizes, taps, stride):
    """For each vector of a row of y: its start, its lanes kept, and what loads for
    each tap of a kernel's row a vector of pixels, by the address of a row of x."""
    _, width, _, out_width, _, _, _, left, _, dw = sizes
    shifts = [builder.sub(v.times(dw, j), left) for j in range(taps)]
    with v.loop(v.vectors(out_width)) as block:
        start = v.times(block.index, v.lanes)
        loads = []
        for shift in shifts:
            first = builder.add(v.times(start, stride), shift)
            masks = [
                v.within(builder.add(first, v.number(k * v.lanes)), width)
                for k in range(stride)
            ]
            if stride == 1:
                loads.append(lambda row, a=first, m=masks[0]: v.load(v.at(row, a), m))
            else:
                loads.append(lambda row, a=first, m=masks: v.load_even(v.at(row, a), m))
        yield start, v.within(v.number(0), builder.sub(out_width, start)), loads


@contextmanager
def _row(v, builder, x, p, i, sizes, stride):
    """What follows only if x has the row p s + i dh - top; yields where that begins."""
    height, width, _, _, _, _, top, _, dh, _ = sizes
    row = builder.add(v.times(p, stride), builder.sub(builder.mul(i, dh), top))
    with builder.if_then(builder.icmp_unsigned("<", row, height)):
        yield v.at(x, builder.mul(row, width))


def _generate_slide(typing, y, y_at, x, x_at, w, w_at, bias, sizes, kw, step):
    from numba.core import cgutils, types

    i, taps, stride = types.intp, kw.literal_value, step.literal_value

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, y_at, x_, x_at, w_, w_at, bias, sizes_, _, _ = arguments
        y_, x_ = v.at(v.data(y, y_), y_at), v.at(v.data(x, x_), x_at)
        w_ = v.at(v.data(w, w_), w_at)
        sizes_ = cgutils.unpack_tuple(builder, sizes_)
        _, _, out_height, out_width, kh, *_ = sizes_
        with _columns(v, builder, sizes_, taps, stride) as (start, kept, loads):
            with v.loop(out_height) as p:
                total = v.register(v.splat(bias))
                with v.loop(kh) as i:
                    with _row(v, builder, x_, p.index, i.index, sizes_, stride) as row:
                        weights = v.at(w_, v.times(i.index, taps))
                        for j in range(taps):
                            weight = v.splat(builder.load(v.at(weights, j)))
                            v.add_product(total, weight, loads[j](row))
                target = v.at(y_, builder.mul(p.index, out_width), start)
                v.store(builder.load(total), target, kept)
        return context.get_dummy_value()

    return types.void(y, i, x, i, w, i, x.dtype, sizes, kw, step), generate


@intrinsic(_generate_slide)
def slide(y, y_at, x, x_at, w, w_at, bias, sizes, taps, stride):
    """One plane, one kernel: y[p, q] = bias + sum_ij w[i, j] x[p s + i dh - top, ..].

    ``sizes``: height and width of x, of y, of the kernel; top, left; dh, dw. ``taps``
    is the kernel's width again and ``stride`` s is 1 or 2, both as literals.
    """
    total = np.full(sizes[2:4], bias, x.dtype)
    for i, j, part, pixels in _taps(total, x, x_at, sizes, stride):
        part += w[w_at + i * sizes[5] + j] * pixels
    y[y_at : y_at + total.size] = total.reshape(-1)


def _taps(plane, x, x_at, sizes, stride):
    """For each tap: where in ``plane`` a window has a pixel there, and the pixels."""
    height, width, out_height, out_width, kh, kw, top, left, dh, dw = sizes
    image = x[x_at : x_at + height * width].reshape(height, width)
    p, q = np.arange(out_height) * stride - top, np.arange(out_width) * stride - left
    for i in range(kh):
        rows = np.flatnonzero((p + i * dh >= 0) & (p + i * dh < height))
        for j in range(kw):
            cols = np.flatnonzero((q + j * dw >= 0) & (q + j * dw < width))
            if rows.size and cols.size:
                part = plane[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
                pixels = image[np.ix_(p[rows] + i * dh, q[cols] + j * dw)]
                yield i, j, part, pixels


def _generate_slide_dots(typing, out, out_at, g, g_at, x, x_at, sizes, kw, step):
    from numba.core import cgutils, types

    i, taps, stride = types.intp, kw.literal_value, step.literal_value

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        out_, out_at, g_, g_at, x_, x_at, sizes_, _, _ = arguments
        g_, x_ = v.at(v.data(g, g_), g_at), v.at(v.data(x, x_), x_at)
        out_ = v.at(v.data(out, out_), out_at)
        sizes_ = cgutils.unpack_tuple(builder, sizes_)
        _, _, out_height, out_width, kh, *_ = sizes_
        with _columns(v, builder, sizes_, taps, stride) as (start, kept, loads):
            with v.loop(kh) as i:
                sums = [v.register() for _ in range(taps)]
                with v.loop(out_height) as p:
                    with _row(v, builder, x_, p.index, i.index, sizes_, stride) as row:
                        line = v.at(g_, builder.mul(p.index, out_width), start)
                        gs = v.load(line, kept)
                        for j in range(taps):
                            v.add_product(sums[j], gs, loads[j](row))
                place = v.at(out_, v.times(i.index, taps * LANES))
                for j in range(taps):
                    lanes = v.at(place, j * LANES)
                    total = builder.fadd(v.load(lanes), builder.load(sums[j]))
                    v.store(total, lanes)
        return context.get_dummy_value()

    return types.void(out, i, g, i, x, i, sizes, kw, step), generate


@intrinsic(_generate_slide_dots)
def slide_dots(out, out_at, g, g_at, x, x_at, sizes, taps, stride):
    """out[i, j, :] += sum over p, q of g[p, q] x[p s + i dh - top, q s + j dw - left].

    The gradient of `slide` by its kernel, of the same ``sizes``; each sum is spread
    over `LANES` numbers, which are to be added up in the end.
    """
    g = g[g_at : g_at + sizes[2] * sizes[3]].reshape(sizes[2:4])
    for i, j, part, pixels in _taps(g, x, x_at, sizes, stride):
        out[out_at + (i * sizes[5] + j) * LANES] += (part * pixels).sum()


def _generate_moved(typing, y, x, at, height, width, down, right):
    from numba.core import types

    i = types.intp

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, x_, at, height, width, down, right = arguments
        y_, x_ = v.at(v.data(y, y_), at), v.at(v.data(x, x_), at)
        with v.loop(height) as p:
            row = builder.sub(p.index, down)
            exists = builder.icmp_unsigned("<", row, height)
            target_row = v.at(y_, builder.mul(p.index, width))
            source_row = v.at(x_, builder.mul(row, width))
            with v.loop(v.vectors(width)) as block:
                start = v.times(block.index, v.lanes)
                source = builder.sub(start, right)
                target = v.at(target_row, start)
                kept = v.within(v.number(0), builder.sub(width, start))
                with builder.if_else(exists) as (copied, cleared):
                    with copied:
                        inside = v.within(source, width)
                        moved = v.load(v.at(source_row, source), inside)
                        v.store(moved, target, kept)
                    with cleared:
                        v.store(v.ir.Constant(v.type, None), target, kept)
        return context.get_dummy_value()

    return types.void(y, x, i, i, i, i, i), generate


@intrinsic(_generate_moved)
def moved(y, x, at, height, width, down, right):
    """A plane at ``at`` in both: y[p, q] = x[p - down, q - right], zeros entering."""
    plane = slice(at, at + height * width)
    out, image = (a[plane].reshape(height, width) for a in (y, x))
    out[:] = 0
    rows, columns = height - abs(down), width - abs(right)
    if rows > 0 and columns > 0:
        part = out[max(0, down) :, max(0, right) :][:rows, :columns]
        part[:] = image[max(0, -down) :, max(0, -right) :][:rows, :columns]
