"""Grader of k050: the router of CondConv."""

import math
import warnings
from functools import wraps

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "x.mean(axis=(2, 3)) is (N, C): one row for each image. From there on it is a "
        "linear layer and a sigmoid.",
        "log alpha = -log(1 + e^-z), and np.logaddexp(0, t) is log(1 + e^t) without "
        "overflow. Backwards: gz = g * alpha * (1 - alpha), then a linear layer; a "
        "pixel has 1 / (H * W) of the gradient of its channel's mean.",
        "m = x.mean(axis=(2, 3)); alpha = np.exp(-np.logaddexp(0, -(m @ weight + "
        "bias))); gz = g * alpha * (1 - alpha); gbias = gz.sum(0); gweight = m.T @ gz; "
        "gmean = gz @ weight.T / (H * W); gx = np.repeat(gmean, H * W, "
        "axis=1).reshape(x.shape).",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [  # N, C, H, W, n
    (2, 3, 2, 2, 4),
    (1, 2, 3, 1, 3),
    (3, 1, 1, 1, 2),
    (2, 2, 1, 5, 1),
    (1, 1, 4, 3, 2),
    (1, 1, 1, 1, 1),
    (3, 3, 3, 3, 3),
    (2, 5, 2, 3, 9),
    (2, 4, 1, 1, 17),
    (4, 2, 12, 1, 3),
    (17, 2, 2, 1, 3),
    (2, 3, 9, 11, 5),
    (1, 18, 2, 2, 2),
    (2, 1, 1, 20, 10),
]
MANY = (33, 20, 17, 2, 18)
MORE = (70, 40, 2, 1, 3)
TINY = [(2, 2, 1, 3, 2), (1, 3, 2, 1, 3), (2, 1, 1, 1, 1)]


def sigmoid(z):
    """With an exponent that is never above 0."""
    small = math.exp(-abs(z))
    return 1 / (1 + small) if z >= 0 else small / (1 + small)


def means(x):
    """Channel by channel, all pixels added up exactly."""
    out = np.empty(x.shape[:2])
    for b, c in np.ndindex(*out.shape):
        out[b, c] = math.fsum(x[b, c].ravel().tolist()) / x[b, c].size
    return out


def forward(x, weight, bias):
    """Score by score."""
    m, out = means(x), np.empty((len(x), len(bias)), x.dtype)
    for b, i in np.ndindex(*out.shape):
        products = [float(m[b, c] * weight[c, i]) for c in range(len(weight))]
        out[b, i] = sigmoid(math.fsum(products) + float(bias[i]))
    return out


def backward(g, x, weight, bias):
    """Share by share: what it gives to the bias, to each weight and to each pixel."""
    m = means(x)
    gx, gweight, gbias = (np.zeros(a.shape) for a in (x, weight, bias))
    for b, i in np.ndindex(len(x), len(bias)):
        z = float(np.dot(m[b], weight[:, i])) + float(bias[i])
        one = float(g[b, i]) * sigmoid(z) * sigmoid(-z)
        gbias[i] += one
        for c in range(len(weight)):
            gweight[c, i] += one * m[b, c]
            gx[b, c] += one * float(weight[c, i]) / x[b, c].size
    return tuple(a.astype(x.dtype) for a in (gx, gweight, gbias))


def sample(r, n, c, h, w, experts):
    """Images that are not 0 on average, a matrix and a bias."""
    return r(n, c, h, w) + r(n, c, 1, 1), r(c, experts), r(experts)


def with_g(r, case):
    """The same behind a gradient from above."""
    x, weight, bias = sample(r, *case)
    return r(len(x), len(bias)), x, weight, bias


def anything(r):
    """Sizes of any kind."""
    return tuple(r.size(1, 5) for _ in range(5))


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
    text += f"{heard[0].message if heard else ''} for scores of about 1000 in size"
    checks.true(not heard, text, ("warning", f.__name__))
    text = f"{f.__name__} silences NumPy's warnings for the whole program; use `with "
    text += "np.errstate(...)`, or no large exponent"
    checks.true(not left, text, ("silenced", f.__name__))


@knock.check("one pixel, one channel: the sigmoid of weight * x + bias")
def small(mine, r):
    x = np.array([[[[2.0]]], [[[-1.0]]], [[[0.0]]]])
    weight, bias = np.array([[1.0, -2.0]]), np.array([0.0, r.size(1, 3)])
    checks.value(mine.route, forward, x, weight, bias, tolerance=TIGHT)


@knock.check("route: the shares of all experts, image by image", points=2)
def value(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(mine.route, forward, *sample(r, *case), tolerance=TIGHT)
    x, weight, bias = sample(r, 3, 2, 4, 3, 3)
    x = np.maximum(x, 0)  # after a ReLU: zeros are pixels, too
    checks.value(mine.route, forward, x, weight, bias, tolerance=TIGHT)
    for case in (MANY, MORE):
        args = sample(r, *case)
        checks.value(mine.route, forward, *args, tolerance=TIGHT, again=False)
    x, weight, bias = sample(r, 2, 3, 2, 3, 4)
    for x, bias in ((0 * x, bias), (x + 1000, bias - weight.sum(0) * 1000)):
        checks.value(mine.route, forward, x, weight, bias, tolerance=(1e-8, 1e-9))


@knock.check("route_backward: all three gradients", points=3)
def gradients(mine, r):
    f = mine.route_backward
    for case in TINY:
        checks.gradient(f, forward, *sample(r, *case), r=r)
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(f, backward, *with_g(r, case), tolerance=TIGHT)
    for case in (MANY, MORE):
        checks.value(f, backward, *with_g(r, case), tolerance=TIGHT, again=False)


@knock.check("an image has the same shares alone as in any batch")
def alone(mine, r):
    x, weight, bias = sample(r, r.size(2, 5), 3, 2, 3, r.size(2, 4))
    for b in range(len(x)):
        what = f"route for image {b} alone, beside the same image in a batch"
        one = checks.call(mine.route, x[b : b + 1], weight, bias)
        both = checks.call(mine.route, x[[b, 0]], weight, bias)
        right = forward(x[[b, 0]], weight, bias)
        checks.equal(one, right[:1], what, tolerance=TIGHT)
        checks.equal(both, right, what, tolerance=TIGHT)


@knock.check("scores of 1000 and -1000, and of 1e6, without a warning", points=2)
def huge(mine, r):
    for size in (40.0, 300.0, 1000.0, 1e6):
        x, weight, bias = sample(r, 2, 3, 2, 2, 6)
        bias = bias + size * np.array([1, -1, 0, 1, -1, 0])
        g = r(2, 6)
        for dtype in (float, np.float32):
            both = [a.astype(dtype) for a in (g, x, weight, bias)]
            checks.value(muted(mine.route), forward, *both[1:], again=False)
            checks.value(muted(mine.route_backward), backward, *both, again=False)
            no_warning(mine.route, *both[1:])
            no_warning(mine.route_backward, *both)
    for sign in (1, -1):
        x, weight, bias = sample(r, 2, 1, 1, 1, 3)
        bias = bias + sign * 30  # shares of 1e-13, or as near to 1
        right = forward(x, weight, bias)
        alpha = checks.call(muted(mine.route), x, weight, bias)
        what = "route: the shares for scores of about -30 or 30"
        checks.equal(alpha, right, what, tolerance=TIGHT)


@knock.check("float32 stays float32; views are right")
def layout(mine, r):
    f, back = mine.route, mine.route_backward
    g, x, weight, bias = with_g(r, (4, 4, 3, 5, 3))
    x, g = np.asfortranarray(x)[::-1, ::-1, :, ::2], np.asfortranarray(g)[::-1]
    weight, bias = np.asfortranarray(weight)[:, ::-1], np.repeat(bias, 2)[::-2]
    checks.value(f, forward, x, weight, bias, tolerance=TIGHT)
    checks.value(back, backward, g, x, weight, bias, tolerance=TIGHT)
    turned = x.transpose(0, 1, 3, 2)
    checks.value(back, backward, g, turned, weight, bias, tolerance=TIGHT)
    g, x, weight, bias = (a.astype(np.float32) for a in (g, x, weight, bias))
    checks.value(f, forward, x, weight, bias)
    checks.value(back, backward, g, x, weight, bias)
    x = np.full((1, 1, 32, 32), 0.1, np.float32)  # many pixels
    one = np.ones((1, 1), np.float32)
    checks.value(f, forward, x, one, one[0])


@knock.check("results are arrays of their own, and nothing is kept from call to call")
def memory(mine, r):
    for case in ((2, 3, 2, 2, 4), (2, 2, 1, 1, 1), (1, 1, 1, 1, 1)):
        args = with_g(r, case)
        what = ""
        for a, name in zip((None, *args), ("", "g", "x", "weight", "bias")):
            if a is not None:
                a *= -2  # the same array with other numbers
                what = f", again, after {name} was changed in place"
            alpha, right = mine.route(*args[1:]), forward(*args[1:])
            checks.equal(alpha, right, f"route{what}", tolerance=TIGHT)
            grads, right = mine.route_backward(*args), backward(*args)
            checks.equal(grads, right, f"route_backward{what}", tolerance=TIGHT)
            own({"alpha": alpha, **dict(zip(("gx", "gweight", "gbias"), grads))}, args)


def own(results, args):
    """No result is a view."""
    for name, result in results.items():
        shared = any(np.shares_memory(result, a) for a in args)
        text = f"{name} shares memory with an argument; make a new array"
        checks.true(not shared, text, (name, "shared"))
        fixed = isinstance(result, np.ndarray) and not result.flags.writeable
        text = f"{name} cannot be written to: it is a view; make a new array"
        checks.true(not fixed, text, (name, "read-only"))
        text = f"{name}: entries share memory: writing to one changes others"
        checks.true(untied(result), text, (name, "overlapping"))


def untied(result):
    """Whether writing to one entry leaves the others as they are."""
    result, before = np.asarray(result), np.array(result)
    result[(0,) * result.ndim] += 1
    return np.count_nonzero(result != before) == 1


SCORES = "z = x.mean(axis=(2, 3)) @ weight + bias"
SIGMOID = "return np.exp(-np.logaddexp(0, -z))  # 1 / (1 + e^-z)"
GZ = "gz = g * alpha * (1 - alpha)"
GMEAN = "gmean = gz @ weight.T / (height * width)  # for every pixel"
GX = "gx = np.repeat(gmean, height * width, axis=1).reshape(x.shape)"
GRADS = "return gx, x.mean(axis=(2, 3)).T @ gz, gz.sum(axis=0)"

knock.wrong(
    "routed by the batch",
    "the means are taken over the batch as well, so all images get the same shares; "
    "each image is routed by itself",
    (SCORES, "z = np.tile(x.mean(axis=(0, 2, 3)), (len(x), 1)) @ weight + bias"),
)
knock.wrong(
    "sum of the pixels",
    "you add up the pixels; take their mean, or shares depend on the image's size",
    (SCORES, SCORES.replace("mean", "sum")),
)
knock.wrong(
    "largest pixel",
    "you take the largest pixel of each channel; the router looks at the mean",
    (SCORES, SCORES.replace("mean", "max")),
)
knock.wrong(
    "zeros not counted",
    "pixels that are 0 are left out of the mean; they are pixels, too",
    (
        SCORES,
        "count = np.maximum((x != 0).sum(axis=(2, 3)), 1).astype(x.dtype)\n"
        "    z = x.sum(axis=(2, 3)) / count @ weight + bias",
    ),
)
knock.wrong(
    "mean of the rows only",
    "only one row of each image is looked at; take the mean over rows and columns",
    (SCORES, SCORES.replace("x.mean(axis=(2, 3))", "x[:, :, 0].mean(axis=2)")),
)
knock.wrong(
    "silenced",
    "np.seterr silences NumPy for the whole program; use `with np.errstate(...)`",
    (SIGMOID, 'np.seterr(all="ignore")\n    return 1 / (1 + np.exp(-z))'),
)
knock.wrong(
    "gx of one place",
    "all pixels of a channel of gx are one place in memory; make a full array",
    (
        GX,
        "gx = np.lib.stride_tricks.as_strided(\n"
        "        gmean, x.shape, gmean.strides + (0, 0)\n    )",
    ),
)
knock.wrong(
    "bias forgotten",
    "the bias is missing: it is added to the scores before the sigmoid",
    (SCORES, "z = x.mean(axis=(2, 3)) @ weight"),
)
knock.wrong(
    "bias after the sigmoid",
    "the bias is added to the shares; it belongs to the scores, before the sigmoid",
    (SCORES, "z = x.mean(axis=(2, 3)) @ weight"),
    (SIGMOID, "return np.exp(-np.logaddexp(0, -z)) + bias"),
)
knock.wrong(
    "no sigmoid",
    "the scores themselves come back; the sigmoid makes shares of them",
    (SIGMOID, "return z"),
)
knock.wrong(
    "softmax",
    "your shares sum to 1: that is the softmax of k054; here each goes through a "
    "sigmoid of its own",
    (
        SIGMOID,
        "z = np.exp(z - z.max(1, keepdims=True))\n    return z / z.sum(1)[:, None]",
    ),
)
knock.wrong(
    "tanh",
    "tanh is between -1 and 1; the sigmoid is between 0 and 1",
    (SIGMOID, "return np.tanh(z)"),
)
knock.wrong(
    "sign of the exponent",
    "you give 1 / (1 + e^z), which falls with the score; it must be 1 / (1 + e^-z)",
    (SIGMOID, SIGMOID.replace("-z", "z")),
)
knock.wrong(
    "hard sigmoid",
    "a straight line between 0 and 1 is not the sigmoid",
    (SIGMOID, "return np.clip(z / 4 + 0.5, 0, 1).astype(x.dtype)"),
)
knock.wrong(
    "overflow",
    "e^-z overflows for large negative scores, and NumPy warns; np.logaddexp does not",
    (SIGMOID, "return 1 / (1 + np.exp(-z))"),
)
knock.wrong(
    "NaN for large scores",
    "e^z / (1 + e^z) is inf / inf for large scores, which is NaN",
    (SIGMOID, "return np.exp(z) / (1 + np.exp(z))"),
)
knock.wrong(
    "scores clipped",
    "you clip the scores to 10 in size; then no share is nearer to 0 or 1 than 5e-5",
    (SIGMOID, "return np.exp(-np.logaddexp(0, -np.clip(z, -10, 10)))"),
)
knock.wrong(
    "scores clipped at 20",
    "you clip the scores to 20 in size; shares of 1e-13 are numbers, too",
    (SIGMOID, "return np.exp(-np.logaddexp(0, -np.clip(z, -20, 20)))"),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: you have the gradients of the plain sum of the shares",
    (GZ, "gz = alpha * (1 - alpha)"),
)
knock.wrong(
    "sigmoid not differentiated",
    "the gradient goes through the sigmoid unchanged; times alpha * (1 - alpha)",
    (GZ, "gz = g"),
)
knock.wrong(
    "half of the derivative",
    "the derivative of the sigmoid is alpha * (1 - alpha), not alpha alone",
    (GZ, "gz = g * alpha"),
)
knock.wrong(
    "derivative of tanh",
    "1 - alpha^2 is the derivative of tanh; that of the sigmoid is alpha * (1 - alpha)",
    (GZ, "gz = g * (1 - alpha * alpha)"),
)
knock.wrong(
    "derivative of the softmax",
    "you take the derivative of the softmax; here no share depends on other scores",
    (GZ, "gz = alpha * (g - (g * alpha).sum(axis=1, keepdims=True))"),
)
knock.wrong(
    "not divided by the pixels",
    "every pixel gets the whole gradient of the mean; its share is 1 / (H * W)",
    (GMEAN, "gmean = gz @ weight.T"),
)
knock.wrong(
    "divided by the height",
    "you divide by H only; a mean of H * W pixels has the gradient 1 / (H * W)",
    (GMEAN, "gmean = gz @ weight.T / height"),
)
knock.wrong(
    "divided by the images",
    "gx is divided by the number of images as well; if a mean over them is wanted, the "
    "loss takes it",
    (GMEAN, "gmean = gz @ weight.T / (height * width * len(x))"),
)
knock.wrong(
    "first pixel only",
    "only the first pixel gets a gradient; all pixels are in the mean",
    (
        GX,
        "gx = np.zeros_like(x)\n    gx[:, :, 0, 0] = gmean * (height * width)",
    ),
)
knock.wrong(
    "gx not spread out",
    "gx is the gradient of the means, (N, C); every pixel gets its part of it",
    (GX, "gx = gmean"),
)
knock.wrong(
    "gx a broadcast view",
    "gx is a view that shows one number for all pixels and cannot be written to; make "
    "a full array",
    (GX, "gx = np.broadcast_to(gmean[:, :, None, None], x.shape)"),
)
knock.wrong(
    "pixels for means",
    "gweight is made with the sums of the pixels; forwards the means met the weights",
    (GRADS, GRADS.replace("mean", "sum")),
)
knock.wrong(
    "gbias averaged",
    "gbias is a mean over the images; add them up",
    (GRADS, GRADS.replace("gz.sum(axis=0)", "gz.mean(axis=0)")),
)
knock.wrong(
    "gweight averaged",
    "gweight is divided by the number of images; add them up",
    (GRADS, GRADS.replace("@ gz,", "@ gz / len(x),")),
)
knock.wrong(
    "gbias without the sigmoid",
    "gbias is the sum of g; the bias stands before the sigmoid: it is the sum of gz",
    (GRADS, GRADS.replace("gz.sum(axis=0)", "g.sum(axis=0)")),
)
knock.wrong(
    "gbias not added up",
    "gbias is (N, n); the bias is shared by all images: add up their gradients",
    (GRADS, GRADS.replace("gz.sum(axis=0)", "gz")),
)
knock.wrong(
    "gradients in another order",
    "the gradients come in another order: it must be gx, gweight, gbias",
    (GRADS, "return gx, gz.sum(axis=0), x.mean(axis=(2, 3)).T @ gz"),
)
knock.wrong(
    "always float64",
    "alpha is float64 even for float32: keep the dtype",
    (SIGMOID, "return np.exp(-np.logaddexp(0, -z)).astype(float)"),
)
knock.wrong(
    "gradient float64",
    "gx is float64 even for float32: keep the dtype",
    (GX, GX + ".astype(float)"),
)
knock.wrong(
    "gweight float64",
    "gweight is float64 even for float32: keep the dtype",
    (GRADS, GRADS.replace("@ gz,", "@ gz.astype(float),")),
)
knock.wrong(
    "g changed",
    "you work in g itself; it belongs to whoever called: make a new array",
    (GZ, "gz = g\n    gz *= alpha * (1 - alpha)"),
)
knock.wrong(
    "x changed",
    "you subtract from x itself; it belongs to whoever called: make a new array",
    (SCORES, "x -= 1\n    " + SCORES + " + weight.sum(axis=0)"),
)
