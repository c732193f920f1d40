"""The innermost loops of convolution, on vector registers: `tile`, `dots` and `move`.

Compilers keep single numbers in registers, but not a table of sums. So these three are
written as LLVM code, vector by vector; each has beside it, in Python, what it computes.
Arrays are flat; data begins at ``..._at``, and ``..._step`` leads to the next row.
Reads of `tile` and `dots` may run over the end of a row by less than `SLACK` elements.
The offsets for `tile` end with `AHEAD` more: they say what to fetch early, and no sum.
"""

import numpy as np

from ._dispatch import intrinsic

SLACK = 64
AHEAD = 12


def _machine():
    """Bytes of a vector register of this machine, and how many registers there are."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 32
    if features.get("avx2"):
        return 32, 16
    return 16, 32 if features.get("neon") else 16


class _Vectors:
    """The few vector instructions needed here, as LLVM writes them."""

    def __init__(self, context, builder, element):
        from llvmlite import ir
        from numba.core import cgutils

        self.context, self.builder = context, builder
        self.ir, self.cgutils = ir, cgutils
        width, self.registers = _machine()
        self.bits = element.bitwidth
        self.lanes = width * 8 // self.bits
        self.scalar = context.get_data_type(element)
        self.type = ir.VectorType(self.scalar, self.lanes)

    def number(self, value):
        return self.ir.Constant(self.ir.IntType(64), value)

    def data(self, kind, array):
        """The address of an array's first element."""
        return self.context.make_array(kind)(self.context, self.builder, array).data

    def at(self, pointer, *indices):
        """The address that many elements further; ``indices`` are added up."""
        for index in indices:
            index = self.number(index) if isinstance(index, int) else index
            pointer = self.builder.gep(pointer, [index])
        return pointer

    def times(self, value, factor):
        return self.builder.mul(value, self.number(factor))

    def vectors(self, count):
        """How many vectors cover ``count`` elements."""
        count = self.builder.add(count, self.number(self.lanes - 1))
        return self.builder.sdiv(count, self.number(self.lanes))

    def loop(self, count):
        return self.cgutils.for_range(self.builder, count)

    def _call(self, name, result, arguments, **options):
        kind = self.ir.FunctionType(result, [a.type for a in arguments])
        name = f"llvm.{name}.v{self.lanes}f{self.bits}"
        name += ".p0" if name.startswith("llvm.masked") else ""
        function = self.cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, arguments, **options)

    def _pointer(self, pointer):
        return self.builder.bitcast(pointer, self.type.as_pointer())

    def load(self, pointer):
        return self.builder.load(self._pointer(pointer), align=self.bits // 8)

    def store(self, value, pointer):
        self.builder.store(value, self._pointer(pointer), align=self.bits // 8)

    def within(self, start, count):
        """A mask: the lanes whose number, counted from ``start``, is in [0, count)."""
        i32 = self.ir.IntType(32)
        lane = self.ir.VectorType(i32, self.lanes)(list(range(self.lanes)))
        start, count = (
            self.splat(self.builder.trunc(value, i32)) for value in (start, count)
        )
        return self.builder.icmp_unsigned("<", self.builder.add(lane, start), count)

    def load_where(self, mask, pointer):
        """Lanes from memory where ``mask`` is true, zero elsewhere."""
        align = self.ir.Constant(self.ir.IntType(32), self.bits // 8)
        none = self.ir.Constant(self.type, None)
        arguments = [self._pointer(pointer), align, mask, none]
        return self._call("masked.load", self.type, arguments)

    def store_where(self, mask, value, pointer):
        """Lanes to memory where ``mask`` is true."""
        align = self.ir.Constant(self.ir.IntType(32), self.bits // 8)
        arguments = [value, self._pointer(pointer), align, mask]
        self._call("masked.store", self.ir.VoidType(), arguments)

    def fetch(self, pointer):
        """Have memory brought to the first cache: it is read some cycles later."""
        i32, void = self.ir.IntType(32), self.ir.VoidType()
        pointer = self.builder.bitcast(pointer, self.ir.IntType(8).as_pointer())
        how = [self.ir.Constant(i32, n) for n in (0, 3, 1)]  # to read, near, data
        kind = self.ir.FunctionType(void, [pointer.type, i32, i32, i32])
        name, module = "llvm.prefetch.p0", self.builder.module
        function = self.cgutils.get_or_insert_function(module, kind, name)
        self.builder.call(function, [pointer, *how])

    def splat(self, scalar):
        """A scalar in every lane."""
        i32, kind = self.ir.IntType(32), self.ir.VectorType(scalar.type, self.lanes)
        none = self.ir.Constant(kind, self.ir.Undefined)
        one = self.builder.insert_element(none, scalar, self.ir.Constant(i32, 0))
        zeros = self.ir.Constant(self.ir.VectorType(i32, self.lanes), None)
        return self.builder.shuffle_vector(one, none, zeros)

    def register(self, value=None):
        """A variable that LLVM keeps in a register; it starts at ``value`` or zero."""
        register = self.cgutils.alloca_once(self.builder, self.type)
        value = self.ir.Constant(self.type, None) if value is None else value
        self.builder.store(value, register)
        return register

    def add_product(self, register, a, b):
        total = self._call("fmuladd", self.type, [a, b, self.builder.load(register)])
        self.builder.store(total, register)

    def sum(self, register):
        """All lanes of a register added up."""
        numbers = [self.ir.Constant(self.scalar, 0.0), self.builder.load(register)]
        name = "vector.reduce.fadd"
        return self._call(name, self.scalar, numbers, fastmath=["reassoc"])


def _generate_tile(typing, y, y_at, y_step, w, w_at, x, x_at, off, length, rows):
    from numba.core import types

    i, m = types.intp, rows.literal_value

    def generate(context, builder, signature, arguments):
        v = _Vectors(context, builder, x.dtype)
        y_, y_at, y_step, w_, w_at, x_, x_at, off_, length, _ = arguments
        count = context.make_array(off)(context, builder, off_).nitems
        count = builder.sub(count, v.number(AHEAD))
        y_, x_ = v.at(v.data(y, y_), y_at), v.at(v.data(x, x_), x_at)
        starts, off_ = v.at(v.data(w, w_), w_at), v.data(off, off_)
        weights = v.at(starts, m)
        # As many sums as fit beside the factors: deep rows, wide vectors.
        if v.registers == 32:
            deep, wide = m, {1: 8, 2: 8, 4: 6, 8: 3}[m]
        else:
            deep, wide = min(m, 4), {1: 6, 2: 4, 4: 3}[min(m, 4)]

        def block(t, first, columns):
            """Rows from ``first`` on, ``columns`` vectors from position t on."""
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
                xs = [v.load(v.at(row, j * v.lanes)) for j in range(columns)]
                column = v.at(weights, v.times(loop.index, m), first)
                for r in range(deep):
                    weight = v.splat(builder.load(v.at(column, r)))
                    for j in range(columns):
                        v.add_product(sums[r][j], weight, xs[j])
            for r in range(deep):
                out = v.at(y_, v.times(y_step, first + r), t)
                for j in range(columns):
                    v.store(builder.load(sums[r][j]), v.at(out, j * v.lanes))

        for first in range(0, m, deep):
            width = wide * v.lanes
            many = builder.sdiv(length, v.number(width))
            with v.loop(many) as loop:
                block(v.times(loop.index, width), first, wide)
            done = v.times(many, width)
            with v.loop(v.vectors(builder.sub(length, done))) as loop:
                t = builder.add(done, v.times(loop.index, v.lanes))
                block(t, first, 1)
        return context.get_dummy_value()

    return types.void(y, i, i, w, i, x, i, off, i, rows), generate


@intrinsic(_generate_tile)
def tile(y, y_at, y_step, w, w_at, x, x_at, off, length, rows):
    """y[r, t] = w[r] + sum over k of w[rows (1 + k) + r] x[off[k] + t], all rows r."""
    for r in range(rows):
        total = np.full(length, w[w_at + r], x.dtype)
        for k, start in enumerate(off[:-AHEAD], 1):
            start = x_at + start
            total += w[w_at + k * rows + r] * x[start : start + length]
        y[y_at + r * y_step : y_at + r * y_step + length] = total


def _generate_dots(typing, dw, dw_at, dw_step, g, g_at, g_step, x, off, k, span, m, n):
    from numba.core import cgutils, types

    i, rows, columns = types.intp, m.literal_value, n.literal_value

    def generate(context, builder, signature, arguments):
        v = _Vectors(context, builder, x.dtype)
        dw_, dw_at, dw_step, g_, g_at, g_step, x_, off_, k, span_ = arguments[:10]
        images, length, g_image, x_image = cgutils.unpack_tuple(builder, span_)
        dw_, off_ = v.at(v.data(dw, dw_), dw_at, k), v.at(v.data(off, off_), k)
        g_, x_ = v.at(v.data(g, g_), g_at), v.data(x, x_)
        wide = columns if v.registers == 32 else {1: 8, 2: 4, 4: 2}[rows]
        for first in range(0, columns, wide):
            here = range(first, min(first + wide, columns))
            starts = {c: builder.load(v.at(off_, c)) for c in here}
            sums = {(r, c): v.register() for r in range(rows) for c in here}
            with v.loop(images) as image:
                gs_ = v.at(g_, builder.mul(image.index, g_image))
                xs_ = v.at(x_, builder.mul(image.index, x_image))
                with v.loop(v.vectors(length)) as loop:
                    t = v.times(loop.index, v.lanes)
                    gs = [v.load(v.at(gs_, v.times(g_step, r), t)) for r in range(rows)]
                    for c in here:
                        xs = v.load(v.at(xs_, starts[c], t))
                        for r in range(rows):
                            v.add_product(sums[r, c], gs[r], xs)
            for (r, c), register in sums.items():
                place = v.at(dw_, v.times(dw_step, r), c)
                total = builder.fadd(builder.load(place), v.sum(register))
                builder.store(total, place)
        return context.get_dummy_value()

    return types.void(dw, i, i, g, i, i, x, off, i, span, m, n), generate


@intrinsic(_generate_dots)
def dots(dw, dw_at, dw_step, g, g_at, g_step, x, off, k, span, rows, columns):
    """dw[r, k + c] += sum over images and t of g[r, t] x[off[k + c] + t].

    ``span``: number of images, length of t, and from image to image in g and in x;
    g is zero where t runs over the end.
    """
    images, length, g_image, x_image = span
    for b in range(images):
        for r in range(rows):
            start = g_at + b * g_image + r * g_step
            row = g[start : start + length]
            for c in range(k, k + columns):
                start = b * x_image + off[c]
                dw[dw_at + r * dw_step + c] += row @ x[start : start + length]


def _generate_move(typing, y, y_at, y_step, x, x_at, x_step, rows, count):
    from numba.core import types

    i = types.intp

    def generate(context, builder, signature, arguments):
        v = _Vectors(context, builder, x.dtype)
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
            v.store_where(
                rest, v.load_where(rest, v.at(source, done)), v.at(target, done)
            )
        return context.get_dummy_value()

    return types.void(y, i, i, x, i, i, i, i), generate


@intrinsic(_generate_move)
def move(y, y_at, y_step, x, x_at, x_step, rows, count):
    """Copy ``rows`` rows of ``count`` elements from x to y."""
    for r in range(rows):
        row = x[x_at + r * x_step : x_at + r * x_step + count]
        y[y_at + r * y_step : y_at + r * y_step + count] = row


def _generate_slide(typing, y, y_at, x, x_at, w, w_at, bias, sizes, kw):
    from numba.core import cgutils, types

    i, taps = types.intp, kw.literal_value

    def generate(context, builder, signature, arguments):
        v = _Vectors(context, builder, x.dtype)
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
                            xs = v.load_where(masks[j], v.at(source, shifts[j]))
                            v.add_product(total, weight, xs)
                target = v.at(y_, builder.mul(p.index, out_width), start)
                v.store_where(kept, builder.load(total), target)
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
