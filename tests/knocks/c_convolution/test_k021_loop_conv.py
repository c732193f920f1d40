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


def oracle(x, w):
    """The definition, one multiplication at a time."""
    (n, c, h, wd), (o, _, kh, kw) = x.shape, w.shape
    y = np.zeros((n, o, h - kh + 1, wd - kw + 1), x.dtype)
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
    for _ in range(4):
        checks.value(mine.conv2d, oracle, *draw(r))


@knock.check("float32 stays float32; views with other strides are right too")
def layout(mine, r):
    x, w = (a.astype(np.float32) for a in draw(r))
    checks.value(mine.conv2d, oracle, x[:, :, ::-1], w[..., ::-1])


knock.wrong(
    "flipped kernel",
    "your kernel is turned by 180 degrees: that is the convolution of mathematics; deep "
    "learning's conv2d does not turn it (cross-correlation)",
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
        "(images, filters, height - kh + 1, width - kw + 1)",
        "(images, filters, height - kh, width - kw)",
    ),
)
knock.wrong(
    "always float64",
    "the result is float64 even for float32 images: make y with x.dtype",
    ("width - kw + 1), x.dtype)", "width - kw + 1))"),
)
