"""Grader of k021: convolution by loops."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "How many places can a window of kh rows take in an image of H rows?",
        "For one place (p, q), x[:, :, p : p + kh, q : q + kw] is what lies under the "
        "window, for all images and channels at once.",
        "Two loops over p and q; inside, y[:, :, p, q] = (window[:, None] * w).sum("
        "axis=(2, 3, 4)).",
    ],
)


CASES = [  # N, C, O, kh, kw, H, W
    (2, 3, 2, 1, 1, 3, 2),  # one tap, several channels
    (3, 2, 3, 1, 3, 2, 4),  # one row
    (2, 3, 4, 3, 1, 4, 2),  # one column
    (2, 2, 2, 2, 2, 2, 2),  # all sizes equal, one place
    (2, 2, 2, 2, 2, 3, 3),
    (3, 1, 3, 2, 1, 3, 3),
    (1, 2, 4, 2, 3, 2, 5),  # one image, a row of places
    (4, 3, 1, 2, 2, 5, 2),  # one filter, a column of places
    (1, 1, 1, 1, 1, 1, 1),
]


def oracle(x, w):
    """The definition, one multiplication at a time."""
    (n, c, h, wd), (o, _, kh, kw) = x.shape, w.shape
    y = np.zeros((n, o, h - kh + 1, wd - kw + 1), np.result_type(x, w))
    for at in np.ndindex(*y.shape):
        for k in np.ndindex(c, kh, kw):
            pixel = x[at[0], k[0], at[2] + k[1], at[3] + k[2]]
            y[at] += w[at[1], *k] * pixel
    return y


def draw(r):
    c, kh, kw = r.size(2, 3), r.size(2, 3), r.size(1, 3)
    x = r(r.size(2, 3), c, kh + r.size(1, 3), kw + r.size(1, 3))
    return x, r(r.size(1, 3), c, kh, kw)


@knock.check("one window, one filter: a sum of products")
def one_window(mine, r):
    c, kh, kw = r.size(1, 2), r.size(2, 3), r.size(1, 3)
    x, w = r(1, c, kh, kw), r(1, c, kh, kw)
    checks.value(mine.conv2d, oracle, x, w)


@knock.check("every filter at every place, on random shapes", points=2)
def value(mine, r):
    for _ in range(2):
        checks.value(mine.conv2d, oracle, *draw(r))


@knock.check("kernels of one tap, one row, one column; equal sizes", points=2)
def special(mine, r):
    for n, c, o, kh, kw, h, wd in CASES:
        checks.value(mine.conv2d, oracle, r(n, c, h, wd), r(o, c, kh, kw))


@knock.check("float32 stays float32; views are right; nothing is kept between calls")
def layout(mine, r):
    x, w = (a.astype(np.float32) for a in draw(r))
    checks.value(mine.conv2d, oracle, x[:, :, ::-1], w[..., ::-1])
    x, w = r(2, 3, 4, 3), r(2, 3, 2, 3)
    checks.value(mine.conv2d, oracle, x.swapaxes(2, 3), w.swapaxes(2, 3))
    checks.value(mine.conv2d, oracle, np.asfortranarray(x), np.asfortranarray(w))
    mine.conv2d(x, w)
    x *= -2  # the same array with other numbers
    what = "conv2d(x, w) again, after x was changed in place"
    checks.equal(mine.conv2d(x, w), oracle(x, w), what)
    mine.conv2d(x, w)
    w += 1
    what = "conv2d(x, w) again, after w was changed in place"
    checks.equal(mine.conv2d(x, w), oracle(x, w), what)


@knock.check("whole numbers: the result has the dtype of x * w")
def whole_numbers(mine, r):
    x, w = r.integers(9, 2, 2, 3, 4).astype(np.int32), r.integers(9, 2, 2, 2, 2) - 4
    for pair in ((x, w / 8), (x / 8, w), (x, w), (x / 8, (w / 8).astype(np.float32))):
        checks.value(mine.conv2d, oracle, *pair)


knock.wrong(
    "flipped kernel",
    "your kernel is turned by 180 degrees: that is the convolution of mathematics; "
    "deep learning's conv2d does not turn it (cross-correlation)",
    ("(window * w).sum", "(window * w[:, :, ::-1, ::-1]).sum"),
)
knock.wrong(
    "channels apart",
    "only the first channel is used; every filter adds up over all channels",
    (
        "(window * w).sum(axis=(2, 3, 4))",
        "(window * w)[:, :, 0].sum(axis=(2, 3))",
    ),
)
knock.wrong(
    "mean",
    "you take the mean over the window; a convolution adds up",
    ("(window * w).sum(", "(window * w).mean("),
)
knock.wrong(
    "first image only",
    "every image gets the result of the first one: keep the axis of the images",
    ("window = x[:, None", "window = x[:1, None"),
)
knock.wrong(
    "last place left out",
    "the last row and column of places are missing: H - kh + 1 windows fit, not H - kh",
    (
        "images, filters, height - kh + 1, width - kw + 1",
        "images, filters, height - kh, width - kw",
    ),
)
knock.wrong(
    "always float64",
    "the result is float64 even for float32 images and kernels: make y with "
    "np.result_type(x, w)",
    ("np.zeros(shape, np.result_type(x, w))", "np.zeros(shape)"),
)
knock.wrong(
    "cut to whole numbers",
    "the result has the dtype of x: whole-number pixels times a fractional kernel are "
    "cut to whole numbers; make y with np.result_type(x, w)",
    ("np.zeros(shape, np.result_type(x, w))", "np.zeros(shape, x.dtype)"),
)
knock.wrong(
    "the kernel's dtype",
    "the result has the dtype of w: fractional pixels times a whole-number kernel are "
    "cut to whole numbers; make y with np.result_type(x, w)",
    ("np.zeros(shape, np.result_type(x, w))", "np.zeros(shape, w.dtype)"),
)
knock.wrong(
    "images paired with filters",
    "with as many images as filters, image n only meets filter n: every image meets "
    "every filter, so window and kernel need different axes for the two",
    (
        "y[:, :, p, q] = (window * w).sum(axis=(2, 3, 4))",
        "both = (window * w).sum(axis=(2, 3, 4))\n"
        "            if images == filters > 1:\n"
        "                both = both.diagonal()[:, None]\n"
        "            y[:, :, p, q] = both",
    ),
)
