"""Grader of k019: SGD with momentum, and Adam."""

import math

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Every line of the formulas is a line of code; the order matters: the new v is "
        "what p moves by.",
        "The correction by 1 - beta**t must not find its way into the m and v that you "
        "return: give the corrected ones names of their own.",
        "mean = m / (1 - beta1**t); square = v / (1 - beta2**t); return p - lr * mean "
        "/ (np.sqrt(square) + eps), m, v.",
    ],
)


def sgd(p, g, v, lr, momentum):
    """The definition, one number at a time."""
    new = [np.empty(p.shape, p.dtype) for _ in range(2)]
    for at in np.ndindex(*p.shape):
        speed = momentum * float(v[at]) + float(g[at])
        new[0][at], new[1][at] = float(p[at]) - lr * speed, speed
    return tuple(new)


def adam(p, g, m, v, t, lr, beta1, beta2, eps):
    """The definition, one number at a time."""
    new = [np.empty(p.shape, p.dtype) for _ in range(3)]
    for at in np.ndindex(*p.shape):
        slope = float(g[at])
        mean = beta1 * float(m[at]) + (1 - beta1) * slope
        square = beta2 * float(v[at]) + (1 - beta2) * slope * slope
        root = math.sqrt(square / (1 - beta2**t))
        move = lr * (mean / (1 - beta1**t)) / (root + eps)
        new[0][at], new[1][at], new[2][at] = float(p[at]) - move, mean, square
    return tuple(new)


def shape(r):
    return r.choice(
        [(r.size(2, 5),), (r.size(1, 3), r.size(2, 4)), (1, 2, r.size(1, 3))]
    )


def rates(r):
    """lr, beta1, beta2, eps; eps is sometimes large enough to be seen."""
    beta1, beta2 = r.choice([(0.9, 0.999), (0.5, 0.8), (0.8, 0.6), (0.25, 0.95)])
    return r.choice([0.1, 0.02, 1.5]), beta1, beta2, r.choice([1e-8, 0.1, 0.5])


@knock.check("sgd: one step", points=2)
def sgd_step(mine, r):
    n = r.size(2, 3)
    p, g, v = (r.rng.permutation(np.arange(1.0, 9))[:n] for _ in range(3))
    checks.value(mine.sgd, sgd, p, g, v, 0.1, 0.5)
    for momentum in (0.9, 0.3, 0.0, 1.0):
        s = shape(r)
        lr = r.choice([0.01, 0.5, 3.0])
        checks.value(mine.sgd, sgd, r(*s), r(*s), r(*s), lr, momentum)


@knock.check("adam: the first step, from zeros")
def first_step(mine, r):
    n = r.size(2, 3)
    p, g = (r.rng.permutation(np.arange(-4.0, 5))[:n] for _ in range(2))
    g[0] = 2 + r.size(1, 3)
    zeros = np.zeros(n)
    checks.value(mine.adam, adam, p, g, zeros, zeros, 1, 0.1, 0.9, 0.99, 0.5)
    for _ in range(3):
        s = shape(r)
        p, g, zeros = r(*s), r(*s), np.zeros(s)
        checks.value(mine.adam, adam, p, g, zeros, zeros, 1, *rates(r))


@knock.check(
    "adam: any step t, any m and v; no gradient, no division by zero", points=2
)
def later_step(mine, r):
    for t in (2, 10, 1, 3, r.size(20, 400), 5000):
        s = shape(r)
        p, g, m, v = r(*s), r(*s), r(*s), r.positive(*s)
        checks.value(mine.adam, adam, p, g, m, v, t, *rates(r))
    p, g, m, v = r(2, 3), r(2, 3), r(2, 3), r.positive(2, 3)
    checks.value(mine.adam, adam, p, g, m, v, 2, 0.1, 0.0, 0.5, 1e-8)
    checks.value(mine.adam, adam, p.T, g.T, m.T, v.T, 7, *rates(r))
    zeros = np.zeros(3)
    for t in (1, 4):
        checks.value(mine.adam, adam, p[0], zeros, zeros, zeros, t, *rates(r))
    options = 0.1, 0.9, 0.99, 1e-8
    checks.value(mine.adam, adam, p, g * 1e-9, m * 1e-9, v * 1e-18, 3, *options)


@knock.check("zero gradients, all or some, change nothing in the rule")
def zeros(mine, r):
    n, nothing = r.size(2, 4), np.zeros(3)
    p, q, m, v = r(3), r(3), r.positive(3), r.positive(3)
    one = np.array([0.0, 1 + r.size(1, 3), 0.0])
    for g in (nothing, one):
        checks.value(mine.sgd, sgd, p, g, m, r.choice([0.1, 0.5]), 0.9)
        for t in (1, 2, r.size(3, 99)):
            checks.value(mine.adam, adam, q, g, m, v, t, *rates(r))
    checks.value(mine.sgd, sgd, nothing, one, m, 0.5, 0.9)
    checks.value(mine.sgd, sgd, p, one, nothing, 0.5, 0.9)
    checks.value(mine.adam, adam, nothing, one, m, v, 3, *rates(r))
    checks.value(mine.adam, adam, p, one, nothing, v, 3, *rates(r))
    checks.value(mine.adam, adam, p, one, m, nothing, 3, 0.1, 0.9, 0.99, 0.25)
    big = 10.0 ** r.size(3, 8)  # no clipping
    p, g, m, v = r(n, 2), big * r(n, 2), big * r(n, 2), big**2 * r.positive(n, 2)
    checks.value(mine.sgd, sgd, p, g, m, 0.5, 0.9)
    checks.value(mine.adam, adam, p, g, m, v, 3, *rates(r))


@knock.check("several steps in a row, two parameters in turn", points=2)
def run(mine, r):
    s, other = (2, r.size(1, 3)), (r.size(2, 4),)
    lr, momentum = r.choice([0.1, 0.02]), r.choice([0.9, 0.5])
    options = rates(r)
    ours = {s: [r(*s), np.zeros(s)], other: [r(*other), np.zeros(other)]}
    theirs = dict(ours)
    adams = {k: [p, v, v] for k, (p, v) in ours.items()}
    beside = dict(adams)
    for t in range(1, 13):
        for k in (s, other):
            g = r(*k)
            ours[k] = checks.call(mine.sgd, ours[k][0], g, ours[k][1], lr, momentum)
            theirs[k] = sgd(theirs[k][0], g, theirs[k][1], lr, momentum)
            checks.equal(ours[k], theirs[k], f"sgd, step {t} in a row")
            adams[k] = checks.call(
                mine.adam, adams[k][0], g, *adams[k][1:], t, *options
            )
            beside[k] = adam(beside[k][0], g, *beside[k][1:], t, *options)
            checks.equal(adams[k], beside[k], f"adam, step {t} in a row")


@knock.check("float32 stays float32")
def dtype(mine, r):
    for t in (1, 2, 9):
        s = shape(r)
        p, g, m = (r(*s).astype(np.float32) for _ in range(3))
        v = r.positive(*s).astype(np.float32)
        checks.value(mine.sgd, sgd, p, g, m, 0.1, r.choice([0.9, 0.0]))
        checks.value(mine.adam, adam, p, g, m, v, t, *rates(r))


@knock.check("arrays of any shape; new arrays come back, with the same dtype")
def fresh(mine, r):
    for kind in (np.float64, np.float32):
        for s in ((), (1,), (0,), (r.size(1, 3), 1, 2)):
            p, g, m, v = (r.positive(*s).astype(kind) for _ in range(4))
            lr, momentum = r.choice([0.5, 0.1]), r.choice([0.9, 0.5])
            checks.value(mine.sgd, sgd, p, g, m, lr, momentum)
            checks.value(mine.adam, adam, p, g, m, v, 2, *rates(r))
    p, g, m, v = r(2, 3), np.zeros((2, 3)), r(2, 3), r.positive(2, 3)
    for g in (g, r(2, 3)):
        calls = (
            ("sgd", mine.sgd, (p, g, m, 0.1, 0.9)),
            ("sgd", mine.sgd, (p, g, m, 0.1, 0.0)),
            ("sgd", mine.sgd, (p, g, m, 0.0, 1.0)),
            ("adam", mine.adam, (p, g, m, v, 2, 0.1, 0.9, 0.99, 1e-8)),
            ("adam", mine.adam, (p, g, m, v, 2, 0.0, 0.0, 0.0, 1e-8)),
        )
        for name, f, args in calls:
            given = [np.array(a) for a in args[: 4 if name == "adam" else 3]]
            for i, result in enumerate(f(*given, *args[len(given) :])):
                text = (
                    f"{name}: result {i} is an array that was given, or shares its "
                    "memory; return new ones"
                )
                shared = any(np.shares_memory(result, a) for a in given)
                checks.true(not shared, text, ("shared", name, i))


knock.wrong(
    "uphill",
    "you go uphill: the gradient points up, so lr * v is subtracted",
    ("p - lr * v, v", "p + lr * v, v"),
)
knock.wrong(
    "old velocity",
    "p moves by the old velocity: first the new v, then p with it",
    (
        "    v = momentum * v + g\n    return p - lr * v, v",
        "    return p - lr * v, momentum * v + g",
    ),
)
knock.wrong(
    "running mean for velocity",
    "your v is a running mean (g times 1 - momentum, a dampening); here v = momentum "
    "* v + g",
    ("v = momentum * v + g\n", "v = momentum * v + (1 - momentum) * g\n"),
)
knock.wrong(
    "learning rate in the velocity",
    "lr is inside of your v; here v is without it, and p goes down lr * v",
    (
        "    v = momentum * v + g\n    return p - lr * v, v",
        "    v = momentum * v + lr * g\n    return p - v, v",
    ),
)
knock.wrong(
    "Nesterov",
    "this is Nesterov's momentum, which looks one step ahead; plain momentum moves "
    "by v",
    ("p - lr * v, v", "p - lr * (momentum * v + g), v"),
)
knock.wrong(
    "momentum forgotten",
    "the velocity is not remembered: this is SGD without momentum",
    ("v = momentum * v + g\n", "v = g\n"),
)
knock.wrong(
    "no correction",
    "the correction for the start from zero is missing: m / (1 - beta1**t), and v "
    "alike",
    ("m / (1 - beta1**t)", "m"),
    ("v / (1 - beta2**t)", "v"),
)
knock.wrong(
    "only m corrected",
    "v is not corrected for its start from zero: v / (1 - beta2**t)",
    ("v / (1 - beta2**t)", "v"),
)
knock.wrong(
    "no gradient, no step",
    "your adam does not move p where the gradient is exactly zero; but its mean m is "
    "not zero yet, so p moves on",
    (
        "    return p - lr * mean / (np.sqrt(square) + eps), m, v",
        "    step = lr * mean / (np.sqrt(square) + eps)\n"
        "    return np.where(g == 0, p, p - step), m, v",
    ),
)
knock.wrong(
    "asleep without gradients",
    "without a gradient your sgd leaves p where it is; but the ball rolls on: v <- "
    "momentum * v, and p goes lr * v down",
    (
        "    v = momentum * v + g\n    return p - lr * v, v",
        "    if not np.any(g):\n        return p.copy(), v.copy()\n"
        "    v = momentum * v + g\n    return p - lr * v, v",
    ),
)
knock.wrong(
    "eps inside of the root",
    "eps is added inside of the root; it comes after it: sqrt(v) + eps",
    ("(np.sqrt(square) + eps)", "np.sqrt(square + eps)"),
)
knock.wrong(
    "root forgotten",
    "the root is missing: m is divided by sqrt(v), not by v",
    ("np.sqrt(square)", "square"),
)
knock.wrong(
    "gradient not squared",
    "v is a running mean of g; it must be one of g squared",
    ("(1 - beta2) * g**2", "(1 - beta2) * abs(g)"),
)
knock.wrong(
    "steps from zero",
    "you count one step too many: t is 1 at the first step already",
    ("(1 - beta1**t)", "(1 - beta1 ** (t + 1))"),
    ("(1 - beta2**t)", "(1 - beta2 ** (t + 1))"),
)
knock.wrong(
    "corrected twice",
    "you return the corrected m and v, so that the next step corrects them once more",
    ("+ eps), m, v", "+ eps), mean, square"),
)
knock.wrong(
    "correction of the first step",
    "you correct by 1 - beta, which is right at the first step only: 1 - beta**t",
    ("beta1**t", "beta1"),
    ("beta2**t", "beta2"),
)
knock.wrong(
    "betas exchanged",
    "beta1 and beta2 are exchanged: beta1 is for the mean, beta2 for the square",
    (
        "    m = beta1 * m + (1 - beta1) * g\n    v = beta2 * v + (1 - beta2) * g**2\n",
        "    beta1, beta2 = beta2, beta1\n    m = beta1 * m + (1 - beta1) * g\n"
        "    v = beta2 * v + (1 - beta2) * g**2\n",
    ),
)
knock.wrong(
    "always float64",
    "the results are float64 for float32 input: plain numbers keep the dtype, arrays "
    "such as np.array(0.1) or np.float64(0.1) do not",
    ("p - lr * v, v", "p - np.float64(lr) * v, v"),
    ("p - lr * mean", "p - np.float64(lr) * mean"),
)
