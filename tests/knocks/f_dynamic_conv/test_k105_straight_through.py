"""Grader of k105: SkipNet's straight-through gate."""

import itertools

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "p has one axis and x has more: which shape must g have so that it meets the "
        "images, whatever else x has? And which gradient does not contain g at all?",
        "g.reshape(-1, 1, 1, 1) is right for four axes; for any number of them, append "
        "x.ndim - 1 ones. A sum over j >= i is a cumulative sum from the end: turn the "
        "axis, np.cumsum, turn it back.",
        "runs = (p > 0.5).reshape(-1, *[1] * (x.ndim - 1)); np.where(runs, f, x); gx = "
        "(1 - g) * gy, gf = g * gy, gp = (gy * (f - x)).reshape(N, -1).sum(1); y = "
        "x.copy(); if any: y[p > 0.5] = block(x[p > 0.5]); np.cumsum(saved[:, ::-1], 1)"
        "[:, ::-1] - losses[:, None].",
    ],
)

TIGHT = (1e-10, 1e-12)
SHAPES = [
    (3, 2, 2, 2),
    (1, 3, 2, 2),
    (2, 1, 1, 1),
    (4, 3),
    (3, 3),
    (2, 2, 2, 2),
    (5,),
    (1,),
    (2, 1, 3),
    (3, 2, 1, 2, 2),
    (18, 2, 1, 1),
    (2, 17, 1, 9),
]


def opens(p):
    """Whether a block is run."""
    return bool(p > 0.5)


def gate(p):
    """Image by image."""
    return np.array([1 if opens(a) else 0 for a in p], p.dtype)


def gated(x, f, p):
    """Image by image."""
    y = np.zeros(x.shape, x.dtype)
    for n in range(len(x)):
        y[n] = f[n] if opens(p[n]) else x[n]
    return y


def backward(gy, x, f, p):
    """Image by image, number by number for p."""
    gx, gf, gp = np.zeros(x.shape, x.dtype), np.zeros(x.shape, x.dtype), 0 * p
    for n in range(len(x)):
        (gf if opens(p[n]) else gx)[n] = gy[n]
        total = 0.0
        for at in np.ndindex(*x.shape[1:]):
            total += float(gy[(n, *at)]) * (float(f[(n, *at)]) - float(x[(n, *at)]))
        gp[n] = total
    return gx, gf, gp


def soft(p, x, f):
    """The gate that is soft forwards as well."""
    p = np.asarray(p).reshape(-1, *[1] * (x.ndim - 1))
    return p * f + (1 - p) * x


def returns(losses, gates, alpha):
    """Gate by gate: count what is skipped from there on."""
    out, n = np.zeros(gates.shape, gates.dtype), gates.shape[1]
    for image, i in np.ndindex(*gates.shape):
        skipped = sum(1 for j in range(i, n) if gates[image, j] == 0)
        out[image, i] = -float(losses[image]) + alpha * skipped / n
    return out


def chances(r, n):
    """Some are exactly 0.5, or just beside it, or 0 and 1."""
    edge = 0.5, 0.5, np.nextafter(0.5, 1), np.nextafter(0.5, 0), 0, 1, 0.500001
    p, places = r.rng.random(n), r.mask(n)
    p[places] = r.rng.choice(edge, int(places.sum()))
    return p


def sample(r, *shape):
    """x, f and p."""
    return r(*shape), r(*shape), chances(r, shape[0])


def anything(r):
    """A shape of any kind."""
    return tuple(r.size(1, 4) for _ in range(r.size(1, 5)))


def apart(name, results, given):
    """No result shares memory with what was given, or with another result."""
    results = list(results) if isinstance(results, tuple | list) else [results]
    for i, result in enumerate(results):
        for other in [*given, *results[:i]]:
            if isinstance(other, np.ndarray):
                text = f"{name}: a result shares memory with another array; make a new "
                checks.true(not np.shares_memory(result, other), text + "one", name)


@knock.check("gate: 1 above 0.5, and 0 at 0.5")
def hard(mine, r):
    line = np.array([0.5, 0.4999999, 0.5000001, 0.0, 1.0, 0.75, 0.25])
    checks.value(mine.gate, gate, line, tolerance=(0, 0))
    for n in (1, 2, 9, 40):
        checks.value(mine.gate, gate, chances(r, n), tolerance=(0, 0))


@knock.check("gated: one of the two for each image", points=2)
def value(mine, r):
    for shape in [*SHAPES, anything(r), anything(r)]:
        checks.value(mine.gated, gated, *sample(r, *shape), tolerance=TIGHT)
        for p in (0.2, 0.5, 0.9):
            x, f, _ = sample(r, *shape)
            same = np.full(shape[0], p)
            checks.value(mine.gated, gated, x, f, same, tolerance=TIGHT)


@knock.check("gated: what is not used may be anything, even NaN")
def unused(mine, r):
    for shape in SHAPES:
        x, f, p = sample(r, *shape)
        for bad in (np.nan, np.inf, -np.inf):
            for n in range(len(x)):
                (x if opens(p[n]) else f)[n] = bad
            checks.value(mine.gated, gated, x, f, p, tolerance=(0, 0), again=False)
    x, f, p = r(4, 3) * 1e300, r(4, 3) * 1e-300, np.array([0.9, 0.1, 0.6, 0.5])
    checks.value(mine.gated, gated, x, f, p, tolerance=(0, 0), again=False)
    for shape in SHAPES:  # and what is used is copied as it is
        x, f, p = sample(r, *shape)
        for a in (x, f):
            some = r.mask(*shape)
            a[some] = r.rng.choice([np.nan, np.inf, -np.inf], int(some.sum()))
        checks.value(mine.gated, gated, x, f, p, tolerance=(0, 0), again=False)


@knock.check("the gradient of p is that of the soft gate, against small steps")
def slope(mine, r):
    for shape in [*SHAPES[:8], anything(r)]:
        x, f, p = sample(r, *shape)
        gy = r(*shape)
        parts = three(mine.gated_backward, gy, x, f, p)
        right = checks.numeric(soft, (p, x, f), gy, 0)
        text = f"gated_backward, images {shape}: gp, against the soft gate"
        checks.equal(parts[2], right, text, tolerance=(1e-5, 1e-7))


def three(f, *args):
    """The three gradients."""
    with np.errstate(invalid="ignore", over="ignore"):
        parts = checks.call(f, *args)
    good = isinstance(parts, tuple | list) and len(parts) == 3
    checks.true(good, "gated_backward must give (gx, gf, gp)", "not three")
    return parts


@knock.check("all three gradients agree with loops", points=2)
def backwards(mine, r):
    for shape in [*SHAPES, anything(r), anything(r)]:
        args = r(*shape), *sample(r, *shape)
        checks.value(mine.gated_backward, backward, *args, tolerance=TIGHT)
        x, f, _ = args[1:]
        for same in (0.0, 0.5, 1.0):
            given = r(*shape), x, f, np.full(shape[0], same)
            checks.value(
                mine.gated_backward, backward, *given, tolerance=TIGHT, again=False
            )


@knock.check("gp: each image on its own, what is not finite and large numbers too")
def alone(mine, r):
    for shape, bad in itertools.product(SHAPES, (np.nan, np.inf, -np.inf, 1e30)):
        gy, x, f, p = r(*shape), *sample(r, *shape)
        image = r.size(0, len(x) - 1)
        if bad == 1e30:
            gy[image] *= bad
        else:
            r.choice([x, f]).reshape(len(x), -1)[image, 0] = bad
        with np.errstate(invalid="ignore"):
            *_, gp = three(mine.gated_backward, gy, x, f, p)
            right = backward(gy, x, f, p)[2]
        text = f"gated_backward, images {shape}, image {image} with {bad}: gp"
        for n in range(len(x)):  # one by one: a large number hides none beside it
            checks.equal(np.asarray(gp)[n], right[n], f"{text}[{n}]", tolerance=TIGHT)


@knock.check("a block that was skipped gets exactly 0, and so does what it replaced")
def zeros(mine, r):
    for shape in SHAPES:
        x, f, p = sample(r, *shape)
        gx, gf, _ = three(mine.gated_backward, r(*shape), x, f, p)
        runs = np.array([opens(a) for a in p])
        text = "gated_backward: not exactly 0 for"
        checks.true((gf[~runs] == 0).all(), f"{text} a skipped block", "gf")
        checks.true((gx[runs] == 0).all(), f"{text} x where the block ran", "gx")


@knock.check("run: the block is given the images with an open gate, and no other")
def work(mine, r):
    for shape in [*SHAPES, anything(r), (6, 2, 3)]:
        x, _, some = sample(r, *shape)
        every = some, np.full(shape[0], 0.5), np.full(shape[0], 0.75), 1 - some
        for p, kind in itertools.product(every, (np.float64, np.float32)):
            given, p, seen = x.astype(kind), p.astype(kind), []
            runs = [n for n in range(len(x)) if opens(p[n])]
            odd = np.asfortranarray(given)[::-1].copy("K")[::-1]
            y = checks.call(mine.run, odd, watched(seen), p)
            right = np.array(given)
            right[runs] = 3 * given[runs] ** 2 - 1
            what = f"run, images {shape}, {len(runs)} gates open"
            text = f"{what}: the block is called {len(seen)} times"
            counts = [z.shape for z in seen]
            checks.true(len(seen) == (1 if runs else 0), text, (what, str(counts)))
            for z in seen:
                checks.equal(z, given[runs], f"{what}: what the block is given")
            checks.equal(y, right, what)
            apart("run", mine.run(odd, watched(seen), p), [odd, p])


@knock.check("run: what is not finite is copied; a block may give back what it got")
def carried(mine, r):
    for shape in [*SHAPES, (6, 2, 3)]:
        for power in (np.nan, np.inf, 1.0):
            x, _, p = sample(r, *shape)
            right, runs = x.copy(), np.array([opens(a) for a in p])
            x[~runs] *= power
            right[...] = x
            what = f"run, images {shape}, a block that gives back its input"
            checks.equal(checks.call(mine.run, x, lambda z: z, p), right, what)
            right[runs] *= power
            what = f"run, images {shape}, a block that multiplies by {power}"
            y = checks.call(mine.run, x, lambda z, a=power: z * a, p)
            checks.equal(y, right, what)
            x[...], right[runs] = power, 2
            what = f"run, images of {power}, a block that makes 2 of all"
            y = checks.call(mine.run, x, lambda z: 0 * np.nan_to_num(z) + 2, p)
            right[~runs] = power
            checks.equal(y, right, what)


def watched(seen):
    """A block that writes down what it is given."""

    def block(z):
        seen.append(np.array(z))
        return 3 * z**2 - 1

    return block


@knock.check("returns: each gate answers for the blocks from its own on", points=2)
def rewards(mine, r):
    f = mine.returns
    checks.value(f, returns, np.array([2.0]), np.array([[1.0, 0, 1, 0]]), 0.4)
    sizes = [(1, 1), (2, 3), (3, 2), (2, 2), (1, 7), (4, 1), (3, 18), (20, 5)]
    for n, gates in [*sizes, (r.size(1, 6), r.size(1, 6))]:
        for alpha in (0.1, 1.0, 0.0, float(r.positive()), -0.3):
            losses = r(n)
            g = r.mask(n, gates).astype(float)
            checks.value(f, returns, losses, g, alpha, tolerance=TIGHT)
        for g in (np.zeros((n, gates)), np.ones((n, gates))):
            checks.value(f, returns, losses, g, 0.1, tolerance=TIGHT)


@knock.check("float32 stays float32; views are right; results are new arrays")
def layout(mine, r):
    for shape in ((3, 2, 2, 2), (1, 1, 1, 1), (4, 3), (2, 3, 3)):
        gy, x, f, p = args = r(*shape), *sample(r, *shape)
        g, losses = r.mask(shape[0], 4).astype(float), r.positive(shape[0])
        for kind in (np.float64, np.float32):
            options = {"tolerance": TIGHT} if kind is np.float64 else {}
            views = [np.asfortranarray(a.astype(kind))[::-1] for a in args]
            checks.value(mine.gate, gate, views[3], **options)
            checks.value(mine.gated, gated, *views[1:], **options)
            checks.value(mine.gated_backward, backward, *views, **options)
            turned = g.astype(kind)[:, ::-1], losses.astype(kind)[::-1]
            checks.value(mine.returns, returns, *turned[::-1], 0.3, **options)
        runs = np.array([float(opens(a)) for a in p])
        for gates in (p, runs, 1 - runs, np.ones(len(p)), np.zeros(len(p))):
            apart("gate", mine.gate(gates), [gates])
            apart("gated", mine.gated(x, f, gates), args)
            results = mine.gated_backward(gy, x, f, gates)
            apart("gated_backward", results, [*args, gates])
        apart("returns", mine.returns(losses, g, 0.1), [losses, g])


WHERE = "return np.where(runs, f, x)"
SLOPE = "gp = (gy * (f - x)).reshape(len(x), -1).sum(axis=1)"
GRADS = "return (1 - g) * gy, g * gy, gp"
SOFT = "p.reshape(-1, *[1] * (x.ndim - 1))"
SAVED = "np.cumsum(saved[:, ::-1], axis=1)[:, ::-1]"

knock.wrong(
    "open at 0.5",
    "at exactly 0.5 the gate is closed: p > 0.5",
    ("return (p > 0.5).astype", "return (p >= 0.5).astype"),
)
knock.wrong(
    "soft gate",
    "the gate is p itself; forwards it must be hard, 0 or 1",
    ("return (p > 0.5).astype(p.dtype)", "return p.copy()"),
)
knock.wrong(
    "gate always float64",
    "the gate is float64 even for float32: give it the dtype of p",
    ("return (p > 0.5).astype(p.dtype)", "return (p > 0.5).astype(float)"),
)
knock.wrong(
    "soft forwards",
    "y mixes both with p; forwards the gate is hard, so y is one of the two",
    (WHERE, f"p = {SOFT}\n    return p * f + (1 - p) * x"),
)
knock.wrong(
    "one gate for the batch",
    "one image decides for all of them; each has its own gate",
    ("runs = (p > 0.5).reshape(-1,", "runs = (p[:1] > 0.5).reshape(-1,"),
)
knock.wrong(
    "multiplied",
    "0 times infinity is NaN: choose, where a number is not used it may be anything",
    (WHERE, "runs = runs.astype(x.dtype)\n    return runs * f + (1 - runs) * x"),
)
knock.wrong(
    "tidied up",
    "what is not finite is replaced; copy what is chosen as it is, so that it shows",
    (WHERE, "return np.nan_to_num(np.where(runs, f, x))"),
)
knock.wrong(
    "sums taken from each other",
    "gp comes from one running sum over all images, in which a large image drowns the "
    "others; sum each on its own",
    (
        SLOPE,
        "total = np.cumsum((gy * (f - x)).reshape(len(x), -1).sum(axis=1))\n"
        "    gp = np.diff(total, prepend=total[:1] * 0)",
    ),
)
knock.wrong(
    "run multiplied",
    "in run 0 times NaN is NaN: write what the block gives into its places",
    (
        "        y[runs] = block(x[runs])\n",
        "        z = np.zeros_like(x)\n        z[runs] = block(x[runs])\n"
        "        g = gate(p).reshape(-1, *[1] * (x.ndim - 1))\n"
        "        y = g * z + (1 - g) * x\n",
    ),
)
knock.wrong(
    "true derivative",
    "gp is 0: that is the true derivative of the step, but nothing would be learnt",
    (SLOPE, "gp = 0 * p"),
)
knock.wrong(
    "gradient through open gates only",
    "a closed gate gets no gradient; straight through, p gets it in any case",
    (SLOPE, "gp = (g * gy * (f - x)).reshape(len(x), -1).sum(axis=1)"),
)
knock.wrong(
    "x forgotten",
    "y falls by x as g grows: gp is the sum of gy (F(x) - x)",
    (SLOPE, "gp = (gy * f).reshape(len(x), -1).sum(axis=1)"),
)
knock.wrong(
    "sign flipped",
    "the sign of gp is flipped: F(x) comes in as g grows, and x goes",
    (SLOPE, SLOPE.replace("(f - x)", "(x - f)")),
)
knock.wrong(
    "upstream ignored",
    "gy is ignored in gp: this is the gradient of the plain sum of y",
    (SLOPE, SLOPE.replace("gy * (f - x)", "f - x")),
)
knock.wrong(
    "averaged",
    "gp is a mean over the numbers of an image; add them up",
    (SLOPE, SLOPE.replace(".sum(", ".mean(")),
)
knock.wrong(
    "soft for both",
    "F(x) and x get p gy and (1 - p) gy; only the way to p is soft",
    (GRADS, f"p = {SOFT}\n    return (1 - p) * gy, p * gy, gp"),
)
knock.wrong(
    "all past the block",
    "gx is gy for all images; where the block was run x goes nowhere else",
    (GRADS, "return gy.copy(), g * gy, gp"),
)
knock.wrong(
    "block always trained",
    "gf is gy for all images; a skipped block gets 0",
    (GRADS, "return (1 - g) * gy, gy.copy(), gp"),
)
knock.wrong(
    "block for all images",
    "the block is run for all images if one gate is open; give it only those",
    ("y[runs] = block(x[runs])", "y[runs] = block(x)[runs]"),
)
knock.wrong(
    "block called in vain",
    "the block is called with no image at all; leave it out then",
    ("    if runs.any():\n        y[", "    if True:\n        y["),
)
knock.wrong(
    "input changed",
    "the results are written into x; work on a copy",
    ("y, runs = x.copy(), p > 0.5", "y, runs = x, p > 0.5"),
)
knock.wrong(
    "skipped before",
    "a gate is paid for the blocks before it as well; only those from its own on count",
    (SAVED, "saved.sum(axis=1, keepdims=True)"),
)
knock.wrong(
    "summed from the start",
    "you add up to the gate, not from it on",
    (SAVED, "np.cumsum(saved, axis=1)"),
)
knock.wrong(
    "own block left out",
    "the sum begins with the gate's own block, j = i",
    (SAVED, f"({SAVED} - saved)"),
)
knock.wrong(
    "run blocks paid",
    "blocks that were run are paid for; skipped ones are",
    ("(1 - gates)\n", "gates\n"),
)
knock.wrong(
    "not divided by n",
    "alpha is divided by the number of gates",
    ("(alpha / gates.shape[1])", "alpha"),
)
knock.wrong(
    "divided by the images",
    "alpha is divided by the number of images; divide by that of the gates",
    ("(alpha / gates.shape[1])", "(alpha / gates.shape[0])"),
)
knock.wrong(
    "loss added",
    "the loss is added; a return is high where the loss is low",
    ("- losses[:, None]", "+ losses[:, None]"),
)
knock.wrong(
    "mean loss",
    "every image gets the mean loss; each has its own",
    ("- losses[:, None]", "- losses.mean()"),
)
