"""Grader of k034: from Inception to Xception."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Write the kernels of two branches one below the other. Which of them read the "
        "same image? Which channels does the second kernel of branch 1 read, if all "
        "branches' first results stand side by side?",
        "inception: a pointwise convolution, np.maximum(..., 0) and conv2d(..., 1, 1, "
        "1) for each branch, then one np.concatenate along the channels. A kernel's "
        "filters are its axis 0, so kernels are joined along axis 0, and in "
        "grouped_conv2d their second axis stays m.",
        "join: np.concatenate of all first kernels and np.concatenate of all second "
        "ones. segmented: grouped_conv2d(np.maximum(pointwise_conv2d(x, first), 0), "
        "second, segments, 1, 1). separable: pointwise_conv2d(depthwise_conv2d(x, "
        "depthwise, 1, 1), pointwise). The weights are the products of the shapes of "
        "the kernels.",
    ],
)

TIGHT = (1e-10, 1e-12)


def conv(x, w, groups=1):
    """A kernel of 1 x 1 or 3 x 3, the image keeps its size, filter by filter."""
    n, c, h, wd = x.shape
    ring = w.shape[2] // 2
    wide = np.zeros((n, c, h + 2 * ring, wd + 2 * ring), x.dtype)
    wide[:, :, ring : ring + h, ring : ring + wd] = x
    y = np.zeros((n, len(w), h, wd), x.dtype)
    for o, i, j in np.ndindex(len(w), *w.shape[2:]):
        for k in range(w.shape[1]):
            channel = o * groups // len(w) * w.shape[1] + k
            y[:, o] += w[o, k, i, j] * wide[:, channel, i : i + h, j : j + wd]
    return y


def relu(a):
    return np.where(a > 0, a, a.dtype.type(0))


def inception(x, branches):
    """Each branch's filters are put where they belong."""
    y = np.zeros((len(x), sum(len(b) for _, b in branches), *x.shape[2:]), x.dtype)
    begin = 0
    for first, second in branches:
        y[:, begin : begin + len(second)] = conv(relu(conv(x, first)), second)
        begin += len(second)
    return y


def segmented(x, first, second, segments):
    return conv(relu(conv(x, first)), second, segments)


def separable(x, depthwise, pointwise):
    return conv(conv(x, depthwise, x.shape[1]), pointwise)


def branch(r, c, m, n):
    """The two kernels of a branch."""
    return r(m, c, 1, 1), r(n, m, 3, 3)


def alike(r, count, c, m, n):
    """So many branches of the same sizes."""
    return [branch(r, c, m, n) for _ in range(count)]


SIZES = [(3, 3, 2), (1, 1, 1), (5, 2, 1), (1, 1, 5), (2, 9, 3), (1, 4, 10)]  # N, H, W


def image(r, c):
    return r(r.size(1, 2), c, r.size(1, 3), r.size(2, 4))


@knock.check("inception, branch by branch; branches of different sizes, too", points=2)
def module(mine, r):
    f = mine.inception
    checks.value(f, inception, r(1, 2, 2, 2), alike(r, 2, 2, 1, 1), tolerance=TIGHT)
    c = r.size(2, 3)
    for sizes in ([(2, 1), (1, 2), (3, 2)], [(2, 3), (1, 1)], [(2, 2)] * 3, [(1, 2)]):
        branches = [branch(r, c, m, n) for m, n in sizes]
        checks.value(f, inception, image(r, c), branches, tolerance=TIGHT)
    for (n, h, w), count in zip(SIZES, (2, 1, 2, 4, 1, 5)):
        branches = [branch(r, 2, 1, 1 + i % 2) for i in range(count)]
        args = r(n, 2, h, w), branches
        checks.value(f, inception, *args, tolerance=TIGHT, again=False)
    single = branch(r, 1, 1, 1)
    checks.value(f, inception, r(2, 1, 1, 1), [single], tolerance=TIGHT)


@knock.check(
    "a 1 x 1, a ReLU, a 3 x 3 in groups: from one segment to extreme", points=2
)
def segments(mine, r):
    sizes = [(2, 4, 4, 2), (3, 3, 3, 3), (2, 3, 6, 3), (3, 4, 2, 1), (1, 4, 2, 2)]
    for c, m, o, count in [*sizes, (r.size(1, 3), 2, 4, 2), (1, 1, 1, 1)]:
        first, second = r(m, c, 1, 1), r(o, m // count, 3, 3)
        args = image(r, c), first, second, count
        checks.value(mine.segmented, segmented, *args, tolerance=TIGHT)
    for (n, h, w), count in zip(SIZES, (2, 2, 1, 4, 5, 6)):
        args = r(n, 2, h, w), r(count, 2, 1, 1), r(count, 1, 3, 3), count
        options = {"tolerance": TIGHT, "again": False}
        checks.value(mine.segmented, segmented, *args, **options)


def joined(mine, branches):
    """The kernels that come back, two arrays of the right shapes."""
    both = checks.call(mine.join, branches)
    checks.true(
        isinstance(both, tuple | list) and len(both) == 2,
        "join(branches) must give a pair (first, second) of kernels",
        str(type(both)),
    )
    b, (m, c), n = len(branches), branches[0][0].shape[:2], len(branches[0][1])
    shapes = {"first": (b * m, c, 1, 1), "second": (b * n, m, 3, 3)}
    for found, (name, shape) in zip(both, shapes.items()):
        got = getattr(found, "shape", type(found).__name__)
        text = f"join: {name} must have shape {shape} for {b} branches of {m} and {n} "
        text += f"filters, on {c} channels; got {got}"
        checks.true(got == shape, text, (name, found))
        right = branches[0][0].dtype
        text = f"join: {name} must be {right} like the kernels; got {found.dtype}"
        checks.true(found.dtype == right, text)
    return both


@knock.check("join: the branches as one 1 x 1 and one grouped 3 x 3, exactly", points=2)
def equivalence(mine, r):
    sizes = [(2, 2, 1, 1), (2, 2, 2, 2), (3, 2, 1, 2), (2, 3, 2, 1), (1, 2, 3, 2)]
    sizes.append((4, 1, 1, 2))
    for count, c, m, n in [*sizes, (3, r.size(1, 3), r.size(1, 3), 3)]:
        branches, x = alike(r, count, c, m, n), image(r, c)
        first, second = joined(mine, branches)
        what = f"segmented(x, *join(branches), {count}), against inception(x, branches)"
        right = inception(x, branches)
        for _ in range(2):
            y = segmented(x, first, second, count)
            checks.equal(y, right, what, tolerance=TIGHT)
            joined(mine, [(2 * a, 3 * b) for a, b in branches])  # the first one stays
        again = segmented(x, *joined(mine, branches), count)
        checks.equal(again, right, f"{what}, joined once more", tolerance=TIGHT)


@knock.check("inception and segmented, yours, are the same function")
def same(mine, r):
    branches, x = alike(r, r.size(2, 3), 2, 2, 2), image(r, 2)
    one = checks.call(mine.inception, x, branches)
    two = checks.call(mine.segmented, x, *joined(mine, branches), len(branches))
    what = "segmented(x, *join(branches), len(branches)), against your inception"
    checks.equal(two, np.asarray(one), what, tolerance=TIGHT)


@knock.check("the separable convolution: its order, and nothing in between", points=2)
def order(mine, r):
    f = mine.separable
    args = r(1, 2, 2, 2), r(2, 1, 3, 3), r(2, 2, 1, 1)
    checks.value(f, separable, *args, tolerance=TIGHT)
    for c, o in [(3, 2), (2, 4), (1, 3), (3, 1), (1, 1), (r.size(1, 3), r.size(1, 3))]:
        args = image(r, c), r(c, 1, 3, 3), r(o, c, 1, 1)
        checks.value(f, separable, *args, tolerance=TIGHT)
    for n, h, w in SIZES:
        args = r(n, 2, h, w), r(2, 1, 3, 3), r(3, 2, 1, 1)
        checks.value(f, separable, *args, tolerance=TIGHT, again=False)
    x, y, *kernels = r(1, 2, 2, 3), r(1, 2, 2, 3), r(2, 1, 3, 3), r(3, 2, 1, 1)
    both = checks.call(f, x - y, *kernels)
    apart = checks.call(f, x, *kernels) - checks.call(f, y, *kernels)
    what = "separable is linear: separable(x - y), against separable(x) - separable(y)"
    checks.equal(both, apart, what, tolerance=TIGHT)


def whole(received, right, title):
    """A count must be this whole number, an int."""
    checks.true(
        isinstance(received, int | np.integer) and not isinstance(received, bool),
        f"{title} must be a whole number (int); got {received!r}",
        type(received).__name__,
    )
    text = f"{title} must be {right:,}; got {received:,}"
    checks.true(received == right, text, int(received))


@knock.check("how many weights the kernels have, exactly", points=2)
def weights(mine, r):
    shapes = [(3, 4, 6, 2), (2, 3, 3, 3), (4, 2, 3, 1), (1, 1, 1, 1)]
    for _ in range(3):
        s = r.size(1, 4)
        shapes.append((r.size(2, 7), s * r.size(2, 4), s * r.size(1, 4), s))
    for c, m, o, s in shapes:
        first, second = np.empty((m, c, 1, 1)), np.empty((o, m // s, 3, 3))
        received = checks.call(mine.segmented_weights, c, m, o, s)
        title = f"segmented_weights({c}, {m}, {o}, {s})"
        whole(received, first.size + second.size, title)
    for c, m, o, _ in [(2, 0, 5, 0), (5, 0, 2, 0), *shapes, (728, 0, 728, 0)]:
        right = np.empty((c, 1, 3, 3)).size + np.empty((o, c, 1, 1)).size
        received = checks.call(mine.separable_weights, c, o)
        whole(received, right, f"separable_weights({c}, {o})")
    odd = 10**9 + 2 * r.size(1, 99) + 1
    for c, m, o, s in [  # beyond 32, 53 and 64 bits
        (10**5 + 3, 10**5 + 2, 3, 1),
        (odd, 2 * odd, odd, 1),
        (10**10 + 1, 2 * odd + 1, 10**10 + 1, 1),
        (7, 3 * (10**17 + 1), 3, 3),
        (odd, 5 * odd, 25 * odd, 5),
    ]:
        received = checks.call(mine.segmented_weights, c, m, o, s)
        per_filter = len(range(0, m, s))  # channels
        right = c * m + 9 * o * per_filter
        whole(received, right, f"segmented_weights({c}, {m}, {o}, {s})")
    for c, o in [(10**5 + 3, 10**5), (odd, odd + 1), (10**10 + 1, 10**10)]:
        received = checks.call(mine.separable_weights, c, o)
        whole(received, 9 * c + o * c, f"separable_weights({c}, {o})")


@knock.check("float32 stays float32; views are right; earlier results stay")
def layout(mine, r):
    def turned(a):
        return np.asfortranarray(a).astype(np.float32)[::-1, ::-1]

    x, pairs = turned(r(2, 2, 3, 2)).swapaxes(2, 3), alike(r, 2, 2, 2, 1)
    branches = [(turned(a), turned(b).swapaxes(2, 3)) for a, b in pairs]
    checks.value(mine.inception, inception, x, branches)
    first, second = joined(mine, branches)
    y = segmented(x, first, second, 2)
    checks.equal(y, inception(x, branches), "join(branches), of views")
    args = x, turned(r(4, 2, 1, 1)), turned(r(2, 1, 3, 3)).swapaxes(2, 3)
    checks.value(mine.segmented, segmented, *args[:2], turned(r(2, 2, 3, 3)), 2)
    checks.value(mine.separable, separable, x, args[2], args[1])


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    x, first, second = r(1, 2, 2, 2), r(2, 2, 1, 1), r(2, 1, 3, 3)
    branches = [(first, r(1, 2, 3, 3)), (first + 1, r(1, 2, 3, 3))]
    for a, name in ((x, "x"), (first, "a 1 x 1 kernel"), (second, "a 3 x 3 kernel")):
        mine.inception(x, branches), mine.join(branches)
        mine.segmented(x, first, second, 2), mine.separable(x, second, first)
        a *= -2  # the same array with other numbers
        what = f"again, after {name} was changed in place"
        y, right = mine.inception(x, branches), inception(x, branches)
        checks.equal(y, right, f"inception {what}")
        y = segmented(x, *joined(mine, branches), 2)
        checks.equal(y, right, f"join {what}")
        y, right = mine.segmented(x, first, second, 2), segmented(x, first, second, 2)
        checks.equal(y, right, f"segmented {what}")
        y, right = mine.separable(x, second, first), separable(x, second, first)
        checks.equal(y, right, f"separable {what}")


knock.wrong(
    "no ReLU in the branches",
    "there is no ReLU in your branches: without it a 1 x 1 and a 3 x 3 are together "
    "nothing but one 3 x 3",
    (
        "middle = np.maximum(pointwise_conv2d(x, first), 0)\n        y",
        "middle = pointwise_conv2d(x, first)\n        y",
    ),
)
knock.wrong(
    "ReLU at the end",
    "the ReLU stands behind the 3 x 3; it belongs between the two convolutions",
    (
        "middle = np.maximum(pointwise_conv2d(x, first), 0)\n        y.append("
        "conv2d(middle, second, 1, 1, 1))",
        "middle = pointwise_conv2d(x, first)\n        y.append("
        "np.maximum(conv2d(middle, second, 1, 1, 1), 0))",
    ),
)
knock.wrong(
    "another ReLU at the end",
    "there is a second ReLU behind the 3 x 3; nothing is done to its result",
    (
        "y.append(conv2d(middle, second, 1, 1, 1))",
        "y.append(np.maximum(conv2d(middle, second, 1, 1, 1), 0))",
    ),
)
knock.wrong(
    "size absolute",
    "you take the absolute value; ReLU gives 0 for all that is negative",
    (
        "middle = np.maximum(pointwise_conv2d(x, first), 0)\n        y",
        "middle = np.abs(pointwise_conv2d(x, first))\n        y",
    ),
)
knock.wrong(
    "branches in a row",
    "every branch reads what the branch before it has given; all of them read x",
    (
        "        middle = np.maximum(pointwise_conv2d(x, first), 0)\n        y",
        "        x = x if not y else np.resize(y[-1], x.shape)\n"
        "        middle = np.maximum(pointwise_conv2d(x, first), 0)\n        y",
    ),
)
knock.wrong(
    "no padding",
    "the image has become smaller: a 3 x 3 needs padding 1",
    ("conv2d(middle, second, 1, 1, 1)", "conv2d(middle, second, 1, 0, 1)"),
)
knock.wrong(
    "branches reversed",
    "the branches' results are concatenated in reverse order",
    ("np.concatenate(y, axis=1)", "np.concatenate(y[::-1], axis=1)"),
)
knock.wrong(
    "branches added up",
    "the branches' results are added up; they are concatenated along the channels",
    (
        "np.concatenate(y, axis=1)",
        "sum(y) if len({a.shape for a in y}) == 1 else np.concatenate(y, axis=1)",
    ),
)
knock.wrong(
    "segments without a ReLU",
    "segmented has no ReLU between its convolutions",
    (
        "    middle = np.maximum(pointwise_conv2d(x, first), 0)\n    return",
        "    middle = pointwise_conv2d(x, first)\n    return",
    ),
)
knock.wrong(
    "segments with a ReLU at the end",
    "in segmented the ReLU stands behind the 3 x 3; it belongs between the two "
    "convolutions",
    (
        "    middle = np.maximum(pointwise_conv2d(x, first), 0)\n"
        "    return grouped_conv2d(middle, second, segments, 1, 1)",
        "    middle = pointwise_conv2d(x, first)\n"
        "    return np.maximum(grouped_conv2d(middle, second, segments, 1, 1), 0)",
    ),
)
knock.wrong(
    "segments dealt out in turn",
    "a segment of yours takes every segments-th channel; it is a row of neighbours, "
    "which is what grouped_conv2d takes by itself",
    (
        "    return grouped_conv2d(middle, second, segments, 1, 1)",
        "    order = np.arange(len(first)).reshape(-1, segments).T.ravel()\n"
        "    return grouped_conv2d(middle[:, order], second, segments, 1, 1)",
    ),
)
knock.wrong(
    "joined along the channels",
    "the second kernels are joined along their channels; the branches' filters follow "
    "each other, which is axis 0",
    (
        "np.concatenate(first), np.concatenate(second)",
        "np.concatenate(first), np.concatenate(second, axis=1)",
    ),
)
knock.wrong(
    "joined with zeros",
    "second is the kernel of an ordinary convolution, mostly zeros; that of a grouped "
    "one has only the m channels of its own group",
    (
        "    return np.concatenate(first), np.concatenate(second)",
        "    n, m = second[0].shape[:2]\n"
        "    b, dtype = len(second), second[0].dtype\n"
        "    full = np.zeros((b * n, b * m, 3, 3), dtype)\n"
        "    for a, kernel in enumerate(second):\n"
        "        full[a * n : (a + 1) * n, a * m : (a + 1) * m] = kernel\n"
        "    return np.concatenate(first), full",
    ),
)
knock.wrong(
    "joined in turn",
    "the first kernels are interlaced: first one filter of every branch, then the "
    "next; put all filters of a branch side by side, for they are one group",
    (
        "    return np.concatenate(first), np.concatenate(second)",
        "    mixed = np.stack(first, axis=1).reshape(-1, *first[0].shape[1:])\n"
        "    return mixed, np.concatenate(second)",
    ),
)
knock.wrong(
    "joined in another order",
    "the first kernels are joined in reverse, so that branches exchange their parts",
    (
        "np.concatenate(first), np.concatenate(second)",
        "np.concatenate(first[::-1]), np.concatenate(second)",
    ),
)
knock.wrong(
    "ReLU in the separable convolution",
    "there is a ReLU in your separable convolution: that of Xception has nothing "
    "between its two halves",
    (
        "pointwise_conv2d(depthwise_conv2d(x, depthwise, 1, 1), pointwise)",
        "pointwise_conv2d(\n"
        "        np.maximum(depthwise_conv2d(x, depthwise, 1, 1), 0), pointwise\n"
        "    )",
    ),
)
knock.wrong(
    "ReLU behind the separable convolution",
    "there is a ReLU behind your separable convolution: it is linear",
    (
        "    return pointwise_conv2d(depthwise_conv2d(x, depthwise, 1, 1), pointwise)",
        "    y = pointwise_conv2d(depthwise_conv2d(x, depthwise, 1, 1), pointwise)\n"
        "    return np.maximum(y, 0)",
    ),
)
knock.wrong(
    "pointwise first",
    "where O = C you go through the 1 x 1 first: that is the order of the extreme "
    "Inception module; a separable convolution begins with the 3 x 3",
    (
        "    return pointwise_conv2d(depthwise_conv2d(x, depthwise, 1, 1), pointwise)",
        "    if len(pointwise) == len(depthwise):\n"
        "        mixed = pointwise_conv2d(x, pointwise)\n"
        "        return depthwise_conv2d(mixed, depthwise, 1, 1)\n"
        "    return pointwise_conv2d(depthwise_conv2d(x, depthwise, 1, 1), pointwise)",
    ),
)
knock.wrong(
    "segments not counted",
    "every filter of the 3 x 3 is counted with all M channels; it has only those of "
    "its own segment",
    ("filters * (middle // segments) * 9", "filters * middle * 9"),
)
knock.wrong(
    "segments in the 1 x 1",
    "the 1 x 1 kernel is divided by the segments, too; it is one ordinary kernel that "
    "reads all of x",
    ("return middle * channels +", "return middle * channels // segments +"),
)
knock.wrong(
    "one segment only",
    "only the weights of one segment of the 3 x 3 are counted: you divide by the "
    "segments twice",
    (
        "filters * (middle // segments) * 9",
        "filters // segments * (middle // segments) * 9",
    ),
)
knock.wrong(
    "biases counted",
    "you count biases: there are none here",
    (
        "filters * (middle // segments) * 9",
        "filters * (middle // segments) * 9 + middle + filters",
    ),
)
knock.wrong(
    "count a float",
    "the count is a float: divide whole numbers with //",
    ("(middle // segments)", "(middle / segments)"),
)
knock.wrong(
    "3 x 3 on the filters",
    "the 3 x 3 of the separable convolution is counted on the O channels of the "
    "result; it stands first, on the C channels of x",
    ("return channels * 9 + filters", "return filters * 9 + filters"),
)
knock.wrong(
    "both at once",
    "you multiply the two kernels' weights: that is an ordinary convolution; separable "
    "means that they add up",
    ("channels * 9 + filters * channels", "channels * 9 * filters"),
)
