"""Grader of k022: im2col."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Look at the drawing row by row: what does one tap of the kernel see of the "
        "image while the window slides over it?",
        "Tap (i, j) sees x[:, :, i : i + oh, j : j + ow]. Gather these in an array of "
        "shape (C, kh, kw, N, oh, ow): its axes are already in the wanted order, so "
        "that one reshape is left. To change the order of axes, reshape is no help.",
        "cols[:, i, j] = x[:, :, i : i + oh, j : j + ow].swapaxes(0, 1), and "
        "cols.reshape(C * kh * kw, N * oh * ow) at the end. In conv2d: "
        "w.reshape(O, -1) @ cols is (O, N * oh * ow): reshape it to (O, N, oh, ow), "
        "then swapaxes(0, 1).",
    ],
)

EXACT, TIGHT = (0, 0), (1e-11, 1e-12)
CASES = [  # N, C, O, kh, kw, oh, ow: from simple to everything at once
    (1, 2, 1, 2, 3, 2, 1),
    (2, 1, 3, 1, 2, 2, 3),
    (2, 3, 2, 1, 1, 3, 2),
    (2, 2, 2, 2, 2, 2, 2),
    (3, 2, 4, 3, 2, 1, 1),
    (1, 3, 2, 3, 1, 2, 4),
    (5, 4, 3, 5, 4, 2, 3),
    (2, 5, 6, 2, 6, 7, 1),
]


def windows(x, kh, kw):
    """One window after the other, laid out as a column."""
    n, c, h, w = x.shape
    oh, ow = h - kh + 1, w - kw + 1
    cols = np.zeros((c * kh * kw, n * oh * ow), x.dtype)
    for at, (image, p, q) in enumerate(np.ndindex(n, oh, ow)):
        cols[:, at] = x[image, :, p : p + kh, q : q + kw].ravel()
    return cols


def convolution(x, w):
    """One window under one filter after the other."""
    (n, _, h, wd), (o, _, kh, kw) = x.shape, w.shape
    y = np.zeros((n, o, h - kh + 1, wd - kw + 1), np.result_type(x, w))
    for image, f, p, q in np.ndindex(*y.shape):
        y[image, f, p, q] = (x[image, :, p : p + kh, q : q + kw] * w[f]).sum()
    return y


def draws(r):
    """Every case, then two of random sizes."""
    sizes = [tuple(r.size(1, 4) for _ in range(7)) for _ in range(2)]
    for n, c, o, kh, kw, oh, ow in CASES + sizes:
        yield r(n, c, oh + kh - 1, ow + kw - 1), r(o, c, kh, kw)


@knock.check("im2col of one small image: every window is a column")
def small(mine, r):
    x = 1.0 + r.rng.permutation(12).reshape(1, 1, 3, 4)
    checks.value(mine.im2col, windows, x, 2, 3, tolerance=EXACT)


@knock.check("im2col: channels and images in their order, on many shapes", points=2)
def order(mine, r):
    for x, w in draws(r):
        checks.value(mine.im2col, windows, x, *w.shape[2:], tolerance=EXACT)


@knock.check("conv2d is the convolution of k021, on many shapes", points=2)
def value(mine, r):
    for x, w in draws(r):
        checks.value(mine.conv2d, convolution, x, w, tolerance=TIGHT)


@knock.check("dtype kept; views are right; earlier results stay as they were")
def layout(mine, r):
    x, w = r(2, 3, 4, 5), r(2, 3, 2, 3)
    first = checks.call(mine.im2col, x, 2, 3)
    checks.value(mine.im2col, windows, -x, 2, 3, tolerance=EXACT)
    what = "im2col: an earlier result, after another call"
    checks.equal(first, windows(x, 2, 3), what, tolerance=EXACT)
    checks.value(mine.im2col, windows, r.integers(100, 2, 3, 4, 3), 3, 2)
    checks.value(mine.im2col, windows, x.transpose(1, 0, 3, 2), 3, 2, tolerance=EXACT)
    x, w = x.astype(np.float32), w.astype(np.float32)
    checks.value(mine.im2col, windows, x[:, ::-1, 1:], 2, 3, tolerance=EXACT)
    turned = r(3, 2, 3, 2).astype(np.float32).transpose(1, 0, 3, 2)  # (2, 3, 2, 3)
    checks.value(mine.conv2d, convolution, x.swapaxes(2, 3), turned)
    turned = np.asfortranarray(x), np.asfortranarray(w)
    checks.value(mine.conv2d, convolution, *turned)
    whole = r.integers(9, 2, 2, 3, 4), r.integers(9, 3, 2, 2, 2)
    mixed = (whole[0], whole[1] / 8), (whole[0] / 8, whole[1]), whole
    for pair in (*mixed, (x, w.astype(float))):
        checks.value(mine.conv2d, convolution, *pair)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    x, w = r(2, 2, 4, 4), r(2, 2, 2, 3)
    for kh, kw in ((2, 3), (3, 2), (2, 3), (1, 4), (4, 1)):
        checks.value(mine.im2col, windows, x, kh, kw, tolerance=EXACT, again=False)
        turned = w.swapaxes(2, 3) if kh > kw else w
        checks.value(mine.conv2d, convolution, x, turned, again=False)
    mine.im2col(x, 2, 3), mine.conv2d(x, w)
    x *= -2  # the same array with other numbers
    what = "after x was changed in place"
    checks.equal(mine.im2col(x, 2, 3), windows(x, 2, 3), f"im2col(x, 2, 3), {what}")
    checks.equal(mine.conv2d(x, w), convolution(x, w), f"conv2d(x, w), {what}")
    w += 1
    what = "conv2d(x, w), after w was changed in place"
    checks.equal(mine.conv2d(x, w), convolution(x, w), what)


@knock.check("the rules: no loop over places, one product by @ in conv2d")
def rules(mine, r):
    x, w = r(2, 3, 4, 5), r(2, 3, 2, 3)
    checks.value(mine.conv2d, convolution, x, w, again=False)
    banned = "einsum", "tensordot", "convolve", "correlate", "vectorize", "minidl"
    checks.banned(mine, *banned, "scipy", "torch")
    checks.banned(mine, loops=True, inside="conv2d")
    few, many = (r(1, 1, 3, 3), 1, 2), (r(1, 1, 12, 12), 1, 2)
    checks.steps(mine.im2col, few, many, "im2col")


knock.wrong(
    "reshaped, not transposed",
    "reshape does not move axes: it reads the numbers on in the order in which they "
    "lie; "
    "with more than one image the rows (channel, tap) now mix images: bring the axes "
    "into the order (C, kh, kw, N, oh, ow) first",
    ("np.empty((channels, kh, kw, images,", "np.empty((images, channels, kh, kw,"),
    ("cols[:, i, j] = tap.swapaxes(0, 1)", "cols[:, :, i, j] = tap"),
)
knock.wrong(
    "channel last in the rows",
    "the rows are in the order (i, j, channel); the order is (channel, i, j), which is "
    "how w.reshape(O, -1) lays a filter out",
    ("np.empty((channels, kh, kw,", "np.empty((kh, kw, channels,"),
    ("cols[:, i, j]", "cols[i, j]"),
)
knock.wrong(
    "image last in the columns",
    "the columns are in the order (p, q, image): the image comes first",
    (
        "return cols.reshape(",
        "return np.moveaxis(cols, 3, 5).reshape(",
    ),
)
knock.wrong(
    "taps column by column",
    "the taps are in the order (channel, j, i): row i of the kernel comes before "
    "column j",
    ("return cols.reshape(", "return cols.swapaxes(1, 2).reshape("),
)
knock.wrong(
    "places column by column",
    "the places are in the order (image, q, p): row p comes before column q",
    ("return cols.reshape(", "return cols.swapaxes(4, 5).reshape("),
)
knock.wrong(
    "transposed",
    "your windows are the rows; they are the columns: (C * kh * kw, N * oh * ow)",
    (
        "images * oh * ow)",
        "images * oh * ow).T",
    ),
    ("@ im2col(x, kh, kw)", "@ im2col(x, kh, kw).T"),
)
knock.wrong(
    "taps backwards",
    "the taps of each window are turned by 180 degrees; deep learning's convolution "
    "does "
    "not turn the kernel",
    ("cols[:, i, j]", "cols[:, kh - 1 - i, kw - 1 - j]"),
)
knock.wrong(
    "last places left out",
    "the last row and column of places are missing: H - kh + 1 windows fit, not H - kh",
    ("oh, ow = height - kh + 1, width - kw + 1", "oh, ow = height - kh, width - kw"),
)
knock.wrong(
    "side by side windows",
    "your windows lie side by side; they move by one pixel at a time and overlap",
    (
        "x[:, :, i : i + oh, j : j + ow]",
        "x[:, :, (np.arange(oh) * kh + i) % height][..., (np.arange(ow) * kw + j) % "
        "width]",
    ),
)
knock.wrong(
    "filters and images mixed",
    "the product is (O, N * oh * ow): reshape it to (O, N, oh, ow), then swap the "
    "first "
    "two axes; to reshape it to (N, O, oh, ow) mixes filters with images",
    (
        "y.reshape(filters, images, height - kh + 1, width - kw + 1)",
        "y.reshape(images, filters, height - kh + 1, width - kw + 1).swapaxes(0, 1)",
    ),
)
knock.wrong(
    "always float64",
    "the columns are float64 whatever the images are: make them with x.dtype",
    ("images, oh, ow), x.dtype)", "images, oh, ow))"),
)
knock.wrong(
    "einsum",
    "einsum would do it, but then the columns teach nothing: flatten the filters and "
    "use @",
    (
        "w.reshape(filters, -1) @ im2col(x, kh, kw)",
        'np.einsum("ok,ks->os", w.reshape(filters, -1), im2col(x, kh, kw))',
    ),
)
knock.wrong(
    "a loop over filters",
    "one product does all filters: w.reshape(O, -1) has one filter in each row",
    (
        "w.reshape(filters, -1) @ im2col(x, kh, kw)",
        "np.stack([f.ravel() @ im2col(x, kh, kw) for f in w])",
    ),
)
knock.wrong(
    "a loop over places",
    "you copy window by window: there are far more places than taps, so loop over the "
    "taps (i, j) and copy what each sees of the whole image",
    ("    for i in range(kh):\n", "    for i in range(oh):\n"),
    ("for j in range(kw):", "for j in range(ow):"),
    ("i : i + oh, j : j + ow]", "i : i + kh, j : j + kw]"),
    (
        "cols[:, i, j] = tap.swapaxes(0, 1)",
        "cols[..., i, j] = tap.transpose(1, 2, 3, 0)",
    ),
)
