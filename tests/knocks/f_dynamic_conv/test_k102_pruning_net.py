"""Grader of k102: PruningNet."""

import math
from fractions import Fraction

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "The kernel is that of an ordinary net with two layers, reshaped and cut. What "
        "must be put where, so that a gradient of the cut kernel becomes one of the "
        "whole?",
        "Backwards, begin with zeros of the full shape; write g into the corner that "
        "was kept. From there it is the backward of two linear layers with a ReLU. "
        "Widths: 10, 13, ..., 100 hundredths, with // and without any float.",
        "h = np.maximum(w1 @ code + b1, 0); (w2 @ h + b2).reshape(shape)[:outputs, "
        ":inputs]; back: gb2 = full.ravel(), gw2 = np.outer(gb2, h), gb1 = (w2.T @ gb2)"
        " * (h > 0), gw1 = np.outer(gb1, code); np.maximum(1, channels * "
        "np.arange(10, 101, 3) // 100).",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [  # inputs, outputs, shape, hidden
    (2, 1, (3, 4, 1, 1), 3),
    (3, 2, (3, 4, 2, 2), 5),
    (1, 1, (1, 1, 1, 1), 1),
    (1, 1, (3, 2, 3, 3), 2),
    (2, 3, (3, 2, 3, 3), 4),  # full width
    (1, 3, (5, 1, 3, 3), 3),  # depthwise
    (2, 2, (4, 4, 1, 1), 32),
    (2, 2, (3, 3, 3, 3), 2),
    (3, 3, (3, 3, 1, 1), 4),
    (1, 4, (4, 3, 1, 1), 2),  # one of the widths is full
    (3, 1, (4, 3, 2, 2), 2),
    (11, 19, (20, 18, 1, 1), 3),
    (2, 1, (2, 3, 5, 5), 6),
    (16, 9, (9, 17, 1, 1), 40),
    (1, 2, (2, 2, 7, 7), 2),
]
TINY = [(2, 1, (2, 3, 1, 1), 3), (1, 1, (1, 1, 1, 1), 2), (1, 2, (2, 2, 2, 2), 4)]


def net(inputs, outputs, w1, b1, shape):
    """Code and hidden numbers, one by one."""
    code = inputs / shape[1], outputs / shape[0]
    h = np.zeros(len(b1), w1.dtype)
    for j in range(len(b1)):
        h[j] = max(0.0, code[0] * w1[j, 0] + code[1] * w1[j, 1] + b1[j])
    return np.array(code, w1.dtype), h


def kernel(inputs, outputs, w1, b1, w2, b2, shape):
    """Only the taps that are wanted, each from its row."""
    _, h = net(inputs, outputs, w1, b1, shape)
    k = np.zeros((outputs, inputs, *shape[2:]), w1.dtype)
    for at in np.ndindex(*k.shape):
        row = np.ravel_multi_index(at, shape)
        k[at] = (w2[row] * h).sum() + b2[row]
    return k


def backward(g, inputs, outputs, w1, b1, w2, b2, shape):
    """The same taps, the other way."""
    code, h = net(inputs, outputs, w1, b1, shape)
    gw1, gb1, gw2, gb2 = (np.zeros(a.shape, a.dtype) for a in (w1, b1, w2, b2))
    for at in np.ndindex(*g.shape):
        row = np.ravel_multi_index(at, shape)
        gb2[row], gw2[row] = g[at], g[at] * h
        gb1 += np.where(h > 0, g[at] * w2[row], 0)
    for j in range(len(b1)):
        gw1[j] = gb1[j] * code
    return gw1, gb1, gw2, gb2


def sample(r, inputs, outputs, shape, hidden):
    """Widths and a PruningNet; some hidden numbers are above 0, and some are below."""
    taps = math.prod(shape)
    code = np.array([inputs / shape[1], outputs / shape[0]])
    w1, sign = r(hidden, 2), np.where(np.arange(hidden) % 3 == 1, -1, 1)
    b1 = sign * r.positive(hidden) - w1 @ code  # before ReLU: not near to 0
    return inputs, outputs, w1, b1, r(taps, hidden), r(taps), shape


def with_g(r, case):
    """The same behind a gradient from above."""
    inputs, outputs, shape, _ = case
    return r(outputs, inputs, *shape[2:]), *sample(r, *case)


def anything(r):
    """Sizes of any kind."""
    o, i, k, hidden = (r.size(1, n) for n in (6, 6, 3, 9))
    return r.size(1, i), r.size(1, o), (o, i, k, k), hidden


def statistics(batches):
    """Channel by channel, all its numbers in one list."""
    both = []
    for c in range(batches[0].shape[1]):
        x = [float(a) for batch in batches for a in batch[:, c].ravel()]
        mean = math.fsum(x) / len(x)
        both.append((mean, math.fsum((a - mean) ** 2 for a in x) / len(x)))
    return tuple(np.array(part, batches[0].dtype) for part in zip(*both))


def apart(name, results, given):
    """No result shares memory with what was given, or with another result."""
    results = list(results) if isinstance(results, tuple | list) else [results]
    for i, result in enumerate(results):
        for other in [*given, *results[:i]]:
            if isinstance(other, np.ndarray):
                text = f"{name}: a result shares memory with another array; make a new "
                checks.true(not np.shares_memory(result, other), text + "one", name)


@knock.check("widths: 31 whole numbers, exactly")
def wide(mine, r):
    cases = [*range(1, 40), 48, 50, 64, 100, 128, 200, 300, 512, 700, 1000, 1024, 10**9]
    cases += [r.size(1, 3000) for _ in range(6)] + [10**9 - r.size(0, 10**6)]
    cases += [100 * r.size(1, 10**4) for _ in range(20)]
    cases += [10**9 - 100 * r.size(0, 10**6) for _ in range(20)]
    found = [checks.call(mine.widths, n) for n in cases]
    evidence = [np.asarray(a, float) for a in found]
    for n, received in zip(cases, found):
        ratios = [Fraction(1, 10) + Fraction(3 * j, 100) for j in range(31)]
        right = np.array([max(1, math.floor(n * ratio)) for ratio in ratios])
        kind = getattr(received, "dtype", np.dtype(object)).kind
        text = f"widths({n}) must be an array of integers; got {type(received)} {kind}"
        checks.true(kind in "iu", text, f"kind {kind}")
        try:
            checks.equal(received.astype(int), right, f"widths({n})")
        except Mistake as mistake:
            raise Mistake(mistake.message, evidence) from None


@knock.check("encoding: the part of the channels that is left")
def code(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        inputs, outputs, shape, _ = case
        right = np.array([Fraction(inputs, shape[1]), Fraction(outputs, shape[0])])
        received = checks.call(mine.encoding, inputs, outputs, shape)
        what = f"encoding({inputs}, {outputs}, {shape})"
        checks.equal(received, right.astype(float), what, tolerance=TIGHT)


@knock.check("kernel: against loops, at full width and below", points=2)
def value(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(mine.kernel, kernel, *sample(r, *case), tolerance=TIGHT)


@knock.check("all four gradients, against small steps, with a random g", points=2)
def gradients(mine, r):
    for case in TINY:
        args = sample(r, *case)
        checks.gradient(mine.kernel_backward, kernel, *args, r=r, wrt=[2, 3, 4, 5])


@knock.check("all four gradients agree with loops; what is cut off gets exactly 0")
def backwards(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        args, again = with_g(r, case), case in CASES[:3]
        f, options = mine.kernel_backward, {"tolerance": TIGHT, "again": again}
        result = checks.value(f, backward, *args, **options)
        inputs, outputs, shape, _ = case
        cut = np.ones(shape, bool)
        cut[:outputs, :inputs] = False
        text = "kernel_backward: not exactly 0 for what is cut off"
        for part in result[2:]:
            checks.true((part[cut.ravel()] == 0).all(), text, "not 0")


@knock.check("the gradient of ReLU at 0 is 0")
def edge(mine, r):
    for case in [(1, 2, (4, 2, 1, 1), 4), (2, 1, (2, 2, 3, 3), 6)]:
        g, inputs, outputs, w1, b1, w2, b2, shape = with_g(r, case)
        w1[::2] = b1[::2] = 0  # w1 code + b1 is exactly 0
        args = g, inputs, outputs, w1, b1, w2, b2, shape
        checks.value(mine.kernel_backward, backward, *args, tolerance=TIGHT)


@knock.check("hidden numbers that are all 0: b2 alone makes the kernel")
def dead(mine, r):
    for case in [*CASES[:8], (1, 2, (3, 2, 2, 2), 1), anything(r)]:
        g, inputs, outputs, w1, b1, w2, b2, shape = with_g(r, case)
        b1 -= 100 + abs(w1).sum(axis=1)
        args = inputs, outputs, w1, b1, w2, b2, shape
        checks.value(mine.kernel, kernel, *args, tolerance=TIGHT)
        checks.value(mine.kernel_backward, backward, g, *args, tolerance=TIGHT)


@knock.check("block_cost: parameters and weights", points=2)
def counts(mine, r):
    cases = [(512, 512, 3, 32), (1, 1, 1, 1), (2, 3, 5, 7), (3, 2, 1, 4)]
    cases += [tuple(r.size(1, 50) for _ in range(4)) for _ in range(4)]
    cases += [(10**9 + 7, 10**9 + 9, 101, 10**8 + 7)]
    found = [checks.call(mine.block_cost, *case) for case in cases]
    for case, pair in zip(cases, found):
        good = isinstance(pair, tuple | list) and len(pair) == 2
        checks.true(good, f"block_cost{case} must give two numbers", "no pair")
        total = weights = 0
        for shape in ((case[0], 1, case[2], case[2]), (case[1], case[0], 1, 1)):
            taps, hidden = math.prod(shape), case[3]
            weights += taps
            total += sum(math.prod(s) for s in ((hidden, 2), (hidden,), (taps,)))
            total += taps * hidden
        for n, right, name in zip(pair, (total, weights), ("parameters", "weights")):
            text = f"block_cost{case}: the {name} must be {right:,}; got {n}"
            checks.true(n == right, text, (case, str(pair)))
            whole = isinstance(n, int | np.integer)
            checks.true(whole, f"block_cost{case}: {n!r} is no whole number", "float")


@knock.check("fresh_statistics: all batches together")
def fresh(mine, r):
    sizes = [(2, 1, 4), (3,), (1,), (5, 2), (1, 1), (7, 1, 2, 3), (20, 3)]
    shapes = [(2, 3, 2), (3, 2, 2), (1, 1, 1), (2, 1, 5), (4, 2, 1), (17, 1, 2)]
    for several in sizes:
        for c, h, w in (*shapes[: 1 + len(several)], (r.size(1, 9), 2, 3)):
            batches = [2 + i + (i + 1) * r(n, c, h, w) for i, n in enumerate(several)]
            options = {"tolerance": (1e-8, 1e-9)}
            checks.value(mine.fresh_statistics, statistics, batches, **options)
            turned = [np.asfortranarray(a)[::-1, ::-1] for a in batches]
            checks.value(mine.fresh_statistics, statistics, turned, **options)
            single = [a.astype(np.float32) for a in turned]
            checks.value(mine.fresh_statistics, statistics, single)


@knock.check("fresh_statistics: a mean far from 0, and many batches")
def far(mine, r):
    f = mine.fresh_statistics
    for sizes in ((3, 2), (1, 2, 1, 3, 2), tuple(range(1, 9))):
        parts = [r(n, 3, 4, 5) for n in sizes]
        batches = [x + 1e6 for x in parts]
        checks.value(f, statistics, batches, tolerance=(1e-10, 0), again=False)
        mean, variance = f([x - 1e7 for x in parts])
        right = statistics([x - 1e7 for x in parts])[1]
        text = "fresh_statistics, numbers around -1e7: the variance"
        checks.equal(variance, right, text, tolerance=(1e-7, 0))
        batches = [(x + 1e3).astype(np.float32) for x in parts]
        text = "fresh_statistics, float32, numbers around 1000: the variance"
        variance, right = f(batches)[1], statistics(batches)[1]
        checks.equal(variance, right, text, tolerance=(1e-4, 0))


@knock.check("float32 stays float32; views are right; results are new arrays")
def layout(mine, r):
    f, back = mine.kernel, mine.kernel_backward
    for case in CASES[:6]:
        args = g, inputs, outputs, w1, b1, w2, b2, shape = with_g(r, case)
        views = [np.asfortranarray(a)[::-1] for a in (g, w2, b2)]
        odd = views[0], inputs, outputs, w1.T.copy().T, b1, *views[1:], shape
        checks.value(f, kernel, *odd[1:], tolerance=TIGHT)
        checks.value(back, backward, *odd, tolerance=TIGHT)
        single = [a.astype("f") if isinstance(a, np.ndarray) else a for a in odd]
        checks.value(f, kernel, *single[1:])
        checks.value(back, backward, *single)
        apart("kernel", f(*args[1:]), args)
        apart("kernel_backward", back(*args), args)
    for x in (r(1, 2, 1, 1), r(3, 1, 2, 2)):
        apart("fresh_statistics", mine.fresh_statistics([x]), [x])


CODE = "np.array([inputs / shape[1], outputs / shape[0]])"
WIDE = "np.maximum(1, channels * np.arange(10, 101, 3) // 100)"
CROP = "    return full[:outputs, :inputs]"
COST = "2 * layers[0] + layers[1], depthwise + pointwise"

knock.wrong(
    "offset of hidden numbers",
    "where all hidden numbers are 0 your b2 is lost; it is added in any case",
    ("(w2 @ h + b2)", "(w2 @ h + b2 * h.any())"),
)
knock.wrong(
    "hidden before ReLU",
    "gw2 is made of the hidden numbers before ReLU; the layer reads them after it",
    ("np.outer(gb2, h)", "np.outer(gb2, w1 @ code + b1)"),
)
knock.wrong(
    "mean of squares",
    "mean of squares less square of the mean loses all digits where the mean is large",
    ("x.var(axis=(0, 2, 3))", "(x * x).mean((0, 2, 3)) - x.mean((0, 2, 3)) ** 2"),
)
knock.wrong(
    "last batch only",
    "only the last batch is looked at; all of them count",
    ("x = np.concatenate(batches)", "x = batches[-1]"),
)
knock.wrong(
    "no channel left",
    "a tenth of a few channels is no channel at all; one must be left",
    (WIDE, "channels * np.arange(10, 101, 3) // 100"),
)
knock.wrong(
    "floats cut off",
    "ratios as floats are a little too small or too large, and cutting them off makes "
    "that a whole channel: count in hundredths",
    (WIDE, "np.maximum(1, (channels * np.arange(0.1, 1.001, 0.03)).astype(int))"),
)
knock.wrong(
    "full width missing",
    "the last width, all channels, is missing",
    ("np.arange(10, 101, 3)", "np.arange(10, 100, 3)"),
)
knock.wrong(
    "code exchanged",
    "the code has the part of the inputs first and that of the outputs second",
    (CODE, CODE + "[::-1]"),
)
knock.wrong(
    "counts for a code",
    "the code is made of counts; divide them by those of the full kernel",
    (CODE, "np.array([inputs, outputs], float)"),
)
knock.wrong(
    "one kernel for all widths",
    "you cut every kernel from that of the full width; the code must be that of the "
    "widths asked for",
    (
        "    h = np.maximum(w1 @ encoding(inputs, outputs, shape)",
        "    h = np.maximum(w1 @ encoding(shape[1], shape[0], shape)",
    ),
)
knock.wrong(
    "no ReLU",
    "the ReLU between the two layers is missing",
    (
        ".astype(w1.dtype) + b1, 0)\n    full = (",
        ".astype(w1.dtype) + b1, -np.inf)\n    full = (",
    ),
)
knock.wrong(
    "crop exchanged",
    "you cut inputs where the outputs are: the first axis is that of the outputs",
    (CROP, "    return full[:inputs, :outputs]"),
)
knock.wrong(
    "last channels kept",
    "you keep the last channels; the first ones stay",
    (CROP, "    return full[shape[0] - outputs :, shape[1] - inputs :]"),
)
knock.wrong(
    "zeros in place of a crop",
    "what is cut off is set to 0, and the kernel is as large as before; cut it off",
    (
        CROP,
        "    small = np.zeros_like(full)\n"
        "    small[:outputs, :inputs] = full[:outputs, :inputs]\n"
        "    return small",
    ),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: these are the gradients of the plain sum of the kernel",
    ("full[:outputs, :inputs] = g\n", "full[:outputs, :inputs] = 1\n"),
)
knock.wrong(
    "something for what is cut off",
    "what is cut off gets a gradient; it has no influence, so its gradient is 0",
    ("full = np.zeros(shape, g.dtype)", "full = np.full(shape, g.mean(), g.dtype)"),
)
knock.wrong(
    "ReLU forgotten backwards",
    "the gradient goes through hidden numbers that ReLU has set to 0",
    ("(w2.T @ gb2) * (h > 0)", "(w2.T @ gb2) * (h >= 0)"),
)
knock.wrong(
    "gradient at 0",
    "where w1 code + b1 is exactly 0, the gradient of ReLU is 0 here",
    (
        "(w2.T @ gb2) * (h > 0)",
        "(w2.T @ gb2) * (w1 @ code + b1 >= 0)",
    ),
)
knock.wrong(
    "one PruningNet",
    "one first layer is counted; each of the two convolutions has a PruningNet",
    (COST, "layers[0] + layers[1], depthwise + pointwise"),
)
knock.wrong(
    "offsets not counted",
    "the offsets of the second layers are parameters, too",
    ("(hidden + 1) * (depthwise", "hidden * (depthwise"),
)
knock.wrong(
    "first offsets not counted",
    "the offsets of the first layers are parameters, too",
    ("2 * hidden + hidden, ", "2 * hidden, "),
)
knock.wrong(
    "an ordinary convolution",
    "you count a k by k kernel over all channels; a depthwise one reads one channel",
    (
        "depthwise, pointwise = channels * k * k",
        "depthwise, pointwise = channels**2 * k * k",
    ),
)
knock.wrong(
    "mean of the batches' means",
    "you average the batches' own statistics; batches differ in size, and their means "
    "differ: that is a part of the variance",
    (
        "    return x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))",
        "    axes = (0, 2, 3)\n"
        "    both = [(b.mean(axis=axes), b.var(axis=axes)) for b in batches]\n"
        "    return tuple(sum(part) / x.dtype.type(len(both)) for part in zip(*both))",
    ),
)
knock.wrong(
    "stale statistics",
    "you go on with running statistics, which begin at 0 and 1 and move by a tenth: "
    "take them anew",
    (
        "    return x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))",
        "    mean, var = np.zeros_like(x[0, :, 0, 0]), np.ones_like(x[0, :, 0, 0])\n"
        "    for b in batches:\n"
        "        mean = 0.9 * mean + 0.1 * b.mean(axis=(0, 2, 3))\n"
        "        var = 0.9 * var + 0.1 * b.var(axis=(0, 2, 3))\n"
        "    return mean, var",
    ),
)
knock.wrong(
    "standard deviation",
    "the second result is the standard deviation; the variance is its square",
    ("x.var(axis=(0, 2, 3))", "x.std(axis=(0, 2, 3))"),
)
knock.wrong(
    "one less in the variance",
    "the variance is divided by one less than the count; it is a plain mean here",
    (
        "x.var(axis=(0, 2, 3))",
        "x.var(axis=(0, 2, 3)) * (x[:, 0].size / max(1, x[:, 0].size - 1))",
    ),
)
knock.wrong(
    "always float64",
    "the kernel is float64 even for float32: make the code of the given dtype",
    (
        ".astype(w1.dtype) + b1, 0)\n    full = (",
        " + b1, 0)\n    full = (",
    ),
)
