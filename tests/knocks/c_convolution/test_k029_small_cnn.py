"""Grader of k029: a small convnet, trained."""

from functools import cache

import numpy as np

from minidl import data
from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Write one line per layer going forward, and keep what came in between; then "
        "one line per layer going back, in the opposite order.",
        "h = conv2d(x, kernel, 1, 1, 1) + shift[:, None, None]. Backward, every array "
        "has a gradient of its own shape: (g @ weight.T).reshape(f.shape) is that of "
        "f; shift and bias were shared by all images (and pixels), so theirs are sums.",
        "gh = max_pool2d_backward(gf, a, 2) * (h > 0), and conv2d_backward(gh, x, "
        "kernel, 1, 1, 1)[1] is gkernel. To train: few = order[start : start + batch], "
        "forward, cross_entropy_backward(1.0, logits, labels[few]), backward, then "
        "params[name], velocity[name] = sgd(...) for every name.",
    ],
)

NAMES = ("kernel", "shift", "weight", "bias")


def layers(kernel, shift, weight, bias, x):
    """Windows under the kernel, h, h cut into 2 x 2 tiles, features, logits."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    h = np.tensordot(windows, kernel, ((1, 4, 5), (1, 2, 3))) + shift  # (N, H, W, O)
    h = h.transpose(0, 3, 1, 2)
    n, o, p, q = *h.shape[:2], h.shape[2] // 2, h.shape[3] // 2
    tiles = h[:, :, : 2 * p, : 2 * q].reshape(n, o, p, 2, q, 2)
    f = np.maximum(tiles.max((3, 5)), 0)
    return windows, h, tiles, f, f.reshape(n, -1) @ weight + bias


def logits(*arrays):
    return layers(*arrays)[-1]


def gradients(g, kernel, shift, weight, bias, x):
    """Those of the sum of g * logits, for the four parameters."""
    windows, h, tiles, f, _ = layers(kernel, shift, weight, bias, x)
    n, o, p, q = f.shape
    pixels = tiles.swapaxes(3, 4).reshape(n, o, p, q, 4)
    on = (np.arange(4) == pixels.argmax(-1)[..., None]) & (pixels > 0)
    each = on * (g @ weight.T).reshape(n, o, p, q, 1)
    each = each.reshape(n, o, p, q, 2, 2).swapaxes(3, 4)
    gh = np.zeros_like(h)
    gh[:, :, : 2 * p, : 2 * q] = each.reshape(n, o, 2 * p, 2 * q)
    gkernel = np.tensordot(gh, windows, ((0, 2, 3), (0, 2, 3)))
    made = gkernel, gh.sum((0, 2, 3)), f.reshape(n, -1).T @ g, g.sum(0)
    return tuple(a.astype(x.dtype) for a in made)


def chances(scores):
    scores = np.exp(scores - scores.max(1, keepdims=True))
    return scores / scores.sum(1, keepdims=True)


def training(*args, epochs, batch, lr, momentum, seed):
    """The four parameters after training."""
    params, (x, labels) = list(args[:4]), args[4:]
    speed, rng = [0.0] * 4, np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        while len(order):
            few, order = order[:batch], order[batch:]
            g = chances(logits(*params, x[few]))
            g[np.arange(len(few)), labels[few]] -= 1
            by = gradients(g / len(few), *params, x[few])
            speed = [momentum * v + gp for v, gp in zip(speed, by)]
            params = [(p - lr * v).astype(p.dtype) for p, v in zip(params, speed)]
    return tuple(params)


def loss(params, x, labels):
    chosen = chances(logits(*params, x))[np.arange(len(x)), labels]
    return -np.log(np.maximum(chosen, 1e-30)).mean()


def draw(r, n, c, height, width, filters=2, classes=3):
    """Parameters and images: some windows die in the ReLU, no kink is near."""
    features = filters * (height // 2) * (width // 2)
    while True:
        params = r(filters, c, 3, 3) / 3, r(filters) / 2 - 0.5
        params = *params, r(features, classes) / 2, r(classes)
        x = r(n, c, height, width)
        _, h, tiles, f, _ = layers(*params, x)
        ranks = np.sort(tiles.swapaxes(3, 4).reshape(*f.shape, 4))
        away = abs(h).min() > 1e-3 and (ranks[..., 3] - ranks[..., 2]).min() > 1e-3
        if away and (f == 0).any() and (f > 0).any((0, 2, 3)).all():
            return *params, x


def asked_forward(mine):
    def forward(kernel, shift, weight, bias, x):
        params = dict(zip(NAMES, (kernel, shift, weight, bias)))
        logits = _pair(mine.forward(params, x))[0]
        checks.true(set(params) == set(NAMES), "forward changes the dict params")
        return logits

    return forward


def asked_backward(mine):
    def backward(g, kernel, shift, weight, bias, x):
        params = dict(zip(NAMES, (kernel, shift, weight, bias)))
        kept = _pair(mine.forward(params, x))[1]
        mine.forward(params, x[::-1] + 1)  # other images in between: kept must do
        grads = _arrays(mine.backward(g, params, kept), "backward")
        same = all(params[k] is a for k, a in zip(NAMES, (kernel, shift, weight, bias)))
        checks.true(same, "backward changes the dict params: make a dict of your own")
        return grads

    return backward


def asked_train(mine):
    def train(kernel, shift, weight, bias, x, labels, **options):
        params = dict(zip(NAMES, (kernel, shift, weight, bias)))
        before = dict(params)
        trained = mine.train(params, x, labels, **options)
        kept = params.keys() == before.keys()
        kept = kept and all(params[name] is before[name] for name in NAMES)
        text = "train changes the dict params that it is given: make a dict of your own"
        checks.true(kept, text)
        return _arrays(trained, "train")

    return train


def _pair(found):
    good = isinstance(found, tuple | list) and len(found) == 2
    checks.true(good, f"forward must return (logits, kept); got {type(found).__name__}")
    return found


def _arrays(found, name):
    good = isinstance(found, dict) and set(found) == set(NAMES)
    got = sorted(found) if isinstance(found, dict) else type(found).__name__
    checks.true(good, f"{name} must return a dict of {', '.join(NAMES)}; got {got}")
    return tuple(found[key] for key in NAMES)


def upstream(r, arrays):
    return r(len(arrays[-1]), len(arrays[3]))


@knock.check("forward: the logits of one small image")
def one_image(mine, r):
    arrays = draw(r, 1, 1, 4, 4, 1, 2)
    checks.value(asked_forward(mine), logits, *arrays)


@knock.check("forward on random shapes, also with rows and columns to drop")
def logits_of_many(mine, r):
    f = asked_forward(mine)
    for _ in range(3):
        shape = r.size(2, 3), r.size(1, 3), r.size(4, 5), r.size(6, 7)
        arrays = draw(r, *shape, r.size(2, 3), r.size(2, 4))
        checks.value(f, logits, *arrays)
    *params, x = draw(r, 3, 2, 5, 4)
    x = np.copy(x.T).T  # the same numbers with other strides
    checks.value(f, logits, *params, x)


@knock.check("backward: the gradients of all parameters, by small steps", points=3)
def small_steps(mine, r):
    f = asked_backward(mine)
    checks.gradient(f, logits, *draw(r, 2, 1, 4, 4), r=r, wrt=range(4))
    arrays = draw(r, r.size(1, 3), 2, r.size(4, 5), r.size(4, 5), 2, r.size(2, 3))
    checks.gradient(f, logits, *arrays, r=r, wrt=range(4))


@knock.check("backward on larger shapes; float32 stays float32", points=2)
def larger(mine, r):
    for n, c in ((3, 3), (r.size(1, 2), r.size(2, 3))):
        arrays = draw(r, n, c, 5, r.size(6, 7), 3, r.size(3, 4))
        g = upstream(r, arrays)
        checks.value(asked_backward(mine), gradients, g, *arrays)
    arrays = [a.astype(np.float32) for a in (g, *arrays)]
    about = (1e-3, 1e-4)
    checks.value(asked_forward(mine), logits, *arrays[1:], tolerance=about)
    checks.value(asked_backward(mine), gradients, *arrays, tolerance=about)


@knock.check("backward where h is exactly 0, or several pixels are the largest")
def zeros_and_ties(mine, r):
    n, c, height, width, filters, classes = 3, 2, 4, 5, 3, 2
    x = r.integers(3, n, c, height, width) - 1.0
    x[0] = 0  # a black image: h is the shift
    kernel = r.integers(3, filters, c, 3, 3) - 1.0
    shift = np.array([0.0, 1.0, -1.0])
    weight, g = r(filters * 4, classes), r(n, classes)
    arrays = kernel, shift, weight, r(classes), x
    checks.value(asked_backward(mine), gradients, g, *arrays)
    g[0] = 0
    checks.value(asked_backward(mine), gradients, g, *arrays)


@knock.check("train: one step on one batch; float32 stays float32")
def one_step(mine, r):
    n = r.size(2, 4)
    arrays = *draw(r, n, 1, 4, 4), r.integers(3, n)
    options = {"epochs": 1, "batch": n, "lr": 0.1, "momentum": 0.0, "seed": 0}
    f = asked_train(mine)
    checks.value(f, training, *arrays, **options)
    arrays = [a.astype(np.float32) if a.dtype == float else a for a in arrays]
    checks.value(f, training, *arrays, **options, tolerance=(1e-3, 1e-4))


@knock.check("train: several epochs of batches, in the order of rng", points=2)
def steps(mine, r):
    f = asked_train(mine)
    for n, batch in ((7, 2), (r.size(6, 7), 4), (3, 4)):
        arrays = *draw(r, n, r.size(1, 2), 4, r.size(4, 5)), r.integers(3, n)
        options = {"lr": r.choice([0.03, 0.1]), "momentum": r.choice([0.5, 0.9])}
        options |= {"batch": batch, "seed": int(r.integers(100)), "epochs": 2}
        checks.value(f, training, *arrays, **options, again=batch == 2)


@cache
def images():
    """512 to train on and 256 new ones, 14 x 14 pixels, each with labels."""
    found = data.load()
    x = np.concatenate([found.x_train[:512], found.x_test[:256]])
    x = x.reshape(-1, 1, 14, 2, 14, 2).mean((3, 5))
    x = ((x - x.mean()) / x.std()).astype(np.float32)
    return x[:512], found.y_train[:512], x[512:], found.y_test[:256]


def loss_on_new(train, seed):
    """What ``train`` reaches on the new images, from random parameters."""
    x, labels, x_new, labels_new = images()
    rng = np.random.default_rng(seed)
    kernel, weight = rng.normal(0, 0.5, (8, 1, 3, 3)), rng.normal(0, 0.05, (392, 10))
    arrays = kernel, np.zeros(8), weight, np.zeros(10)
    arrays = [a.astype(np.float32) for a in arrays]
    options = {"epochs": 2, "batch": 32, "lr": 0.03, "momentum": 0.9, "seed": seed}
    return loss(train(*arrays, x, labels, **options), x_new, labels_new)


@cache
def usual(seed):
    return loss_on_new(training, seed)


@knock.check("trained on 512 images, it knows new ones", points=2, late=True)
def learns(mine, r):
    seed = int(r.integers(1000))
    checks.learns(
        lambda seed: loss_on_new(asked_train(mine), seed),
        usual,
        "the mean cross-entropy of 256 images that it has not seen",
        seeds=(seed, seed + 1),
    )


knock.wrong(
    "no shift",
    "the shift of the filters is not added",
    (' + params["shift"][:, None, None]', ""),
)
knock.wrong(
    "no ReLU",
    "the ReLU is missing in forward: negative numbers must become 0",
    ("a = np.maximum(h, 0)", "a = h"),
)
knock.wrong(
    "no ReLU, backward neither",
    "there is no ReLU, neither forward nor backward: two linear layers are one",
    ("a = np.maximum(h, 0)", "a = h"),
    ("max_pool2d_backward(gf, a, 2) * (h > 0)", "max_pool2d_backward(gf, a, 2)"),
)
knock.wrong(
    "channels last",
    "the features are flattened with the channels last; the rows of weight belong to "
    "channel, row, column, in this order",
    (
        "logits = f.reshape(len(x), -1)",
        "logits = f.transpose(0, 2, 3, 1).reshape(len(x), -1)",
    ),
)
knock.wrong(
    "no padding",
    "the convolution has no padding in yours; with padding 1 it keeps height and width",
    (
        'h = conv2d(x, params["kernel"], 1, 1, 1)',
        'h = np.pad(conv2d(x, params["kernel"], 1, 0, 1), [(0, 0)] * 2 + [(1, 1)] * 2)',
    ),
)
knock.wrong(
    "ReLU skipped on the way back",
    "the gradient passes the ReLU even where h is negative; there it must become 0",
    (" * (h > 0)", ""),
)
knock.wrong(
    "ReLU open at 0",
    "the gradient passes the ReLU where h is exactly 0, as on black pixels without a "
    "shift; it passes only where h > 0",
    (" * (h > 0)", " * (h >= 0)"),
)
knock.wrong(
    "upstream ignored",
    "g, the gradient that comes from above, is ignored: ones take its place",
    ("    x, h, a, f = kept\n", "    x, h, a, f = kept\n    g = np.ones_like(g)\n"),
)
knock.wrong(
    "means for sums",
    "the gradients of shift and bias are means; all images and pixels share them, so "
    "their gradients add up",
    ("gh.sum(axis=(0, 2, 3))", "gh.mean(axis=(0, 2, 3))"),
    ("g.sum(axis=0)", "g.mean(axis=0)"),
)
knock.wrong(
    "labels in the old order",
    "the images are shuffled and their labels are not: take labels[few], too",
    ("logits, labels[few])", "logits, labels[start : start + batch])"),
)
knock.wrong(
    "never shuffled",
    "the images come in the order in which they were given; each epoch must draw a new "
    "one",
    ("order = rng.permutation(len(x))", "order = np.arange(len(x))"),
)
knock.wrong(
    "shuffled once",
    "all epochs have the same order; draw a new one in each",
    (
        "    for _ in range(epochs):\n        order = rng.permutation(len(x))\n",
        "    order = rng.permutation(len(x))\n    for _ in range(epochs):\n",
    ),
)
knock.wrong(
    "last batch dropped",
    "the last batch is left out when it is smaller than the others",
    ("range(0, len(x), batch)", "range(0, len(x) // batch * batch, batch)"),
)
knock.wrong(
    "velocity forgotten",
    "the velocities start at 0 in every batch, so momentum does nothing: keep them",
    (
        "            grads = backward(",
        "            velocity = {k: np.zeros_like(p) for k, p in params.items()}\n"
        "            grads = backward(",
    ),
)
knock.wrong(
    "uphill",
    "each step goes up the loss: the sign of the gradient, or of the step, is flipped",
    ("p, grads[name], velocity", "p, -grads[name], velocity"),
)
knock.wrong(
    "sum of the losses",
    "the step follows the sum of the batch's losses; it must follow their mean",
    ("cross_entropy_backward(1.0,", "cross_entropy_backward(float(len(few)),"),
)
knock.wrong(
    "shift and bias not trained",
    "shift and bias stay as they were: all four parameters are trained",
    (
        "for name, p in params.items():\n",
        "for name, p in params.items():\n"
        "                if p.ndim == 1:\n"
        "                    continue\n",
    ),
)
knock.wrong(
    "the caller's params",
    "train puts its results into the dict that it was given, which must stay as it was",
    ("    params = dict(params)  # a new dict; sgd makes new arrays\n", ""),
)
