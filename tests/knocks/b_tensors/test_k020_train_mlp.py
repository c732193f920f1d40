"""Grader of k020: train a perceptron of two layers."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Write one function after the other; each has a check of its own. In init, "
        "fan_in is the number of rows: D for w1, H for w2.",
        "backward needs what forward computed in between: compute it again. In train, "
        "keep m and v for each of the four parameters, and count t from 1.",
        "g = cross_entropy_backward(1.0, forward(params, x), y); then for each p with "
        "its gradient: p, m, v = adam(p, grad, m, v, t, lr, 0.9, 0.999, 1e-8).",
    ],
)


def by_units(w1, b1, w2, b2, x):
    """The definition, one unit at a time."""
    out = np.empty((len(x), len(b2)), x.dtype)
    for n, point in enumerate(x):
        hidden = [max(0.0, float(point @ w1[:, k]) + b1[k]) for k in range(len(b1))]
        for c in range(len(b2)):
            out[n, c] = b2[c] + sum(h * w for h, w in zip(hidden, w2[:, c]))
    return out


def slopes(g, w1, b1, w2, b2, x):
    """The gradients, one point and one hidden unit at a time; none where it is at 0."""
    out = [np.zeros_like(p) for p in (w1, b1, w2, b2)]
    for point, above in zip(x, g):
        out[3] += above
        for k in range(len(b1)):
            before = float(point @ w1[:, k]) + b1[k]
            if before > 0:
                back = float(above @ w2[k])
                out[0][:, k] += back * point
                out[1][k] += back
                out[2][k] += before * above
    return tuple(out)


def softmax(params, x):
    w1, b1, w2, b2 = params
    before = x @ w1 + b1
    logits = np.where(before > 0, before, 0) @ w2 + b2
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return before, weights / weights.sum(axis=1, keepdims=True)


def loss(params, x, y):
    """The mean cross entropy."""
    return -np.mean(np.log(softmax(params, x)[1][range(len(y)), y] + 1e-300))


def in_one(w1, b1, w2, b2, x, y, steps=300, lr=0.05):
    """All in one, straight from the formulas."""
    params = [w1, b1, w2, b2]
    m, v = [0.0] * 4, [0.0] * 4
    for t in range(1, steps + 1):
        before, g = softmax(params, x)
        g = (g - np.eye(len(params[3]))[y]) / len(x)
        back = np.where(before > 0, g @ params[2].T, 0)
        hidden = np.where(before > 0, before, 0)
        grads = x.T @ back, back.sum(0), hidden.T @ g, g.sum(0)
        for i, grad in enumerate(grads):
            m[i] = 0.9 * m[i] + 0.1 * grad
            v[i] = 0.999 * v[i] + 0.001 * grad * grad
            root = np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8
            params[i] = params[i] - lr * m[i] / (1 - 0.9**t) / root
    return tuple(params)


def draw(r, n):
    """Parameters and n points: units on and off, no kink near, biases that matter."""
    d, h, c = r.size(2, 3), r.size(3, 5), r.size(2, 4)
    while True:
        w1, b1, w2, b2, x = r(d, h), r(h), r(h, c), r(c), r(n, d)
        before = x @ w1 + b1
        on = before > 0
        clear = abs(before).min() > 1e-2 and on.any() and not on.all()
        if clear and (on != (x @ w1 > 0)).any():
            return w1, b1, w2, b2, x


@knock.check("init: shapes, zero biases, weights with variance 2 / fan_in")
def start(mine, r):
    for sizes in ((2, 3, 4), (1, 2, 2), (150, 120, 200), (60, 250, 90)):
        seed = int(r.integers(1 << 30))
        params = mine.init(sizes, np.random.default_rng(seed))
        d, h, c = sizes
        shapes = tuple(np.shape(p) for p in params)
        right = (d, h), (h,), (h, c), (c,)
        checks.true(
            shapes == right,
            f"init({sizes}, rng): shapes must be {right}; got {shapes}",
            shapes,
        )
        for name, bias in (("b1", params[1]), ("b2", params[3])):
            what = f"init({sizes}, rng): {name}"
            checks.equal(bias, np.zeros(bias.shape), what)
        again = mine.init(sizes, np.random.default_rng(seed))
        checks.true(
            all(map(np.array_equal, params, again)),
            "init: an rng in the same state gives other weights; draw from rng only",
        )
        w1, w2 = params[0], params[2]
        if h < 100:
            continue
        for name, w in (("w1", w1), ("w2", w2)):
            what = f"init({sizes}, rng): fan_in / 2 * {name}**2"
            checks.statistic(w**2 * (len(w) / 2), 1.0, what)
            checks.statistic(w, 0.0, f"init({sizes}, rng): {name}")
            text = f"init({sizes}, rng): the weights in {name} are not all drawn apart"
            checks.true(np.unique(w).size > 0.99 * w.size, text)
        n = min(w1.size, w2.size)
        product = w1.ravel()[:n] * w2.ravel()[:n] * np.sqrt(d * h) / 2
        checks.statistic(product, 0.0, "init: w1 * w2, weights of the same number")
        rng = np.random.default_rng(seed)
        first, second = mine.init(sizes, rng), mine.init(sizes, rng)
        for i, name in ((0, "w1"), (2, "w2")):
            same = np.mean(first[i] == second[i])
            text = f"init: {name} is the same when drawn again; draw all from rng"
            checks.true(same < 0.01, text)


@knock.check("forward: the logits")
def logits(mine, r):
    def forward(w1, b1, w2, b2, x):
        return mine.forward((w1, b1, w2, b2), x)

    w1, w2 = np.array([[1.0, -1, 2], [0, 3, 1]]), np.array([[1.0, 2], [3, 4], [-5, 6]])
    x = np.array([[1.0, 2], [-3, r.size(1, 3)]])
    b1, b2 = np.array([0.5, -8, 1]), np.array([0.25, r.size(1, 5)])
    checks.value(forward, by_units, w1, b1, w2, b2, x)
    for n in (1, 2, 4):
        *params, x = draw(r, n)
        checks.value(forward, by_units, *params, x)
        single = [a.astype(np.float32) for a in (*params, x)]
        checks.value(forward, by_units, *single)
    for d, h, c, n in ((1, 1, 1, 1), (1, 1, 2, 3), (2, 1, 3, 1), (1, 2, 2, 300)):
        args = r(d, h), r(h), r(h, c), r(c), r(n, d)
        checks.value(forward, by_units, *args, again=n < 300)


@knock.check("backward: the gradients by all four parameters", points=2)
def gradients(mine, r):
    def backward(g, w1, b1, w2, b2, x):
        return mine.backward(g, (w1, b1, w2, b2), x)

    for n in (2, 1, r.size(3, 5)):
        args = draw(r, n)
        checks.gradient(backward, by_units, *args, r=r, wrt=range(4))
    w1, b1, w2, b2, x = draw(r, n)
    x[0], b1[:2] = 0, 0  # two units are at 0 for the first point
    checks.value(backward, slopes, r(n, len(b2)), w1, b1, w2, b2, x)
    for d, h, c, n in ((1, 1, 1, 1), (1, 1, 2, 3), (2, 1, 3, 1), (1, 2, 2, 300)):
        sizes = (n, c), (d, h), (h,), (h, c), (c,), (n, d)
        checks.value(backward, slopes, *[r(*s) for s in sizes], again=n < 300)
    n = len(args[-1])
    single = [a.astype(np.float32) for a in args]
    g = r(n, len(args[3])).astype(np.float32)
    kinds = {str(a.dtype) for a in checks.call(backward, g, *single)}
    text = f"backward: float32 must stay float32; got {kinds}"
    checks.true(kinds == {"float32"}, text, tuple(sorted(kinds)))


@knock.check("train: none, one and a few steps, exactly", points=2)
def steps(mine, r):
    def train(w1, b1, w2, b2, x, y, **options):
        return mine.train((w1, b1, w2, b2), x, y, **options)

    for count in (1, 0, 2, 12):
        *params, x = draw(r, r.size(3, 6))
        y = r.integers(len(params[3]), len(x))
        options = {"steps": count, "lr": r.choice([0.3, 0.1, 0.05])}
        options["tolerance"] = 1e-6, 1e-8
        checks.value(train, in_one, *params, x, y, **options)
    few, y[0] = {"steps": 3, "tolerance": (1e-6, 1e-8)}, 0
    w1, b1, w2, b2 = params
    rest = np.vstack([0 * x[:1], x]), np.append(y, 1)  # a unit that starts at 0
    checks.value(train, in_one, w1, 0 * b1, w2, b2, *rest, **few)
    many = r(1100, len(w1)), r.integers(len(b2), 1100)
    checks.value(train, in_one, *params, *many, again=False, **few)
    for d, h, c, n in ((1, 1, 2, 1), (2, 1, 3, 4)):
        tiny = r(d, h), r(h), r(h, c), r(c), r(n, d), r.integers(c, n)
        checks.value(train, in_one, *tiny, again=False, **few)
    single = [a.astype(np.float32) for a in (*params, x)]
    kinds = {str(a.dtype) for a in checks.call(train, *single, y, steps=2)}
    text = f"train: float32 must stay float32; got {kinds}"
    checks.true(kinds == {"float32"}, text, tuple(sorted(kinds)))


@knock.check("train: many steps, with the same rate to the end", late=True)
def long(mine, r):
    x, y = r(20, 2), r.integers(3, 20)
    params = r(2, 4), r(4), r(4, 3), r(3)
    for options in ({}, {"steps": 1100}):
        received = checks.call(mine.train, params, x, y, lr=0.005, **options)
        wanted = in_one(*params, x, y, lr=0.005, **options)
        words = ", ".join(f"{k}={v}" for k, v in options.items()) or "300 by default"
        what = f"train(params, x, y, lr=0.005), steps: {words}"
        checks.equal(received, wanted, what, tolerance=(1e-6, 1e-8))


@knock.check("the spirals are learned, with the steps and the rate given", late=True)
def learns(mine, r):
    seeds = [int(s) for s in r.integers(1 << 30, 3)]
    right = {"yours": [], "theirs": []}

    def run(seed, who, init, fit):
        rng = np.random.default_rng(seed)
        x, y = mine.spirals(300, rng)
        params = fit(init((2, 32, 2), rng), x, y)
        new, labels = mine.spirals(300, rng)
        guess = softmax(params, new)[1].argmax(axis=1)
        right[who].append(np.mean(guess == labels))
        return loss(params, x, y)

    def normal(sizes, rng):
        d, h, c = sizes
        w1, w2 = rng.standard_normal((d, h)), rng.standard_normal((h, c))
        return w1 * (2 / d) ** 0.5, np.zeros(h), w2 * (2 / h) ** 0.5, np.zeros(c)

    checks.learns(
        lambda seed: run(seed, "yours", mine.init, mine.train),
        lambda seed: run(seed, "theirs", normal, lambda p, x, y: in_one(*p, x, y)),
        "two spirals, 300 points",
        seeds,
        slack=10,  # untrained it is 100 times as large; chance makes up to 4 times
    )
    ours, theirs = (float(np.median(right[who])) for who in ("yours", "theirs"))
    checks.true(
        ours > theirs - 0.06,
        f"of new points, {ours:.0%} are told right; the reference reaches {theirs:.0%}",
        np.asarray(right["yours"]),
    )


knock.wrong(
    "root forgotten",
    "the weights have standard deviation 2 / fan_in; it is the variance that must be",
    ("(0, np.sqrt(2 / d), (d, h))", "(0, 2 / d, (d, h))"),
    ("(0, np.sqrt(2 / h), (h, c))", "(0, 2 / h, (h, c))"),
)
knock.wrong(
    "fan_out",
    "you divide by the number of outputs; fan_in is the number of inputs, of rows",
    ("(0, np.sqrt(2 / d), (d, h))", "(0, np.sqrt(2 / h), (d, h))"),
    ("(0, np.sqrt(2 / h), (h, c))", "(0, np.sqrt(2 / c), (h, c))"),
)
knock.wrong(
    "variance for no relu",
    "your variance is 1 / fan_in, which suits tanh; a relu lets through half: 2 / "
    "fan_in",
    ("(0, np.sqrt(2 / d), (d, h))", "(0, np.sqrt(1 / d), (d, h))"),
    ("(0, np.sqrt(2 / h), (h, c))", "(0, np.sqrt(1 / h), (h, c))"),
)
knock.wrong(
    "random biases",
    "your biases are drawn as well; they start at zero",
    ("w1, np.zeros(h), w2", "w1, rng.normal(0, 1, h), w2"),
)
knock.wrong(
    "the world's generator",
    "you draw from NumPy's global generator: no run could be repeated; draw from rng",
    ("    d, h, c = sizes\n", "    d, h, c = sizes\n    rng = np.random\n"),
)
knock.wrong(
    "no relu",
    "there is no relu in forward: two linear layers are one linear layer",
    ("hidden = np.maximum(x @ w1 + b1, 0)  # (N, H)", "hidden = x @ w1 + b1"),
)
knock.wrong(
    "relu at the end too",
    "the logits go through a relu too; only the hidden layer does",
    ("return hidden @ w2 + b2", "return np.maximum(hidden @ w2 + b2, 0)"),
)
knock.wrong(
    "bias after the relu",
    "b1 is added after the relu; it belongs inside: max(x w1 + b1, 0)",
    (
        "np.maximum(x @ w1 + b1, 0)  # (N, H)",
        "np.maximum(x @ w1, 0) + b1",
    ),
)
knock.wrong(
    "relu not differentiated",
    "the gradient goes through the relu as if all units were on: times (before > 0)",
    ("(g @ w2.T) * (before > 0)", "g @ w2.T"),
)
knock.wrong(
    "on at zero",
    "the gradient goes through hidden units that are exactly at 0 (before >= 0); there "
    "it is 0: before > 0",
    ("(before > 0)", "(before >= 0)"),
)
knock.wrong(
    "upstream ignored",
    "backward ignores g, the gradient of the logits that comes in",
    (
        "    before = x @ w1 + b1  # (N, H)\n",
        "    before = x @ w1 + b1\n    g = np.ones_like(g)\n",
    ),
)
knock.wrong(
    "mean for the biases",
    "the gradients of the biases are means over the points; they are sums (the loss "
    "has taken its mean already)",
    (
        "g_before.sum(axis=0), hidden.T @ g, g.sum(axis=0)",
        "g_before.mean(axis=0), hidden.T @ g, g.mean(axis=0)",
    ),
)
knock.wrong(
    "biases per point",
    "the gradients of the biases are not summed: a bias serves all points",
    ("g_before.sum(axis=0), hidden.T @ g, g.sum(axis=0)", "g_before, hidden.T @ g, g"),
)
knock.wrong(
    "layers exchanged",
    "the gradients come in the order of the layers from above; wanted is w1, b1, w2, "
    "b2",
    (
        "return x.T @ g_before, g_before.sum(axis=0), hidden.T @ g, g.sum(axis=0)",
        "return hidden.T @ g, g.sum(axis=0), x.T @ g_before, g_before.sum(axis=0)",
    ),
)
knock.wrong(
    "memory lost",
    "m and v start from zero at every step; Adam must remember them",
    ("grad, means[i], squares[i], t, lr", "grad, 0 * means[i], 0 * squares[i], t, lr"),
)
knock.wrong(
    "always the first step",
    "t is 1 at every step, so that m and v are corrected too much; count the steps",
    ("squares[i], t, lr", "squares[i], 1, lr"),
)
knock.wrong(
    "the first points only",
    "only the first 256 points are learned from; each step is on all points",
    ("    params = list(params)\n", "    params, x = list(params), x[:256]\n"),
    ("forward(params, x), y)", "forward(params, x), y[:256])"),
)
knock.wrong(
    "the rate decays",
    "the rate gets smaller on the way; lr is the same at every step",
    ("squares[i], t, lr", "squares[i], t, lr * 0.5 ** ((t - 1) // 100)"),
)
knock.wrong(
    "one step only",
    "training ends after the first step: is the return inside of the loop?",
    (
        "            )\n    return tuple(params)",
        "            )\n        return tuple(params)\n    return tuple(params)",
    ),
)
knock.wrong(
    "uphill",
    "the loss grows: the gradient has the wrong sign",
    ("cross_entropy_backward(1.0", "cross_entropy_backward(-1.0"),
)
knock.wrong(
    "stale gradient",
    "the gradient is always that of the start parameters: compute it anew at each step",
    ("    params = list(params)\n", "    start, params = params, list(params)\n"),
    ("forward(params, x), y)", "forward(start, x), y)"),
    ("enumerate(backward(g, params, x))", "enumerate(backward(g, start, x))"),
)
