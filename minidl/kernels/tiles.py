"""The innermost loops of convolution, on vector registers: `tile` and `dots`.

Compilers keep single numbers in registers, but not a table of sums. So these two are
written as LLVM code, vector by vector; each has beside it, in Python, what it computes.
Arrays are flat; data begins at ``..._at``, and ``..._step`` leads to the next row.
The offsets for `tile` end with `AHEAD` more: they say what to fetch early, and no sum.
"""

import numpy as np

from ._dispatch import intrinsic
from ._vectors import Vectors

AHEAD = 12


def _generate_tile(
    typing, y, y_at, y_step, w, w_at, w_step, w_off, b, b_at, x, x_at, off, length, rows
):
    from numba.core import types

    i, m = types.intp, rows.literal_value

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, y_at, y_step, w_, w_at, w_step, w_off_, b_, b_at = arguments[:9]
        x_, x_at, off_, length, _ = arguments[9:]
        count = context.make_array(w_off)(context, builder, w_off_).nitems
        y_, x_ = v.at(v.data(y, y_), y_at), v.at(v.data(x, x_), x_at)
        w_, starts = v.at(v.data(w, w_), w_at), v.at(v.data(b, b_), b_at)
        w_off_, off_ = v.data(w_off, w_off_), v.data(off, off_)
        lines = [v.at(w_, v.times(w_step, r)) for r in range(m)]
        # As many sums as fit beside the factors: deep rows, wide vectors.
        if v.registers == 32:
            deep, wide = m, {1: 8, 2: 8, 4: 6, 8: 3}[m]
        else:
            deep, wide = min(m, 4), {1: 6, 2: 4, 4: 3}[min(m, 4)]

        def block(t, first, columns, kept):
            """Rows from ``first`` on, ``columns`` vectors from position t on.

            ``kept``: the lanes of the last vector that there are; None for all.
            """
            masks = [None] * (columns - 1) + [kept]
            sums = []
            for r in range(deep):
                start = v.splat(builder.load(v.at(starts, first + r)))
                sums.append([v.register(start) for _ in range(columns)])
            here = v.at(x_, t)
            with v.loop(count) as loop:
                row = v.at(here, builder.load(v.at(off_, loop.index)))
                soon = v.at(here, builder.load(v.at(off_, loop.index, AHEAD)))
                for j in range(columns):
                    v.fetch(v.at(soon, j * v.lanes))
                xs = [v.load(v.at(row, j * v.lanes), masks[j]) for j in range(columns)]
                column = builder.load(v.at(w_off_, loop.index))
                for r in range(deep):
                    weight = v.splat(builder.load(v.at(lines[first + r], column)))
                    for j in range(columns):
                        v.add_product(sums[r][j], weight, xs[j])
            for r in range(deep):
                out = v.at(y_, v.times(y_step, first + r), t)
                for j in range(columns):
                    total = builder.load(sums[r][j])
                    v.store(total, v.at(out, j * v.lanes), masks[j])

        for first in range(0, m, deep):
            done = v.number(0)
            for columns in (wide, *(n for n in (4, 2, 1) if n < wide)):
                left = builder.sub(length, done)
                if columns < wide:  # the last vector of a block may be part of one
                    left = v.times(v.vectors(left), v.lanes)
                width = columns * v.lanes
                many = builder.sdiv(left, v.number(width))
                with v.loop(many) as loop:
                    t = builder.add(done, v.times(loop.index, width))
                    start = v.number(width - v.lanes)
                    kept = v.within(start, builder.sub(length, t))
                    block(t, first, columns, kept if columns < wide else None)
                done = builder.add(done, v.times(many, width))
        return context.get_dummy_value()

    kinds = y, i, i, w, i, i, w_off, b, i, x, i, off, i, rows
    return types.void(*kinds), generate


@intrinsic(_generate_tile)
def tile(y, y_at, y_step, w, w_at, w_step, w_off, b, b_at, x, x_at, off, length, rows):
    """y[r, t] = b[r] + sum over k of w[r, w_off[k]] x[off[k] + t], for all rows r."""
    for r in range(rows):
        total = np.full(length, b[b_at + r], x.dtype)
        for column, start in zip(w_off, off):
            start = x_at + start
            weight = w[w_at + r * w_step + column]
            total += weight * x[start : start + length]
        y[y_at + r * y_step : y_at + r * y_step + length] = total


def _generate_dots(
    typing, dw, dw_at, dw_step, g, g_at, g_step, x, x_at, off, k, span, m, n
):
    from numba.core import cgutils, types

    i, rows, columns = types.intp, m.literal_value, n.literal_value

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        dw_, dw_at, dw_step, g_, g_at, g_step, x_, x_at, off_, k, span_, *_ = arguments
        images, length, g_image, x_image = cgutils.unpack_tuple(builder, span_)
        dw_, off_ = v.at(v.data(dw, dw_), dw_at, k), v.at(v.data(off, off_), k)
        g_, x_ = v.at(v.data(g, g_), g_at), v.at(v.data(x, x_), x_at)
        many = builder.sdiv(length, v.number(v.lanes))
        done = v.times(many, v.lanes)
        rest = builder.sub(length, done)
        last = v.within(v.number(0), rest)
        any_left = builder.icmp_signed(">", rest, v.number(0))
        wide = columns if v.registers == 32 else {1: 8, 2: 4, 4: 2, 8: 1}[rows]
        for first in range(0, columns, wide):
            here = range(first, min(first + wide, columns))
            starts = {c: builder.load(v.at(off_, c)) for c in here}
            sums = {(r, c): v.register() for r in range(rows) for c in here}

            def add(gs_, xs_, t, mask=None):
                gs = [
                    v.load(v.at(gs_, v.times(g_step, r), t), mask) for r in range(rows)
                ]
                for c in here:
                    xs = v.load(v.at(xs_, starts[c], t), mask)
                    for r in range(rows):
                        v.add_product(sums[r, c], gs[r], xs)

            with v.loop(images) as image:
                gs_ = v.at(g_, builder.mul(image.index, g_image))
                xs_ = v.at(x_, builder.mul(image.index, x_image))
                with v.loop(many) as loop:
                    add(gs_, xs_, v.times(loop.index, v.lanes))
                with builder.if_then(any_left):
                    add(gs_, xs_, done, last)
            for (r, c), register in sums.items():
                place = v.at(dw_, v.times(dw_step, r), c)
                total = builder.fadd(builder.load(place), v.sum(register))
                builder.store(total, place)
        return context.get_dummy_value()

    return types.void(dw, i, i, g, i, i, x, i, off, i, span, m, n), generate


@intrinsic(_generate_dots)
def dots(dw, dw_at, dw_step, g, g_at, g_step, x, x_at, off, k, span, rows, columns):
    """dw[r, k + c] += sum over images and t of g[r, t] x[off[k + c] + t].

    ``span``: number of images, length of t, and from image to image in g and in x.
    """
    images, length, g_image, x_image = span
    for b in range(images):
        for r in range(rows):
            start = g_at + b * g_image + r * g_step
            row = g[start : start + length]
            for c in range(k, k + columns):
                start = x_at + b * x_image + off[c]
                dw[dw_at + r * dw_step + c] += row @ x[start : start + length]
