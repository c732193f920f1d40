"""Grader of k054: attention over kernels, with a temperature."""

import math
import warnings
from functools import wraps

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Forwards there are four lines, one for each of m, h, z and pi. Which number "
        "can you take from all scores of an image so that no exponent is above 0?",
        "e = np.exp((z - z.max(axis=1, keepdims=True)) / T), divided by its sum along "
        "axis 1. Backwards go from the last line to the first: gz as in the formula, "
        "then two linear layers with a ReLU between, then the mean of k050.",
        "gz = pi * (g - (g * pi).sum(axis=1, keepdims=True)) / T; gw2 = h.T @ gz; gb2 "
        "= gz.sum(0); ga = gz @ w2.T * (a > 0) with a = m @ w1 + b1; gw1 = m.T @ ga; "
        "gb1 = ga.sum(0); every pixel gets ga @ w1.T / (H * W): np.repeat(..., H * W, "
        "axis=1).reshape(x.shape).",
    ],
)

TIGHT = (1e-9, 1e-11)
CASES = [  # N, C, H, W, M, K, T
    (2, 3, 2, 2, 2, 4, 1.0),
    (1, 4, 3, 1, 3, 3, 2.0),
    (3, 1, 1, 1, 1, 2, 0.5),
    (2, 2, 1, 5, 3, 1, 1),
    (1, 1, 4, 3, 2, 2, 30),
    (1, 1, 1, 1, 1, 1, 1.0),
    (3, 3, 3, 3, 3, 3, 0.7),
    (2, 5, 2, 3, 1, 9, 10.0),
    (2, 2, 12, 1, 9, 3, 1.5),
    (17, 2, 2, 1, 3, 2, 1.0),
    (2, 3, 9, 11, 2, 5, 0.25),
    (1, 18, 2, 2, 4, 17, 3.0),
]
TINY = [(2, 2, 1, 2, 3, 3, 0.7), (1, 3, 2, 1, 2, 2, 2.5)]
NAMES = "gx", "gw1", "gb1", "gw2", "gb2"


def layers(x, w1, b1, w2, b2):
    """The means, what goes into the ReLU, and the scores, number by number."""
    x, w1, b1, w2, b2 = (np.asarray(a, float) for a in (x, w1, b1, w2, b2))
    m = np.array([[c.sum() / c.size for c in image] for image in x])
    a = np.array([[row @ w + b for w, b in zip(w1.T, b1)] for row in m])
    h = np.where(a > 0, a, 0)
    return m, a, h, np.array([[row @ w + b for w, b in zip(w2.T, b2)] for row in h])


def shares(z, temperature):
    """1 / (sum of e^difference), which cannot be less than 1."""
    out = np.empty(z.shape)
    for b, k in np.ndindex(*z.shape):
        terms = [(float(other) - float(z[b, k])) / temperature for other in z[b]]
        big = max(terms) > 700
        out[b, k] = 0 if big else 1 / math.fsum(map(math.exp, terms))
    return out


def forward(x, w1, b1, w2, b2, temperature):
    return shares(layers(x, w1, b1, w2, b2)[3], temperature).astype(x.dtype)


def backward(g, x, w1, b1, w2, b2, temperature):
    """With the matrix of the softmax's derivatives, image by image."""
    m, a, h, z = layers(x, w1, b1, w2, b2)
    pi = shares(z, temperature)
    grads = [np.zeros(np.shape(p)) for p in (x, w1, b1, w2, b2)]
    for b in range(len(x)):
        matrix = (np.diag(pi[b]) - np.outer(pi[b], pi[b])) / temperature
        gz = matrix @ np.asarray(g[b], float)
        ga = np.where(a[b] > 0, np.asarray(w2, float) @ gz, 0)
        gm = np.asarray(w1, float) @ ga
        grads[0][b] = gm[:, None, None] / x[b, 0].size
        grads[1] += np.outer(m[b], ga)
        grads[2] += ga
        grads[3] += np.outer(h[b], gz)
        grads[4] += gz
    return tuple(grad.astype(x.dtype) for grad in grads)


def sample(r, n, c, h, w, hidden, k, temperature):
    """Images that are not 0 on average and two layers; no unit is near its kink."""
    while True:
        x, w1, b1 = r(n, c, h, w) + r(n, c, 1, 1), r(c, hidden), r(hidden)
        a = layers(x, w1, b1, r(hidden, k), r(k))[1]
        if abs(a).min() > 1e-3 and (a > 0).any() and ((a < 0).any() or a.size < 4):
            return x, w1, b1, r(hidden, k), r(k), temperature


def with_g(r, case):
    """The same behind a gradient from above."""
    args = sample(r, *case)
    return r(len(args[0]), len(args[4])), *args


def anything(r):
    """Sizes of any kind, and a temperature."""
    return *(r.size(1, 5) for _ in range(6)), float(r.positive())


def muted(f):
    """``f``, with nothing heard of NumPy's warnings: values are looked at first."""

    @wraps(f)
    def function(*args):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f(*args)

    return function


def no_warning(f, *args):
    """NumPy may not warn of anything in f(*args)."""
    before = np.geterr()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        checks.call(f, *args)
        left = np.geterr() != before or list(warnings.filters) != filters
    text = f"{f.__name__}: the values are right, but NumPy warns of an "
    text += f"{heard[0].message if heard else ''} for large scores"
    checks.true(not heard, text, ("warning", f.__name__))
    text = f"{f.__name__} silences NumPy's warnings for the whole program; use `with "
    text += "np.errstate(...)`, or no large exponent"
    checks.true(not left, text, ("silenced", f.__name__))


@knock.check("one pixel, one hidden unit: scores 0, log 2 and log 5")
def small(mine, r):
    one, bias = np.ones((1, 1)), np.array([0, math.log(2), math.log(5)])
    x, w2 = r.positive(2, 1, 1, 1), np.zeros((1, 3))
    for temperature in (1, 0.5, 2.0):
        args = x, one, one[0], w2, bias, temperature
        checks.value(mine.attention, forward, *args, tolerance=TIGHT)


@knock.check("attention: the shares of all kernels", points=2)
def value(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(mine.attention, forward, *sample(r, *case), tolerance=TIGHT)
    x, *rest = sample(r, 3, 2, 4, 3, 3, 4, 1.0)
    x = np.maximum(x, 0)  # after a ReLU: zeros are pixels, too
    checks.value(mine.attention, forward, x, *rest, tolerance=TIGHT)
    args = sample(r, 33, 20, 17, 2, 10, 18, 1.5)
    checks.value(mine.attention, forward, *args, tolerance=TIGHT, again=False)


@knock.check("attention_backward: all five gradients", points=3)
def gradients(mine, r):
    f = mine.attention_backward
    for case in TINY:
        *args, temperature = sample(r, *case)
        wrt = range(5)
        checks.gradient(f, forward, *args, temperature, r=r, wrt=wrt)
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(f, backward, *with_g(r, case), tolerance=TIGHT)
    g, x, w1, b1, *rest = with_g(r, (3, 2, 2, 2, 4, 3, 1.0))
    x[1], b1[1:] = 0, 0  # three units are exactly at 0 for one image
    checks.value(f, backward, g, x, w1, b1, *rest, tolerance=TIGHT)
    b1[1:] = 1e-30, 1e-20, -1e-30  # two of them are on
    checks.value(f, backward, g, x, w1, b1, *rest, tolerance=TIGHT)


@knock.check("invariants: sums of 1, adding to all scores, T large and small")
def invariants(mine, r):
    x, w1, b1, w2, b2, temperature = args = sample(r, *anything(r))
    f, n, k = mine.attention, len(x), len(b2)
    pi = checks.call(f, *args)
    checks.equal(pi.sum(1), np.ones(n), "the sums of the shares", tolerance=TIGHT)
    more = checks.call(f, x, w1, b1, w2, b2 + 7.5, temperature)
    checks.equal(more, pi, "attention with 7.5 added to all scores", tolerance=TIGHT)
    scaled = checks.call(f, x, w1, b1, 4 * w2, 4 * b2, 4 * temperature)
    checks.equal(scaled, pi, "attention with scores and T times 4", tolerance=TIGHT)
    even = checks.call(f, x, w1, b1, w2 / 100, b2 / 100, 1e6)
    text = "attention with T = 1e6: all shares are 1 / K"
    checks.equal(even, np.full((n, k), 1 / k), text, tolerance=(1e-5, 1e-6))
    b2 = np.zeros(4)
    b2[r.integers(4)] = 1
    first = checks.call(f, x, w1, b1, np.zeros((len(b1), 4)), b2, 1e-3)
    text = "attention with T = 0.001, where one score is larger by 1"
    checks.equal(first, np.tile(b2, (n, 1)), text, tolerance=TIGHT)
    for b in range(n):
        one = checks.call(f, x[[b]], *args[1:])
        checks.equal(one, pi[[b]], f"attention for image {b} alone", tolerance=TIGHT)


@knock.check("scores of 1e6 and -1e6, at all temperatures, without a warning", points=2)
def huge(mine, r):
    for size in (40.0, 1000.0, 1e6):
        for temperature in (1e-3, 1.0, 30, 1e6):
            g, x, w1, b1, w2, b2, _ = with_g(r, (2, 3, 2, 2, 3, 5, 1.0))
            whole = r.rng.integers(-2, 3, (3, 5)).astype(float)  # no rounding
            x, w1, b1, w2 = np.ones_like(x), np.sign(w1), np.full(3, 4.0), whole
            for b2 in (size * np.sign(b2), np.full(5, size), np.full(5, -size)):
                b2 = b2 + np.arange(5.0)
                args = g, x, w1, b1, w2, b2, temperature
                both = muted(mine.attention), muted(mine.attention_backward)
                checks.value(both[0], forward, *args[1:], tolerance=TIGHT, again=False)
                no_warning(mine.attention, *args[1:])
                checks.value(both[1], backward, *args, tolerance=TIGHT, again=False)
                no_warning(mine.attention_backward, *args)
            if size == 1e6:
                continue  # too large for float32, if scores are divided by T first
            single = *(a.astype(np.float32) for a in args[:-1]), temperature
            checks.value(both[0], forward, *single[1:], again=False)
            no_warning(mine.attention, *single[1:])
            no_warning(mine.attention_backward, *single)


@knock.check("small T: scores that differ by about T, and equal ones", points=2)
def sharp(mine, r):
    f, back = mine.attention, mine.attention_backward
    for temperature in (1e-3, 3e-3, 0.03, 0.3):
        for equal in (False, True):
            g, x, w1, b1, w2, b2, _ = with_g(r, (2, 3, 2, 2, 3, 4, 1.0))
            w2, b2 = temperature * w2, temperature * b2
            if equal:  # two kernels have the same score, the largest but for few
                w2[:, 1], b2[:2] = w2[:, 0], temperature
            args = g, x, w1, b1, w2, b2, temperature
            checks.value(f, forward, *args[1:], tolerance=TIGHT)
            checks.value(back, backward, *args, tolerance=TIGHT)


@knock.check("images whose scores are at very different heights")
def heights(mine, r):
    for sign in (1, -1):
        g, x, w1, b1, w2, b2, _ = with_g(r, (3, 2, 2, 2, 3, 4, 1.0))
        x, w1 = np.ones_like(x), np.ones_like(w1)
        x[r.integers(3)] = 4000
        w2 = sign * np.ones_like(w2)  # all scores of one image are far away
        args = g, x, w1, b1, w2, b2, 1.0
        checks.value(muted(mine.attention), forward, *args[1:], tolerance=(1e-7, 1e-8))
        f = muted(mine.attention_backward)
        checks.value(f, backward, *args, tolerance=(1e-7, 1e-8))


@knock.check("float32 stays float32; views are right")
def layout(mine, r):
    f, back = mine.attention, mine.attention_backward
    for case in ((4, 4, 3, 6, 3, 3, 1.5), (2, 3, 2, 2, 4, 4, 2)):
        g, x, w1, b1, w2, b2, temperature = with_g(r, case)
        x, g = np.asfortranarray(x)[::-1, ::-1, :, ::2], np.asfortranarray(g)[::-1]
        w1, w2 = np.asfortranarray(w1)[::-1], np.asfortranarray(w2)[:, ::-1]
        b1, b2 = np.repeat(b1, 2)[::2], np.repeat(b2, 2)[::-2]
        arrays = g, x.swapaxes(2, 3), w1, b1, w2, b2
        checks.value(f, forward, *arrays[1:], temperature, tolerance=TIGHT)
        checks.value(back, backward, *arrays, temperature, tolerance=TIGHT)
        arrays = tuple(a.astype(np.float32) for a in arrays)
        checks.value(f, forward, *arrays[1:], temperature)
        checks.value(back, backward, *arrays, temperature)


@knock.check("results are arrays of their own, and nothing is kept from call to call")
def memory(mine, r):
    for case in ((2, 3, 2, 2, 2, 4, 1.0), (1, 1, 1, 1, 1, 1, 1.0)):
        *arrays, t = with_g(r, case)
        what = ""
        for a, name in zip((None, *arrays), ("", "g", "x", "w1", "b1", "w2", "b2")):
            if a is not None:
                a *= -2  # the same array with other numbers
                what = f", again, after {name} was changed in place"
            pi, right = mine.attention(*arrays[1:], t), forward(*arrays[1:], t)
            checks.equal(pi, right, f"attention{what}", tolerance=TIGHT)
            grads, right = mine.attention_backward(*arrays, t), backward(*arrays, t)
            checks.equal(grads, right, f"attention_backward{what}", tolerance=TIGHT)
            for result, name in zip((pi, *grads), ("pi", *NAMES)):
                shared = any(np.shares_memory(result, b) for b in arrays)
                text = f"{name} shares memory with an argument; make a new array"
                checks.true(not shared, text, (name, "shared"))
                text = f"{name} cannot be written to: it is a view; make a new array"
                checks.true(np.asarray(result).flags.writeable, text, (name, "fixed"))
                text = f"{name}: entries share memory: writing to one changes others"
                checks.true(alone(result), text, (name, "overlapping"))


def alone(result):
    """Whether writing to one entry leaves the others as they are."""
    result, before = np.asarray(result), np.array(result)
    result[(0,) * result.ndim] += 1
    return np.count_nonzero(result != before) == 1


RELU = "h = np.maximum(x.mean(axis=(2, 3)) @ w1 + b1, 0)"
SCORES = "z = h @ w2 + b2"
EXP = "e = np.exp((z - z.max(axis=1, keepdims=True)) / temperature)"
SHARE = "return e / e.sum(axis=1, keepdims=True)"
GZ = "gz = pi * (g - (g * pi).sum(axis=1, keepdims=True)) / temperature"
GA = "ga = gz @ w2.T * (a > 0)"
GX = "gx = np.repeat(ga @ w1.T / pixels, pixels, axis=1).reshape(x.shape)"
GRADS = "return gx, m.T @ ga, ga.sum(axis=0), h.T @ gz, gz.sum(axis=0)"


def wrong(name, diagnosis, old, new):
    knock.wrong(name, diagnosis, (old, new))


def part(name, diagnosis, old, few, new):
    """Only some of a line of the solution is another."""
    knock.wrong(name, diagnosis, (old, old.replace(few, new)))


why = "the shares sum to 1 over the batch; they must over the kernels, axis 1"
wrong("softmax over the batch", why, SHARE, "return e / e.sum(axis=0)")
why = (
    "the shares are divided by the sum over images and kernels; each image has its own"
)
wrong("softmax over all", why, SHARE, "return e / e.sum()")
why = "sigmoids are the shares of CondConv; here they sum to 1"
wrong("sigmoid", why, SHARE, "return np.exp(-np.logaddexp(0, -z / temperature))")
why = "the exponentials do not sum to 1: divide by their sum"
wrong("not divided", why, SHARE, "return e")
why = "the temperature is ignored"
part("no temperature", why, EXP, " / temperature", "")
why = "the scores are multiplied by T; divide"
part("times the temperature", why, EXP, "/ temp", "* temp")
why = "the softmax is divided by T; the scores are, before the softmax"
knock.wrong(
    "temperature after the softmax",
    why,
    (EXP, EXP.replace(" / temperature", "")),
    (SHARE, SHARE + " / temperature"),
)
why = "the largest of all images is taken away; then all terms of an image may become 0"
part("maximum of all images", why, EXP, "z.max(axis=1, keepdims=True)", "z.max()")
why = "nothing is taken away from the scores: e^1000 overflows"
wrong("overflow", why, EXP, "e = np.exp(z / temperature)")
why = "T is rounded to a whole number"
part("whole temperatures", why, EXP, "temperature", "max(1, int(temperature))")
why = "you clip the scores to 50 in size"
wrong("scores clipped", why, SCORES, "z = np.clip(h @ w2 + b2, -50, 50)")
why = "T is 0.005 at least in yours; it may be 0.001"
part("T not below 0.005", why, EXP, "/ temperature", "/ max(temperature, 0.005)")
why = "for a small T you keep the largest scores only; those near it have shares, too"
new = "e = e * (e == 1) if temperature < 0.01 else e\n    " + SHARE
wrong("largest only for small T", why, SHARE, new)
why = "only the largest score is kept; with a temperature there are shares for all"
wrong("largest only", why, SHARE, "return (e == 1).astype(x.dtype)")
why = "there is no ReLU: two linear layers are one"
wrong("no ReLU", why, RELU, "h = x.mean(axis=(2, 3)) @ w1 + b1")
why = "the ReLU comes before b1; it belongs inside"
wrong("b1 after ReLU", why, RELU, "h = np.maximum(x.mean(axis=(2, 3)) @ w1, 0) + b1")
why = "absolute values are no ReLU"
wrong("absolute values", why, RELU, "h = abs(x.mean(axis=(2, 3)) @ w1 + b1)")
why = "the scores go through a ReLU as well; they may be negative"
part("ReLU on the scores", why, SCORES, "h @ w2 + b2", "np.maximum(h @ w2 + b2, 0)")
why = "b2 is missing"
part("no b2", why, SCORES, " + b2", "")
why = "you take the largest pixel of each channel; it is the mean"
part("largest pixel", why, RELU, "mean", "max")
why = "pixels that are 0 are left out of the mean; they are pixels, too"
new = "x.sum(axis=(2, 3)) / (x != 0).sum(axis=(2, 3)).clip(1).astype(x.dtype)"
part("zeros not counted", why, RELU, "x.mean(axis=(2, 3))", new)
why = "you add up the pixels; it is the mean"
part("sum of the pixels", why, RELU, "mean", "sum")
why = "all images get the shares of the mean image; each has its own"
part("mean over the batch", why, RELU, "x.mean", "(0 * x + x.mean(axis=0)).mean")
why = "g is ignored: you have the gradients of the plain sum of the shares, which is 1"
part("upstream ignored", why, GZ, "(g - (g * pi)", "(1 - (1 * pi)")
why = "the gradient is not divided by T"
part("T forgotten backwards", why, GZ, " / temperature", "")
why = "T is 0.005 at least in your gradient; it may be 0.001"
part("T not below 0.005 backwards", why, GZ, "temperature", "max(temperature, 0.005)")
why = "the gradient is multiplied by T; divide"
part("times T backwards", why, GZ, "/ temp", "* temp")
why = "each share is taken for itself: a score has a part in all shares of its image"
wrong("diagonal only", why, GZ, "gz = g * pi * (1 - pi) / temperature")
why = "the sum over the shares is missing in gz"
wrong("no sum", why, GZ, "gz = pi * g / temperature")
why = "the sum in gz is a mean; add up"
part("mean in gz", why, GZ, "sum(", "mean(")
why = "the sum in gz runs over the batch; it must over the kernels of one image"
part("sum over the batch in gz", why, GZ, "axis=1", "axis=0")
why = "the gradient goes through the ReLU as if all units were on"
part("ReLU not differentiated", why, GA, " * (a > 0)", "")
why = "the gradient goes through units that are exactly at 0"
part("on at zero", why, GA, "a > 0", "a >= 0")
why = "the gradient stops where a unit is tiny; it goes through wherever it is above 0"
part("off at a tiny unit", why, GA, "a > 0", "a > 1e-12")
why = "every pixel gets the whole gradient of the mean; its share is 1 / (H * W)"
part("not divided by the pixels", why, GX, " / pixels", "")
why = "gx is a view that cannot be written to; make a full array"
new = "gx = np.broadcast_to((ga @ w1.T / pixels)[:, :, None, None], x.shape)"
wrong("gx a broadcast view", why, GX, new)
why = "all pixels of gx are one place in memory; make a full array"
new = "gx = ga @ w1.T / pixels\n    gx = np.lib.stride_tricks.as_strided("
new += "gx, x.shape, gx.strides + (0, 0))"
wrong("gx of one place", why, GX, new)
why = "gb2 is a mean over the images; add them up"
part("gb2 averaged", why, GRADS, "gz.sum(axis=0)", "gz.mean(axis=0)")
why = "gb1 is a mean over the images; add them up"
part("gb1 averaged", why, GRADS, "ga.sum(axis=0)", "ga.mean(axis=0)")
why = "gw2 is made with what goes into the ReLU; w2 meets what comes out"
part("gw2 before the ReLU", why, GRADS, "h.T", "a.T")
why = "gw1 is divided by the number of images; add them up"
part("gw1 averaged", why, GRADS, "m.T @ ga", "m.T @ ga / len(x)")
why = "the order must be gx, gw1, gb1, gw2, gb2"
wrong(
    "gradients in another order",
    why,
    GRADS,
    GRADS.replace("gx, m.T @ ga", "m.T @ ga, gx"),
)
why = "pi is float64 even for float32"
part("always float64", why, SHARE, "e / ", "e.astype(float) / ")
why = "gx is float64 even for float32"
wrong("gradient float64", why, GX, GX + ".astype(float)")
why = "b2 is changed; it belongs to whoever called"
wrong("b2 changed", why, SCORES, "b2 += 1\n    z = h @ w2 + b2")
why = "g is changed; it belongs to whoever called"
wrong("g changed", why, GZ, "g *= 2\n    " + GZ.replace("(g - (g", "(g / 2 - (g / 2"))
