"""Grader of k030: grouped convolution."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Take the first group alone: which channels of x, which filters of w and which "
        "channels of y belong to it? What kind of convolution is left?",
        "np.split(x, groups, axis=1) gives the groups of channels, np.split(w, groups) "
        "those of filters; each pair goes through the conv2d of k025. Backward, g is "
        "cut like y, along its channels.",
        "Loop over zip(np.split(x, groups, axis=1), np.split(w, groups)), take conv2d "
        "of each pair with dilation 1, and np.concatenate(..., axis=1). Backward, zip "
        "the parts of g, x and w, take conv2d_backward of each triple, and concatenate "
        "the gx along axis 1 and the gw along axis 0.",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [  # N, groups, channels and filters of one group, kh, kw, H, W, stride, padding
    (2, 1, 2, 3, 2, 2, 3, 3, 1, 0),  # one group: an ordinary convolution
    (2, 3, 1, 1, 2, 1, 3, 2, 1, 0),  # one channel, one filter in each
    (1, 2, 1, 3, 1, 2, 3, 4, 1, 1),
    (2, 2, 3, 1, 2, 2, 3, 2, 1, 0),
    (2, 2, 2, 2, 1, 1, 2, 3, 1, 0),
    (1, 4, 2, 2, 2, 2, 2, 2, 1, 0),  # one place
    (2, 3, 2, 1, 2, 3, 4, 5, 2, 1),
    (3, 2, 1, 2, 1, 1, 4, 3, 3, 1),  # pixels that nobody sees
    (1, 1, 1, 1, 1, 1, 1, 1, 1, 0),
    (2, 2, 1, 2, 3, 3, 1, 1, 1, 1),  # mostly padding
    (1, 1, 2, 2, 2, 1, 4, 3, 2, 0),  # one group with a stride, with padding, with both
    (1, 1, 2, 2, 2, 3, 2, 3, 1, 1),
    (2, 1, 2, 1, 3, 2, 3, 4, 2, 1),
    (1, 1, 3, 1, 1, 2, 2, 2, 1, 0),  # one filter on all channels
    (1, 1, 4, 1, 2, 2, 5, 4, 3, 2),
    (5, 2, 1, 1, 2, 2, 2, 3, 1, 2),  # two rings, three rings
    (1, 2, 2, 1, 3, 2, 3, 2, 2, 3),
    (1, 5, 1, 2, 2, 1, 9, 4, 4, 0),
    (6, 7, 1, 1, 1, 2, 3, 11, 5, 1),
    (1, 3, 2, 2, 2, 2, 12, 9, 4, 2),
]
TINY = [(1, 2, 1, 2, 1, 2, 2, 2, 1, 0), (1, 2, 2, 1, 2, 1, 3, 1, 2, 1)]


def places(x, w, stride, padding):
    """How many rows and columns of places there are, by laying out the windows."""
    sizes = zip(x.shape[2:], w.shape[2:])
    return tuple(len(range(0, n + 2 * padding - k + 1, stride)) for n, k in sizes)


def pairs(x, w, groups, stride, padding):
    """Every tap w[o, c, i, j], with what it sees of the padded image: an index."""
    oh, ow = places(x, w, stride, padding)
    for o, c, i, j in np.ndindex(*w.shape):
        channel = o * groups // len(w) * w.shape[1] + c
        rows = slice(i, i + stride * (oh - 1) + 1, stride)
        columns = slice(j, j + stride * (ow - 1) + 1, stride)
        yield (o, c, i, j), (slice(None), channel, rows, columns)


def padded(x, padding):
    """x with rings of zeros."""
    n, c, h, w = x.shape
    out = np.zeros((n, c, h + 2 * padding, w + 2 * padding), x.dtype)
    out[:, :, padding : padding + h, padding : padding + w] = x
    return out


def forward(x, w, groups, stride, padding):
    """One filter on one channel after the other, tap by tap."""
    wide = padded(x, padding)
    y = np.zeros((len(x), len(w), *places(x, w, stride, padding)), x.dtype)
    for tap, seen in pairs(x, w, groups, stride, padding):
        y[:, tap[0]] += w[tap] * wide[seen]
    return y


def backward(g, x, w, groups, stride, padding):
    """The same loops: each product's gradient goes to its two factors."""
    wide, gw = padded(x, padding), np.zeros_like(w)
    gwide = np.zeros_like(wide)
    for tap, seen in pairs(x, w, groups, stride, padding):
        gwide[seen] += w[tap] * g[:, tap[0]]
        gw[tap] = (wide[seen] * g[:, tap[0]]).sum()
    h, wd = x.shape[2:]
    gx = gwide[:, :, padding : padding + h, padding : padding + wd]
    return np.array(gx), gw


def sample(r, n, groups, inside, filters, kh, kw, h, w, *options):
    """Images and a kernel of these sizes, groups, stride and padding."""
    x, kernel = r(n, groups * inside, h, w), r(groups * filters, inside, kh, kw)
    return x, kernel, groups, *options


def with_g(r, case):
    """The same behind a gradient from above."""
    x, w, groups, *options = sample(r, *case)
    return r(len(x), len(w), *places(x, w, *options)), x, w, groups, *options


def anything(r):
    """Sizes and options of any kind."""
    n, groups, inside, filters, kh, kw = (r.size(1, 3) for _ in range(6))
    padding = r.size(0, 2)
    h, w = (max(1, k - 2 * padding) + r.size(0, 3) for k in (kh, kw))
    return n, groups, inside, filters, kh, kw, h, w, r.size(1, 3), padding


@knock.check("two groups of two channels and two filters, with a kernel of 1 x 1")
def small(mine, r):
    x = 1.0 + r.rng.permutation(8).reshape(1, 4, 1, 2)
    w = 1.0 + r.rng.permutation(8).reshape(4, 2, 1, 1)
    checks.value(mine.grouped_conv2d, forward, x, w, 2, 1, 0, tolerance=TIGHT)


@knock.check("grouped_conv2d for all kinds of groups, strides and paddings", points=2)
def value(mine, r):
    for i, case in enumerate([*CASES, anything(r)]):
        options = {"tolerance": TIGHT, "again": i in (0, 2, 4, 6, 8)}
        checks.value(mine.grouped_conv2d, forward, *sample(r, *case), **options)


@knock.check("both gradients, against small steps and loops", points=3)
def gradients(mine, r):
    for case in TINY:
        x, w, *options = sample(r, *case)
        f = mine.grouped_conv2d_backward
        checks.gradient(f, forward, x, w, *options, r=r)
    for case in [*CASES, anything(r)]:
        options = {"tolerance": TIGHT, "again": False}
        checks.value(f, backward, *with_g(r, case), **options)


def spoiled(r, which, group, bad):
    """Two groups, all positive; in one of them one of g, x and w is nothing but bad."""
    arrays = [abs(a) + 0.5 for a in with_g(r, (2, 2, 2, 2, 2, 2, 3, 3, 1, 0))[:3]]
    own = slice(2 * group, 2 * group + 2)
    arrays[which][own if which == 2 else (slice(None), own)] = bad
    return arrays


@knock.check("no group meets another: a NaN or an infinity stays in its own")
def apart(mine, r):
    for letter, bad in (("x", np.nan), ("w", np.nan), ("g", np.nan), ("x", np.inf)):
        group = r.integers(2)
        g, x, w = spoiled(r, "gxw".index(letter), group, bad)
        where = f"where all of group {group} of {letter} is {bad}"
        with np.errstate(all="ignore"):
            if letter != "g":
                y = checks.call(mine.grouped_conv2d, x, w, 2, 1, 0)
                right = forward(x, w, 2, 1, 0)
                checks.equal(y, right, f"grouped_conv2d, {where}", tolerance=TIGHT)
            both = checks.call(mine.grouped_conv2d_backward, g, x, w, 2, 1, 0)
            right = backward(g, x, w, 2, 1, 0)
            what = f"grouped_conv2d_backward, {where}"
            checks.equal(both, right, what, tolerance=TIGHT)


@knock.check("float32 stays float32; views are right; earlier results stay")
def layout(mine, r):
    g, x, w, *options = with_g(r, (2, 2, 2, 2, 2, 2, 3, 3, 1, 1))
    f, back = mine.grouped_conv2d, mine.grouped_conv2d_backward
    checks.value(back, backward, g, x, w, *options, tolerance=TIGHT)
    g, x, w = (np.asfortranarray(a)[::-1, ::-1] for a in (g, x, w))
    checks.value(f, forward, x, w, *options, tolerance=TIGHT)
    checks.value(back, backward, g, x, w, *options, tolerance=TIGHT, again=False)
    g, x, w = (a.astype(np.float32).swapaxes(2, 3) for a in (g, x, w))
    checks.value(f, forward, x, w, *options, again=False)
    checks.value(back, backward, g, x, w, *options, again=False)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    arrays = g, x, w = with_g(r, (2, 2, 2, 1, 2, 1, 3, 2, 1, 0))[:3]
    for a, name in zip(arrays, "gxw"):
        mine.grouped_conv2d(x, w, 2, 1, 0)
        mine.grouped_conv2d_backward(*arrays, 2, 1, 0)
        a *= -2  # the same array with other numbers
        what = f"again, after {name} was changed in place"
        y = mine.grouped_conv2d(x, w, 2, 1, 0)
        checks.equal(y, forward(x, w, 2, 1, 0), f"grouped_conv2d {what}")
        both = mine.grouped_conv2d_backward(*arrays, 2, 1, 0)
        right = backward(*arrays, 2, 1, 0)
        checks.equal(both, right, f"grouped_conv2d_backward {what}")


@knock.check("no ready-made convolution but that of k025")
def rules(mine, r):
    checks.value(mine.grouped_conv2d, forward, *sample(r, *CASES[5]), again=False)
    checks.banned(mine, "minidl", "scipy", "torch")


knock.wrong(
    "channels dealt out in turn",
    "group a reads the channels a, a + groups, a + 2 * groups, ...: a group is a row "
    "of neighbours, the first C / groups channels belong to the first one",
    (
        "zip(np.split(x, groups, axis=1), np.split(w, groups))\n    y",
        "zip([x[:, a::groups] for a in range(groups)], np.split(w, groups))\n    y",
    ),
)
knock.wrong(
    "filters dealt out in turn",
    "group a has the filters a, a + groups, a + 2 * groups, ...: a group is a row of "
    "neighbours, the first O / groups filters belong to the first one",
    (
        "axis=1), np.split(w, groups))\n    y",
        "axis=1), [w[a::groups] for a in range(groups)])\n    y",
    ),
)
knock.wrong(
    "results interlaced",
    "the results of the groups are mixed: first one channel of every group, then the "
    "next; put all of the first group first",
    (
        "    return np.concatenate(y, axis=1)",
        "    y = np.stack(y, axis=2)\n"
        "    return y.reshape(len(x), len(w), *y.shape[3:])",
    ),
)
knock.wrong(
    "all read the first group",
    "every group of filters reads the first group of channels; each has its own",
    (
        "zip(np.split(x, groups, axis=1), np.split(w, groups))\n    y",
        "zip([x[:, : w.shape[1]]] * groups, np.split(w, groups))\n    y",
    ),
)
knock.wrong(
    "first filters everywhere",
    "every group of channels meets the first group of filters; each has its own",
    (
        "axis=1), np.split(w, groups))\n    y",
        "axis=1), [w[: len(w) // groups]] * groups)\n    y",
    ),
)
knock.wrong(
    "groups added up",
    "the results of the groups are added up, as if all filters read all channels; they "
    "are different channels of y: put them side by side",
    (
        "    return np.concatenate(y, axis=1)",
        "    return np.concatenate([sum(y)] * groups, axis=1)",
    ),
)
knock.wrong(
    "through an ordinary kernel",
    "the other groups' channels are multiplied by zeros: that is groups times the "
    "work, and a NaN comes through; take each group for itself",
    (
        "    parts = zip(np.split(x, groups, axis=1), np.split(w, groups))\n"
        "    y = [conv2d(channels, filters, stride, padding, 1) for channels, filters "
        "in parts]\n"
        "    return np.concatenate(y, axis=1)",
        "    wide = np.zeros((len(w), x.shape[1], *w.shape[2:]), w.dtype)\n"
        "    for o in range(len(w)):\n"
        "        first = o * groups // len(w) * w.shape[1]\n"
        "        wide[o, first : first + w.shape[1]] = w[o]\n"
        "    return conv2d(x, wide, stride, padding, 1)",
    ),
)
knock.wrong(
    "backward through an ordinary kernel",
    "backward, the other groups' channels are multiplied by zeros: that is groups "
    "times the work, and a NaN comes through; take each group for itself",
    (
        "    g, x = np.split(g, groups, axis=1), np.split(x, groups, axis=1)\n"
        "    parts = zip(g, x, np.split(w, groups))\n"
        "    both = [conv2d_backward(*part, stride, padding, 1) for part in parts]\n"
        "    gx, gw = zip(*both)\n"
        "    return np.concatenate(gx, axis=1), np.concatenate(gw)",
        "    wide = np.zeros((len(w), x.shape[1], *w.shape[2:]), w.dtype)\n"
        "    inside = w.shape[1]\n"
        "    own = [slice(a * inside, (a + 1) * inside) for a in range(groups)]\n"
        "    filters = np.split(np.arange(len(w)), groups)\n"
        "    for at, some in zip(own, filters):\n"
        "        wide[some, at] = w[some]\n"
        "    gx, gw = conv2d_backward(g, x, wide, stride, padding, 1)\n"
        "    return gx, np.concatenate([gw[some, at] for at, some in zip(own, "
        "filters)])",
    ),
)
knock.wrong(
    "stride not passed on",
    "the stride is ignored: the window must move on by stride pixels",
    ("filters, stride, padding, 1)", "filters, 1, padding, 1)"),
)
knock.wrong(
    "padding not passed on",
    "the padding is ignored: there must be rings of zeros around the image",
    (
        "filters, stride, padding, 1) for channels, filters in parts]",
        "filters, stride, 0, 1) for channels, filters in parts]",
    ),
)
knock.wrong(
    "stride as dilation",
    "the taps of the kernel are stride pixels apart: that is a dilation, which is 1 "
    "here",
    ("filters, stride, padding, 1)", "filters, stride, padding, stride)"),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: you have the gradients of the plain sum of y; multiply by the "
    "gradient that comes from above",
    ("    g, x = np.split(g,", "    g, x = np.split(np.ones_like(g),"),
)
knock.wrong(
    "g dealt out in turn",
    "backward, group a gets the channels a, a + groups, ... of g: cut g as y was put "
    "together, into rows of neighbours",
    (
        "g, x = np.split(g, groups, axis=1),",
        "g, x = [g[:, a::groups] for a in range(groups)],",
    ),
)
knock.wrong(
    "x dealt out in turn backward",
    "backward, group a reads the channels a, a + groups, ... of x: a group is a row of "
    "neighbours",
    (
        "g, x = np.split(g, groups, axis=1), np.split(x, groups, axis=1)",
        "g, x = np.split(g, groups, axis=1), [x[:, a::groups] for a in range(groups)]",
    ),
)
knock.wrong(
    "first filters for gx",
    "every part of gx is made with the first group of filters; each group of channels "
    "was read by its own",
    (
        "parts = zip(g, x, np.split(w, groups))",
        "parts = zip(g, x, [w[: len(w) // groups]] * groups)",
    ),
)
knock.wrong(
    "gx added up",
    "the groups' parts of gx are added up; they belong to different channels of x: put "
    "them side by side",
    (
        "return np.concatenate(gx, axis=1), np.concatenate(gw)",
        "return np.concatenate([sum(gx)] * groups, axis=1), np.concatenate(gw)",
    ),
)
knock.wrong(
    "gw along the channels",
    "the groups' parts of gw stand side by side along axis 1; groups are groups of "
    "filters in w, which is axis 0",
    ("np.concatenate(gw)", "np.concatenate(gw, axis=1)"),
)
knock.wrong(
    "gw added up",
    "all groups of filters get the same gradient, the sum of all; each has its own",
    ("np.concatenate(gw)", "np.concatenate([sum(gw)] * groups)"),
)
knock.wrong(
    "averaged over the batch",
    "gw is divided by the number of images: if a mean is wanted the loss takes it, and "
    "then it is in g already",
    ("np.concatenate(gw)", "np.concatenate(gw) / w.dtype.type(len(gx[0]))"),
)
knock.wrong(
    "averaged over the groups",
    "both gradients are divided by the number of groups; every number of x and w is in "
    "one group only, so nothing is shared",
    (
        "return np.concatenate(gx, axis=1), np.concatenate(gw)",
        "gx, gw = np.concatenate(gx, axis=1), np.concatenate(gw)\n"
        "    return gx / w.dtype.type(groups), gw / w.dtype.type(groups)",
    ),
)
knock.wrong(
    "gradients exchanged",
    "you give (gw, gx): the gradient of x comes first",
    ("    gx, gw = zip(*both)\n", "    gw, gx = zip(*both)\n"),
    (
        "return np.concatenate(gx, axis=1), np.concatenate(gw)",
        "return np.concatenate(gx), np.concatenate(gw, axis=1)",
    ),
)
knock.wrong(
    "always float64",
    "y is float64 even for float32 images: make your arrays with x.dtype",
    (
        "    return np.concatenate(y, axis=1)",
        "    return np.concatenate(y, axis=1, dtype=float)",
    ),
)
knock.wrong(
    "gradient float64",
    "gw is float64 even for float32 arrays: make it with the dtype of w",
    ("np.concatenate(gw)", "np.concatenate(gw, dtype=float)"),
)
