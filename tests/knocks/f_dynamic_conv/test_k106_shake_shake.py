"""Grader of k106: Shake-Shake.

Of what is drawn, means may be six standard errors off and shares 3 / sqrt(n): by
chance twice in 10^9 and 3 times in 10^8. That nothing of n draws is within 25 / n of an
end happens twice in 10^11. All of them together fail less than once in 10^6 runs.
"""

import itertools

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Forget what the derivative would be: the second line of the story says what "
        "each of the three gets. For coefficients, write down the shape first.",
        "The skip gets g itself (a copy). keep gives alpha again, whatever it is, and "
        "out of training both are 0.5 before anything is drawn. In the block, what "
        "arrives arrive at x on three ways adds up.",
        "size = (N or 1, 1, ..., 1); alpha = rng.random(size) or np.full(size, 0.5); "
        "mix_backward: g.copy(), beta * g, (1 - beta) * g; gu1 = g1 * (x @ w1 > 0); gx "
        "= g + gu1 @ w1.T + gu2 @ w2.T; gw1 = x.T @ gu1.",
    ],
)

TIGHT = (1e-10, 1e-12)
FORWARD, BACKWARD = ("even", "shake"), ("even", "keep", "shake")
MODES = list(itertools.product(FORWARD, BACKWARD))
SHAPES = [(2, 3, 2, 2), (1, 2, 2, 2), (3, 1, 1, 1), (2, 2, 2, 2), (3, 2), (3, 3)]
SHAPES += [(4,), (2, 3, 1, 2, 2), (1,), (17, 2, 1, 3), (2, 20, 1, 9)]
SIZES = [(2, 3), (1, 2), (3, 1), (1, 1), (3, 3), (2, 2), (19, 4), (3, 17)]


def ones(shape, level):
    """The shape of a coefficient."""
    return (shape[0] if level == "image" else 1, *[1] * (len(shape) - 1))


def mix(x, f1, f2, alpha):
    """Image by image."""
    y = np.zeros(x.shape, x.dtype)
    for n in range(len(x)):
        a = alpha.ravel()[n if alpha.size > 1 else 0]
        y[n] = x[n] + f2[n] + a * (f1[n] - f2[n])
    return y


def mix_backward(g, beta):
    """Image by image."""
    gx, g1, g2 = (np.array(g) for _ in range(3))
    for n in range(len(g)):
        b = beta.ravel()[n if beta.size > 1 else 0]
        g1[n], g2[n] = b * g[n], g[n] - b * g[n]
    return gx, g1, g2


def branch(row, w):
    """One image through a branch, number by number."""
    u = [sum(row[c] * w[c, j] for c in range(len(row))) for j in range(len(row))]
    return np.array([max(a, 0) for a in u], w.dtype)


def block(x, w1, w2, alpha):
    """Image by image."""
    f1, f2 = (np.array([branch(row, w) for row in x]) for w in (w1, w2))
    return mix(x, f1, f2, alpha)


def block_backward(g, x, w1, w2, beta):
    """Every product sends its gradient to both of its factors."""
    gx, g1, g2 = mix_backward(g, beta)
    grads = []
    for w, up in ((w1, g1), (w2, g2)):
        gw = np.zeros(w.shape, w.dtype)
        for n, row in enumerate(x):
            open_ = branch(row, w) > 0
            for c, j in np.ndindex(*w.shape):
                if open_[j]:
                    gw[c, j] += row[c] * up[n, j]
                    gx[n, c] += w[c, j] * up[n, j]
        grads.append(gw)
    return gx, *grads


def coefficient(r, shape, kind=None):
    """For the batch or for each image; at times 0, 0.5 or 1."""
    level = kind or r.choice(["batch", "image"])
    a = r.rng.random(ones(shape, level))
    return r.choice([0, 0.5, 1]) + 0 * a if r.size(0, 5) == 5 else a


def sample(r, n, c):
    """x, w1, w2 and a coefficient; nothing is near to the kink of ReLU."""
    while True:
        x, w1, w2 = r(n, c), r(c, c), r(c, c)
        if min(abs(x @ w1).min(), abs(x @ w2).min()) > 1e-4:
            return x, w1, w2, coefficient(r, (n, c))


def apart(name, results, given):
    """No result shares memory with what was given, or with another result."""
    results = list(results) if isinstance(results, tuple | list) else [results]
    for i, result in enumerate(results):
        for other in [*given, *results[:i]]:
            text = f"{name}: a result shares memory with another array; make a new one"
            checks.true(not np.shares_memory(result, other), text, name)


def drawn(mine, mode, level, shape, training, rng):
    """(alpha, beta), of the right shapes, in [0, 1)."""
    pair = mine.coefficients(mode, level, shape, training, rng)
    what = f"coefficients({mode}, {level!r}, {shape}, training={training})"
    good = isinstance(pair, tuple | list) and len(pair) == 2
    checks.true(good, f"{what} must give (alpha, beta)", "no pair")
    right = np.zeros(ones(shape, level))
    for name, a in zip(("alpha", "beta"), pair):
        if type(a) is np.ndarray and a.shape == right.shape and a.dtype == right.dtype:
            if 0 <= a.min() and a.max() < 1:  # the quicker question
                continue
        checks.equal(a * 0, right, f"{what}: {name} times 0")
        inside = ((a >= 0) & (a < 1)).all()
        checks.true(inside, f"{what}: {name} must be in [0, 1)", "outside")
    return what, *pair


def generator(r):
    """A generator that no draw has been taken from."""
    return np.random.default_rng(int(r.integers(1 << 30)))


@knock.check(
    "coefficients: even is 0.5, keep is alpha, and 0.5 after training", points=2
)
def kinds(mine, r):
    cases = itertools.product(MODES, ("batch", "image"), SHAPES[::2], (True, False))
    for mode, level, shape, training in cases:
        rng = generator(r)
        before = rng.bit_generator.state
        what, alpha, beta = drawn(mine, mode, level, shape, training, rng)
        half, shakes = np.full(alpha.shape, 0.5), training and "shake" in mode
        if not training or mode[0] == "even":
            checks.equal(alpha, half, f"{what}: alpha")
        if not training or mode[1] == "even" or mode == ("even", "keep"):
            checks.equal(beta, half, f"{what}: beta")
        if mode[1] == "keep":
            checks.equal(beta, alpha, f"{what}: beta, which is alpha", tolerance=(0, 0))
        text = f"{what}: nothing is to be drawn from rng"
        moved = rng.bit_generator.state != before
        checks.true(shakes or not moved, text, "drawn")
        checks.true(moved or not shakes, f"{what}: rng is not used", "not drawn")
        again = np.random.default_rng(0)
        again.bit_generator.state = before
        _, *same = drawn(mine, mode, level, shape, training, again)
        checks.equal(same, [alpha, beta], f"{what}, the same generator again")


@knock.check("coefficients: uniform, fresh and independent of each other", points=2)
def chance(mine, r):
    for mode in (("shake", "shake"), ("shake", "even"), ("shake", "keep")):
        uniform(mine, r, mode, 0)
    for mode in (("shake", "shake"), ("even", "shake")):
        uniform(mine, r, mode, 1)
    rng = generator(r)
    for level, shape in (("image", (500, 1)), ("batch", (2, 2))):
        draws = [
            drawn(mine, ("shake",) * 2, level, shape, True, rng) for _ in range(300)
        ]
        alpha, beta = (np.stack([d[i].ravel() for d in draws]) - 0.5 for i in (1, 2))
        for name, a, b in (
            ("alpha times beta", alpha, beta),
            ("alpha times the beta of the call before", alpha[1:], beta[:-1]),
            ("alpha times the alpha of the call before", alpha[1:], alpha[:-1]),
            ("beta times the beta of the call before", beta[1:], beta[:-1]),
        ):
            text = f"coefficients, shake-shake, {level}: {name}, less 0.5"
            checks.statistic(12 * a * b, 0, text, 1)
        text = (
            f"coefficients, shake-shake, {level}: the sum of alpha times that of beta"
        )
        sums = 12 * alpha.sum(axis=1) * beta.sum(axis=1) / alpha.shape[1]
        checks.statistic(sums, 0, text, 1.5)


def uniform(mine, r, mode, which):
    """The shares of all values, and of one image's and the next one's."""
    rng, name = generator(r), ("alpha", "beta")[which]
    for level in ("image", "batch"):
        shape, count = ((99, 2, 2, 2), 15) if level == "image" else ((3, 1), 200)
        draws = [drawn(mine, mode, level, shape, True, rng) for _ in range(count)]
        values = np.stack([d[1 + which].ravel() for d in draws])
        text = f"coefficients, {'-'.join(mode)}, {level}: {name}"
        x = values.ravel()
        checks.distribution(x, lambda x: x, f"{text} is not uniform in [0, 1)")
        several = len(np.unique(x)) > 0.9 * x.size
        checks.true(several, f"{text}: the same few values come again and again", text)
        for gap in range(1, min(values.shape[1], 5)):
            product = 12 * (values[:, gap:] - 0.5) * (values[:, :-gap] - 0.5)
            words = f"{text} of two images, less 0.5, multiplied"
            checks.statistic(product, 0, words, 1)


@knock.check("coefficients: uniform to the ends, and no two images go together")
def many(mine, r):
    rng, mode = generator(r), ("shake", "shake")
    pairs = [drawn(mine, mode, "batch", (2, 1), True, rng)[1:] for _ in range(2500)]
    batch = np.reshape(pairs, (2500, 2)).T
    pair = drawn(mine, mode, "image", (50_000, 1), True, rng)[1:]
    for level, both in (("batch", batch), ("image", [a.ravel() for a in pair])):
        for name, a in zip(("alpha", "beta"), both):
            even(a, f"coefficients, shake-shake, {level}: {name}")
    for n in (2, 3, 8):
        draws = [drawn(mine, mode, "image", (n, 1), True, rng)[1:] for _ in range(250)]
        z = (np.reshape(draws, (250, 2, n)) - 0.5) * np.sqrt(12)
        for name, a in zip(("alpha", "beta"), z.swapaxes(0, 1)):
            products = (a.sum(axis=1) ** 2 - (a**2).sum(axis=1)) / 2
            text = f"coefficients, {n} images: {name} less 0.5 of all pairs, multiplied"
            checks.statistic(products, 0, text, 1.5 * np.sqrt(n * (n - 1) / 2))


def even(a, text):
    """Uniform in [0, 1), near to both ends as well; at no distance two go together."""
    x, n = np.sort(a), a.size
    checks.distribution(x, lambda x: x, f"{text} is not uniform in [0, 1)")
    words = (
        f"{text}: of {n:,} draws the smallest is {x[0]:.2g}, the largest {x[-1]:.2g}"
    )
    checks.true(max(x[0], 1 - x[-1]) < 25 / n, words, (text, x[[0, -1]]))
    wave = np.fft.rfft((a - 0.5) * np.sqrt(12), 2 * n)
    together = abs(np.fft.irfft(abs(wave) ** 2)[1:n])
    words = f"{text}: draws that are {1 + together.argmax()} apart go together"
    checks.true(together.max() < 9 * np.sqrt(n), words, (text, together.max()))


@knock.check("mix: the skip and both branches", points=2)
def value(mine, r):
    for shape in [*SHAPES, tuple(r.size(1, 4) for _ in range(r.size(1, 5)))]:
        for level in ("batch", "image"):
            args = *r(3, *shape), coefficient(r, shape, level)
            checks.value(mine.mix, mix, *args, tolerance=TIGHT)
            for a in (0.0, 0.5, 1.0):
                args = *r(3, *shape), np.full(ones(shape, level), a)
                checks.value(mine.mix, mix, *args, tolerance=TIGHT)


@knock.check("mix_backward: g, beta g and (1 - beta) g", points=2)
def backwards(mine, r):
    f = mine.mix_backward
    for shape in [*SHAPES, tuple(r.size(1, 4) for _ in range(r.size(1, 5)))]:
        for level in ("batch", "image"):
            g, beta = r(*shape), coefficient(r, shape, level)
            checks.value(f, mix_backward, g, beta, tolerance=TIGHT)
            for b in (0.0, 0.5, 1.0):
                beta = np.full(ones(shape, level), b)
                checks.value(f, mix_backward, g, beta, tolerance=(1e-15, 0))


@knock.check("block: two branches of a product and a ReLU")
def whole(mine, r):
    for n, c in [*SIZES, (r.size(1, 5), r.size(1, 5))]:
        checks.value(mine.block, block, *sample(r, n, c), tolerance=TIGHT)


@knock.check("block_backward, keep: the true gradient, against small steps", points=2)
def gradients(mine, r):
    for n, c in SIZES[:6]:
        args = sample(r, n, c)
        checks.gradient(mine.block_backward, block, *args, r=r, wrt=[0, 1, 2])


@knock.check("block_backward agrees with loops; ReLU's gradient at 0 is 0")
def through(mine, r):
    f = mine.block_backward
    for n, c in [*SIZES, (r.size(1, 5), r.size(1, 5))]:
        g, (x, w1, w2, beta) = r(n, c), sample(r, n, c)
        checks.value(f, block_backward, g, x, w1, w2, beta, tolerance=TIGHT)
        w1[:, ::2] = 0  # x w1 is exactly 0
        w2[:, 1::2] = 0
        checks.value(f, block_backward, g, x, w1, w2, beta, tolerance=TIGHT)


@knock.check("float32 stays float32; views are right; results are new arrays")
def layout(mine, r):
    for shape in ((2, 3, 2, 2), (1, 1, 1, 1), (3, 4)):
        for kind in (np.float64, np.float32):
            options = {"tolerance": TIGHT} if kind is np.float64 else {}
            x, f1, f2 = (np.asfortranarray(a.astype(kind))[::-1] for a in r(3, *shape))
            for level in ("image", "batch"):
                alpha = coefficient(r, shape, level).astype(kind)[::-1]
                checks.value(mine.mix, mix, x, f1, f2, alpha, **options)
                checks.value(mine.mix_backward, mix_backward, x, alpha, **options)
                for a in (alpha, 0 * alpha, 0 * alpha + 1):
                    apart("mix", mine.mix(x, f1, f2, a), [x, f1, f2, a])
                    apart("mix_backward", mine.mix_backward(x, a), [x, a])
    for n, c in ((3, 2), (1, 1), (2, 4)):
        x, w1, w2, beta = args = sample(r, n, c)
        g = r(n, c)
        for kind in (np.float64, np.float32):
            options = {"tolerance": TIGHT} if kind is np.float64 else {}
            views = [np.asfortranarray(a.astype(kind))[::-1] for a in (g, *args)]
            checks.value(mine.block, block, *views[1:], **options)
            checks.value(mine.block_backward, block_backward, *views, **options)
        apart("block", mine.block(*args), args)
        for b in (beta, 0 * beta, 0 * beta + 1):
            results = mine.block_backward(g, x, w1, w2, b)
            apart("block_backward", results, [g, x, w1, w2, b])


ALPHA = 'alpha = rng.random(size) if mode[0] == "shake" else half'
BETA = 'beta = rng.random(size) if mode[1] == "shake" else half'
EVAL = "    if not training:\n        return half, half\n"
SIZE = 'size = (shape[0] if level == "image" else 1, *[1] * (len(shape) - 1))'
KEEP = 'return alpha, alpha if mode[1] == "keep" else beta'
MIX = "return x + alpha * f1 + (1 - alpha) * f2"
BACK = "return g.copy(), beta * g, (1 - beta) * g"
GATED = "gu1, gu2 = g1 * (x @ w1 > 0), g2 * (x @ w2 > 0)"

knock.wrong(
    "drawn after training",
    "numbers are drawn after training as well; then both are 0.5",
    (EVAL, ""),
)
knock.wrong(
    "a number for each pixel",
    "each number of each image has an alpha of its own; an image has one",
    (SIZE, 'size = shape if level == "image" else (1,) * len(shape)'),
)
knock.wrong(
    "one for all images",
    "all images have the same number; at the level of images each has its own",
    (ALPHA, 'alpha = half - 0.5 + rng.random() if mode[0] == "shake" else half'),
)
knock.wrong(
    "beta is alpha",
    "with shake-shake beta is alpha; it is drawn anew",
    (
        BETA,
        'beta = alpha if mode == ("shake", "shake") else rng.random(size) if mode[1] '
        '== "shake" else half',
    ),
)
knock.wrong(
    "beta is another image's alpha",
    "with shake-shake the images get each other's alpha for beta; draw anew",
    (
        BETA,
        'beta = rng.random(size) if mode[1] == "shake" else half\n'
        '    if mode == ("shake", "shake") and len(half) > 1:\n'
        "        beta = np.roll(alpha, 1, axis=0)",
    ),
)
knock.wrong(
    "keep is even",
    "keep means that beta is alpha, not 0.5",
    (KEEP, "return alpha, beta"),
)
knock.wrong(
    "modes exchanged",
    "the first word is the way forwards, the second the way backwards",
    (KEEP, 'return (alpha, alpha) if mode[1] == "keep" else (beta, alpha)'),
)
knock.wrong(
    "seed fixed",
    "you make a generator of your own, so each call gives the same: use rng",
    (ALPHA, "rng = np.random.default_rng(0)\n    " + ALPHA),
)
knock.wrong(
    "drawn in vain",
    "numbers are drawn where none is needed, and the next draws are others by it",
    ("    half = np.full", "    rng.random(size)\n    half = np.full"),
)
knock.wrong(
    "not uniform",
    "a mean of two draws is not uniform: the middle is too likely",
    (
        BETA,
        'beta = (rng.random(size) + rng.random(size)) / 2 if mode[1] == "shake" '
        "else half",
    ),
)
knock.wrong(
    "never near the ends",
    "you draw from [0.02, 0.98); all of [0, 1) is possible",
    (ALPHA, 'alpha = rng.uniform(0.02, 0.98, size) if mode[0] == "shake" else half'),
)
knock.wrong(
    "one image for, one against",
    "the second half of the images gets 1 - alpha of the first; all are independent",
    (
        ALPHA,
        'alpha = rng.random(size) if mode[0] == "shake" else half\n'
        "    h = len(alpha) // 2\n"
        "    alpha[len(alpha) - h :] = 1 - np.maximum(alpha[:h], 1e-16)",
    ),
)
knock.wrong(
    "one image for each part",
    "each image gets a part of [0, 1) of its own; all are independent",
    (
        ALPHA,
        ALPHA.replace(
            "rng.random(size)",
            "(rng.permutation(len(half)).reshape(size) + rng.random(size)) / len(half)",
        ),
    ),
)
knock.wrong(
    "no skip",
    "x is missing: the skip is part of the block",
    (MIX, "return alpha * f1 + (1 - alpha) * f2"),
)
knock.wrong(
    "branches exchanged",
    "alpha belongs to f1, and 1 - alpha to f2",
    (MIX, "return x + alpha * f2 + (1 - alpha) * f1"),
)
knock.wrong(
    "gradients exchanged",
    "beta belongs to f1, and 1 - beta to f2",
    (BACK, "return g.copy(), (1 - beta) * g, beta * g"),
)
knock.wrong(
    "g itself",
    "gx is g itself; make a copy, somebody may add to it",
    (BACK, "return g, beta * g, (1 - beta) * g"),
)
knock.wrong(
    "skip forgotten backwards",
    "gx is that of the branches alone: g comes back through the skip, too",
    ("return gx + gu1 @", "return gu1 @"),
)
knock.wrong(
    "ReLU forgotten backwards",
    "the gradient goes through ReLU where it gave 0",
    (GATED, "gu1, gu2 = g1, g2"),
)
knock.wrong(
    "gradient at 0",
    "the gradient of ReLU at exactly 0 is 0",
    (GATED, GATED.replace(">", ">=")),
)
