"""Grader of k026: transposed convolution."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "The last row of y paints its copies (P - 1) * stride further down than the "
        "first, and a copy has kh rows: that is how large x is.",
        "Start with zeros. For every place (p, q) of y, add a copy of the kernel to "
        "the window of x whose upper left corner is (p * stride, q * stride).",
        "For one place, np.tensordot(y[:, :, p, q], w, axes=1) are the copies of all "
        "images, already added up over the input channels; add them to "
        "x[:, :, top : top + kh, left : left + kw] with +=.",
    ],
)


def oracle(y, w, stride):
    """The definition, one multiplication at a time."""
    (n, _, rows, columns), (_, o, kh, kw) = y.shape, w.shape
    shape = n, o, stride * (rows - 1) + kh, stride * (columns - 1) + kw
    x = np.zeros(shape, np.result_type(y, w))
    for m, a, p, q in np.ndindex(*y.shape):
        for b, i, j in np.ndindex(o, kh, kw):
            x[m, b, stride * p + i, stride * q + j] += y[m, a, p, q] * w[a, b, i, j]
    return x


def conv(x, w, stride):
    """The strided convolution, a loop over places: w takes axis 1 to axis 0."""
    kh, kw = w.shape[2:]
    rows = range(0, x.shape[2] - kh + 1, stride)
    columns = range(0, x.shape[3] - kw + 1, stride)
    y = np.zeros((len(x), len(w), len(rows), len(columns)))
    for p, top in enumerate(rows):
        for q, left in enumerate(columns):
            window = x[:, None, :, top : top + kh, left : left + kw]
            y[:, :, p, q] = (window * w).sum((2, 3, 4))
    return y


@knock.check("one pixel paints the kernel, times its value")
def one_pixel(mine, r):
    y, w = r(1, 1, 1, 1), r(1, 1, r.size(2, 3), r.size(3, 4))
    checks.value(mine.conv_transpose2d, oracle, y, w, r.size(1, 3))


@knock.check("copies lie stride apart; where they overlap, they add up")
def overlap(mine, r):
    stride, pixels = r.size(2, 3), r.size(2, 4)
    y, w = np.ones((1, 1, 1, pixels)), np.ones((1, 1, 1, stride + r.size(1, 2)))
    checks.value(mine.conv_transpose2d, oracle, y, w, stride)
    y, w = y.swapaxes(2, 3), w.swapaxes(2, 3)
    checks.value(mine.conv_transpose2d, oracle, y, w, stride)


@knock.check("all images and channels, on random shapes and strides", points=2)
def value(mine, r):
    y, w = r(2, 2, 2, 3), r(2, 2, 3, 2)
    checks.value(mine.conv_transpose2d, oracle, y, w, r.size(1, 3))
    for stride, n in ((1, 2), (2, 3), (3, r.size(1, 4))):
        y = r(n, n, r.size(2, 3), r.size(1, 4))
        w = r(n, r.size(2, 3), r.size(2, 3), r.size(1, 3))
        checks.value(mine.conv_transpose2d, oracle, y, w, stride)
    y, w = r(1, 2, r.size(1, 3), r.size(2, 4)), r(2, 3, 1, 2)
    checks.value(mine.conv_transpose2d, oracle, y, w, r.size(3, 5))  # gaps stay 0
    y = r(2, r.size(1, 3), r.size(2, 4), 1)
    w = r(y.shape[1], r.size(1, 2), 1, 1)
    checks.value(mine.conv_transpose2d, oracle, y, w, r.size(1, 2))


@knock.check("it is the transpose of the strided convolution", points=2)
def adjoint(mine, r):
    for stride in (1, r.size(2, 3)):
        rows, columns, kh, kw = r.size(2, 3), r.size(1, 4), r.size(1, 3), r.size(2, 3)
        y = r(2, r.size(2, 3), rows, columns)
        w = r(y.shape[1], r.size(1, 3), kh, kw)
        x = r(2, w.shape[1], stride * (rows - 1) + kh, stride * (columns - 1) + kw)
        checks.adjoint(
            lambda x, w=w, stride=stride: conv(x, w, stride),
            lambda y, w=w, stride=stride: mine.conv_transpose2d(y, w, stride),
            x,
            y,
            f"conv_transpose2d with stride {stride}, against conv2d",
        )


@knock.check("float32 stays float32; views with other strides are right too")
def layout(mine, r):
    stride = r.size(1, 3)
    y = r(r.size(2, 3), r.size(2, 4), r.size(2, 3), 2).astype(np.float32)
    w = r(2, r.size(2, 3), r.size(2, 3), y.shape[2]).astype(np.float32)
    y, w = y.transpose(0, 2, 3, 1), w.transpose(3, 0, 2, 1)
    checks.value(mine.conv_transpose2d, oracle, y, w, stride)
    y, w = np.asfortranarray(r(2, 2, 3, 2)), np.asfortranarray(r(2, 3, 2, 3))
    checks.value(mine.conv_transpose2d, oracle, y, w, stride)


@knock.check("whole numbers: the result has the dtype of y * w")
def whole_numbers(mine, r):
    y, w = r.integers(9, 2, 2, 2, 3), r.integers(9, 2, 2, 2, 2) - 4
    for pair in ((y, w / 8), (y / 8, w), (y, w), (y / 8, (w / 8).astype(np.float32))):
        checks.value(mine.conv_transpose2d, oracle, *pair, 1)


@knock.check("equal sizes; nothing is kept from call to call")
def memory(mine, r):
    y, w, f = r(2, 2, 2, 2), r(2, 2, 2, 2), mine.conv_transpose2d
    for stride in (1, 3, 2, 1):
        checks.value(f, oracle, y, w, stride, again=False)
    y, shapes = r(2, 2, 3, 3), ((2, 2, 1, 1), (2, 2, 1, 3), (2, 2, 3, 1))
    for stride, shape in zip((2, 2, 1), shapes):
        checks.value(f, oracle, y, r(*shape), stride, again=False)
    for a, name in ((y, "y"), (w, "w")):
        f(y, w, 1)
        a *= -2  # the same array with other numbers
        what = f"conv_transpose2d again, after {name} was changed in place"
        checks.equal(f(y, w, 1), oracle(y, w, 1), what)


knock.wrong(
    "flipped kernel",
    "the copies that you paint are turned by 180 degrees; nothing is flipped here: the "
    "pixel at offset (i, j) gets w[..., i, j]",
    ("(y[:, :, p, q], w, axes=1)", "(y[:, :, p, q], w[..., ::-1, ::-1], axes=1)"),
)
knock.wrong(
    "overwritten",
    "a later copy paints over an earlier one; where copies overlap they add up: += "
    "instead of =",
    ("left : left + kw] += copies", "left : left + kw] = copies"),
)
knock.wrong(
    "stride ignored",
    "your copies lie one pixel apart, whatever the stride is",
    ("top, left = p * stride, q * stride", "top, left = p, q"),
)
knock.wrong(
    "kernel not counted",
    "x has P * stride rows in yours; the last copy begins at row (P - 1) * stride and "
    "has kh rows",
    (
        "height, width = (rows - 1) * stride + kh, (columns - 1) * stride + kw",
        "height, width = rows * stride, columns * stride",
    ),
    (
        "left : left + kw] += copies",
        "left : left + kw] += copies[:, :, : height - top, : width - left]",
    ),
)
knock.wrong(
    "kernel's axes exchanged",
    "you read w as (C_out, C_in, kh, kw), as in conv2d; here its first axis is that of "
    "the channels that come in",
    ("_, channels, kh, kw = w.shape", "channels, _, kh, kw = w.shape"),
    ("(y[:, :, p, q], w, axes=1)", "(y[:, :, p, q], w, axes=(1, 1))"),
)
knock.wrong(
    "first channel only",
    "only the first input channel paints; all of them do, and their paint adds up",
    ("(y[:, :, p, q], w, axes=1)", "(y[:, :1, p, q], w[:1], axes=1)"),
)
knock.wrong(
    "rows and columns exchanged",
    "the places of the copies are transposed: row p of y goes to row p * stride of x",
    (
        "height, width = (rows - 1) * stride + kh, (columns - 1) * stride + kw",
        "height, width = (columns - 1) * stride + kh, (rows - 1) * stride + kw",
    ),
    ("top, left = p * stride, q * stride", "top, left = q * stride, p * stride"),
)
knock.wrong(
    "mean of the overlap",
    "you divide by the number of copies that overlap; nothing is divided, the paint "
    "adds up",
    (
        "width), np.result_type(y, w))",
        "width), np.result_type(y, w))\n"
        "    cover = np.zeros((height, width), y.dtype)",
    ),
    (
        "+= copies",
        "+= copies\n            cover[top : top + kh, left : left + kw] += 1",
    ),
    ("    return x\n", "    return x / np.maximum(cover, 1)\n"),
)
knock.wrong(
    "always float64",
    "the result is float64 even for float32 images: make x with np.result_type(y, w)",
    (", np.result_type(y, w))", ")"),
)
knock.wrong(
    "cut to whole numbers",
    "the result has the dtype of y: whole-number pixels times a fractional kernel are "
    "cut to whole numbers; make x with np.result_type(y, w)",
    ("np.result_type(y, w))\n    for", "y.dtype)\n    for"),
    ("kw] += copies", "kw] += copies.astype(y.dtype)"),
)
