"""Grader of k049: the adaptive Fastfood layer."""

from functools import cache

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Forwards it is fastfood with sigma = 1, plus the bias, through np.maximum. "
        "Backwards, compute z again: where it is above 0, dh goes on to the bias and "
        "to fastfood_backward.",
        "dz = dh * (z > 0); dbias is dz added up over the points. In the loss, h[i] "
        "meets w, so dh[i] is the error of point i times w, divided by N; the gradient "
        "of w is the sum of these errors times h.",
        "error = (h @ w - t) / len(x); dh = np.outer(error, w); dw = error @ h; each "
        "of s, g, b, bias, w minus lr times its gradient, all computed before anything "
        "is changed. train calls sgd_step again and again with what came back.",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [(2, 4), (1, 4), (3, 8), (1, 1), (3, 1), (2, 2), (1, 2), (4, 16), (9, 4)]


@cache
def scaled_hadamard(d):
    """H / sqrt(d), grown from 1 by 1."""
    h = np.ones((1, 1))
    while len(h) < d:
        h = np.kron(np.array([[1.0, 1], [1, -1]]), h)
    return h / np.sqrt(d)


def parts(s, g, p, b):
    """What stands left of G, and right of it without B; 1 / sqrt(d) is on the left."""
    d = len(s)
    h = scaled_hadamard(d)
    return s[:, None] * h, (h * np.sqrt(d))[p]


def before(x, s, g, p, b, bias):
    """z, by the matrix V."""
    left, right = parts(s, g, p, b)
    v = left @ (g[:, None] * right) * b
    return np.asarray(x, float) @ v.T + bias


def forward(x, s, g, p, b, bias):
    z = before(x, s, g, p, b, bias)
    return np.where(z > 0, z, 0).astype(x.dtype)


def backward(dh, x, s, g, p, b, bias):
    """The gradient by V, z being above 0, and what each diagonal has of it."""
    left, right = parts(s, g, p, b)
    dz = np.where(before(x, s, g, p, b, bias) > 0, dh, 0).astype(float)
    dv = dz.T @ np.asarray(x, float)
    dx = dz @ (left @ (g[:, None] * right) * b)
    ds = (dv * (scaled_hadamard(len(s)) @ (g[:, None] * right) * b)).sum(1)
    dg = np.diag(left.T @ (dv * b) @ right.T)
    db = (dv * (left @ (g[:, None] * right))).sum(0)
    return tuple(np.array(a).astype(x.dtype) for a in (dx, ds, dg, db, dz.sum(0)))


def small_steps(dh, *args):
    """The gradients of <dh, h>, by differences."""
    return tuple(checks.numeric(forward, args, dh, i) for i in (0, 1, 2, 4, 5))


def in_one(s, g, b, bias, w, p, x, t, steps=200, lr=0.1, frozen=False):
    """All steps, with the matrix."""
    params = [s, g, b, bias, w]
    for _ in range(steps):
        s, g, b, bias, w = params
        h = forward(x, s, g, p, b, bias)
        error = ((h * w).sum(1) - t) / len(x)
        grads = [*backward(error[:, None] * w, x, s, g, p, b, bias)[1:], h.T @ error]
        if frozen:
            grads[:3] = 0, 0, 0
        params = [a - lr * grad for a, grad in zip(params, grads)]
    return tuple(params)


def loss(params, p, x, t):
    s, g, b, bias, w = params
    return np.mean((forward(x, s, g, p, b, bias) @ w - t) ** 2) / 2


def permutation(r, d):
    """A random one that is not its own inverse, if there is one."""
    while True:
        p = r.rng.permutation(d)
        if d < 3 or (p[p] != np.arange(d)).any():
            return p


def sample(r, n, d):
    """x, s, g, p, b and bias; some units on, some off, the bias matters, no kinks."""
    p = permutation(r, d)
    while True:
        x, s, g, b, bias = r(n, d), r(d), r(d), r(d), r(d)
        z = before(x, s, g, p, b, bias)
        on, alone = z > 0, before(x, s, g, p, b, 0 * bias) > 0
        both = on.any() and not on.all() and (on != alone).any() or n * d < 4
        if both and abs(z).min() > 1e-3:
            return x, s, g, p, b, bias


def with_dh(r, n, d):
    """The same behind a gradient from above."""
    args = sample(r, n, d)
    return r(n, d), *args


def problem(r, n, d):
    """s, g, b, bias, w, p, x and t of moderate size."""
    x, s, g, p, b, bias = sample(r, n, d)
    s, g, b, bias = (0.7 * a for a in (s, g, b, bias))
    return s, g, b, bias, 0.7 * r(d), p, x, r(n)


def anything(r):
    """Sizes of any kind."""
    return r.size(1, 5), 2 ** r.size(0, 4)


@knock.check("layer: the matrix V, the bias, the ReLU")
def value(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(mine.layer, forward, *sample(r, *case), tolerance=TIGHT)
    x, *rest, bias = sample(r, 3, 4)
    checks.value(mine.layer, forward, x, *rest, bias + 1000, tolerance=TIGHT)
    bias = np.array([5e-9, 1e-10, 0, -5e-9])  # z is the bias
    checks.value(mine.layer, forward, 0 * x, *rest, bias, tolerance=TIGHT)


@knock.check("layer_backward: all five gradients", points=3)
def gradients(mine, r):
    for case in [(2, 4), (1, 4), (2, 1), (3, 2)]:
        five(mine, small_steps, with_dh(r, *case), tolerance=(1e-5, 1e-7))
    for case in [*CASES, anything(r), anything(r)]:
        five(mine, backward, with_dh(r, *case), tolerance=TIGHT)
    dh, x, *rest, bias = with_dh(r, 3, 4)
    x[1], bias[1:] = 0, 0  # three units are exactly at 0 for one point
    five(mine, backward, (dh, x, *rest, bias), tolerance=TIGHT)
    bias[1:] = 1e-30, 1e-20, -1e-30  # two of them are on
    five(mine, backward, (dh, x, *rest, bias), tolerance=TIGHT)


def five(mine, oracle, args, tolerance):
    """All gradients; the evidence of a mistake is all that came back."""
    f = mine.layer_backward
    try:
        checks.value(f, oracle, *args, tolerance=tolerance, again=False)
    except Mistake as mistake:
        found = checks.call(f, *args)
        found = list(found) if isinstance(found, tuple | list) else mistake.evidence
        raise Mistake(mistake.message, found) from None


@knock.check("sgd_step: one step, exactly", points=2)
def step(mine, r):
    for n, d in [(3, 4), (1, 2), (2, 1), (1, 1), (5, 8), anything(r)]:
        one(mine, problem(r, n, d), r.choice([0.5, 0.1, 0.03]))
    *args, t = problem(r, 3, 4)
    one(mine, (*args, 1e4 + t), 0.03)  # large gradients
    one(mine, problem(r, 300, 4), 0.5)


def one(mine, args, lr):
    """One step; the evidence of a mistake is all that came back."""

    def sgd_step(s, g, b, bias, w, p, x, t, lr):
        return mine.sgd_step((s, g, b, bias, w), p, x, t, lr)

    def right(*args):
        return in_one(*args[:-1], steps=1, lr=args[-1])

    try:
        found = checks.value(sgd_step, right, *args, lr, tolerance=TIGHT)
        tuples(found, "sgd_step")
    except Mistake as mistake:
        found = checks.call(sgd_step, *args, lr)
        found = list(found) if isinstance(found, tuple | list) else mistake.evidence
        raise Mistake(mistake.message, found) from None


def tuples(found, name):
    """What was found right in numbers must be a tuple."""
    kind = type(found).__name__
    text = f"{name}: a tuple must come back; got a {kind}"
    checks.true(isinstance(found, tuple), text, f"{name}: {kind}")


@knock.check("train: none, one and a few steps, exactly", points=2)
def steps(mine, r):
    train = apart(mine)
    cases = (3, (3, 4)), (1, (2, 4)), (0, (3, 4)), (0, (1, 2)), (12, (4, 2))
    for count, case in cases:
        options = {"steps": count, "lr": r.choice([0.1, 0.05])}
        args = problem(r, *case)
        found = checks.value(train, in_one, *args, tolerance=(1e-6, 1e-8), **options)
        tuples(found, f"train with steps={count}")


def apart(mine):
    """train, whose params are given one by one."""

    def train(s, g, b, bias, w, p, x, t, **options):
        return mine.train((s, g, b, bias, w), p, x, t, **options)

    return train


@knock.check("train: many steps, however the loss goes, exactly")
def on_and_on(mine, r):
    def exactly(args, tolerance, **options):
        f = apart(mine)
        checks.value(f, in_one, *args, tolerance=tolerance, again=False, **options)

    exactly(problem(r, 20, 4), (1e-6, 1e-8), steps=16, lr=0.05)
    exactly(problem(r, 3, 4), TIGHT, steps=20, lr=1e-6)  # there is little change
    exactly(bumpy(r), (1e-6, 1e-8), steps=12, lr=1.0)
    s, g, b, bias, *rest = problem(r, 2, 1)
    exactly((s, g, b, bias + 10, *rest), TIGHT, steps=230, lr=1e-4)  # all are on


def bumpy(r):
    """A problem whose loss grows and falls in 12 steps with lr = 1."""
    while True:
        *params, p, x, t = args = problem(r, 3, 2)
        losses = [loss(params, p, x, t)]
        with np.errstate(all="ignore"):
            for _ in range(12):
                params = in_one(*params, p, x, t, steps=1, lr=1.0)
                losses.append(loss(params, p, x, t))
        change = np.diff(losses) / losses[0]
        if change.max() > 0.05 and change[-6:].min() < -1e-3 and max(losses) < 10:
            return args


@knock.check("float32 stays float32; views are right; nothing is shared or kept")
def layout(mine, r):
    f, back = mine.layer, mine.layer_backward
    args = dh, x, s, g, p, b, bias = with_dh(r, 3, 8)
    h, grads = checks.call(f, *args[1:]), checks.call(back, *args)
    right = backward(*args)
    checks.equal(h, forward(*args[1:]), "layer", tolerance=TIGHT)
    checks.equal(grads, right, "layer_backward", tolerance=TIGHT)
    checks.value(f, forward, -x, *args[2:], tolerance=TIGHT)
    checks.value(back, backward, -dh, *args[1:], tolerance=TIGHT)
    what = "an earlier result, after another call"
    checks.equal(h, forward(*args[1:]), f"layer: {what}", tolerance=TIGHT)
    checks.equal(grads, right, f"layer_backward: {what}", tolerance=TIGHT)
    fortran, turned = np.asfortranarray(x)[::-1], dh[:, ::-1]
    s, g, b, bias = (np.repeat(a, 2)[::-2] for a in (s, g, b, bias))
    checks.value(f, forward, fortran, s, g, p[::-1], b, bias, tolerance=TIGHT)
    views = turned, fortran, s, g, p[::-1], b, bias
    checks.value(back, backward, *views, tolerance=TIGHT)
    dh, x, s, g, p, b, bias = with_dh(r, 3, 4)
    dh, x, s, g, b, bias = (a.astype(np.float32) for a in (dh, x, s, g, b, bias))
    w, t = r(4).astype(np.float32), r(3).astype(np.float32)
    checks.value(f, forward, x, s, g, p, b, bias)
    dh, x = np.asfortranarray(dh), np.asfortranarray(x)
    checks.value(back, backward, dh, x, s, g, p, b, bias, again=False)
    for name, f in (("sgd_step", one_step(mine)), ("train", three_steps(mine))):
        kinds = {str(a.dtype) for a in checks.call(f, (s, g, b, bias, w), p, x, t)}
        text = f"{name}: float32 must stay float32; got {', '.join(sorted(kinds))}"
        checks.true(kinds == {"float32"}, text, sorted(kinds))


def one_step(mine):
    return lambda params, p, x, t: mine.sgd_step(params, p, x, t, 0.1)


def three_steps(mine):
    return lambda params, p, x, t: mine.train(params, p, x, t, steps=3)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    s, g, b, bias, w, p, x, t = args = problem(r, 3, 4)
    dh, params = r(3, 4), (s, g, b, bias, w)
    for a, name in zip((dh, *args), ("dh", "s", "g", "b", "bias", "w", "p", "x", "t")):
        mine.layer(x, s, g, p, b, bias), mine.layer_backward(dh, x, s, g, p, b, bias)
        mine.sgd_step(params, p, x, t, 0.1), mine.train(params, p, x, t, 2, 0.1)
        a[:] = np.roll(a, 1) if name == "p" else -a  # in the same array
        now = x, s, g, p, b, bias
        what = f"again, after {name} was changed in place"
        h, after = mine.layer(*now), mine.sgd_step(params, p, x, t, 0.1)
        checks.equal(h, forward(*now), f"layer {what}", tolerance=TIGHT)
        five(mine, backward, (dh, *now), tolerance=TIGHT)
        right = in_one(*args, steps=1, lr=0.1)
        checks.equal(after, right, f"sgd_step {what}", tolerance=TIGHT)
        after, right = mine.train(params, p, x, t, 2, 0.1), in_one(*args, 2, 0.1)
        checks.equal(after, right, f"train {what}", tolerance=(1e-6, 1e-8))


def target(seed):
    """Parameters, p, points and |u . x| for them."""
    rng, d = np.random.default_rng(seed), 8
    g, b = rng.standard_normal(d), rng.choice([-1.0, 1.0], d)
    s, w = np.full(d, np.sqrt(2 / (g**2).sum())), rng.standard_normal(d) / np.sqrt(d)
    x, u = rng.standard_normal((64, d)), rng.standard_normal(d)
    t = abs(x @ u) / np.linalg.norm(u)
    return (s, g, b, np.zeros(d), w), rng.permutation(d), x, t


@knock.check("train: 200 steps, as many as it says by itself", late=True)
def long(mine, r):
    params, p, x, t = target(int(r.integers(1 << 30)))
    x, t = x[:6], t[:6]
    received = checks.call(mine.train, params, p, x, t, lr=0.01)
    right = in_one(*params, p, x, t, lr=0.01)
    what = "train(params, p, x, t, lr=0.01), 200 steps by default"
    checks.equal(received, right, what, tolerance=(1e-6, 1e-8))


@knock.check("it learns, beside the reference and a frozen layer", late=True)
def learns(mine, r):
    def mean(seed, fit):
        params, p, x, t = target(seed)
        return loss(fit(params, p, x, t), p, x, t)

    @cache
    def yours(seed):
        return mean(seed, mine.train)

    def theirs(seed):
        return mean(seed, lambda params, *rest: in_one(*params, *rest))

    def frozen(seed):
        return mean(seed, lambda params, *rest: in_one(*params, *rest, frozen=True))

    checks.learns(yours, theirs, "|u . x| of 64 points")
    what = "|u . x| of 64 points, beside a frozen Fastfood layer (0.8 times its loss)"
    checks.learns(yours, frozen, what, slack=0.8)


LAYER = "return np.maximum(fastfood(x, s, g, p, b, 1) + bias, 0)"
MASK = "dz = dh * (fastfood(x, s, g, p, b, 1) + bias > 0)"
GRADS = "return *fastfood_backward(dz, x, s, g, p, b, 1), dz.sum(axis=0)"
ERROR = "error = (h @ w - t) / len(x)"
STEP = "return tuple(a - lr * grad for a, grad in zip(params, grads))"
LOOP = (
    "    for _ in range(steps):\n        params = sgd_step(params, p, x, t, lr)\n"
    "    return tuple(params)"
)

knock.wrong(
    "no ReLU",
    "there is no ReLU: two linear layers are one linear layer",
    (LAYER, "return fastfood(x, s, g, p, b, 1) + bias"),
)
knock.wrong(
    "no bias",
    "the bias is missing: it is added before the ReLU",
    (LAYER, LAYER.replace(" + bias", "")),
)
knock.wrong(
    "bias after the ReLU",
    "the bias is added after the ReLU; it belongs inside: max(V x + bias, 0)",
    (LAYER, "return np.maximum(fastfood(x, s, g, p, b, 1), 0) + bias"),
)
knock.wrong(
    "bias before V",
    "the bias is added to x; it is added to V x",
    (LAYER, "return np.maximum(fastfood(x + bias, s, g, p, b, 1), 0)"),
)
knock.wrong(
    "absolute values",
    "you take absolute values; a ReLU makes 0 of what is negative",
    (LAYER, "return abs(fastfood(x, s, g, p, b, 1) + bias)"),
)
knock.wrong(
    "capped",
    "h ends at 20; a ReLU lets everything above 0 through, however large",
    (LAYER, "return np.clip(fastfood(x, s, g, p, b, 1) + bias, 0, 20)"),
)
knock.wrong(
    "tiny is nothing",
    "a z below 1e-8 is taken for 0; a ReLU lets everything above 0 through",
    (
        LAYER,
        "z = fastfood(x, s, g, p, b, 1) + bias\n    return z * (z > 1e-8)",
    ),
)
knock.wrong(
    "sigma sqrt(d)",
    "the matrix is divided by sqrt(d) once more; sigma is 1",
    (LAYER, LAYER.replace("b, 1)", "b, len(s) ** 0.5)")),
)
knock.wrong(
    "diagonals exchanged",
    "s and b are exchanged: fastfood takes x, s, g, p, b, sigma",
    (LAYER, LAYER.replace("x, s, g, p, b", "x, b, g, p, s")),
)
knock.wrong(
    "always float64",
    "the result is float64 even for float32: keep the dtype",
    (LAYER, LAYER.replace("+ bias", "+ bias.astype(float)")),
)
knock.wrong(
    "ReLU not differentiated",
    "the gradient goes through the ReLU as if all units were on: times (z > 0)",
    (MASK, "dz = dh"),
)
knock.wrong(
    "on at zero",
    "the gradient goes through units that are exactly at 0; there it is 0: z > 0",
    (MASK, MASK.replace("> 0", ">= 0")),
)
knock.wrong(
    "off at a tiny z",
    "the gradient stops where z is tiny; it goes through wherever z is above 0",
    (MASK, MASK.replace("> 0", "> 1e-12")),
)
knock.wrong(
    "bias left out of the mask",
    "whether a unit is on depends on the bias, too: V x + bias > 0",
    (MASK, MASK.replace(" + bias", "")),
)
knock.wrong(
    "mask of the gradient",
    "you cut the gradient off where it is negative itself; it is z that must be "
    "above 0",
    (MASK, "dz = np.maximum(dh, 0)"),
)
knock.wrong(
    "mask of the input",
    "you ask whether x is above 0; the ReLU has seen z = V x + bias",
    (MASK, "dz = dh * (x > 0)"),
)
knock.wrong(
    "upstream ignored",
    "dh is ignored: these are the gradients of the plain sum of h; multiply by the "
    "gradient that comes from above",
    (MASK, MASK.replace("dz = dh", "dz = np.ones_like(dh)")),
)
knock.wrong(
    "bias gradient before the ReLU",
    "dbias is made of dh; units that are off pass nothing on to their bias either",
    (GRADS, GRADS.replace("dz.sum", "dh.sum")),
)
knock.wrong(
    "bias gradient averaged",
    "dbias is a mean over the points; it is a sum",
    (GRADS, GRADS.replace("dz.sum", "dz.mean")),
)
knock.wrong(
    "bias gradient per point",
    "dbias is not added up: the bias serves all points",
    (GRADS, GRADS.replace("dz.sum(axis=0)", "dz")),
)
knock.wrong(
    "ReLU for the bias only",
    "the four gradients of the Fastfood product are made of dh; they need dz, what the "
    "ReLU has let through",
    (GRADS, GRADS.replace("backward(dz", "backward(dh")),
)
knock.wrong(
    "bias gradient first",
    "the order is wrong: (dx, ds, dg, db, dbias)",
    (GRADS, "return dz.sum(axis=0), *fastfood_backward(dz, x, s, g, p, b, 1)"),
)
knock.wrong(
    "dx left out",
    "dx is missing: five gradients come back, and dx is the first",
    (GRADS, GRADS.replace("b, 1),", "b, 1)[1:],")),
    ("_, *grads = layer", "grads = layer"),
    ("grads.append(error @ h)", "grads = *grads, error @ h"),
)
knock.wrong(
    "averaged over the batch",
    "the gradients of the diagonals are means over the points; they are sums: the loss "
    "has taken its mean already",
    (
        GRADS,
        "dx, *grads = fastfood_backward(dz, x, s, g, p, b, 1)\n"
        "    grads = [grad / x.dtype.type(len(x)) for grad in grads]\n"
        "    return dx, *grads, dz.sum(axis=0)",
    ),
)
knock.wrong(
    "frozen",
    "s, g and b do not learn: their gradients are zero",
    (
        GRADS,
        "dx, *grads = fastfood_backward(dz, x, s, g, p, b, 1)\n"
        "    return dx, *[0 * grad for grad in grads], dz.sum(axis=0)",
    ),
)
knock.wrong(
    "sum of the errors",
    "the errors are not divided by N: the loss is a mean over the points",
    (ERROR, "error = h @ w - t"),
)
knock.wrong(
    "half forgotten",
    "your gradient is twice too large: the loss is half the mean of the squares",
    (ERROR, "error = 2 * (h @ w - t) / len(x)"),
)
knock.wrong(
    "divided by d",
    "you divide by d; N is the number of points",
    (ERROR, "error = (h @ w - t) / len(w)"),
)
knock.wrong(
    "uphill",
    "the loss grows: the error is output minus t, and lr times the gradient is "
    "subtracted",
    (STEP, STEP.replace("a - lr", "a + lr")),
)
knock.wrong(
    "signs only",
    "every step has the size lr, whatever the gradient; multiply lr by the gradient",
    (STEP, STEP.replace("lr * grad", "lr * np.sign(grad)")),
)
knock.wrong(
    "weight decay",
    "the parameters shrink a little at each step; there is no decay here",
    (STEP, STEP.replace("a - lr * grad", "(1 - lr / 100) * a - lr * grad")),
)
knock.wrong(
    "clipped",
    "a long gradient is cut to length 10; plain SGD takes it as it is",
    (
        STEP,
        "norm = sum(float((a**2).sum()) for a in grads) ** 0.5\n"
        "    lr = lr * min(1, 10 / max(norm, 1))\n"
        "    " + STEP,
    ),
)
knock.wrong(
    "64 points",
    "the step is on the first 64 points only; take all of them",
    ("s, g, b, bias, w = params", "(s, g, b, bias, w), x, t = params, x[:64], t[:64]"),
)
knock.wrong(
    "256 points",
    "the step is on the first 256 points only; take all of them",
    (
        "s, g, b, bias, w = params",
        "(s, g, b, bias, w), x, t = params, x[:256], t[:256]",
    ),
)
knock.wrong(
    "a list",
    "sgd_step gives a list; it must be a tuple",
    (STEP, "return [a - lr * grad for a, grad in zip(params, grads)]"),
)
knock.wrong(
    "w not trained",
    "w stays as it is; all five parameters learn",
    ("error @ h)", "0 * w)"),
)
knock.wrong(
    "bias not trained",
    "the bias stays as it is; all five parameters learn",
    ("    grads.append(error", "    grads[-1] = 0 * bias\n    grads.append(error"),
)
knock.wrong(
    "B not trained",
    "b stays as it is; here the signs of Fastfood may become any numbers",
    ("    grads.append(error", "    grads[2] = 0 * b\n    grads.append(error"),
)
knock.wrong(
    "signs kept",
    "b is rounded to +1 and -1 after the step; it may become any numbers",
    (
        "    return tuple(a - lr",
        "    params = s, g, np.sign(b), bias, w\n    return tuple(a - lr",
    ),
)
knock.wrong(
    "w first",
    "w moves first, and the others see the new w; take all gradients before the step",
    (
        "    _, *grads = layer",
        "    old, w = w, w - lr * (error @ h)\n    _, *grads = layer",
    ),
)
knock.wrong(
    "through ones",
    "dh misses w: h[i] counts as much as w says",
    ("np.outer(error, w)", "np.outer(error, np.ones_like(w))"),
)
knock.wrong(
    "gradient of w before the ReLU",
    "the gradient of w meets z; w has read h, after the ReLU",
    ("error @ h)", "error @ (fastfood(x, s, g, p, b, 1) + bias))"),
)
knock.wrong(
    "changed in place",
    "the given parameters are changed; work on new arrays",
    (
        "    " + STEP,
        "    for a, grad in zip(params, grads):\n"
        "        a -= lr * grad\n"
        "    return tuple(params)",
    ),
)
knock.wrong(
    "always from the start",
    "only one step shows: either the return is inside of the loop, or every step "
    "begins at the start parameters",
    (
        LOOP,
        "    after = tuple(params)\n"
        "    for _ in range(steps):\n"
        "        after = sgd_step(params, p, x, t, lr)\n"
        "    return after",
    ),
)
knock.wrong(
    "one step more",
    "there is one step too many: after no steps the given values come back",
    (LOOP, LOOP.replace("range(steps)", "range(steps + 1)")),
)
knock.wrong(
    "one step at least",
    "with steps = 0 there is one step; after no steps the given values come back",
    (LOOP, LOOP.replace("range(steps)", "range(max(steps, 1))")),
)
knock.wrong(
    "a list after no steps",
    "after no steps a list comes back; it is a tuple as always",
    (
        LOOP,
        "    params = list(params)\n" + LOOP.replace("tuple(params)", "params"),
    ),
)
knock.wrong(
    "at most 200 steps",
    "the training ends after 200 steps; 200 is only what steps is by default",
    (LOOP, LOOP.replace("range(steps)", "range(min(steps, 200))")),
)
knock.wrong(
    "stops when the loss grows",
    "the training stops as soon as the loss grows; take as many steps as are asked for",
    (
        LOOP,
        "    def loss(s, g, b, bias, w):\n"
        "        return ((layer(x, s, g, p, b, bias) @ w - t) ** 2).sum()\n\n"
        "    for _ in range(steps):\n"
        "        new = sgd_step(params, p, x, t, lr)\n"
        "        if loss(*new) > loss(*params):\n"
        "            break\n"
        "        params = new\n"
        "    return tuple(params)",
    ),
)
knock.wrong(
    "stops when little changes",
    "the training stops where a step changes little; take as many steps as are asked "
    "for",
    (
        LOOP,
        "    for _ in range(steps):\n"
        "        new = sgd_step(params, p, x, t, lr)\n"
        "        if max(abs(a - b).max() for a, b in zip(new, params)) < 1e-3:\n"
        "            break\n"
        "        params = new\n"
        "    return tuple(params)",
    ),
)
knock.wrong(
    "fewer points later",
    "after ten steps only a quarter of the points is taken; take all of them at every "
    "step",
    (
        LOOP,
        "    for i in range(steps):\n"
        "        few = i >= 10 and len(x) >= 16\n"
        "        at = slice(i % 4, None, 4) if few else slice(None)\n"
        "        params = sgd_step(params, p, x[at], t[at], lr)\n"
        "    return tuple(params)",
    ),
)
knock.wrong(
    "kept by x",
    "what was trained is kept for each x and comes back for other params, p or t",
    (
        LOOP,
        "    key = x.tobytes(), steps, lr\n"
        "    if key not in KEPT:\n"
        "        for _ in range(steps):\n"
        "            params = sgd_step(params, p, x, t, lr)\n"
        "        KEPT[key] = tuple(params)\n"
        "    return KEPT[key]\n\n\n"
        "KEPT = {}",
    ),
)
knock.wrong(
    "permutation drawn anew",
    "the permutation changes from step to step; it is fixed, and only S, G, B and the "
    "bias adapt to it",
    (
        LOOP,
        LOOP.replace("    return", "        p = np.roll(p, 1)\n    return"),
    ),
)
knock.wrong(
    "one point at each step",
    "each step is on one point only; take all of them at every step",
    (
        LOOP,
        "    for i in range(steps):\n"
        "        at = slice(i % len(x), i % len(x) + 1)\n"
        "        params = sgd_step(params, p, x[at], t[at], lr)\n"
        "    return tuple(params)",
    ),
)
knock.wrong(
    "the rate decays",
    "the rate gets smaller on the way; lr is the same at every step",
    (
        LOOP,
        "    for i in range(steps):\n"
        "        params = sgd_step(params, p, x, t, lr / (1 + i))\n"
        "    return tuple(params)",
    ),
)
knock.wrong(
    "momentum",
    "each step goes on in the direction of the one before; plain SGD has no momentum",
    (
        LOOP,
        "    last = params = tuple(params)\n"
        "    for _ in range(steps):\n"
        "        new = sgd_step(params, p, x, t, lr)\n"
        "        moved = [a + 0.9 * (b - c) for a, b, c in zip(new, params, last)]\n"
        "        last, params = params, tuple(moved)\n"
        "    return params",
    ),
)
