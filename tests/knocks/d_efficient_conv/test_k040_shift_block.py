"""Grader of k040: the shift block."""

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.compare import plain
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Forwards there are three calls, one in the other. Backwards write down for "
        "each of the three what comes from above and what went in. For the kernel: "
        "what does one tap (i, j) do to one channel?",
        "g goes back through w2.T, then through shift_backward, then through w1.T. gw2 "
        "meets what went into the second convolution (shifted), gw1 what went into the "
        "first (x). A tap of a kernel is a copy of a channel, moved by (i - 1, j - 1), "
        "times one number.",
        'gw2 = np.einsum("nohw,nmhw->om", g, v); gu = shift_backward(pointwise(g, '
        'w2.T), offsets); gw1 = np.einsum("nmhw,nchw->mc", gu, x); gx = pointwise(gu, '
        "w1.T). Kernel: w1 = np.eye(C) with every row 9 times, the nine offsets C "
        "times, w2 = k.reshape(O, 9 * C). Cost: mid * (inputs + outputs) weights, each "
        "used once per pixel.",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [  # N, C, mid, O, H, W, how far the shifts go
    (1, 1, 1, 1, 2, 3, 1),
    (2, 3, 4, 2, 3, 2, 1),
    (2, 2, 3, 2, 3, 3, 2),
    (1, 2, 2, 2, 2, 2, 1),  # square matrices, in which nothing tells rows apart
    (3, 1, 2, 3, 1, 1, 1),
    (1, 2, 5, 1, 4, 1, 3),
    (2, 4, 2, 3, 1, 3, 0),
]
LARGE = [  # inputs, outputs, expansion, height, width: all counts are odd
    (40_000, 30_001, 9, 11, 7),  # beyond 2**31
    (2**20, 2**19 + 1, 9, 10**3 + 1, 10**3 + 1),  # multiplications beyond 2**53
    (2**28, 2**27 + 1, 3, 10**3 + 1, 10**3 + 1),  # 2**53 and 2**63
    (2**40, 2**40 + 1, 3, 3, 5),  # both beyond 2**63
]
TINY = [(1, 1, 2, 1, 2, 2, 1), (2, 2, 2, 2, 1, 2, 1), (1, 2, 3, 1, 2, 1, 1)]


def pixels(x, offsets):
    """Every (middle channel, row, column) and the pixel of x that it comes to see."""
    height, width = x.shape[2:]
    for (m, (dh, dw)), h, w in (
        (moved, h, w)
        for moved in enumerate(np.asarray(offsets).tolist())
        for h in range(height)
        for w in range(width)
    ):
        if 0 <= h + dh < height and 0 <= w + dw < width:
            yield m, (slice(None), slice(None), h, w), h + dh, w + dw


def forward(x, w1, offsets, w2):
    """Every middle channel at every pixel, added to all outputs there."""
    y = np.zeros((len(x), len(w2), *x.shape[2:]), x.dtype)
    for m, at, row, column in pixels(x, offsets):
        y[at] += (x[:, :, row, column] @ w1[m])[:, None] * w2[:, m]
    return y


def backward(g, x, w1, offsets, w2):
    """The same loop: the gradient of each product goes to its factors."""
    gx, gw1, gw2 = (np.zeros(a.shape, a.dtype) for a in (x, w1, w2))
    for m, at, row, column in pixels(x, offsets):
        seen, above = x[:, :, row, column], g[at] @ w2[:, m]
        gw2[:, m] += (seen @ w1[m]) @ g[at]
        gw1[m] += above @ seen
        gx[:, :, row, column] += above[:, None] * w1[m]
    return gx, gw1, gw2


def small_steps(g, *args):
    """The gradients of <g, y>, by differences."""
    return tuple(checks.numeric(forward, args, g, i) for i in (0, 1, 3))


def convolution(x, k):
    """3x3, padding 1, stride 1; tap by tap."""
    (_, _, height, width), y = x.shape, np.zeros((len(x), len(k), *x.shape[2:]))
    for h, w, i, j in np.ndindex(height, width, 3, 3):
        row, column = h + i - 1, w + j - 1
        if 0 <= row < height and 0 <= column < width:
            y[:, :, h, w] += x[:, :, row, column] @ k[:, :, i, j].T
    return y


def sample(r, n, c, mid, o, h, w, far):
    """x, w1, offsets and w2 of these sizes; one channel moves by (0, far)."""
    offsets = r.integers(2 * far + 1, mid, 2) - far
    offsets[-1] = 0, far
    return r(n, c, h, w), r(mid, c), offsets, r(o, mid)


def with_g(r, case):
    """The same behind a gradient from above."""
    x, w1, offsets, w2 = sample(r, *case)
    return r(len(x), len(w2), *x.shape[2:]), x, w1, offsets, w2


def anything(r):
    """Sizes of any kind."""
    n, c, mid, o, h, w = (r.size(1, 3) for _ in range(6))
    return n, c, mid, o, h, w, r.size(0, 3)


def exact(received, expected, what):
    """A whole number that must be exactly right, also where floats are not."""
    number = plain(received, what)
    number = number.item() if number.size == 1 else received
    checks.true(number == expected, f"{what} must be {expected:,}; got {received}")


@knock.check("shift_block agrees with loops on many shapes")
def value(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(mine.shift_block, forward, *sample(r, *case), tolerance=TIGHT)


@knock.check("the three gradients, against small steps and loops", points=3)
def gradients(mine, r):
    for case in TINY:
        three(mine, small_steps, with_g(r, case), tolerance=(1e-5, 1e-7))
    for case in [*CASES, anything(r), anything(r)]:
        three(mine, backward, with_g(r, case), tolerance=TIGHT)


def three(mine, oracle, args, tolerance):
    """All three gradients; the evidence of a mistake is all that came back."""
    f = mine.shift_block_backward
    try:
        checks.value(f, oracle, *args, tolerance=tolerance, again=False)
    except Mistake as mistake:
        found = checks.call(f, *args)
        found = list(found) if isinstance(found, tuple | list) else mistake.evidence
        raise Mistake(mistake.message, found) from None


@knock.check("parameters and multiplications of a block")
def cost(mine, r):
    cases = [(2, 3, 1, 1, 1), (5, 3, 2, 4, 3), (16, 16, 9, 8, 8), (1, 1, 1, 1, 7)]
    cases += [tuple(r.size(1, 9) for _ in range(5)) for _ in range(3)]
    found = [checks.call(mine.block_cost, *case) for case in cases]
    evidence = [np.array(a, float).ravel() if a is not None else None for a in found]
    names = "(inputs, outputs, expansion, height, width)"
    for case, pair in zip(cases, found):
        what = f"block_cost{case} of {names}"
        try:
            good = isinstance(pair, tuple | list | np.ndarray) and len(pair) == 2
            checks.true(good, f"{what} must give (parameters, multiplications)")
            inputs, outputs, expansion, height, width = case
            mid = range(expansion * outputs)
            weights = sum(inputs for _ in mid) + sum(outputs for _ in mid)
            checks.count(pair[0], weights, f"{what}: the number of parameters")
            used = sum(weights for _ in range(height) for _ in range(width))
            checks.count(pair[1], used, f"{what}: the number of multiplications")
        except Mistake as mistake:
            raise Mistake(mistake.message, evidence) from None
    for case in LARGE:
        what = f"block_cost{case} of {names}"
        parameters, products = checks.call(mine.block_cost, *case)
        inputs, outputs, expansion, height, width = case
        right = expansion * outputs * outputs + expansion * outputs * inputs
        exact(parameters, right, f"{what}: the number of parameters")
        right = right * (height * width)
        exact(products, right, f"{what}: the number of multiplications")


@knock.check("a block that is any 3x3 convolution", points=2)
def kernels(mine, r):
    sizes = [
        (2, 3),
        (3, 2),
        (2, 2),
        (2, 2),
        (1, 3),
        (3, 1),
        (r.size(1, 3), r.size(1, 3)),
    ]
    taken = [1.0 + r.rng.permutation(9).reshape(1, 1, 3, 3)]
    taken += [r(*size, 3, 3) for size in sizes]
    blocks = [block_of(mine, k) for k in taken]
    for k, parts in zip(taken, blocks):
        channels = k.shape[1]
        for h, w in ((3, 3), (r.size(1, 4), r.size(1, 4)), (1, 1)):
            x = r(r.size(1, 2), channels, h, w)
            y = forward(x, *parts)
            what = f"the block of a kernel {k.shape} on images {x.shape}"
            checks.equal(y, convolution(x, k), what, tolerance=TIGHT)
    k = r(2, 3, 3, 3).astype(np.float32)
    for a in (k, k.swapaxes(2, 3), k[::-1, ::-1]):
        parts = block_of(mine, a)
        x = r(1, 3, 3, 2)
        w1, offsets, w2 = parts
        y = forward(x, w1.astype(float), offsets, w2.astype(float))
        what = "the block of a float32 kernel that is a view"
        checks.equal(y, convolution(x, a), what, tolerance=(1e-5, 1e-6))


def block_of(mine, k):
    """The answer's block of k, when its shapes and dtypes are right."""
    parts = checks.call(mine.block_of_kernel, k)
    what = f"block_of_kernel(k) of k {k.shape}"
    good = isinstance(parts, tuple | list) and len(parts) == 3
    checks.true(good, f"{what} must give (w1, offsets, w2)", "not three")
    names = "w1", "offsets", "w2"
    parts = [plain(part, f"{what}: {name}") for name, part in zip(names, parts)]
    (filters, channels), mid = k.shape[:2], 9 * k.shape[1]
    shapes = (mid, channels), (mid, 2), (filters, mid)
    for part, shape, name in zip(parts, shapes, names):
        text = f"{what}: {name} must have shape {shape}; got {part.shape}"
        checks.true(part.shape == shape, text)
        wanted = "integers" if name == "offsets" else str(k.dtype)
        good = part.dtype.kind == "i" if name == "offsets" else part.dtype == k.dtype
        checks.true(good, f"{what}: {name} must be {wanted}; got {part.dtype}")
    return parts


@knock.check("float32 stays float32; views are right; earlier results stay")
def layout(mine, r):
    f, back = mine.shift_block, mine.shift_block_backward
    args = g, x, w1, offsets, w2 = with_g(r, (2, 2, 3, 2, 3, 3, 1))
    y = checks.call(f, *args[1:])
    three = checks.call(back, *args)
    checks.value(f, forward, -x, w1, offsets, w2, tolerance=TIGHT)
    checks.value(back, backward, -g, x, w1, offsets, w2, tolerance=TIGHT)
    what = "an earlier result, after another call"
    checks.equal(y, forward(*args[1:]), f"shift_block: {what}")
    checks.equal(three, backward(*args), f"shift_block_backward: {what}")
    g, x, w1, w2 = (np.asfortranarray(a)[::-1] for a in (g, x, w1, w2))
    checks.value(f, forward, x, w1, offsets, w2, tolerance=TIGHT)
    checks.value(back, backward, g, x, w1, offsets, w2, tolerance=TIGHT)
    g, x, w1, w2 = (a.astype(np.float32) for a in (g, x, w1, w2))
    g, x = g.swapaxes(2, 3), x.swapaxes(2, 3)
    checks.value(f, forward, x, w1, offsets, w2)
    checks.value(back, backward, g, x, w1, offsets, w2)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    f, back = mine.shift_block, mine.shift_block_backward
    args = with_g(r, (1, 2, 3, 2, 2, 3, 1))
    for a, name in zip(args, ("g", "x", "w1", "offsets", "w2")):
        f(*args[1:]), back(*args)
        a *= -2 if a.dtype.kind == "f" else -1  # the same array with other numbers
        what = f"again, after {name} was changed in place"
        checks.equal(f(*args[1:]), forward(*args[1:]), f"shift_block {what}")
        three = back(*args)
        checks.equal(three, backward(*args), f"shift_block_backward {what}")


knock.wrong(
    "not shifted",
    "the middle channels are not shifted: then two 1x1 convolutions in a row are only "
    "one, and no pixel sees its neighbours",
    (
        "return pointwise(shift(pointwise(x, w1), offsets), w2)",
        "return pointwise(pointwise(x, w1), w2)",
    ),
)
knock.wrong(
    "shifted the other way",
    "the middle channels are shifted by the negated offsets; that is the way back",
    (
        "return pointwise(shift(pointwise(x, w1), offsets), w2)",
        "return pointwise(shift(pointwise(x, w1), -offsets), w2)",
    ),
)
knock.wrong(
    "cut off below zero",
    "there is a ReLU in the middle; it is left out here",
    (
        "return pointwise(shift(pointwise(x, w1), offsets), w2)",
        "return pointwise(shift(np.maximum(pointwise(x, w1), 0), offsets), w2)",
    ),
)
knock.wrong(
    "always float64",
    "the result is float64 even for float32 images",
    (
        "return pointwise(shift(pointwise(x, w1), offsets), w2)",
        "return pointwise(shift(pointwise(x, w1), offsets), w2).astype(float)",
    ),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: these are the gradients of the plain sum of y; multiply by the "
    "gradient that comes from above",
    (
        "    v = shift(pointwise(x, w1), offsets)\n",
        "    v, g = shift(pointwise(x, w1), offsets), np.ones_like(g)\n",
    ),
)
knock.wrong(
    "gw2 with what is not shifted",
    "gw2 meets the middle channels as they were before the shift; the second "
    "convolution reads them after it",
    ("    v = shift(pointwise(x, w1), offsets)\n", "    v = pointwise(x, w1)\n"),
)
knock.wrong(
    "not shifted back",
    "on the way back the shift is left out: gw1 and gx are made of a gradient that has "
    "not been shifted back",
    (
        "gu = shift_backward(pointwise(g, w2.T), offsets)",
        "gu = pointwise(g, w2.T)",
    ),
)
knock.wrong(
    "shifted on",
    "on the way back the gradient is shifted in the direction of the picture; it must "
    "go back: shift_backward",
    ("gu = shift_backward(", "gu = shift("),
)
knock.wrong(
    "gw1 before the shift back",
    "gw1 is made of the gradient of the shifted channels; it needs that of the "
    "channels before the shift, so shift it back first",
    (
        'gw1 = np.einsum("nmhw,nchw->mc", gu, x)',
        'gw1 = np.einsum("nmhw,nchw->mc", pointwise(g, w2.T), x)',
    ),
)
knock.wrong(
    "gx before the shift back",
    "gx is made of the gradient of the shifted channels; shift it back before it goes "
    "through w1",
    ("pointwise(gu, w1.T), gw1", "pointwise(pointwise(g, w2.T), w1.T), gw1"),
)
knock.wrong(
    "through a matrix of ones",
    "the gradient of the middle channels misses w2: every output passes it on with the "
    "weight that it has read the channel with",
    (
        "shift_backward(pointwise(g, w2.T), offsets)",
        "shift_backward(pointwise(g, np.ones_like(w2.T)), offsets)",
    ),
)
knock.wrong(
    "averaged over the batch",
    "gw1 and gw2 are divided by the number of images: if a mean is wanted the loss "
    "takes it, and then it is in g already",
    (
        "w1.T), gw1, gw2",
        "w1.T), gw1 / x.dtype.type(len(x)), gw2 / x.dtype.type(len(x))",
    ),
)
knock.wrong(
    "gradients exchanged",
    "gw1 and gw2 come back in the wrong order: it is (gx, gw1, gw2)",
    ("w1.T), gw1, gw2", "w1.T), gw2, gw1"),
)
knock.wrong(
    "expansion of the inputs",
    "the middle is expansion times the outputs, not the inputs",
    ("expansion * outputs * (inputs", "expansion * inputs * (inputs"),
)
knock.wrong(
    "a 3x3 kernel counted",
    "you count nine weights for every middle channel, as in a depthwise convolution; a "
    "shift has none",
    (
        "* (inputs + outputs)\n",
        "* (inputs + outputs + 9)\n",
    ),
)
knock.wrong(
    "additions counted",
    "your multiplications are twice too many: additions do not count here",
    ("weights * height * width", "2 * weights * height * width"),
)
knock.wrong(
    "pixels not counted",
    "every weight is used once at every pixel: multiply by height * width",
    ("return weights, weights * height * width", "return weights, weights"),
)
knock.wrong(
    "second layer only",
    "you count the second 1x1 convolution only; the first has mid * inputs weights",
    ("* (inputs + outputs)\n", "* outputs\n"),
)
knock.wrong(
    "expansion left out",
    "the expansion is missing: the middle has expansion * outputs channels",
    ("weights = expansion * outputs", "weights = outputs"),
)
knock.wrong(
    "shifts counted",
    "the offsets are no parameters: they are fixed, and nothing is multiplied by them",
    (
        "return weights, weights *",
        "return weights + 2 * expansion * outputs, weights *",
    ),
)
knock.wrong(
    "kernel turned",
    "your block is the convolution with the kernel turned by 180 degrees: tap (i, j) "
    "sees the pixel at h + i - 1, so its channel has dh = i - 1",
    ("(i - 1, j - 1) for", "(1 - i, 1 - j) for"),
)
knock.wrong(
    "kernel transposed",
    "your block is the convolution with the kernel's rows and columns exchanged: tap "
    "(i, j) has (dh, dw) = (i - 1, j - 1)",
    ("(i - 1, j - 1) for", "(j - 1, i - 1) for"),
)
knock.wrong(
    "not centred",
    "your offsets run from 0 to 2; with padding 1 the middle tap sees the pixel itself",
    ("(i - 1, j - 1) for", "(i, j) for"),
)
knock.wrong(
    "copies in another order",
    "the orders do not agree: w1 repeats all channels nine times in a row, but offsets "
    "and w2 take nine taps of channel 0 first",
    (".repeat(9, axis=0)  #", "[np.arange(9 * channels) % channels]  #"),
)
knock.wrong(
    "offsets in another order",
    "the orders do not agree: the offsets take one tap of all channels first, but w1 "
    "and w2 take nine taps of channel 0 first",
    (
        "np.array(taps * channels)",
        "np.array(taps).repeat(channels, axis=0)",
    ),
)
knock.wrong(
    "every copy reads all channels",
    "every middle channel is the sum of all channels; it must be a copy of one",
    ("np.eye(channels, dtype=k.dtype)", "np.ones((channels, channels), k.dtype)"),
)
knock.wrong(
    "block float64",
    "w1 is float64 even for a float32 kernel: make it with k.dtype",
    ("np.eye(channels, dtype=k.dtype)", "np.eye(channels)"),
)
