"""Grader of k036: clcNet's interlaced grouped convolution."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Forget the interlace at first: np.split cuts x into its groups of channels "
        "and w into its groups of filters, and each pair is an ordinary conv2d. In "
        "which places of y do the channels of group i lie?",
        "The channels of group i are y[:, i::groups]: one place in every `groups`. "
        "Forwards they are written there, backwards g[:, i::groups] is read there. "
        "Everything else belongs to the group alone.",
        "y = np.stack(z, axis=2).reshape(N, L, H, W), where z is the list of the "
        "groups' results. Back: conv2d_backward(g[:, i::groups], x of group i, w of "
        "group i, 1, k // 2, 1) for each group; concatenate all gx on axis 1, all gw "
        "on axis 0.",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [  # N, channels a group in and out, groups, k, H, W
    (1, 1, 3, 2, 1, 1, 2),
    (1, 2, 3, 2, 1, 2, 1),
    (2, 2, 3, 2, 3, 3, 4),
    (1, 1, 2, 3, 3, 2, 2),
    (2, 3, 4, 2, 1, 2, 3),
    (2, 2, 2, 1, 3, 3, 2),  # one group: the plain convolution
    (1, 1, 1, 4, 3, 3, 3),  # depthwise
    (2, 1, 2, 3, 3, 1, 1),  # most of every window is padding
    (1, 1, 2, 2, 5, 3, 2),
    (3, 1, 1, 1, 3, 1, 4),
    (1, 1, 4, 3, 1, 1, 1),
    (1, 1, 1, 2, 7, 2, 3),
    (2, 3, 1, 2, 3, 2, 2),  # one filter a group, of many channels
    (1, 2, 1, 3, 1, 2, 3),
    (1, 3, 2, 2, 1, 2, 3),  # fewer outputs than inputs
]
TINY = [(1, 1, 3, 2, 1, 1, 2), (2, 1, 2, 3, 1, 1, 2), (1, 2, 3, 2, 1, 2, 1)]


def place(filter_, filters, groups):
    """Where in y the channel of a filter lies, and the group it is of."""
    group, t = divmod(filter_, filters // groups)
    return t * groups + group, group


def taps(x, w, groups):
    """Every product: filter, its place in y, channel, tap, and what the tap sees."""
    (filters, channels, k, _), (*_, height, width) = w.shape, x.shape
    ring = k // 2
    xp = np.zeros((*x.shape[:2], height + 2 * ring, width + 2 * ring), x.dtype)
    xp[:, :, ring : ring + height, ring : ring + width] = x
    for f in range(filters):
        p, group = place(f, filters, groups)
        for c, i, j in np.ndindex(channels, k, k):
            at = slice(None), group * channels + c, slice(i, i + height)
            at = (*at, slice(j, j + width))
            yield (f, c, i, j), p, at, xp[at]


def forward(x, w, groups):
    """Product after product, each added to its place."""
    y = np.zeros((len(x), len(w), *x.shape[2:]), x.dtype)
    for tap, p, _, seen in taps(x, w, groups):
        y[:, p] += w[tap] * seen
    return y


def backward(g, x, w, groups):
    """The same loops: the gradient of a product goes to its two factors."""
    k = w.shape[2]
    height, width = x.shape[2:]
    gw = np.zeros(w.shape, w.dtype)
    gx = np.zeros((*x.shape[:2], height + k - 1, width + k - 1), x.dtype)
    for tap, p, at, seen in taps(x, w, groups):
        gw[tap] = (g[:, p] * seen).sum()
        gx[at] += w[tap] * g[:, p]
    ring = k // 2
    return gx[:, :, ring : ring + height, ring : ring + width].copy(), gw


def sample(r, n, inputs, outputs, groups, k, h, w):
    """x, w and the groups of these sizes."""
    return r(n, groups * inputs, h, w), r(groups * outputs, inputs, k, k), groups


def with_g(r, case):
    """The same behind a gradient from above."""
    x, w, groups = sample(r, *case)
    return r(len(x), len(w), *x.shape[2:]), x, w, groups


def anything(r):
    """Sizes of any kind."""
    n, inputs, outputs, groups = (r.size(1, 3) for _ in range(4))
    return n, inputs, outputs, groups, r.choice([1, 3]), r.size(1, 4), r.size(1, 4)


@knock.check("1x1 kernels of ones: every channel of y is that of its group")
def order(mine, r):
    for inputs, outputs, groups in ((1, 3, 2), (1, 2, 3), (2, 4, 2), (1, 1, 3)):
        x = 1.0 + r.rng.permutation(groups * inputs * 2)
        x = x.reshape(1, groups * inputs, 1, 2)
        w = np.ones((groups * outputs, inputs, 1, 1))
        w *= np.arange(1.0, 1 + len(w))[:, None, None, None]
        checks.value(mine.interlaced_conv, forward, x, w, groups, tolerance=TIGHT)


@knock.check("interlaced_conv agrees with loops on many shapes", points=2)
def value(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        options = {"tolerance": TIGHT, "again": case in CASES[:3]}
        args = sample(r, *case)
        checks.value(mine.interlaced_conv, forward, *args, **options)


@knock.check("both gradients, against small steps, with a random g", points=2)
def gradients(mine, r):
    for case in TINY:
        args = sample(r, *case)
        checks.gradient(mine.interlaced_conv_backward, forward, *args, r=r)


@knock.check("both gradients agree with loops on many shapes")
def backwards(mine, r):
    options = {"tolerance": TIGHT, "again": False}
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(
            mine.interlaced_conv_backward, backward, *with_g(r, case), **options
        )


@knock.check("float32 stays float32; views are right; earlier results stay")
def layout(mine, r):
    f, back = mine.interlaced_conv, mine.interlaced_conv_backward
    arrays = g, x, w, groups = with_g(r, (2, 1, 3, 2, 3, 3, 3))
    y = checks.call(f, x, w, groups)
    both = checks.call(back, *arrays)
    checks.value(f, forward, -x, w, groups, tolerance=TIGHT)
    checks.value(back, backward, -g, x, w, groups, tolerance=TIGHT)
    what = "an earlier result, after another call"
    checks.equal(y, forward(x, w, groups), f"interlaced_conv: {what}")
    checks.equal(both, backward(*arrays), f"interlaced_conv_backward: {what}")
    g, x, w = (np.asfortranarray(a) for a in (g, x, w))
    checks.value(f, forward, x[::-1], w, groups, tolerance=TIGHT)
    checks.value(back, backward, g[::-1], x[::-1], w, groups, tolerance=TIGHT)
    g, x, w = (a.astype(np.float32).swapaxes(2, 3) for a in (g, x, w))
    checks.value(f, forward, x, w, groups)
    checks.value(back, backward, g, x, w, groups)
    one = with_g(r, (1, 2, 2, 1, 1, 2, 2))  # nothing to add up, nothing to move
    g, x, w = (a.astype(np.float32) for a in one[:3])
    checks.value(f, forward, x, w, 1)
    checks.value(back, backward, g, x, w, 1)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    f, back = mine.interlaced_conv, mine.interlaced_conv_backward
    x, g = r(1, 6, 2, 2), r(1, 6, 2, 2)
    for groups in (2, 3, 1, 6, 2):  # the same images, other groups
        w = r(6, 6 // groups, 1, 1)
        checks.value(f, forward, x, w, groups, again=False)
        checks.value(back, backward, g, x, w, groups, again=False)
    for a, name in zip((g, x, w), "gxw"):
        f(x, w, groups), back(g, x, w, groups)
        a *= -2  # the same array with other numbers
        what = f"again, after {name} was changed in place"
        y, both = f(x, w, groups), back(g, x, w, groups)
        checks.equal(y, forward(x, w, groups), f"interlaced_conv {what}")
        right = backward(g, x, w, groups)
        checks.equal(both, right, f"interlaced_conv_backward {what}")


knock.wrong(
    "not interlaced",
    "the groups lie side by side in y, as a grouped convolution leaves them; interlace "
    "them: first channel 0 of every group, then channel 1 of every group",
    ("y = np.stack(z, axis=2)", "y = np.concatenate(z, axis=1)"),
)
knock.wrong(
    "inverse order",
    "the outputs are put in the inverse order: y[:, t * groups + i] is z[:, i * (L / "
    "groups) + t], so reshape to (groups, L / groups), not the other way round",
    (
        "    return y.reshape(images, len(w), height, width)",
        "    y = np.concatenate(z, axis=1)\n"
        "    y = y.reshape(images, len(w) // groups, groups, height, width)\n"
        "    return y.swapaxes(1, 2).reshape(images, len(w), height, width)",
    ),
)
knock.wrong(
    "inputs interlaced",
    "you interlace the input channels and leave the outputs as they are; the inputs "
    "are read in blocks, and the outputs are interlaced",
    (
        "    parts = zip(np.split(x, groups, axis=1), np.split(w, groups))\n    z = [",
        "    parts = zip([x[:, i::groups] for i in range(groups)], np.split(w, groups))"
        "\n    z = [",
    ),
    ("y = np.stack(z, axis=2)", "y = np.concatenate(z, axis=1)"),
)
knock.wrong(
    "inputs interlaced, too",
    "group i reads every groups-th channel of x, beginning at i; it reads a block of "
    "neighbours, and only the outputs are interlaced",
    (
        "    parts = zip(np.split(x, groups, axis=1), np.split(w, groups))\n    z = [",
        "    parts = zip([x[:, i::groups] for i in range(groups)], np.split(w, groups))"
        "\n    z = [",
    ),
)
knock.wrong(
    "filters dealt out",
    "group i takes every groups-th filter of w; its filters are a block of neighbours "
    "in w",
    (
        "np.split(w, groups))\n    z = [",
        "[w[i::groups] for i in range(groups)])\n    z = [",
    ),
)
knock.wrong(
    "one group for all",
    "every group of filters reads the first group of channels; group i reads the i-th",
    (
        "    parts = zip(np.split(x, groups, axis=1), np.split(w, groups))\n    z = [",
        "    parts = zip([np.split(x, groups, axis=1)[0]] * groups, "
        "np.split(w, groups))\n    z = [",
    ),
)
knock.wrong(
    "interlaced by the inputs",
    "your order is made with the number of channels a group reads; it is made with the "
    "number of channels a group gives, L / groups",
    (
        "    return y.reshape(images, len(w), height, width)",
        "    y = np.concatenate(z, axis=1)\n"
        "    inner = w.shape[1] if len(w) % w.shape[1] == 0 else 1\n"
        "    y = y.reshape(images, -1, inner, height, width).swapaxes(1, 2)\n"
        "    return y.reshape(images, len(w), height, width)",
    ),
)
knock.wrong(
    "kernel turned",
    "the kernel is turned by 180 degrees; deep learning's convolution does not turn it",
    (
        "[conv2d(xi, wi, 1, padding, 1)",
        "[conv2d(xi, wi[:, :, ::-1, ::-1], 1, padding, 1)",
    ),
)
knock.wrong(
    "always padding 1",
    "the padding is always 1; a kernel of k by k taps has padding k // 2",
    ("    padding = w.shape[2] // 2\n    parts", "    padding = 1\n    parts"),
)
knock.wrong(
    "order forgotten on the way back",
    "backwards you cut g into blocks of neighbours, but g lies as y does: the channels "
    "of group i are g[:, i::groups]",
    ("gz = [g[:, i::groups] for i in range(groups)]", "gz = np.split(g, groups, 1)"),
)
knock.wrong(
    "interlaced again on the way back",
    "backwards you interlace g once more; the way back takes the inverse order, from "
    "the places in y to those in z",
    (
        "gz = [g[:, i::groups] for i in range(groups)]",
        "gz = g.reshape(len(g), groups, -1, *g.shape[2:]).swapaxes(1, 2)\n"
        "    gz = np.split(gz.reshape(g.shape), groups, 1)",
    ),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: these are the gradients of the plain sum of y; multiply by the "
    "gradient that comes from above",
    ("gz = [g[:, i::groups] for i", "gz = [0 * g[:, i::groups] + 1 for i"),
)
knock.wrong(
    "gradients interlaced",
    "gx is interlaced: only y is, the inputs were read in blocks",
    (
        "np.concatenate(gx, axis=1), np",
        "np.stack(gx, axis=2).reshape(x.shape), np",
    ),
)
knock.wrong(
    "filters' gradients interlaced",
    "gw is interlaced: only the channels of y are, the filters of w lie in blocks",
    ("np.concatenate(gw)", "np.stack(gw, axis=1).reshape(w.shape)"),
)
knock.wrong(
    "averaged over the batch",
    "gw is divided by the number of images: if a mean is wanted the loss takes it, and "
    "then it is in g already",
    ("np.concatenate(gw)", "np.concatenate(gw) / x.dtype.type(len(x))"),
)
knock.wrong(
    "always float64",
    "the result is float64 even for float32 images: make your arrays with x.dtype",
    (
        "    return y.reshape(images, len(w), height, width)",
        "    return y.reshape(images, len(w), height, width).astype(float)",
    ),
)
knock.wrong(
    "gradient float64",
    "gx is float64 even for float32 images: make it with the dtype of x",
    ("np.concatenate(gx, axis=1), np", "np.concatenate(gx, axis=1) * np.ones(1), np"),
)
