"""Levels of a Walsh-Hadamard transform, many of them while numbers are in registers.

A level adds and subtracts numbers that lie h apart: h = 1, 2, 4, ... As in `tiles`,
each piece is LLVM code beside what it computes, in Python. Arrays are flat.
"""

import numpy as np

from ._dispatch import intrinsic
from ._vectors import Vectors


def held(v):
    """Vectors that are transformed at a time; as many registers are left for work."""
    return v.registers // 2


def _in_vectors(v, values, h):
    """A level inside of each vector: itself, with signs, plus its lanes exchanged."""
    i32 = v.ir.IntType(32)
    swap = v.ir.VectorType(i32, v.lanes)([lane ^ h for lane in range(v.lanes)])
    signs = v.type([-1.0 if lane & h else 1.0 for lane in range(v.lanes)])
    for i, value in enumerate(values):
        other = v.builder.shuffle_vector(value, value, swap)
        values[i] = v.multiply_add(value, signs, other)


def _across(v, values, apart):
    """A level among vectors: those ``apart`` from each other."""
    for i in range(len(values)):
        if not i & apart:
            a, b = values[i], values[i + apart]
            values[i], values[i + apart] = v.builder.fadd(a, b), v.builder.fsub(a, b)


def _levels(v, builder, values, n):
    """All levels below ``n`` of the numbers in ``values``, which lie side by side."""
    registers = [v.register(value) for value in values]
    h = 1
    while h < v.lanes * len(values):
        with builder.if_then(builder.icmp_signed("<", v.number(h), n)):
            values = [builder.load(r) for r in registers]
            if h < v.lanes:
                _in_vectors(v, values, h)
            else:
                _across(v, values, h // v.lanes)
            for register, value in zip(registers, values):
                builder.store(value, register)
        h *= 2
    return [builder.load(r) for r in registers]


def _generate_tile(typing, x):
    from numba.core import types

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        return v.number(held(v) * v.lanes)

    return types.intp(x), generate


@intrinsic(_generate_tile)
def tile(x):
    """How many numbers of an array like ``x`` `near` transforms at a time."""
    return 8


def _tiles(v, builder, y, count, n, load):
    """The levels below n of ``count`` numbers into y; ``load(start, k, mask)`` gives
    vector k of the tile that begins at ``start``."""
    many, size = held(v), held(v) * v.lanes

    def transform(start, masks):
        values = [load(start, k, mask) for k, mask in enumerate(masks)]
        values = _levels(v, builder, values, n)
        for k, (value, mask) in enumerate(zip(values, masks)):
            v.store(value, v.at(y, start, k * v.lanes), mask)

    whole = builder.sdiv(count, v.number(size))
    with v.loop(whole) as loop:
        transform(v.times(loop.index, size), [None] * many)
    done = v.times(whole, size)
    rest = builder.sub(count, done)
    with builder.if_then(builder.icmp_signed(">", rest, v.number(0))):
        transform(done, [v.within(v.number(k * v.lanes), rest) for k in range(many)])


def _generate_near(typing, y, y_at, x, x_at, count, n):
    from numba.core import types

    i = types.intp

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, y_at, x_, x_at, count, n = arguments
        y_, x_ = v.at(v.data(y, y_), y_at), v.at(v.data(x, x_), x_at)

        def load(start, k, mask):
            return v.load(v.at(x_, start, k * v.lanes), mask)

        _tiles(v, builder, y_, count, n, load)
        return context.get_dummy_value()

    return types.void(y, i, x, i, i, i), generate


@intrinsic(_generate_near)
def near(y, y_at, x, x_at, count, n):
    """The levels below ``n``, at most a `tile`, of ``count`` numbers of x, into y.

    Of both one may be the other, at the same place. ``n`` divides ``count``.
    """
    rows = x[x_at : x_at + count].reshape(-1, n)
    y[y_at : y_at + count] = _by_levels(rows.T).T.reshape(-1)


def _generate_near_products(typing, y, y_at, x, x_at, a, a_at, width, count, n):
    from numba.core import types

    i = types.intp

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, y_at, x_, x_at, a_, a_at, width, count, n = arguments
        y_, x_ = v.at(v.data(y, y_), y_at), v.at(v.data(x, x_), x_at)
        a_ = v.at(v.data(a, a_), a_at)
        some = builder.icmp_signed(">", width, v.number(0))
        width = builder.select(some, width, v.number(0))

        def load(start, k, mask):
            start = builder.add(start, v.number(k * v.lanes))
            kept = v.within(start, width)
            kept = kept if mask is None else builder.and_(kept, mask)
            x, a = (v.load(v.at(array, start), kept) for array in (x_, a_))
            return builder.fmul(x, a)

        _tiles(v, builder, y_, count, n, load)
        return context.get_dummy_value()

    return types.void(y, i, x, i, a, i, i, i, i), generate


@intrinsic(_generate_near_products)
def near_products(y, y_at, x, x_at, a, a_at, width, count, n):
    """`near` of the products of x and a, ``width`` of them and zeros from there on."""
    width = min(max(width, 0), count)
    products = np.zeros(count, x.dtype)
    products[:width] = x[x_at : x_at + width] * a[a_at : a_at + width]
    near.function(y, y_at, products, 0, count, n)


def _generate_near_gathered(typing, y, x, p, p_at, a, a_at, count, n):
    from numba.core import types

    i = types.intp

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, x_, p_, p_at, a_, a_at, count, n = arguments
        y_, x_, p_ = v.data(y, y_), v.data(x, x_), v.at(v.data(p, p_), p_at)
        a_ = v.at(v.data(a, a_), a_at)

        def load(start, k, mask):
            start = builder.add(start, v.number(k * v.lanes))
            taken = v.gather(x_, v.at(p_, start), p.dtype.bitwidth, mask)
            return builder.fmul(taken, v.load(v.at(a_, start), mask))

        _tiles(v, builder, y_, count, n, load)
        return context.get_dummy_value()

    return types.void(y, x, p, i, a, i, i, i), generate


@intrinsic(_generate_near_gathered)
def near_gathered(y, x, p, p_at, a, a_at, count, n):
    """`near` of ``x[p[i]] a[i]``, with places in p, unsigned, that exist in x."""
    taken = x[p[p_at : p_at + count]] * a[a_at : a_at + count]
    near.function(y, 0, taken, 0, count, n)


def _generate_gather(typing, y, x, p, p_at, count):
    from numba.core import types

    i = types.intp

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, x_, p_, p_at, count = arguments
        y_, x_, p_ = v.data(y, y_), v.data(x, x_), v.at(v.data(p, p_), p_at)
        with v.loop(v.vectors(count)) as loop:
            start = v.times(loop.index, v.lanes)
            kept = v.within(v.number(0), builder.sub(count, start))
            taken = v.gather(x_, v.at(p_, start), p.dtype.bitwidth, kept)
            v.store(taken, v.at(y_, start), kept)
        return context.get_dummy_value()

    return types.void(y, x, p, i, i), generate


@intrinsic(_generate_gather)
def gather(y, x, p, p_at, count):
    """``y[i] = x[p[i]]``, with ``count`` places in p, unsigned, that exist in x."""
    y[:count] = x[p[p_at : p_at + count]]


def _generate_stream_products(typing, y, y_at, x, a, a_at, count):
    from numba.core import types

    i = types.intp

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, x.dtype)
        y_, y_at, x_, a_, a_at, count = arguments
        y_, x_, a_ = v.at(v.data(y, y_), y_at), v.data(x, x_), v.at(v.data(a, a_), a_at)
        with v.loop(builder.sdiv(count, v.number(v.lanes))) as loop:
            start = v.times(loop.index, v.lanes)
            value = builder.fmul(v.load(v.at(x_, start)), v.load(v.at(a_, start)))
            v.stream(value, v.at(y_, start))
        v.fence()
        return context.get_dummy_value()

    return types.void(y, i, x, a, i, i), generate


@intrinsic(_generate_stream_products)
def stream_products(y, y_at, x, a, a_at, count):
    """``y[i] = x[i] a[i]``, whole vectors at aligned places, past the caches.

    What is written is read much later: so it pushes nothing out, and memory is not
    read before it is written.
    """
    y[y_at : y_at + count] = x[:count] * a[a_at : a_at + count]


def _by_levels(x):
    """The transform of each column."""
    h, n = 1, len(x)
    while h < n:
        pairs = x.reshape(n // (2 * h), 2, h, -1)
        a, b = pairs[:, 0], pairs[:, 1]
        x = np.stack([a + b, a - b], axis=1).reshape(n, -1)
        h *= 2
    return x


def _generate_far(typing, y, at, h, count, radix):
    from numba.core import types

    i, parts = types.intp, radix.literal_value

    def generate(context, builder, signature, arguments):
        v = Vectors(context, builder, y.dtype)
        y_, at, h, count, _ = arguments
        y_ = v.at(v.data(y, y_), at)
        rows = [v.at(y_, v.times(h, k)) for k in range(parts)]
        with v.loop(builder.sdiv(count, v.number(v.lanes))) as loop:
            places = [v.at(row, v.times(loop.index, v.lanes)) for row in rows]
            values, apart = [v.load(p) for p in places], 1
            while apart < parts:
                _across(v, values, apart)
                apart *= 2
            for p, value in zip(places, values):
                v.store(value, p)
        return context.get_dummy_value()

    return types.void(y, i, i, i, radix), generate


@intrinsic(_generate_far)
def far(y, at, h, count, radix):
    """In place: ``count`` transforms, side by side, of ``radix`` numbers h apart.

    ``radix`` is a literal, ``count`` a multiple of the vectors' lanes, at most h.
    """
    parts = [slice(at + k * h, at + k * h + count) for k in range(radix)]
    for part, values in zip(parts, _by_levels(np.stack([y[p] for p in parts]))):
        y[part] = values
