"""Grader of k052: to mix kernels is to mix outputs."""

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Write y[0, o, p, q] out as sums, over the experts and over what the kernel "
        "sees. Two sums can be exchanged: that is all.",
        "For kernels, conv gets one image and one mixed kernel at a time. For outputs, "
        "all experts are one large kernel of n * O filters; its output is reshaped to "
        "(N, n, O, oh, ow), and the biases come before the shares.",
        "kernels = np.tensordot(alpha, experts, axes=1), y[b] = conv(x[[b]], "
        "kernels[b])[0] + (alpha[b] @ biases)[:, None, None]; each = conv(x, "
        "experts.reshape(n * O, C, kh, kw)).reshape(N, n, O, oh, ow) + biases[:, :, "
        "None, None], summed over axis 1 with alpha[:, :, None, None, None]; n * W + "
        "places * W and n * places * W.",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [  # N, C, O, n, kh, kw, H, W
    (2, 2, 3, 4, 2, 2, 3, 4),
    (1, 2, 1, 3, 1, 2, 2, 3),
    (3, 1, 2, 1, 2, 1, 3, 2),
    (2, 3, 1, 2, 1, 1, 1, 1),
    (1, 1, 1, 1, 1, 1, 1, 1),
    (2, 1, 1, 9, 2, 3, 5, 4),
    (3, 3, 3, 3, 3, 3, 3, 3),
    (2, 2, 2, 2, 2, 2, 2, 2),
    (4, 2, 4, 2, 3, 1, 4, 3),
    (17, 1, 2, 2, 1, 2, 2, 2),
    (1, 2, 2, 2, 2, 3, 12, 9),
    (2, 1, 9, 3, 1, 1, 1, 3),
    (1, 1, 2, 17, 1, 1, 1, 2),
]
WAYS = "mix_kernels", "mix_outputs"


def ordinary(x, w, stride=1, padding=0):
    """A convolution, tap by tap."""
    (n, c, h, width), (filters, _, kh, kw) = x.shape, w.shape
    wide = np.zeros((n, c, h + 2 * padding, width + 2 * padding), x.dtype)
    wide[:, :, padding : padding + h, padding : padding + width] = x
    oh = (h + 2 * padding - kh) // stride + 1
    ow = (width + 2 * padding - kw) // stride + 1
    y = np.zeros((n, filters, oh, ow), np.result_type(x, w))
    for o, k, i, j in np.ndindex(*w.shape):
        rows = slice(i, i + stride * (oh - 1) + 1, stride)
        columns = slice(j, j + stride * (ow - 1) + 1, stride)
        y[:, o] += w[o, k, i, j] * wide[:, k, rows, columns]
    return y


def strided(x, w):
    return ordinary(x, w, 2, 2)


def padded(x, w):
    return ordinary(x, w, 1, 1)


def curved(x, w):
    """Linear in w, but not in x."""
    return ordinary(x * x - 1, w)


def turned(x, w):
    """The kernel meets the image upside down; the result is a view."""
    return ordinary(x, w[:, :, ::-1])[:, :, ::-1]


def summed(x, w):
    """No convolution at all: one place, all pixels and all taps."""
    y = np.einsum("bchw,ockl->bo", x, w)
    return y[:, :, None, None]


MAPS = ordinary, padded, strided, curved, turned, summed


class Counted:
    """A conv that knows for how much it was used; ``calls``: (images, filters).

    ``pairs``: every image and filter that met, as bytes.
    """

    def __init__(self, conv):
        self.conv, self.calls, self.pairs = conv, [], set()

    def __call__(self, x, w):
        fits = np.ndim(x) == np.ndim(w) == 4 and x.shape[1] == w.shape[1]
        if not fits:
            shapes = f"{np.shape(x)} and {np.shape(w)}"
            raise Mistake(
                "conv(x, w) takes images (N, C, H, W) and a kernel (O, C, kh, kw); it "
                f"was called with {shapes}",
                shapes,
            )
        checks.true(
            x.dtype == w.dtype,
            "conv(x, w) takes floats of one dtype; it was called with "
            f"{x.dtype} and {w.dtype}",
            ("dtypes", str(x.dtype), str(w.dtype)),
        )
        self.calls.append((len(x), len(w)))
        filters = [one.tobytes() for one in w]
        self.pairs |= {(image.tobytes(), one) for image in x for one in filters}
        return self.conv(x, w)


def forward(x, alpha, experts, biases, conv):
    """One expert on one image after the other."""
    out = [0] * len(x)
    for b, i in np.ndindex(*alpha.shape):
        y = conv(x[b : b + 1], experts[i])[0]
        out[b] = out[b] + alpha[b, i] * (y + biases[i][:, None, None])
    return np.array(out, x.dtype)


def sample(r, n, c, o, experts, kh, kw, h, w):
    """Images, shares, experts and biases."""
    x, alpha = r(n, c, h, w), r(n, experts)
    return x, alpha, r(experts, o, c, kh, kw), r(experts, o)


def anything(r):
    """Sizes of any kind."""
    n, c, o, experts, kh, kw = (r.size(1, 4) for _ in range(6))
    return n, c, o, experts, kh, kw, kh + r.size(0, 3), kw + r.size(0, 3)


def small(r):
    """Two images of one pixel, two experts: whole numbers."""
    x = 1.0 + r.rng.permutation(2).reshape(2, 1, 1, 1)
    alpha = np.array([[1.0, 2.0], [3.0, -1.0]])
    experts = np.array([2.0, 5.0, 7.0, 3.0]).reshape(2, 2, 1, 1, 1)
    return x, alpha, experts, np.array([[10.0, 20.0], [40.0, 50.0]])


def on_all(f, r):
    """A way against the loops, for all sizes and all maps."""
    checks.value(f, forward, *small(r), ordinary, tolerance=(0, 0))
    for i, case in enumerate([*CASES, anything(r), anything(r)]):
        args = sample(r, *case)
        checks.value(f, forward, *args, ordinary, tolerance=TIGHT, again=i < 6)
        checks.value(f, forward, *args, r.choice(MAPS), tolerance=TIGHT, again=False)
    x, alpha, *rest = sample(r, *CASES[0])
    alpha = np.round(alpha[:1], 1) + 1e-3 * r(*alpha.shape)  # nearly equal shares
    checks.value(f, forward, x, alpha, *rest, ordinary, tolerance=TIGHT, again=False)
    for conv in MAPS:
        args = sample(r, *CASES[0])
        checks.value(f, forward, *args, conv, tolerance=TIGHT, again=False)


def used(f, r, wanted, words):
    """How much of conv is called: exactly so many images times filters."""
    for case in [*CASES, anything(r)]:
        args, conv = sample(r, *case), Counted(ordinary)
        y = checks.call(f, *args, conv)
        what = f"{f.__name__} with a conv that counts"
        checks.equal(y, forward(*args, ordinary), what, tolerance=TIGHT)
        count = sum(images * filters for images, filters in conv.calls)
        n, experts, o = *args[1].shape, args[2].shape[1]
        text = f"{f.__name__}, N = {n}, n = {experts}, O = {o}: images times filters, "
        text += f"over all calls of conv, must be {words} = {wanted(n, experts, o)}; "
        text += f"got {count}"
        checks.true(count == wanted(n, experts, o), text, conv.calls)
        if f.__name__ == "mix_outputs":
            x, _, kernels, _ = args
            filters = kernels.reshape(-1, *kernels.shape[2:])
            met = {(image.tobytes(), w.tobytes()) for image in x for w in filters}
            text = "mix_outputs: each image must be convolved with every expert itself;"
            text += " conv was called with other images or kernels"
            checks.true(conv.pairs == met, text, ("others", conv.calls))


@knock.check("mix_kernels: a kernel for each image", points=2)
def by_kernels(mine, r):
    on_all(mine.mix_kernels, r)


@knock.check("mix_kernels: conv is used once for each image")
def once(mine, r):
    used(mine.mix_kernels, r, lambda n, experts, o: n * o, "N * O")


@knock.check("mix_outputs: every expert, then the sum", points=2)
def by_outputs(mine, r):
    on_all(mine.mix_outputs, r)


@knock.check("mix_outputs: conv is used once for each image and expert")
def each(mine, r):
    used(mine.mix_outputs, r, lambda n, experts, o: n * experts * o, "N * n * O")


@knock.check("both ways are the same, and with equal experts a plain convolution")
def invariants(mine, r):
    x, alpha, experts, biases = sample(r, *anything(r))
    y = [checks.call(getattr(mine, f), x, alpha, experts, biases, padded) for f in WAYS]
    checks.equal(y[0], y[1], "mix_kernels beside mix_outputs", tolerance=TIGHT)
    alpha = alpha - (alpha.sum(1, keepdims=True) - 1) / alpha.shape[1]  # sums are 1
    experts[:], biases[:] = experts[0], biases[0]
    right = padded(x, experts[0]) + biases[0][:, None, None]
    for name in WAYS:
        y = checks.call(getattr(mine, name), x, alpha, experts, biases, padded)
        what = f"{name} where all experts are equal and shares sum to 1"
        checks.equal(y, right, what, tolerance=(1e-9, 1e-10))


@knock.check("costs: the multiply-adds of both ways", points=2)
def counts(mine, r):
    cases = [(64, 128, 3, 8, 196), (1, 1, 1, 1, 1), (2, 3, 1, 4, 1), (5, 2, 3, 1, 7)]
    cases += [tuple(r.size(1, 9) for _ in range(5)) for _ in range(4)]
    cases += [(4096, 4096, 7, 64, 10**9 + 7), (3**20 + 2, 5**12, 11, 33, 7**9)]
    found = [checks.call(mine.costs, *case) for case in cases]
    evidence = [str(pair)[:80] for pair in found]
    for case, pair in zip(cases, found):
        text = f"costs{case} must give a pair (kernels, outputs); got {pair!r}"
        checks.true(isinstance(pair, tuple | list) and len(pair) == 2, text, evidence)
        c, o, k, n, places = case
        # Product by product: mixing has n for every weight, a convolution one a place.
        products = n + places, n * places
        for name, got, times in zip(("kernels", "outputs"), pair, products):
            right = sum([c * o * times] * (k * k))
            whole = isinstance(got, int | np.integer) and not isinstance(got, bool)
            text = f"costs{case}, {name}: must be {right:,}; got {got!r}"
            checks.true(whole and int(got) == right, text, evidence)


@knock.check("float32 stays float32; views are right")
def layout(mine, r):
    for name in WAYS:
        f = getattr(mine, name)
        for case in ((4, 3, 2, 3, 2, 2, 3, 5), (2, 2, 4, 2, 1, 3, 2, 4)):
            x, alpha, experts, biases = sample(r, *case)
            x, alpha = np.asfortranarray(x)[::-1, :, :, ::-1], alpha[:, ::-1]
            experts, biases = experts.swapaxes(3, 4)[::-1, ::-1], biases.T.copy().T
            x = x.swapaxes(2, 3)
            args = x, alpha, experts, biases
            checks.value(f, forward, *args, padded, tolerance=TIGHT)
            args = [a.astype(np.float32) for a in args]
            try:
                checks.value(f, forward, *args, padded)
                checks.call(f, *args, Counted(padded))
            except Mistake as mistake:
                raise Mistake(mistake.message, (name, mistake.evidence)) from None


@knock.check("results are arrays of their own, and nothing is kept from call to call")
def memory(mine, r):
    for name in WAYS:
        f = getattr(mine, name)
        for case in ((2, 2, 1, 2, 1, 1, 1, 2), (1, 1, 1, 1, 1, 1, 1, 1)):
            arrays, what = sample(r, *case), name
            for a, word in zip(
                (None, *arrays), ("", "x", "alpha", "experts", "biases")
            ):
                if a is not None:
                    a *= -2  # the same array with other numbers
                    what = f"{name}, again, after {word} was changed in place"
                y, right = f(*arrays, ordinary), forward(*arrays, ordinary)
                checks.equal(y, right, what, tolerance=TIGHT)
                shared = any(np.shares_memory(y, b) for b in arrays)
                text = f"{name}: y shares memory with an argument; make a new array"
                checks.true(not shared, text, (name, "shared"))
                text = f"{name}: y cannot be written to; make a new array"
                checks.true(y.flags.writeable, text, (name, "read-only"))


KERNELS = "kernels = np.tensordot(alpha, experts, axes=1)  # (N, O, C, kh, kw)"
CONV = "y = np.concatenate([conv(x[[b]], kernels[b]) for b in range(len(x))])"
BIAS = "return y + (alpha @ biases)[:, :, None, None]"
EACH = "each = conv(x, experts.reshape(n * filters, *experts.shape[2:]))"
SHAPE = "each = each.reshape(len(x), n, filters, *each.shape[2:])"
SHIFT = "each = each + biases[:, :, None, None]"
SUM = 'return np.einsum("bi,bi...->b...", alpha, each)'
WEIGHTS = "weights = filters * channels * kernel**2"
COSTS = "return n * weights + places * weights, n * places * weights"

knock.wrong(
    "kernels of the first image",
    "all images are convolved with the kernel of the first; each has its own",
    (CONV, CONV.replace("kernels[b]", "kernels[0]")),
)
knock.wrong(
    "kernel of the batch",
    "the shares are averaged over the batch; the identity holds for each image alone",
    (KERNELS, KERNELS.replace("alpha,", "alpha.mean(0) + 0 * alpha,")),
)
knock.wrong(
    "shares divided by their sum",
    "you divide the shares by their sum; they are taken as they are",
    (KERNELS, KERNELS.replace("alpha,", "alpha / alpha.sum(1)[:, None],")),
)
knock.wrong(
    "mean kernel",
    "the sum of the experts is divided by n; it is a plain sum",
    (KERNELS, KERNELS.replace("axes=1)", "axes=1) / alpha.shape[1]")),
)
knock.wrong(
    "biases forgotten",
    "mix_kernels: the biases are missing; they are mixed as the kernels are",
    (BIAS, "return y"),
)
knock.wrong(
    "biases not mixed",
    "mix_kernels: the biases are added up without their shares",
    (BIAS, "return y + biases.sum(0)[:, None, None]"),
)
knock.wrong(
    "first bias",
    "mix_kernels: the bias of the first expert is used for all",
    (BIAS, "return y + biases[0][:, None, None]"),
)
knock.wrong(
    "all images with all kernels",
    "every image is convolved with the kernels of all images, and most of it is thrown "
    "away: N times the work",
    (
        CONV,
        "y = np.stack([conv(x, kernels[b])[b] for b in range(len(x))])",
    ),
)
knock.wrong(
    "outputs in place of kernels",
    "mix_kernels mixes outputs: the result is the same, but conv was used n times",
    (CONV, "y = mix_outputs(x, alpha, experts, 0 * biases, conv)"),
)
knock.wrong(
    "outputs not used",
    "mix_outputs calls conv for the experts, but mixes kernels and drops those outputs",
    (
        EACH,
        "y = [conv(x, w) for w in experts[1:]]\n"
        "    return mix_kernels(x, alpha, experts, biases, conv)\n    " + EACH,
    ),
)
knock.wrong(
    "kernel of nearly the same shares",
    "an image whose shares are near those of the first gets its kernel; use its own",
    (CONV, CONV.replace("[b])", "[b * (abs(alpha[b] - alpha[0]).max() > 0.1)])")),
)
knock.wrong(
    "kernels in place of outputs",
    "mix_outputs mixes kernels: the result is the same, but conv saw no expert",
    (SUM, "return mix_kernels(x, alpha, experts, biases, conv)"),
    (EACH, "each = np.zeros((len(x), n * filters, 1, 1))"),
)
knock.wrong(
    "image after image twice",
    "mix_outputs convolves the whole batch again for each image: N times the work",
    (EACH, EACH + "\n    for _ in x[1:]:\n        conv(x, experts[0])"),
)
knock.wrong(
    "filters before experts",
    "the n * O channels are taken apart in the wrong order: the O filters of expert 0 "
    "come first",
    (
        SHAPE,
        "each = each.reshape(len(x), filters, n, *each.shape[2:]).swapaxes(1, 2)",
    ),
)
knock.wrong(
    "biases after the shares",
    "mix_outputs adds the biases after the outputs are mixed; each belongs to its "
    "expert and gets its share",
    (SHIFT, "each = each"),
    (SUM, SUM + " + biases.sum(0)[:, None, None]"),
)
knock.wrong(
    "outputs without biases",
    "mix_outputs: the biases are missing",
    (SHIFT, "each = each"),
)
knock.wrong(
    "shares of the first image",
    "mix_outputs uses the shares of the first image for all",
    (SUM, SUM.replace("alpha,", "alpha[0] + 0 * alpha,")),
)
knock.wrong(
    "outputs not shared out",
    "the outputs are added up without their shares",
    (SUM, "return each.sum(axis=1)"),
)
knock.wrong(
    "mean of the outputs",
    "the mixed outputs are divided by n; it is a plain sum",
    (SUM, SUM + " / n"),
)
knock.wrong(
    "outputs through a ReLU",
    "the outputs go through a ReLU before they are mixed; then the two ways differ",
    (SHIFT, "each = np.maximum(each + biases[:, :, None, None], 0)"),
)
knock.wrong(
    "best output",
    "you keep the output of the largest share; all of them are added up",
    (SUM, SUM.replace("alpha,", "alpha * (alpha == alpha.max(1)[:, None]),")),
)
knock.wrong(
    "eight experts at most",
    "only the first eight experts are mixed; take all there are",
    (SUM, 'return np.einsum("bi,bi...->b...", alpha[:, :8], each[:, :8])'),
)
knock.wrong(
    "mixing not counted",
    "to mix the kernels costs n * |W| as well: do not leave it out",
    (COSTS, "return places * weights, n * places * weights"),
)
knock.wrong(
    "mixing at every place",
    "you mix the kernels anew at every place; once for an image is enough",
    (COSTS, "return n * weights * places + places * weights, n * places * weights"),
)
knock.wrong(
    "costs exchanged",
    "the costs are exchanged: (kernels, outputs)",
    (COSTS, "return n * places * weights, n * weights + places * weights"),
)
knock.wrong(
    "one convolution for outputs",
    "to mix outputs takes n convolutions, not one",
    (COSTS, "return n * weights + places * weights, places * weights"),
)
knock.wrong(
    "kernel of one row",
    "a kernel has kernel * kernel taps",
    (WEIGHTS, "weights = filters * channels * kernel"),
)
knock.wrong(
    "one channel",
    "a filter reads all channels",
    (WEIGHTS, "weights = filters * kernel**2"),
)
knock.wrong(
    "costs as floats",
    "the costs are floats; make them whole numbers",
    (WEIGHTS, "weights = float(filters * channels * kernel**2)"),
)
knock.wrong(
    "counted in 64 bits",
    "your product is computed in floats, which end at 2^53; count in whole numbers",
    (
        WEIGHTS,
        "weights = int(np.prod([filters, channels, kernel, kernel], dtype=float))",
    ),
)
knock.wrong(
    "kernels always float64",
    "mix_kernels: y is float64 even for float32",
    (BIAS, "return (y + (alpha @ biases)[:, :, None, None]).astype(float)"),
)
knock.wrong(
    "outputs always float64",
    "mix_outputs: y is float64 even for float32",
    (SUM, SUM.replace("alpha,", "alpha.astype(float),")),
)
knock.wrong(
    "biases changed",
    "you add to the biases in place; they belong to whoever called",
    (SHIFT, "biases += 0.5\n    each = each + biases[:, :, None, None] - 0.5"),
)
