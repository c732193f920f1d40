"""Grader of k025: stride, padding and dilation."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "First pad the image (np.pad), then forget about padding until the very end of "
        "the backward pass. Which pixels does one tap see over all places?",
        "Tap (i, j) begins at row i * dilation and takes every stride-th row from "
        "there, "
        "oh of them; columns alike. The backward pass adds to the same slices of a "
        "padded gx, whose rings are cut off at the end.",
        "tap = xp[:, :, i * dilation :: stride, j * dilation :: stride][:, :, :oh, "
        ":ow]; "
        "y is the sum over taps of np.tensordot(tap, w[:, :, i, j], (1, 1)), its last "
        "axis moved to place 1. gw[:, :, i, j] is g times this tap, summed over all "
        "images and places; the same slice of gx collects w[:, :, i, j].T times g.",
    ],
)

TIGHT = (1e-10, 1e-12)
PLAIN = [  # N, C, O, kh, kw, H, W, stride, padding, dilation
    (1, 1, 1, 2, 3, 3, 4, 1, 0, 1),
    (2, 3, 2, 3, 2, 4, 4, 1, 0, 1),
    (1, 2, 3, 1, 1, 2, 3, 1, 0, 1),
]
CASES = [  # one option alone, then all
    (1, 1, 1, 2, 2, 4, 6, 2, 0, 1),
    (1, 1, 1, 2, 3, 3, 3, 1, 1, 1),
    (1, 1, 1, 2, 2, 4, 5, 1, 0, 2),
    (2, 2, 2, 3, 3, 5, 5, 2, 1, 2),
    (2, 3, 2, 2, 3, 6, 8, 3, 1, 2),
    (2, 2, 3, 1, 1, 5, 6, 3, 0, 1),  # most pixels unseen
    (2, 2, 3, 1, 2, 3, 2, 2, 3, 1),  # windows with nothing but padding
    (3, 1, 2, 3, 3, 1, 1, 1, 1, 1),  # most of every window is padding
    (1, 2, 2, 2, 1, 7, 4, 4, 1, 3),
    (2, 3, 2, 1, 1, 4, 5, 2, 1, 1),  # one tap: padding is no multiple of stride
    (2, 2, 2, 1, 3, 4, 5, 3, 2, 2),  # one row
    (2, 2, 2, 3, 1, 5, 4, 2, 2, 2),  # one column
    (2, 2, 1, 3, 1, 9, 8, 5, 0, 1),  # unseen rows inside and at the border
    (4, 3, 5, 2, 3, 5, 4, 1, 2, 1),
    (2, 1, 2, 4, 3, 7, 8, 2, 2, 2),
]
TINY = [  # few elements, for differences
    (1, 1, 1, 2, 2, 3, 4, 1, 0, 1),
    (2, 1, 2, 2, 1, 3, 4, 2, 1, 1),
    (1, 1, 2, 2, 2, 4, 4, 3, 0, 2),
    (1, 2, 2, 2, 2, 2, 3, 2, 1, 2),
]


def seen(size, taps, stride, padding, dilation):
    """Every (place, tap, pixel) along one axis, the padding left out."""
    places = range(0, size + 2 * padding - dilation * (taps - 1), stride)
    for (p, begin), i in ((a, i) for a in enumerate(places) for i in range(taps)):
        if 0 <= begin + i * dilation - padding < size:
            yield p, i, begin + i * dilation - padding


def places(size, taps, stride, padding, dilation):
    """How many windows there are along one axis, by laying one after the other."""
    return len(range(0, size + 2 * padding - dilation * (taps - 1), stride))


def forward(x, w, *options):
    """What every tap sees at every place, if it is no padding, times the tap."""
    (n, _, *sizes), (o, _, *taps) = x.shape, w.shape
    oh, ow = (places(s, k, *options) for s, k in zip(sizes, taps))
    y = np.zeros((n, o, oh, ow), x.dtype)
    columns = list(seen(sizes[1], taps[1], *options))
    for p, i, row in seen(sizes[0], taps[0], *options):
        for q, j, column in columns:
            y[:, :, p, q] += x[:, :, row, column] @ w[:, :, i, j].T
    return y


def backward(g, x, w, *options):
    """The same loops: each product's gradient goes to its two factors."""
    gx, gw = np.zeros_like(x), np.zeros_like(w)
    columns = list(seen(x.shape[3], w.shape[3], *options))
    for p, i, row in seen(x.shape[2], w.shape[2], *options):
        for q, j, column in columns:
            gx[:, :, row, column] += g[:, :, p, q] @ w[:, :, i, j]
            gw[:, :, i, j] += g[:, :, p, q].T @ x[:, :, row, column]
    return gx, gw


def sample(r, n, c, o, kh, kw, h, w, *options):
    """An image and a kernel of these sizes, and the options."""
    return r(n, c, h, w), r(o, c, kh, kw), *options


def with_g(r, case):
    """The same behind a gradient from above."""
    x, w, *options = sample(r, *case)
    sizes = (places(s, k, *options) for s, k in zip(x.shape[2:], w.shape[2:]))
    return r(len(x), len(w), *sizes), x, w, *options


def anything(r):
    """Sizes and options of any kind."""
    n, c, o, kh, kw = (r.size(1, 3) for _ in range(5))
    stride, padding, dilation = r.size(1, 3), r.size(0, 2), r.size(1, 3)
    spans = [max(1, dilation * (k - 1) + 1 - 2 * padding) for k in (kh, kw)]
    h, w = (span + r.size(0, 4) for span in spans)
    return n, c, o, kh, kw, h, w, stride, padding, dilation


@knock.check("stride 1, padding 0, dilation 1: the convolution of k021")
def plain(mine, r):
    for case in PLAIN:
        checks.value(mine.conv2d, forward, *sample(r, *case), tolerance=TIGHT)


@knock.check("conv2d with each option alone, then with all of them", points=2)
def options(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(mine.conv2d, forward, *sample(r, *case), tolerance=TIGHT)


@knock.check("both gradients, against differences and loops", points=3)
def gradients(mine, r):
    for case in TINY:
        x, w, *options = sample(r, *case)
        checks.gradient(mine.conv2d_backward, forward, x, w, *options, r=r)
    options = {"tolerance": TIGHT, "again": False}
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(mine.conv2d_backward, backward, *with_g(r, case), **options)


@knock.check("float32 stays float32; views are right; earlier results stay")
def layout(mine, r):
    g, x, w, *options = with_g(r, (2, 3, 2, 2, 2, 5, 5, 2, 1, 2))
    y = checks.call(mine.conv2d, x, w, *options)
    both = checks.call(mine.conv2d_backward, g, x, w, *options)
    checks.value(mine.conv2d, forward, -x, w, *options, tolerance=TIGHT)
    checks.value(mine.conv2d_backward, backward, -g, x, w, *options, tolerance=TIGHT)
    what = "an earlier result, after another call"
    checks.equal(y, forward(x, w, *options), f"conv2d: {what}", tolerance=TIGHT)
    right = backward(g, x, w, *options)
    checks.equal(both, right, f"conv2d_backward: {what}", tolerance=TIGHT)
    g, x, w = (np.asfortranarray(a) for a in (g, x, w))
    checks.value(mine.conv2d, forward, x, w, *options, tolerance=TIGHT)
    checks.value(mine.conv2d_backward, backward, g, x, w, *options, tolerance=TIGHT)
    g, x, w = (a.astype(np.float32).swapaxes(2, 3) for a in (g, x, w))
    checks.value(mine.conv2d, forward, x, w, *options)
    checks.value(mine.conv2d_backward, backward, g, x, w, *options)


@knock.check("nothing is kept from call to call; zeros are numbers like others")
def memory(mine, r):
    x, w = r(2, 2, 5, 5), r(2, 2, 2, 2)
    for options in ((1, 0, 2), (1, 1, 4), (2, 0, 1), (2, 1, 3), (4, 1, 2), (1, 0, 2)):
        g = r(*forward(x, w, *options).shape)  # other options, often the same shapes
        checks.value(mine.conv2d, forward, x, w, *options, again=False)
        checks.value(mine.conv2d_backward, backward, g, x, w, *options, again=False)
    arrays = g, x, w = with_g(r, (2, 2, 1, 2, 2, 4, 5, 2, 1, 1))[:3]
    options = 2, 1, 1
    for a, name in zip(arrays, "gxw"):
        mine.conv2d(x, w, *options), mine.conv2d_backward(*arrays, *options)
        a *= -2  # the same array with other numbers
        what = f"again, after {name} was changed in place"
        right = forward(x, w, *options), backward(*arrays, *options)
        checks.equal(mine.conv2d(x, w, *options), right[0], f"conv2d {what}")
        both = mine.conv2d_backward(*arrays, *options)
        checks.equal(both, right[1], f"conv2d_backward {what}")
    for a in arrays:
        kept = a.copy()
        for zero in (np.s_[:, :1, 1:], np.s_[...]):
            a[zero] = 0
            args = *arrays, *options
            checks.value(mine.conv2d, forward, *args[1:], again=False)
            checks.value(mine.conv2d_backward, backward, *args, again=False)
        a[...] = kept


@knock.check("no loop over places, and no ready-made convolution")
def rules(mine, r):
    few = with_g(r, (1, 1, 1, 1, 2, 3, 3, 1, 0, 1))
    many = with_g(r, (1, 1, 1, 1, 2, 12, 12, 1, 0, 1))
    checks.value(mine.conv2d, forward, *many[1:], again=False)
    names = "minidl", "scipy", "torch", "convolve", "correlate", "vectorize"
    checks.banned(mine, *names)
    checks.steps(mine.conv2d, few[1:], many[1:], "conv2d")
    checks.steps(mine.conv2d_backward, few, many, "conv2d_backward")


knock.wrong(
    "stride ignored",
    "the first oh places side by side are taken: with a stride the window moves on by "
    "stride pixels",
    (" = x[:, :, top::stride, left::stride]", " = x[:, :, top:, left:]"),
)
knock.wrong(
    "dilation ignored",
    "the taps lie side by side: with a dilation they are dilation pixels apart",
    (
        "top, left = i * dilation, j * dilation  # what",
        "top, left = i, j  # what",
    ),
)
knock.wrong(
    "border repeated",
    "the padding repeats the pixels at the border: it must be zeros",
    (
        "    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))",
        "    around = (0, 0), (0, 0), (padding, padding), (padding, padding)\n"
        '    x = np.pad(x, around, mode="edge")',
    ),
)
knock.wrong(
    "padding behind only",
    "all the padding is below and to the right: there must be as much on every side",
    (
        "    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))",
        "    x = np.pad(x, ((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding)))",
    ),
)
knock.wrong(
    "kernel turned",
    "your kernel is turned by 180 degrees; deep learning's convolution does not turn "
    "it",
    ("cols[:, i, j] = tap", "cols[:, kh - 1 - i, kw - 1 - j] = tap"),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: you have the gradients of the plain sum of y; multiply by the "
    "gradient that comes from above",
    ("g = g.swapaxes", "g = np.ones_like(g).swapaxes"),
)
knock.wrong(
    "rings not cut off",
    "gx has the size of the padded image: cut the rings off at the end",
    (
        "gx[:, :, padding : padding + height, padding : padding + width]",
        "gx",
    ),
)
knock.wrong(
    "rings cut off on one side",
    "gx is cut out of the padded gradient at its corner: the image begins at row "
    "padding and column padding",
    (
        "gx[:, :, padding : padding + height, padding : padding + width]",
        "gx[:, :, :height, :width]",
    ),
)
knock.wrong(
    "stride ignored backward",
    "gx is written to the first oh rows side by side: with a stride it goes to every "
    "stride-th row (and column), which are the pixels that the tap has seen",
    ("gx[:, :, top::stride, left::stride]", "gx[:, :, top:, left:]"),
)
knock.wrong(
    "dilation ignored backward",
    "in the backward pass the taps lie side by side: they are dilation pixels apart",
    ("top, left = i * dilation, j * dilation\n", "top, left = i, j\n"),
)
knock.wrong(
    "overlaps overwrite",
    "a pixel under several taps keeps only the last one's gradient: add up with +=",
    ("gtap += ", "gtap[...] = "),
)
knock.wrong(
    "kernel turned in gx",
    "the kernel is turned by 180 degrees on the way back to the image: where gx is "
    "scattered tap by tap, tap (i, j) writes where it has read",
    ("(w[:, :, i, j].T @ g)", "(w[:, :, kh - 1 - i, kw - 1 - j].T @ g)"),
)
knock.wrong(
    "averaged over the batch",
    "gw is divided by the number of images: if a mean is wanted the loss takes it, and "
    "then it is in g already",
    ("gw[:, :, i, j] = g @", "gw[:, :, i, j] = 1 / len(x) * g @"),
)
knock.wrong(
    "gradient float64",
    "gx is float64 even for float32 images: make it with the dtype of x",
    ("np.zeros_like(xp), ", "np.zeros(xp.shape), "),
)
knock.wrong(
    "always float64",
    "the result is float64 even for float32 images: make your arrays with x.dtype",
    ("images, oh, ow), x.dtype)", "images, oh, ow))"),
)
knock.wrong(
    "place by place",
    "you go from place to place: there are far more places than taps, so loop over the "
    "taps (i, j) and take what each sees over all places as one slice",
    (
        "for i, j in np.ndindex(kh, kw):\n"
        "        top, left = i * dilation, j * dilation  # what",
        "for p, q in np.ndindex(oh, ow):\n"
        "        top, left = p * stride, q * stride  # what",
    ),
    (
        "tap = x[:, :, top::stride, left::stride][:, :, :oh, :ow]\n"
        "        cols[:, i, j] = tap.swapaxes(0, 1)",
        "tap = x[:, :, top::dilation, left::dilation][:, :, :kh, :kw]\n"
        "        cols[..., p, q] = tap.transpose(1, 2, 3, 0)",
    ),
)
