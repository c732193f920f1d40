"""Rows copied from array to array, vector by vector: side by side, or every other one.

As in `tiles`, each is LLVM code beside what it computes, in Python. Arrays are flat;
data begins at ``..._at``, and ``..._step`` leads to the next row.
"""

from ._dispatch import intrinsic
from ._vectors import Vectors


def _generate_move(typing, y, y_at, y_step, x, x_at, x_step, rows, count):
    from numba.core import types

    i = types.intp

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, y_at, y_step, x_, x_at, x_step, rows, count = arguments
        y_, x_ = v.at(v.data(y, y_), y_at), v.at(v.data(x, x_), x_at)
        many = builder.sdiv(count, v.number(v.lanes))
        done = v.times(many, v.lanes)
        with v.loop(rows) as row:
            target = v.at(y_, builder.mul(row.index, y_step))
            source = v.at(x_, builder.mul(row.index, x_step))
            with v.loop(many) as loop:
                t = v.times(loop.index, v.lanes)
                v.store(v.load(v.at(source, t)), v.at(target, t))
            rest = v.within(v.number(0), builder.sub(count, done))
            v.store(v.load(v.at(source, done), rest), v.at(target, done), rest)
        return context.get_dummy_value()

    return types.void(y, i, i, x, i, i, i, i), generate


@intrinsic(_generate_move)
def move(y, y_at, y_step, x, x_at, x_step, rows, count):
    """Copy ``rows`` rows of ``count`` elements from x to y."""
    for r in range(rows):
        row = x[x_at + r * x_step : x_at + r * x_step + count]
        y[y_at + r * y_step : y_at + r * y_step + count] = row


def _pairs(v, builder, arguments, copy):
    """``copy(y, x, masks, kept)`` for each vector of a row and the two it stands for.

    ``y`` and ``x`` are functions from a step (1 or 2 elements for one) to an address.
    """
    y, y_step, x, x_step, rows, count = arguments
    with v.loop(v.vectors(count)) as block:
        start = v.times(block.index, v.lanes)
        rest = builder.sub(count, start)
        reach = builder.sub(v.times(rest, 2), v.number(1))
        kept = v.within(v.number(0), rest)
        masks = [v.within(v.number(k * v.lanes), reach) for k in (0, 1)]
        with v.loop(rows) as row:
            y_row = v.at(y, builder.mul(row.index, y_step))
            x_row = v.at(x, builder.mul(row.index, x_step))
            copy(
                lambda step: v.at(y_row, v.times(start, step)),
                lambda step: v.at(x_row, v.times(start, step)),
                masks,
                kept,
            )


def _generate_thin(typing, y, y_at, y_step, x, x_at, x_step, rows, count):
    from numba.core import types

    i = types.intp

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, y_at, y_step, x_, x_at, x_step, rows, count = arguments
        y_, x_ = v.at(v.data(y, y_), y_at), v.at(v.data(x, x_), x_at)

        def copy(y, x, masks, kept):
            v.store(v.load_even(x(2), masks), y(1), kept)

        _pairs(v, builder, (y_, y_step, x_, x_step, rows, count), copy)
        return context.get_dummy_value()

    return types.void(y, i, i, x, i, i, i, i), generate


@intrinsic(_generate_thin)
def thin(y, y_at, y_step, x, x_at, x_step, rows, count):
    """Copy every other element of x: ``rows`` rows of ``count`` elements of y."""
    for r in range(rows):
        row = x[x_at + r * x_step : x_at + r * x_step + 2 * count - 1 : 2]
        y[y_at + r * y_step : y_at + r * y_step + count] = row


def _generate_spread(typing, y, y_at, y_step, x, x_at, x_step, rows, count):
    from numba.core import types

    i = types.intp

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, y_at, y_step, x_, x_at, x_step, rows, count = arguments
        y_, x_ = v.at(v.data(y, y_), y_at), v.at(v.data(x, x_), x_at)

        def copy(y, x, masks, kept):
            v.store_even(v.load(x(1), kept), y(2), masks)

        _pairs(v, builder, (y_, y_step, x_, x_step, rows, count), copy)
        return context.get_dummy_value()

    return types.void(y, i, i, x, i, i, i, i), generate


@intrinsic(_generate_spread)
def spread(y, y_at, y_step, x, x_at, x_step, rows, count):
    """Copy to every other element of y: ``rows`` rows of ``count`` elements of x."""
    for r in range(rows):
        row = x[x_at + r * x_step : x_at + r * x_step + count]
        y[y_at + r * y_step : y_at + r * y_step + 2 * count - 1 : 2] = row
