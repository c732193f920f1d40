"""Grader of k024: the gradients of a convolution."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Write the forward pass of k022 with its two matrices, W and cols. What are "
        "the "
        "gradients of a matrix product by its two factors?",
        "Y = W cols gives dW = G cols^T and dcols = W^T G. Lay g out as Y was: "
        "(O, N * oh * ow); and col2im is the way back from columns to pixels.",
        "G = g.swapaxes(0, 1).reshape(O, -1); gw = (G @ im2col(x, kh, kw).T).reshape("
        "w.shape); gx = col2im(w.reshape(O, -1).T @ G, x.shape, kh, kw).",
    ],
)

TIGHT = (1e-10, 1e-12)
TINY = [  # N, C, O, kh, kw, oh, ow: few elements, for differences
    (2, 2, 2, 2, 1, 1, 2),
    (1, 1, 2, 2, 2, 2, 2),
    (2, 1, 1, 1, 3, 3, 1),
]
CASES = [  # from simple to everything at once
    (1, 2, 1, 2, 3, 2, 1),
    (2, 1, 3, 1, 2, 2, 3),
    (2, 3, 2, 1, 1, 3, 2),
    (2, 2, 2, 2, 2, 2, 2),
    (3, 2, 4, 3, 2, 1, 1),
    (1, 3, 3, 3, 1, 2, 4),
    (5, 4, 3, 5, 4, 2, 3),
    (2, 5, 6, 2, 6, 6, 1),
]


def forward(x, w):
    """The convolution of k021."""
    (n, _, h, wd), (o, _, kh, kw) = x.shape, w.shape
    y = np.zeros((n, o, h - kh + 1, wd - kw + 1), x.dtype)
    for p, q in np.ndindex(*y.shape[2:]):
        for f in range(o):
            window = x[:, :, p : p + kh, q : q + kw]
            y[:, f, p, q] = (window * w[f]).sum(axis=(1, 2, 3))
    return y


def backward(g, x, w):
    """Every output's gradient, handed to the pixels and taps it was made of."""
    gx, gw = np.zeros_like(x), np.zeros_like(w)
    kh, kw = w.shape[2:]
    for n, o, p, q in np.ndindex(*g.shape):
        at = n, slice(None), slice(p, p + kh), slice(q, q + kw)
        gx[at] += g[n, o, p, q] * w[o]
        gw[o] += g[n, o, p, q] * x[at]
    return gx, gw


def sample(r, n, c, o, kh, kw, oh, ow):
    """g, x and w of these sizes."""
    x, w = r(n, c, oh + kh - 1, ow + kw - 1), r(o, c, kh, kw)
    return r(n, o, oh, ow), x, w


def draws(r):
    """Every case, then two of random sizes."""
    sizes = [tuple(r.size(1, 4) for _ in range(7)) for _ in range(2)]
    for case in CASES + sizes:
        yield sample(r, *case)


@knock.check("one image, one channel, one filter: gx and gw against differences")
def small(mine, r):
    _, x, w = sample(r, 1, 1, 1, 2, 3, 2, 2)
    checks.gradient(mine.conv2d_backward, forward, x, w, r=r)


@knock.check("images, channels and filters, against differences", points=2)
def gradient(mine, r):
    for case in TINY:
        _, x, w = sample(r, *case)
        checks.gradient(mine.conv2d_backward, forward, x, w, r=r)


@knock.check("many shapes, against a loop", points=2)
def value(mine, r):
    for case in draws(r):
        checks.value(mine.conv2d_backward, backward, *case, tolerance=TIGHT)


@knock.check("gx and gw are the transposes of the forward pass, by x and by w")
def transposes(mine, r):
    def identities(g, x, w):
        what = f"of conv2d_backward with x {x.shape}, w {w.shape}"
        checks.adjoint(
            lambda a: forward(a, w),
            lambda b: mine.conv2d_backward(b, x, w)[0],
            r(*x.shape),
            g,
            f"gx {what}",
        )
        checks.adjoint(
            lambda a: forward(x, a),
            lambda b: mine.conv2d_backward(b, x, w)[1],
            r(*w.shape),
            g,
            f"gw {what}",
        )

    for case in draws(r):
        identities(*case)


@knock.check("float32 stays float32; views are right; earlier results stay")
def layout(mine, r):
    g, x, w = sample(r, 2, 3, 2, 2, 3, 3, 2)
    first = checks.call(mine.conv2d_backward, g, x, w)
    checks.value(mine.conv2d_backward, backward, -g, x, w, tolerance=TIGHT)
    what = "conv2d_backward: an earlier result, after another call"
    checks.equal(first, backward(g, x, w), what, tolerance=TIGHT)
    turned = [np.asfortranarray(a) for a in (g, x, w)]
    checks.value(mine.conv2d_backward, backward, *turned, tolerance=TIGHT)
    single = [a.astype(np.float32).swapaxes(2, 3) for a in (g, x, w)]
    checks.value(mine.conv2d_backward, backward, *single)


@knock.check("nothing is kept from call to call; zeros are numbers like others")
def memory(mine, r):
    f = mine.conv2d_backward
    arrays = g, x, w = sample(r, 2, 2, 2, 2, 3, 3, 2)
    for a, name in zip(arrays, "gxw"):
        f(*arrays)
        a *= -2  # the same array with other numbers
        what = f"conv2d_backward(g, x, w) again, after {name} was changed in place"
        checks.equal(f(*arrays), backward(*arrays), what)
    x = r(2, 2, 4, 4)
    for kh, kw in ((2, 3), (3, 2), (1, 1), (2, 3)):  # another kernel, the same x
        g, w = r(2, 2, 5 - kh, 5 - kw), r(2, 2, kh, kw)
        checks.value(f, backward, g, x, w, again=False)
    for a in arrays:
        kept = a.copy()
        a[...] = 0
        checks.value(f, backward, *arrays, again=False)
        a[...] = kept
        a[:, :1, 1:] = 0
        checks.value(f, backward, *arrays, again=False)
        a[...] = kept


knock.wrong(
    "upstream ignored",
    "g is ignored: you have the gradients of the plain sum of y; multiply by the "
    "gradient that comes from above",
    ("np.swapaxes(g, 0, 1)", "np.swapaxes(np.ones_like(g), 0, 1)"),
)
knock.wrong(
    "kernel turned in gx",
    "the kernel is turned by 180 degrees on the way back to the image: pixel "
    "(p + i, q + j) was multiplied by w[i, j]. Where gx is written as a convolution of "
    "the padded g, the kernel must be turned; where g is scattered, it must not",
    ("w.reshape(filters, -1).T", "w[:, :, ::-1, ::-1].reshape(filters, -1).T"),
)
knock.wrong(
    "channels not exchanged",
    "gx is made with the kernel's two channel axes the wrong way round: output "
    "channel o "
    "reaches input channel c by w[o, c]. With as many filters as channels the shapes "
    "fit "
    "all the same",
    (
        "w.reshape(filters, -1).T",
        "w.swapaxes(0, 1).reshape(x.shape[1], -1).T",
    ),
)
knock.wrong(
    "kernel turned in gw",
    "gw comes out turned by 180 degrees: tap (i, j) was multiplied by x[p + i, q + j]",
    (
        "(g @ im2col(x, kh, kw).T).reshape(w.shape)",
        "(g @ im2col(x, kh, kw).T).reshape(w.shape)[:, :, ::-1, ::-1]",
    ),
)
knock.wrong(
    "averaged over the batch",
    "gw is divided by the number of images: if a mean is wanted the loss takes it, and "
    "then it is in g already",
    (
        "(g @ im2col(x, kh, kw).T).reshape(w.shape)",
        "(g @ im2col(x, kh, kw).T).reshape(w.shape) / len(x)",
    ),
)
knock.wrong(
    "averaged over the places",
    "gw is divided by the number of places: a kernel that is used everywhere collects "
    "the sum of all its gradients",
    (
        "(g @ im2col(x, kh, kw).T).reshape(w.shape)",
        "(g @ im2col(x, kh, kw).T).reshape(w.shape) * len(x) / g.shape[1]",
    ),
)
knock.wrong(
    "first image only",
    "gw is that of the first image alone: add up over all images",
    (
        "gw = (g @ im2col(x, kh, kw).T)",
        "first = g.shape[1] // len(x)\n"
        "    gw = (g[:, :first] @ im2col(x, kh, kw)[:, :first].T)",
    ),
)
knock.wrong(
    "images and filters mixed",
    "g is (N, O, oh, ow): swap its first two axes before you reshape it to "
    "(O, N * oh * ow); reshape alone mixes images with filters",
    ("np.swapaxes(g, 0, 1).reshape(filters, -1)", "g.reshape(filters, -1)"),
)
knock.wrong(
    "places column by column",
    "the places of g are read as (q, p) in place of (p, q): its last two axes are "
    "exchanged",
    ("np.swapaxes(g, 0, 1)", "g.transpose(1, 0, 3, 2)"),
)
knock.wrong(
    "sign flipped",
    "both gradients have the wrong sign: to step against the gradient is the "
    "optimiser's "
    "part",
    ("g = np.swapaxes", "g = -np.swapaxes"),
)
knock.wrong(
    "given in the other order",
    "you return (gw, gx); the order is that of the arguments: (gx, gw)",
    (
        "return col2im(gcols, x.shape, kh, kw), gw",
        "return gw, col2im(gcols, x.shape, kh, kw)",
    ),
)
knock.wrong(
    "overlaps overwrite",
    "a pixel under several windows keeps only the last one's gradient: add them up",
    (
        "return col2im(gcols, x.shape, kh, kw), gw",
        "gcols = gcols.reshape(x.shape[1], kh, kw, len(x), -1)\n"
        "    gx, wide = x * 0, x.shape[3] - kw + 1\n"
        "    for i in range(kh):\n"
        "        for j in range(kw):\n"
        "            tap = gcols[:, i, j].reshape(*gcols.shape[::3], -1, wide)\n"
        "            tap = tap.swapaxes(0, 1)\n"
        "            gx[:, :, i : i + tap.shape[2], j : j + wide] = tap\n"
        "    return gx, gw",
    ),
)
