"""Grader of k028: batch normalisation."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "One channel is one set of N * H * W numbers: mean and variance are taken over "
        "axis=(0, 2, 3). A vector v of shape (C,) meets x as v[:, None, None].",
        "In training the batch's m and v make y, and also a step of the running ones; "
        "otherwise the running ones make y and come back as they are. Backward, gbeta "
        "and ggamma are sums over axis=(0, 2, 3) of g and of g * xhat.",
        "With dxhat = gamma[:, None, None] * g and mean(a) = a.mean(axis=(0, 2, 3), "
        "keepdims=True): gx = (dxhat - mean(dxhat) - xhat * mean(dxhat * xhat)) / "
        "sqrt(v + eps), where v is x.var of the same axes.",
    ],
)


def oracle(x, gamma, beta, mean, var, train, momentum, eps):
    """Channel by channel, number by number."""
    y, mean, var = np.zeros(x.shape, x.dtype), mean.copy(), var.copy()
    for c in range(x.shape[1]):
        numbers = [float(a) for a in x[:, c].ravel()]
        m, v = float(mean[c]), float(var[c])
        if train:
            m = sum(numbers) / len(numbers)
            squares = sum((a - m) ** 2 for a in numbers)
            v, wide = squares / len(numbers), squares / (len(numbers) - 1)
            mean[c] += momentum * (m - mean[c])
            var[c] += momentum * (wide - var[c])
        y[:, c] = gamma[c] * (x[:, c].astype(float) - m) / (v + eps) ** 0.5 + beta[c]
    return y, mean, var


def normalised(x, gamma, beta, eps):
    """y in training."""
    zeros = np.zeros(len(gamma))
    return oracle(x, gamma, beta, zeros, zeros, True, 0.5, eps)[0]


def backward_oracle(g, x, gamma, eps):
    """The whole matrix of dy[i] / dx[j] of each channel."""
    gx, ggamma, gbeta = np.zeros(x.shape, x.dtype), np.zeros_like(gamma), []
    for c in range(x.shape[1]):
        from_above, numbers = (a[:, c].astype(float).ravel() for a in (g, x))
        count, away = numbers.size, numbers - numbers.mean()
        std = ((away**2).sum() / count + eps) ** 0.5
        jacobian = (np.eye(count) - 1 / count) / std
        jacobian -= np.outer(away, away) / (count * std**3)
        gx[:, c] = gamma[c] * (from_above @ jacobian).reshape(x[:, c].shape)
        ggamma[c] = (from_above * away / std).sum()
        gbeta.append(from_above.sum())
    return gx, ggamma, np.array(gbeta, gamma.dtype)


def draw(r, *shape):
    """x with channels far from mean 0 and variance 1, gamma, beta, mean, var."""
    c = shape[1]
    x = r(*shape) * r.positive(c, 1, 1) * 2 + 3 * r(c, 1, 1)
    return x, r(c), r(c), r(c), r.positive(c)


def shapes(r):
    """Random shapes: then one image, then single pixels."""
    yield r.size(2, 3), r.size(2, 3), r.size(1, 3), r.size(2, 4)
    yield 3, 3, r.size(2, 3), 2
    yield 1, r.size(1, 3), r.size(2, 4), r.size(1, 3)
    yield r.size(2, 5), r.size(2, 3), 1, 1


def train(mine, arrays, r):
    momentum, eps = r.choice([0.1, 0.25, 0.9]), r.choice([1e-5, 0.1, 2.0])
    f = mine.batch_norm
    checks.value(f, oracle, *arrays, train=True, momentum=momentum, eps=eps)


@knock.check("training: one channel of a few numbers")
def one_channel(mine, r):
    x = np.float64(r.rng.permutation(9)[: 2 * r.size(2, 3)]).reshape(2, 1, 1, -1)
    arrays = x, np.array([2.0]), np.array([1.0]), np.array([0.5]), np.array([4.0])
    checks.value(mine.batch_norm, oracle, *arrays, train=True, momentum=0.1, eps=0.5)


@knock.check("training, random shapes: y and the running mean and variance", points=2)
def training(mine, r):
    for shape in shapes(r):
        train(mine, draw(r, *shape), r)
    x, *rest = draw(r, 2, 3, 2, r.size(1, 3))
    x[:, r.integers(3)] = 1.0  # a constant channel: xhat is 0
    train(mine, (x, *rest), r)
    x, gamma, beta, mean, var = draw(r, 2, 3, 2, 2)
    for momentum in (0.0, 1.0):
        options = {"train": True, "momentum": momentum, "eps": 1e-3}
        checks.value(mine.batch_norm, oracle, x, gamma, beta, mean, var, **options)


@knock.check("inference: the running mean and variance are used and stay as they are")
def inference(mine, r):
    for shape in (*shapes(r), (1, 2, 1, 1)):
        momentum, eps = r.choice([0.1, 0.9]), r.choice([1e-5, 0.1, 2.0])
        options = {"train": False, "momentum": momentum, "eps": eps}
        checks.value(mine.batch_norm, oracle, *draw(r, *shape), **options)


@knock.check("in training, y has mean beta and variance gamma**2 in every channel")
def moments(mine, r):
    arrays = draw(r, r.size(2, 3), r.size(2, 3), r.size(2, 3), r.size(2, 3))
    y = checks.call(mine.batch_norm, *arrays, train=True, momentum=0.1, eps=1e-12)[0]
    mean, var = y.mean((0, 2, 3)), y.var((0, 2, 3))
    checks.equal(mean, arrays[2], "the mean of y in each channel, which is beta")
    checks.equal(var, arrays[1] ** 2, "the variance of y in each channel, gamma**2")


@knock.check("gradients: gx, ggamma and gbeta, against small steps", points=2)
def gradients(mine, r):
    for shape in shapes(r):
        x, gamma, beta, _, _ = draw(r, *shape)
        x = r(*shape) * 2 + 1
        eps = r.choice([1e-2, 0.1, 2.0])
        g = r(*shape)

        def small_steps(g, x, gamma, eps, beta=beta):
            args = x, gamma, beta, eps
            return tuple(checks.numeric(normalised, args, g, i) for i in range(3))

        f, close = mine.batch_norm_backward, (1e-5, 1e-7)
        checks.value(f, small_steps, g, x, gamma, eps, tolerance=close, again=False)


@knock.check("gradients on more shapes, a constant channel, gamma = 0", points=2)
def backward(mine, r):
    f = mine.batch_norm_backward
    for shape in shapes(r):
        x, gamma, _, _, _ = draw(r, *shape)
        eps = r.choice([1e-5, 0.1, 2.0])
        checks.value(f, backward_oracle, r(*shape), x, gamma, eps)
    x, gamma, _, _, _ = draw(r, 2, 3, r.size(2, 3), r.size(2, 3))
    x[:, 0], gamma[1] = 1.0, 0.0
    checks.value(f, backward_oracle, r(*x.shape), x, gamma, 0.01)


@knock.check("a channel far from 0 comes out as well as another")
def far_away(mine, r):
    x, gamma, beta, mean, var = draw(r, 3, 2, 2, 2)
    x, close = r(3, 2, 2, 2) + 1e6 * r.choice([-1, 1]), (1e-6, 1e-8)
    options = {"train": True, "momentum": 0.1, "eps": 1e-5, "tolerance": close}
    checks.value(mine.batch_norm, oracle, x, gamma, beta, mean, var, **options)
    args = r(*x.shape), x, gamma, 1e-5
    checks.value(mine.batch_norm_backward, backward_oracle, *args, tolerance=close)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    arrays = x, gamma, *_ = draw(r, 2, 2, 2, 2)
    g, f, back = r(2, 2, 2, 2), mine.batch_norm, mine.batch_norm_backward
    for a in (*arrays, g):
        for mode in (True, False):
            f(*arrays, mode, 0.1, 0.01), back(g, x, gamma, 0.01)
            a *= 2  # the same array with other numbers
            right = oracle(*arrays, mode, 0.1, 0.01)
            what = "batch_norm again, after one of its arrays was changed in place"
            checks.equal(f(*arrays, mode, 0.1, 0.01), right, what)
            right, what = backward_oracle(g, x, gamma, 0.01), f"{what[:10]}_backward"
            what += " again, after one of its arrays was changed in place"
            checks.equal(back(g, x, gamma, 0.01), right, what)


@knock.check("gx adds up to 0 in every channel, and is orthogonal to xhat")
def orthogonal(mine, r):
    x, gamma, _, _, _ = draw(r, r.size(2, 3), r.size(2, 3), r.size(2, 3), r.size(2, 3))
    gx = checks.call(mine.batch_norm_backward, r(*x.shape), x, gamma, 1e-12)[0]
    zero, one = np.zeros(len(gamma)), np.ones(len(gamma))
    xhat = normalised(x, one, zero, 1e-12)
    close = (1e-9, 1e-9)
    total, along = gx.sum((0, 2, 3)), (gx * xhat).sum((0, 2, 3))
    checks.equal(total, zero, "gx, added up in each channel,", tolerance=close)
    checks.equal(along, zero, "gx * xhat, added up in each channel,", tolerance=close)


@knock.check("float32 stays float32; views with other strides are right too")
def layout(mine, r):
    x, *rest = (a.astype(np.float32) for a in draw(r, r.size(2, 3), 3, 4, r.size(2, 3)))
    x = x.swapaxes(1, 2)
    rest = [np.append(a, a[:1]) for a in rest]
    for mode in (True, False):
        options = {"train": mode, "momentum": 0.1, "eps": 0.01}
        checks.value(mine.batch_norm, oracle, x, *rest, **options)
    g = r(*x.shape[::-1]).astype(np.float32).T
    f, about = mine.batch_norm_backward, (1e-3, 1e-4)
    checks.value(f, backward_oracle, g, x, rest[0], 0.01, tolerance=about)


knock.wrong(
    "biased running variance",
    "the running variance takes the biased variance in; multiply it by count / "
    "(count - 1) first",
    ("momentum * unbiased", "momentum * v"),
)
knock.wrong(
    "unbiased in y",
    "y is made with the unbiased variance; normalise by the biased one, which divides "
    "by count",
    (
        "unbiased = v * (count / (count - 1))",
        "unbiased = v = v * (count / (count - 1))",
    ),
)
knock.wrong(
    "momentum the wrong way round",
    "momentum is the weight of the new value here (as in PyTorch), and 1 - momentum "
    "that of the old one; yours are exchanged",
    (
        "        mean = (1 - momentum) * mean + momentum * m",
        "        mean = momentum * mean + (1 - momentum) * m",
    ),
    (
        "        var = (1 - momentum) * var + momentum * unb",
        "        var = momentum * var + (1 - momentum) * unb",
    ),
)
knock.wrong(
    "running statistics in training",
    "in training you normalise with the running mean and variance; use the batch's own",
    ("    m, v = mean, var\n", "    m, v = old = mean, var\n"),
    ("momentum * unbiased\n", "momentum * unbiased\n        m, v = old\n"),
)
knock.wrong(
    "new running statistics in training",
    "in training you normalise with the running mean and variance that you have just "
    "renewed; use the batch's own",
    ("momentum * unbiased\n", "momentum * unbiased\n        m, v = mean, var\n"),
)
knock.wrong(
    "eps outside of the root",
    "you add eps to the standard deviation; it belongs under the root, to the variance",
    ("scale = gamma / np.sqrt(v + eps)", "scale = gamma / (np.sqrt(v) + eps)"),
)
knock.wrong(
    "eps in the running variance",
    "the running variance has eps in it; add eps only under the root",
    ("momentum * unbiased", "momentum * (unbiased + eps)"),
)
knock.wrong(
    "each image apart",
    "you normalise every image for itself (that is instance norm); the statistics are "
    "taken over the whole batch",
    (
        "    scale = gamma / np.sqrt(v + eps)\n",
        "    if train:\n"
        "        x = x - x.mean(axis=(2, 3), keepdims=True)\n"
        "        std = np.sqrt(x.var(axis=(2, 3), keepdims=True) + eps)\n"
        "        y = gamma[:, None, None] * x / std + beta[:, None, None]\n"
        "        return y, mean, var\n"
        "    scale = gamma / np.sqrt(v + eps)\n",
    ),
)
knock.wrong(
    "the batch's statistics always",
    "with train=False the batch's own statistics still make y: an image's answer would "
    "depend on its neighbours; use the running ones",
    (
        "    scale = gamma / np.sqrt(v + eps)\n",
        "    m, v = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))\n"
        "    scale = gamma / np.sqrt(v + eps)\n",
    ),
)
knock.wrong(
    "running statistics move in inference",
    "with train=False the running mean and variance change, too; they stay as they are",
    (
        "    m, v = mean, var\n    if train:\n        m, v = x.mean",
        "    now = mean, var\n    if True:\n        m, v = x.mean",
    ),
    ("(count / (count - 1))", "(count / max(count - 1, 1))"),
    (
        "    scale = gamma / np.sqrt(v + eps)\n",
        "    m, v = (m, v) if train else now\n    scale = gamma / np.sqrt(v + eps)\n",
    ),
)
knock.wrong(
    "upstream ignored",
    "the gradients are those of the plain sum of y: g, which comes from above, is not "
    "used",
    ('    channel = {"axis"', '    g = np.ones_like(g)\n    channel = {"axis"'),
)
knock.wrong(
    "mean and variance as constants",
    "gx treats the batch's mean and variance as constants; they depend on every x, so "
    "gx has two more terms",
    ("(dxhat - through_m - through_v)", "dxhat"),
)
knock.wrong(
    "variance as a constant",
    "gx misses the way through the variance: - xhat * mean(dxhat * xhat)",
    ("(dxhat - through_m - through_v)", "(dxhat - through_m)"),
)
knock.wrong(
    "mean as a constant",
    "gx misses the way through the mean: - mean(dxhat)",
    ("(dxhat - through_m - through_v)", "(dxhat - through_v)"),
)
knock.wrong(
    "sign of the variance term",
    "the term of the variance has the wrong sign in gx: it is taken away",
    ("(dxhat - through_m - through_v)", "(dxhat - through_m + through_v)"),
)
knock.wrong(
    "gamma left out of gx",
    "gamma is missing in gx: y is gamma * xhat + beta, so g reaches xhat as gamma * g",
    ("dxhat = gamma[:, None, None] * g", "dxhat = g"),
)
knock.wrong(
    "ggamma without xhat",
    "ggamma must be the sum of g * xhat: gamma is multiplied by xhat, not by x",
    ("(g * xhat).sum(axis=(0, 2, 3))", "(g * x).sum(axis=(0, 2, 3))"),
)
knock.wrong(
    "means for sums",
    "ggamma and gbeta are means; one gamma and one beta serve all images and pixels, "
    "so their gradients add up",
    (
        "(g * xhat).sum(axis=(0, 2, 3)), g.sum(",
        "(g * xhat).mean(axis=(0, 2, 3)), g.mean(",
    ),
)
knock.wrong(
    "mean of squares less square of the mean",
    "your variance is mean(x^2) - mean(x)^2: two large numbers that nearly cancel in a "
    "channel far from 0; take the mean of (x - m)^2, as x.var does",
    (
        "        m, v = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))  # (C,)\n",
        "        m = x.mean(axis=(0, 2, 3))\n"
        "        v = np.maximum((x**2).mean(axis=(0, 2, 3)) - m**2, 0)\n",
    ),
)
