"""Grader of k027: pooling."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "H // size windows fit, one below the other. Cut off what is too much before "
        "you do anything else.",
        "x.reshape(N, C, P, size, Q, size) gives the pixels inside of a window axes of "
        "their own: take max or mean over those two. Backward, think of pixel (i, j) "
        "of all windows at once: it is x[:, :, i : P * size : size, j : Q * size : "
        "size].",
        "Max backward: loop over i and j; first = waiting & (pixels == y) says which "
        "windows have their first maximum here; write np.where(first, g, 0) there and "
        "take them out of waiting. Mean backward: g.repeat(size, 2).repeat(size, 3) / "
        "size**2, put into zeros of x's shape.",
    ],
)


def pool(x, size, kind):
    """One window after the other."""
    n, c, h, w = x.shape
    kept = kind == "max" or x.dtype.kind == "f"
    y = np.zeros((n, c, h // size, w // size), x.dtype if kept else float)
    for m, k, p, q in np.ndindex(*y.shape):
        rows = range(p * size, p * size + size)
        columns = range(q * size, q * size + size)
        pixels = [x[m, k, i, j] for i in rows for j in columns]
        y[m, k, p, q] = max(pixels) if kind == "max" else np.mean(pixels)
    return y


def max_oracle(x, size):
    return pool(x, size, "max")


def avg_oracle(x, size):
    return pool(x, size, "avg")


def max_backward_oracle(g, x, size):
    """Reads every window pixel by pixel; only what is larger than all before counts."""
    gx = np.zeros(x.shape, x.dtype)
    for m, k, p, q in np.ndindex(*g.shape):
        best = None
        for i in range(p * size, p * size + size):
            for j in range(q * size, q * size + size):
                if best is None or x[m, k, i, j] > x[m, k, best[0], best[1]]:
                    best = i, j
        gx[m, k, best[0], best[1]] = g[m, k, p, q]
    return gx


def avg_backward_oracle(g, x, size):
    gx = np.zeros(x.shape, x.dtype)
    for m, k, i, j in np.ndindex(*x.shape):
        if i // size < g.shape[2] and j // size < g.shape[3]:
            gx[m, k, i, j] = g[m, k, i // size, j // size] / size**2
    return gx


def apart(r, *shape):
    """Positive and negative numbers, no two nearer than 0.1: no kink is near."""
    count = int(np.prod(shape))
    return (r.rng.permutation(count).reshape(shape) - count / 2) / 10


def draws(r):
    """Images and sizes: windows that fit, too many rows, too many columns, negative
    images, size 1, other strides."""
    yield r(r.size(2, 3), r.size(2, 3), 4, 6), 2
    yield r(r.size(1, 2), r.size(2, 4), 7, 5), 2
    yield r(3, 3, 4, r.size(6, 7)), 2
    yield -1e3 * r.positive(2, r.size(2, 3), 6 + r.size(0, 2), 4), 3
    yield r(2, r.size(1, 2), r.size(1, 3), r.size(2, 3)), 1
    yield r(r.size(5, 6), r.size(4, 5), r.size(2, 3), r.size(2, 3)).T, 2
    yield r(r.size(1, 2), 2, 4, 8 + r.size(0, 3)), 4


@knock.check("the largest, and the mean, of each window of a small image")
def one_image(mine, r):
    x = np.float64(r.integers(19, 1, 1, 4, 6)) - 9
    checks.value(mine.max_pool2d, max_oracle, x, 2)
    checks.value(mine.avg_pool2d, avg_oracle, x, 2)


@knock.check("max pooling on random shapes, with rows and columns to drop")
def max_value(mine, r):
    for x, size in draws(r):
        checks.value(mine.max_pool2d, max_oracle, x, size)
    x = r(2, 3, 5, 4).astype(np.float32)
    checks.value(mine.max_pool2d, max_oracle, x, 2)


@knock.check("whole numbers: the largest keeps the dtype, the mean is float64")
def whole_numbers(mine, r):
    x = r.integers(400, 2, 2, 4, 5) - 200
    for kind in (x, x.astype(np.int32), (x + 200).clip(0, 255).astype(np.uint8)):
        checks.value(mine.max_pool2d, max_oracle, kind, 2)
        checks.value(mine.avg_pool2d, avg_oracle, kind, 2)


@knock.check("nothing is kept from call to call; one window for all")
def memory(mine, r):
    x, functions = r(2, 2, 6, 6), (mine.max_pool2d, mine.avg_pool2d)
    backwards = mine.max_pool2d_backward, mine.avg_pool2d_backward
    oracles = max_oracle, avg_oracle
    backward_oracles = max_backward_oracle, avg_backward_oracle
    for forward, oracle in zip(functions, oracles):
        for size in (4, 5, 6, 4):  # one window each
            checks.value(forward, oracle, x, size, again=False)
        forward(x, 2)
        x *= -2  # the same array with other numbers
        what = "pooled again, after x was changed in place"
        checks.equal(forward(x, 2), oracle(x, 2), what)
    g = r(2, 2, 3, 3)
    for backward, oracle in zip(backwards, backward_oracles):
        for size in (4, 5, 6, 4):
            checks.value(backward, oracle, g[:, :, :1, :1], x, size, again=False)
        for a, name in ((g, "g"), (x, "x")):
            backward(g, x, 2)
            a *= -2
            what = f"the gradient again, after {name} was changed in place"
            checks.equal(backward(g, x, 2), oracle(g, x, 2), what)


@knock.check("the gradient of max pooling goes to the largest of a window")
def max_gradient(mine, r):
    x = apart(r, 1, 1, 4, 6)
    checks.gradient(mine.max_pool2d_backward, max_oracle, x, r=r, wrt=[0], size=2)
    x = apart(r, 2, r.size(1, 2), r.size(3, 5), r.size(2, 3))
    checks.gradient(mine.max_pool2d_backward, max_oracle, x, r=r, wrt=[0], size=2)


@knock.check("... on random shapes; of several maxima, to the first", points=2)
def max_backward(mine, r):
    for x, size in draws(r):
        ties = r.ties(*x.shape) if x.flags.c_contiguous else r.ties(*x.T.shape).T
        g = r(*x.shape[:2], x.shape[2] // size, x.shape[3] // size)
        for values in (ties - 1, ties + 1e-9 * x, x):
            checks.value(mine.max_pool2d_backward, max_backward_oracle, g, values, size)
    x = np.maximum(r(2, 2, 5, 7) - 1, 0).astype(np.float32)
    g = r(2, 2, 2, 3).astype(np.float32)
    checks.value(mine.max_pool2d_backward, max_backward_oracle, g, x, 2)
    g, x = g.swapaxes(2, 3), x.swapaxes(2, 3)
    checks.value(mine.max_pool2d_backward, max_backward_oracle, g, x, 2)


@knock.check("mean pooling on random shapes, with rows and columns to drop")
def avg_value(mine, r):
    for x, size in draws(r):
        checks.value(mine.avg_pool2d, avg_oracle, x, size)
    x = r(2, 3, 5, 4).astype(np.float32)
    checks.value(mine.avg_pool2d, avg_oracle, x, 2)


@knock.check("the gradient of mean pooling goes to all of a window in equal shares")
def avg_gradient(mine, r):
    x = r(1, 1, 4, 6)
    checks.gradient(mine.avg_pool2d_backward, avg_oracle, x, r=r, wrt=[0], size=2)
    for x, size in draws(r):
        g = r(*x.shape[:2], x.shape[2] // size, x.shape[3] // size)
        checks.value(mine.avg_pool2d_backward, avg_backward_oracle, g, x, size)
    g, x = (a.astype(np.float32) for a in (r(2, 1, 2, 3), r(2, 1, 5, 6)))
    checks.value(mine.avg_pool2d_backward, avg_backward_oracle, g, x, 2)


knock.wrong(
    "windows overlap",
    "your windows move on by one pixel; the stride of pooling is the window's size: "
    "they lie side by side",
    (
        "    return tiles.max(axis=(3, 5))",
        "    at = [(i, j) for i in range(p * size - size + 1) "
        "for j in range(q * size - size + 1)]\n"
        "    y = [x[:, :, i : i + size, j : j + size].max((2, 3)) for i, j in at]\n"
        "    return np.stack(y, 2).reshape(images, channels, p * size - size + 1, -1)",
    ),
)
knock.wrong(
    "negative windows give 0",
    "a window whose numbers are all negative gives 0: do not begin with zeros when you "
    "look for a maximum",
    ("tiles.max(axis=(3, 5))", "tiles.max(axis=(3, 5)).clip(0)"),
)
knock.wrong(
    "largest magnitude",
    "you take the number that is farthest from 0; the maximum of -9 and 1 is 1",
    (
        "tiles.max(axis=(3, 5))",
        "np.where(-tiles.min(axis=(3, 5)) > tiles.max(axis=(3, 5)), "
        "tiles.min(axis=(3, 5)), tiles.max(axis=(3, 5)))",
    ),
)
knock.wrong(
    "windows cut across",
    "reshape(N, C, P, Q, size, size) cuts the row of pixels into pieces that are no "
    "windows; the axes must stand as P, size, Q, size",
    (
        "tiles = x.reshape(images, channels, p, size, q, size)\n"
        "    return tiles.max(axis=(3, 5))",
        "tiles = x.reshape(images, channels, p, q, size, size)\n"
        "    return tiles.max(axis=(4, 5))",
    ),
)
knock.wrong(
    "every maximum",
    "where several pixels are the largest, each of them gets the whole gradient; it "
    "goes to the first only",
    ("first = waiting & (", "first = ("),
)
knock.wrong(
    "last maximum",
    "where several pixels are the largest, the last gets the gradient; it goes to the "
    "first, row by row",
    ("    for i in range(size):", "    for i in reversed(range(size)):"),
    ("        for j in range(size):", "        for j in reversed(range(size)):"),
)
knock.wrong(
    "first by columns",
    "of several maxima you take the first column by column; the order is that of "
    "reading: row by row",
    ("    for i in range(size):", "    for j in range(size):"),
    ("        for j in range(size):", "        for i in range(size):"),
)
knock.wrong(
    "shared among ties",
    "the gradient is shared among equal maxima; it goes to the first, whole",
    (
        "            first = waiting & (x[:, :, i:p:size, j:q:size] == y)",
        "            first = x[:, :, i:p:size, j:q:size] == y",
    ),
    (
        "np.where(first, g, 0)",
        "np.where(first, g, 0) / sum(\n"
        "                x[:, :, a:p:size, b:q:size] == y\n"
        "                for a in range(size)\n"
        "                for b in range(size)\n"
        "            )",
    ),
)
knock.wrong(
    "upstream ignored in max",
    "max pooling's gradient is 1 at the maximum in yours, whatever comes from above: "
    "multiply by g",
    ("np.where(first, g, 0)", "np.where(first, np.ones_like(g), 0)"),
)
knock.wrong(
    "max shares with all",
    "the gradient of max pooling goes to all pixels of a window in yours; only the "
    "largest one has made the output",
    ("np.where(first, g, 0)", "g"),
)
knock.wrong(
    "sum for mean",
    "avg_pool2d adds the window up: divide by size * size",
    ("tiles.mean(axis=(3, 5))", "tiles.sum(axis=(3, 5))"),
)
knock.wrong(
    "whole gradient to all",
    "avg_pool2d_backward gives each pixel the whole gradient of its window; the mean "
    "divides by size * size, and so does its gradient",
    ("= spread / size**2", "= spread"),
)
knock.wrong(
    "divided by size",
    "avg_pool2d_backward divides by size; a window has size * size pixels",
    ("= spread / size**2", "= spread / size"),
)
knock.wrong(
    "upstream ignored in mean",
    "mean pooling's gradient is 1 / size**2 everywhere in yours, whatever comes from "
    "above: multiply by g",
    ("= spread / size**2", "= 1 / size**2"),
)
knock.wrong(
    "means cut to whole numbers",
    "the means have the dtype of x: those of whole numbers are cut, 2.25 becomes 2; "
    "the mean of whole numbers is float64",
    ("tiles.mean(axis=(3, 5))", "tiles.mean(axis=(3, 5)).astype(x.dtype)"),
)
