"""A plane moved, or slid over by a small kernel, on vector registers.

As in `tiles`, each is LLVM code beside what it computes, in Python. Pixels outside of
the plane are zero: lanes that would read them are masked, so that nothing is copied.
"""

import numpy as np

from ._dispatch import intrinsic
from ._vectors import Vectors

LANES = 16  # numbers of the widest vector


def _generate_slide(typing, y, y_at, x, x_at, w, w_at, bias, sizes, kw):
    from numba.core import cgutils, types

    i, taps = types.intp, kw.literal_value

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, y_at, x_, x_at, w_, w_at, bias, sizes_, _ = arguments
        y_, x_ = v.at(v.data(y, y_), y_at), v.at(v.data(x, x_), x_at)
        w_ = v.at(v.data(w, w_), w_at)
        height, width, out_height, out_width, kh, kw, top, left, dh, dw = (
            cgutils.unpack_tuple(builder, sizes_)
        )
        shifts = [builder.sub(v.times(dw, j), left) for j in range(taps)]
        with v.loop(v.vectors(out_width)) as block:
            start = v.times(block.index, v.lanes)
            masks = [v.within(builder.add(start, shift), width) for shift in shifts]
            kept = v.within(v.number(0), builder.sub(out_width, start))
            with v.loop(out_height) as p:
                total = v.register(v.splat(bias))
                with v.loop(kh) as i:
                    row = builder.add(p.index, builder.mul(i.index, dh))
                    row = builder.sub(row, top)
                    with builder.if_then(builder.icmp_unsigned("<", row, height)):
                        source = v.at(x_, builder.mul(row, width), start)
                        weights = v.at(w_, v.times(i.index, taps))
                        for j in range(taps):
                            weight = v.splat(builder.load(v.at(weights, j)))
                            xs = v.load(v.at(source, shifts[j]), masks[j])
                            v.add_product(total, weight, xs)
                target = v.at(y_, builder.mul(p.index, out_width), start)
                v.store(builder.load(total), target, kept)
        return context.get_dummy_value()

    return types.void(y, i, x, i, w, i, x.dtype, sizes, kw), generate


@intrinsic(_generate_slide)
def slide(y, y_at, x, x_at, w, w_at, bias, sizes, taps):
    """One plane with one kernel: y[p, q] = bias + sum_ij w[i, j] x[p + i dh - top, ..].

    ``sizes``: height and width of x, of y, of the kernel; top, left; dh, dw. ``taps``
    is the kernel's width again, as a literal: the loop over it is unrolled.
    """
    height, width, out_height, out_width, kh, kw, top, left, dh, dw = sizes
    image = x[x_at : x_at + height * width].reshape(height, width)
    total = np.full((out_height, out_width), bias, x.dtype)
    for i in range(kh):
        for j in range(kw):
            down, right = i * dh - top, j * dw - left
            rows = slice(max(0, -down), max(0, min(out_height, height - down)))
            cols = slice(max(0, -right), max(0, min(out_width, width - right)))
            moved = image[max(0, down) :, max(0, right) :]
            part = total[rows, cols]
            part += w[w_at + i * kw + j] * moved[: part.shape[0], : part.shape[1]]
    y[y_at : y_at + total.size] = total.reshape(-1)


def _generate_slide_dots(typing, out, out_at, g, g_at, x, x_at, sizes, kw):
    from numba.core import cgutils, types

    i, taps = types.intp, kw.literal_value

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        out_, out_at, g_, g_at, x_, x_at, sizes_, _ = arguments
        g_, x_ = v.at(v.data(g, g_), g_at), v.at(v.data(x, x_), x_at)
        out_ = v.at(v.data(out, out_), out_at)
        height, width, out_height, out_width, kh, _, top, left, dh, dw = (
            cgutils.unpack_tuple(builder, sizes_)
        )
        shifts = [builder.sub(v.times(dw, j), left) for j in range(taps)]
        with v.loop(v.vectors(out_width)) as block:
            start = v.times(block.index, v.lanes)
            masks = [v.within(builder.add(start, shift), width) for shift in shifts]
            kept = v.within(v.number(0), builder.sub(out_width, start))
            with v.loop(kh) as i:
                shift = builder.sub(builder.mul(i.index, dh), top)
                sums = [v.register() for _ in range(taps)]
                with v.loop(out_height) as p:
                    row = builder.add(p.index, shift)
                    with builder.if_then(builder.icmp_unsigned("<", row, height)):
                        line = v.at(g_, builder.mul(p.index, out_width), start)
                        source = v.at(x_, builder.mul(row, width), start)
                        gs = v.load(line, kept)
                        for j in range(taps):
                            xs = v.load(v.at(source, shifts[j]), masks[j])
                            v.add_product(sums[j], gs, xs)
                place = v.at(out_, v.times(i.index, taps * LANES))
                for j in range(taps):
                    lanes = v.at(place, j * LANES)
                    total = builder.fadd(v.load(lanes), builder.load(sums[j]))
                    v.store(total, lanes)
        return context.get_dummy_value()

    return types.void(out, i, g, i, x, i, sizes, kw), generate


@intrinsic(_generate_slide_dots)
def slide_dots(out, out_at, g, g_at, x, x_at, sizes, taps):
    """out[i, j, :] += sum over p, q of g[p, q] x[p + i dh - top, q + j dw - left].

    The gradient of `slide` by its kernel, of the same ``sizes``; each sum is spread
    over `LANES` numbers, which are to be added up in the end.
    """
    height, width, out_height, out_width, kh, kw, top, left, dh, dw = sizes
    image = x[x_at : x_at + height * width].reshape(height, width)
    g = g[g_at : g_at + out_height * out_width].reshape(out_height, out_width)
    for i in range(kh):
        for j in range(kw):
            down, right = i * dh - top, j * dw - left
            rows = slice(max(0, -down), max(0, min(out_height, height - down)))
            cols = slice(max(0, -right), max(0, min(out_width, width - right)))
            part = g[rows, cols]
            moved = image[max(0, down) :, max(0, right) :]
            moved = moved[: part.shape[0], : part.shape[1]]
            out[out_at + (i * kw + j) * LANES] += (part * moved).sum()


def _generate_moved(typing, y, x, at, height, width, down, right):
    from numba.core import types

    i = types.intp

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, x_, at, height, width, down, right = arguments
        y_, x_ = v.at(v.data(y, y_), at), v.at(v.data(x, x_), at)
        with v.loop(v.vectors(width)) as block:
            start = v.times(block.index, v.lanes)
            source = builder.sub(start, right)
            inside = v.within(source, width)
            kept = v.within(v.number(0), builder.sub(width, start))
            with v.loop(height) as p:
                row = builder.sub(p.index, down)
                target = v.at(y_, builder.mul(p.index, width), start)
                exists = builder.icmp_unsigned("<", row, height)
                with builder.if_else(exists) as (copied, cleared):
                    with copied:
                        line = v.at(x_, builder.mul(row, width), source)
                        v.store(v.load(line, inside), target, kept)
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
