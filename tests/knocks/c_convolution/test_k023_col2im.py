"""Grader of k023: col2im."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Take your im2col of k022 and turn every assignment around: what was read is "
        "now written.",
        "Undo the last step of im2col first: cols.reshape(C, kh, kw, N, oh, ow). Begin "
        "with an image of zeros; where windows overlap, their entries add up.",
        "For every tap (i, j): x[:, :, i : i + oh, j : j + ow] += "
        "cols[:, i, j].swapaxes(0, 1).",
    ],
)

TIGHT = (1e-11, 1e-12)
CASES = [  # N, C, kh, kw, oh, ow: from simple to everything at once
    (1, 2, 2, 3, 2, 1),
    (2, 1, 1, 2, 2, 3),
    (2, 3, 1, 1, 3, 2),
    (2, 2, 2, 2, 2, 2),
    (3, 2, 3, 2, 1, 1),
    (1, 3, 3, 1, 2, 4),
    (5, 4, 5, 4, 2, 3),
    (2, 5, 2, 6, 7, 1),
]


def scatter(cols, shape, kh, kw):
    """Column after column put back, as the window that it is."""
    n, c, h, w = shape
    x = np.zeros(shape, cols.dtype)
    for at, (image, p, q) in enumerate(np.ndindex(n, h - kh + 1, w - kw + 1)):
        x[image, :, p : p + kh, q : q + kw] += cols[:, at].reshape(c, kh, kw)
    return x


def gather(x, kh, kw):
    """im2col, column after column."""
    n, _, h, w = x.shape
    places = np.ndindex(n, h - kh + 1, w - kw + 1)
    cols = [x[i, :, p : p + kh, q : q + kw].ravel() for i, p, q in places]
    return np.stack(cols, axis=1)


def draws(r):
    """Shapes, kernels and columns: every case, then two of random sizes."""
    sizes = [tuple(r.size(1, 4) for _ in range(6)) for _ in range(2)]
    for n, c, kh, kw, oh, ow in CASES + sizes:
        yield r(c * kh * kw, n * oh * ow), (n, c, oh + kh - 1, ow + kw - 1), kh, kw


@knock.check("one small image: every entry is added to its pixel")
def small(mine, r):
    cols = 1.0 + r.rng.permutation(24).reshape(6, 4)
    checks.value(mine.col2im, scatter, cols, (1, 1, 3, 4), 2, 3, tolerance=TIGHT)


@knock.check("overlaps are counted: col2im(im2col(ones)), and many shapes", points=2)
def value(mine, r):
    for kh, kw in ((1, 1), (2, 2), (3, 2)):
        ones = gather(np.ones((1, 1, 4, 5)), kh, kw)
        checks.value(mine.col2im, scatter, ones, (1, 1, 4, 5), kh, kw, tolerance=TIGHT)
    for case in draws(r):
        checks.value(mine.col2im, scatter, *case, tolerance=TIGHT)


@knock.check("the identity: sum(im2col(x) * u) = sum(x * col2im(u))")
def transpose(mine, r):
    def identity(cols, shape, kh, kw):
        checks.adjoint(
            lambda x: gather(x, kh, kw),
            lambda u: mine.col2im(u, shape, kh, kw),
            r(*shape),
            cols,
            f"col2im(u, {shape}, {kh}, {kw}) against im2col(x, {kh}, {kw})",
        )

    for case in draws(r):
        identity(*case)


@knock.check("dtype kept; views are right; earlier results stay as they were")
def layout(mine, r):
    cols, shape = r(18, 12), (2, 3, 4, 4)
    first = checks.call(mine.col2im, cols, shape, 2, 3)
    checks.value(mine.col2im, scatter, -cols[::-1], shape, 2, 3, tolerance=TIGHT)
    what = "col2im: an earlier result, after another call"
    checks.equal(first, scatter(cols, shape, 2, 3), what, tolerance=TIGHT)
    turned = np.asfortranarray(cols)
    checks.value(mine.col2im, scatter, turned, shape, 2, 3, tolerance=TIGHT)
    checks.value(mine.col2im, scatter, r.integers(100, 18, 12), shape, 2, 3)
    single = r(12, 18).astype(np.float32).T
    checks.value(mine.col2im, scatter, single, shape, 2, 3)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    cols, shape = r(12, 24), (2, 2, 5, 5)
    for kh, kw in ((2, 3), (3, 2), (2, 3)):  # the same shapes, another kernel
        checks.value(mine.col2im, scatter, cols, shape, kh, kw, again=False)
    cols = r(12, 12)
    for shape in ((2, 3, 3, 4), (3, 3, 3, 3), (1, 3, 4, 5), (2, 3, 3, 4)):
        checks.value(mine.col2im, scatter, cols, shape, 2, 2, again=False)
    mine.col2im(cols, shape, 2, 2)
    cols *= -2  # the same array with other numbers
    what = "col2im again, after cols was changed in place"
    right = scatter(cols, shape, 2, 2)
    checks.equal(mine.col2im(cols, shape, 2, 2), right, what)


knock.wrong(
    "overlaps overwrite",
    "where windows overlap only the last one counts; add up with += (mind that "
    "x[indices] += values adds only once per index: that is what np.add.at is for)",
    ("j : j + ow] += cols", "j : j + ow] = cols"),
)
knock.wrong(
    "averaged",
    "you divide by the number of windows over a pixel: that undoes im2col, but its "
    "transpose only adds up",
    (
        "    return x\n",
        "    rows = np.convolve(np.ones(oh), np.ones(kh))\n"
        "    count = np.outer(rows, np.convolve(np.ones(ow), np.ones(kw)))\n"
        "    return (x / count).astype(x.dtype)\n",
    ),
)
knock.wrong(
    "reshaped, not transposed",
    "the rows are in the order (channel, i, j) and the columns in the order (image, "
    "p, q):"
    " reshape to (C, kh, kw, N, oh, ow), then move axes; to reshape with the images in "
    "front mixes images with channels",
    (
        "cols.reshape(channels, kh, kw, images, oh, ow)",
        "cols.reshape(images, channels, kh, kw, oh, ow)",
    ),
    ("cols[:, i, j].swapaxes(0, 1)", "cols[:, :, i, j]"),
)
knock.wrong(
    "channel last in the rows",
    "you read the rows as (i, j, channel); they are (channel, i, j)",
    (
        "cols.reshape(channels, kh, kw, images,",
        "cols.reshape(kh, kw, channels, images,",
    ),
    ("cols[:, i, j]", "cols[i, j]"),
)
knock.wrong(
    "image last in the columns",
    "you read the columns as (p, q, image); they are (image, p, q)",
    (
        "kh, kw, images, oh, ow)",
        "kh, kw, oh, ow, images)",
    ),
    ("cols[:, i, j].swapaxes(0, 1)", "cols[:, i, j].transpose(3, 0, 1, 2)"),
)
knock.wrong(
    "taps column by column",
    "you read the rows as (channel, j, i): row i of the kernel comes before column j",
    (
        "cols.reshape(channels, kh, kw, images, oh, ow)",
        "cols.reshape(channels, kw, kh, images, oh, ow)",
    ),
    ("cols[:, i, j]", "cols[:, j, i]"),
)
knock.wrong(
    "places column by column",
    "you read the columns as (image, q, p): row p comes before column q",
    ("kh, kw, images, oh, ow)", "kh, kw, images, ow, oh)"),
    ("cols[:, i, j].swapaxes(0, 1)", "cols[:, i, j].transpose(1, 0, 3, 2)"),
)
knock.wrong(
    "taps backwards",
    "the taps are turned by 180 degrees: entry (i, j) of a window at (p, q) belongs to "
    "pixel (p + i, q + j)",
    ("cols[:, i, j]", "cols[:, kh - 1 - i, kw - 1 - j]"),
)
knock.wrong(
    "last tap left out",
    "the last row of taps is never added: i runs over all kh rows of the kernel",
    ("for i in range(kh)", "for i in range(max(kh - 1, 1))"),
)
knock.wrong(
    "always float64",
    "the image is float64 whatever the columns are: make it with cols.dtype",
    ("np.zeros(shape, cols.dtype)", "np.zeros(shape)"),
)
