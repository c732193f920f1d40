"""Grader of k104: BlockDrop's rewards and its policy gradient.

Draws: where there are few, a mean may be eight standard errors off, and six where there
are many or nothing is rare. Chance explains that less than once in 10^8; all of them
together, less than once in 10^6 runs. Probabilities that are a hundredth off pass.
"""

import math

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Write what happens to one image with K = 3 and last = 1 on paper. Which "
        "elements of u are free? And what is p[:, -0:], all columns or none?",
        "The blocks that are forced to run are the first max(0, K - last) columns. "
        "Backwards there are three factors for each free element: that of log P by q "
        "(1 / q, or -1 / (1 - q) where u is 0), of q by p, and of p by the logit.",
        "u[:, : max(0, K - last)] = 1 after all drawing; gradient = -g * advantage[:, "
        "None] / N * np.where(u == 1, 1 / q, -1 / (1 - q)) * (2 * alpha - 1) * p * "
        "(1 - p), and 0 in the first max(0, K - last) columns.",
    ],
)

TIGHT = (1e-10, 1e-12)
WIDE = 1.4  # times six standard errors: few draws of a rare one are not normal
CASES = [  # N, K, last
    (2, 4, 2),
    (1, 3, 1),
    (1, 1, 1),
    (2, 1, 0),
    (1, 4, 0),
    (3, 3, 3),
    (2, 2, 1),
    (4, 5, 6),
    (2, 3, 50),
    (3, 1, 7),
    (17, 2, 1),
    (3, 20, 9),
    (2, 54, 54),
    (5, 5, 4),
]


def probability(logit):
    """A sigmoid in higher safety."""
    if logit < 0:
        return math.exp(logit) / (1 + math.exp(logit))
    return 1 / (1 + math.exp(-logit))


def free(n_blocks, last):
    """For each block, whether it may be dropped."""
    return [k >= n_blocks - last for k in range(n_blocks)]


def reward(u, right, gamma):
    """Image by image."""
    out = np.zeros(len(u), u.dtype)
    for n, row in enumerate(u):
        count = sum(1 for a in row if a == 1)
        out[n] = 1 - count * count / len(row) ** 2 if right[n] else -gamma
    return out


def greedy(p, last):
    """Block by block."""
    u = np.ones(p.shape, p.dtype)
    for n, k in np.ndindex(*p.shape):
        if free(p.shape[1], last)[k] and p[n, k] < 0.5:
            u[n, k] = 0
    return u


def bounded(p, alpha):
    """From 1 - alpha, at p = 0, to alpha, at p = 1."""
    return np.asarray(1 - alpha + (2 * alpha - 1) * p.astype(float)).astype(p.dtype)


def terms(logits, u, alpha, last):
    """Each free element: where, log P, and its slope by the logit."""
    for n, k in np.ndindex(*u.shape):
        if free(u.shape[1], last)[k]:
            p = probability(float(logits[n, k]))
            q = 1 - alpha + (2 * alpha - 1) * p
            chance, sign = (q, 1) if u[n, k] == 1 else (1 - q, -1)
            slope = probability(-float(logits[n, k])) * p * (2 * alpha - 1)
            yield n, k, math.log(chance), sign * slope / chance


def loss(logits, u, advantage, alpha, last):
    """Term by term."""
    parts = terms(logits, u, alpha, last)
    total = sum(float(advantage[n]) * log_p for n, _, log_p, _ in parts)
    return np.asarray(-total / len(u), logits.dtype)


def backward(g, logits, u, advantage, alpha, last):
    """Term by term."""
    out = np.zeros(logits.shape, logits.dtype)
    for n, k, _, slope in terms(logits, u, alpha, last):
        out[n, k] = -float(g) * float(advantage[n]) * slope / len(u)
    return out


def choice(r, n, blocks, last):
    """Zeros and ones, and ones where blocks may not be dropped."""
    u = r.mask(n, blocks).astype(float)
    u[:, [not f for f in free(blocks, last)]] = 1
    return u


def sample(r, n, blocks, last):
    """logits, u, advantage, alpha and last."""
    alpha = float(r.positive()) / 5 + 0.52
    u, logits = choice(r, n, blocks, last), 2 * r(n, blocks)
    return logits, u, r(n), alpha, last


def probabilities(r, n, blocks):
    """Some are exactly 0, 0.5 and 1, or just beside 0.5."""
    edge = 0.5, 0.0, 1.0, np.nextafter(0.5, 0), np.nextafter(0.5, 1), 0.4999, 0.5001
    p = r.rng.random((n, blocks))
    places = r.mask(n, blocks)
    p[places] = r.rng.choice(edge, int(places.sum()))
    return p


def anything(r):
    """Sizes of any kind."""
    return tuple(r.size(low, 7) for low in (1, 1, 0))


def apart(name, result, given):
    """The result shares no memory with what was given."""
    for other in given:
        if isinstance(other, np.ndarray) and np.ndim(result):
            text = f"{name}: the result shares memory with an input; make a new array"
            checks.true(not np.shares_memory(result, other), text, name)


@knock.check("reward: few blocks and a right answer; gamma for a wrong one", points=2)
def rewards(mine, r):
    for n, blocks, _ in [*CASES, anything(r)]:
        for gamma in (1.0, 5.0, 0.0, float(r.positive())):
            u, right = r.mask(n, blocks).astype(float), r.mask(n)
            checks.value(mine.reward, reward, u, right, gamma, tolerance=TIGHT)
    for blocks in (1, 2, 6, 33):
        u = np.ones((blocks + 1, blocks))
        for count in range(blocks + 1):
            u[count, r.rng.permutation(blocks)[count:]] = 0
        for right in (True, False):
            answers = np.full(blocks + 1, right)
            checks.value(mine.reward, reward, u, answers, 2.0, tolerance=TIGHT)


@knock.check("greedy: 1 from 0.5 on, and where blocks may not be dropped", points=2)
def likely(mine, r):
    for n, blocks, last in [*CASES, anything(r), anything(r)]:
        for p in (probabilities(r, n, blocks), np.full((n, blocks), 0.5)):
            checks.value(mine.greedy, greedy, p, last, tolerance=(0, 0))
            low = 0.49 * r.rng.random((n, blocks))
            checks.value(mine.greedy, greedy, low, last, tolerance=(0, 0))


@knock.check("bounded: q for every p and alpha")
def bounds(mine, r):
    for n, blocks, _ in [*CASES, anything(r)]:
        for alpha in (0.8, 0.51, 0.99, float(r.positive()) / 5 + 0.52):
            p = probabilities(r, n, blocks)
            checks.value(mine.bounded, bounded, p, alpha, tolerance=TIGHT)


DRAWS = [(1, 3, 3, 0.8), (2, 4, 2, 0.7), (3, 1, 1, 0.9)]  # N, K, last, alpha
DRAWS += [(1, 2, 9, 0.6), (2, 3, 0, 0.8), (5, 11, 10, 0.85)]


@knock.check("draw: with probability q, independently; forced blocks run", points=2)
def draws(mine, r):
    cases, all_found = [], []
    for n, blocks, last, alpha in DRAWS:
        p, rng = probabilities(r, n, blocks), generator(r)
        p[0, -1] = r.choice([0.0, 1.0])
        what = f"draw: N, K = {n}, {blocks}, last = {last}"
        found = [mine.draw(p.copy(), alpha, last, rng) for _ in range(300)]
        for u in found:
            checks.equal(u * 0, np.zeros(p.shape), f"{what}, times 0")
        cases.append((what, bounded(p, alpha), free(blocks, last)))
        all_found.append(np.stack(found))
    evidence = np.concatenate([u[:, 0].mean(0) for u in all_found])
    for (what, q, may), found in zip(cases, all_found):
        try:
            fair(what, found, q, np.array(may))
        except Mistake as mistake:
            raise Mistake(mistake.message, evidence) from None
    p = probabilities(r, 6, 9)
    both = [mine.draw(p, 0.8, 8, np.random.default_rng(3)) for _ in range(2)]
    checks.equal(both[0], both[1], "draw, two generators of one seed")
    p = r.rng.random((400, 3))
    u = checks.call(mine.draw, p, 0.8, 3, generator(r))
    checks.statistic(u - bounded(p, 0.8), 0, "draw: u - q for 400 images", 0.5)


def generator(r):
    """A generator that no draw has been taken from."""
    return np.random.default_rng(int(r.integers(1 << 30)))


def apart_by(z, what):
    """At no distance two elements may go together: numbers that are used again do."""
    wave = np.fft.rfft(z, 2 * z.size)
    together = np.fft.irfft(abs(wave) ** 2)[1 : z.size // 2]
    bound = 9 * math.sqrt(z.size)  # for each of up to 10^5 distances, 10^-18
    text = f"{what}: elements that are {1 + abs(together).argmax()} apart go together"
    checks.true(abs(together).max(initial=0) < bound, text)


def fair(what, found, q, may):
    """Draws (draws, N, K): forced blocks run, the others by q, and independently."""
    good = ((found == 0) | (found == 1)).all()
    checks.true(good, f"{what}: only 0 and 1 may be drawn")
    text = f"{what}: a block that may not be dropped was dropped"
    checks.true((found[..., ~may] == 1).all(), text)
    q = q[:, may]
    z = (found[..., may] - q) / np.sqrt(q * (1 - q))
    for at in np.ndindex(*q.shape):
        text = f"{what}: how often u is 1 where q = {q[at]:.3g}, scaled"
        checks.statistic(z[(slice(None), *at)], 0, text, WIDE)
    z = z.reshape(len(z), -1)
    if z.size:
        checks.statistic(z[1:] * z[:-1], 0, f"{what}: one draw times the next", WIDE)
    for gap in range(1, z.shape[1]):
        text = f"{what}: two elements multiplied"
        checks.statistic(z[:, gap:] * z[:, :-gap], 0, text, WIDE)


@knock.check("draw: each probability, over 40,000 images, and for one block alone")
def shares(mine, r):
    cases = []
    for alpha, n in ((0.55, 10_000), (0.7, 40_000), (0.9, 10_000)):
        row = r.rng.permutation([0, 0.1, 0.3, 0.8, 1])
        for p in (np.tile(row, (n, 1)), np.full((2000, 1), row[0])):
            u = checks.call(mine.draw, p, alpha, p.shape[1], generator(r))
            text = f"draw: shape must be {p.shape}; got {np.shape(u)}"
            checks.true(np.shape(u) == p.shape, text, "shape")
            cases.append((row[: p.shape[1]], alpha, u))
    p, rng = np.array([[r.choice([0.1, 0.8])]]), generator(r)
    alone = [float(np.squeeze(mine.draw(p.copy(), 0.7, 1, rng))) for _ in range(600)]
    cases.append((p[0], 0.7, np.reshape(alone, (600, 1))))
    evidence = np.concatenate([u.mean(axis=0) for *_, u in cases])
    try:
        for row, alpha, u in cases:
            q = bounded(np.array(row), alpha)
            for k, spread in enumerate(np.sqrt(q * (1 - q))):
                text = f"draw: u for p = {row[k]}, alpha = {alpha}, K = {len(row)}"
                checks.statistic(u[:, k], q[k], text, spread)
            apart_by(((u - q) / np.sqrt(q * (1 - q))).ravel(), f"draw, alpha = {alpha}")
    except Mistake as mistake:
        raise Mistake(mistake.message, evidence) from None


@knock.check("loss: the free blocks of all images", points=2)
def value(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(mine.loss, loss, *sample(r, *case), tolerance=TIGHT)


@knock.check("loss_backward: against small steps, with a random g", points=2)
def gradients(mine, r):
    for case in [*CASES[:10], anything(r)]:
        checks.gradient(mine.loss_backward, loss, *sample(r, *case), r=r, wrt=[0])


@knock.check("loss_backward agrees with loops; exactly 0 for forced blocks")
def backwards(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        args = r(), *sample(r, *case)
        again = {"again": case in CASES[:4], "tolerance": TIGHT}
        result = checks.value(mine.loss_backward, backward, *args, **again)
        forced = [not f for f in free(case[1], case[2])]
        text = "loss_backward: not exactly 0 for a block that may not be dropped"
        checks.true((result[:, forced] == 0).all(), text, "not 0")


@knock.check("large logits: no overflow, no NaN")
def large(mine, r):
    for size in (50, 800, 1e4):
        for case in ((2, 4, 3), (1, 1, 1), (3, 9, 9)):
            logits, *rest = sample(r, *case)
            logits = size * np.sign(logits) * (1 + r.rng.random(logits.shape))
            checks.value(mine.loss, loss, logits, *rest, tolerance=TIGHT)
            checks.value(
                mine.loss_backward, backward, 1.5, logits, *rest, tolerance=TIGHT
            )


@knock.check("float32 stays float32; views are right; results are new arrays")
def layout(mine, r):
    for case in ((3, 4, 2), (1, 1, 1), (2, 5, 0), (2, 3, 3)):
        n, blocks, last = case
        logits, u, advantage, alpha, _ = args = sample(r, *case)
        p, right = probabilities(r, n, blocks), r.mask(n)
        for kind in (np.float64, np.float32):
            options = {"tolerance": TIGHT} if kind is np.float64 else {}
            views = [
                np.asfortranarray(a.astype(kind))[::-1] for a in (logits, u, advantage)
            ]
            views += [alpha, last]
            result = checks.value(mine.loss, loss, *views, **options)
            got = getattr(result, "dtype", type(result).__name__)
            text = f"loss: the dtype must be {kind.__name__}; got {got}"
            checks.true(got == kind, text, (str(got), kind.__name__))
            g = kind(1.25)
            checks.value(mine.loss_backward, backward, g, *views, **options)
            checks.value(mine.reward, reward, views[1], right[::-1], 3.0, **options)
            odd = np.asfortranarray(p.astype(kind))[::-1]
            checks.value(mine.greedy, greedy, odd, last, **options)
            checks.value(mine.bounded, bounded, odd, alpha, **options)
            drawn = checks.call(mine.draw, odd, alpha, last, np.random.default_rng(1))
            checks.equal(drawn * 0, np.zeros(p.shape, kind), "draw, times 0")
        rng = np.random.default_rng(1)
        ones = np.ones((n, blocks))
        apart("reward", mine.reward(u, right, 1.0), [u])
        apart("greedy", mine.greedy(ones, last), [ones])
        apart("bounded", mine.bounded(p, 0.75), [p])
        apart("draw", mine.draw(ones, alpha, last, rng), [ones])
        apart("loss_backward", mine.loss_backward(1.0, *args), args)


FORCED = "    u[:, : max(0, p.shape[1] - last)] = 1\n    return u\n\n\n"
GREEDY = "    u = (p >= 0.5).astype(p.dtype)\n" + FORCED[: FORCED.index("    return")]
DRAWN = "    u = (rng.random(p.shape) < bounded(p, alpha)).astype(p.dtype)\n"
DRAW = DRAWN + FORCED[: FORCED.index("    return")]
LOSS = "    log_p[:, : max(0, u.shape[1] - last)] = 0\n"
BACK = "    by_logits[:, : max(0, u.shape[1] - last)] = 0\n"

knock.wrong(
    "not squared",
    "the part of the blocks that ran is not squared",
    ("1 - used**2", "1 - used"),
)
knock.wrong(
    "0.5 dropped",
    "where p is exactly 0.5 the block runs: p >= 0.5",
    ("(p >= 0.5)", "(p > 0.5)"),
)
knock.wrong(
    "critic without the curriculum",
    "the critic drops blocks that may not be dropped yet; they are 1 in u' as well",
    (GREEDY, GREEDY[: GREEDY.index("    u[:")]),
)
knock.wrong(
    "critic from the end",
    "with last = 0, u[:, :-0] is no column, and with last above K you count from "
    "the end: the first max(0, K - last) blocks are forced",
    (GREEDY, GREEDY.replace(": max(0, p.shape[1] - last)", ":-last")),
)
knock.wrong(
    "not bounded",
    "q is p itself: then a p near to 0 or 1 leaves nothing to try out",
    ("return alpha * p + (1 - alpha) * (1 - p)", "return p.copy()"),
)
knock.wrong(
    "cut off",
    "p is cut off at 1 - alpha and alpha; q is a straight line between them",
    (
        "return alpha * p + (1 - alpha) * (1 - p)",
        "return np.clip(p, p.dtype.type(1 - alpha), p.dtype.type(alpha))",
    ),
)
knock.wrong(
    "drawn from p",
    "u is drawn from p; draw it from q",
    ("< bounded(p, alpha))", "< p)"),
)
knock.wrong(
    "one number for a row",
    "all blocks of an image are drawn with one number; draw one for each",
    ("rng.random(p.shape) <", "rng.random((len(p), 1)) <"),
)
knock.wrong(
    "cut off in the draw",
    "u is drawn from p, cut off at 1 - alpha and alpha; draw it from q",
    ("< bounded(p, alpha))", "< np.clip(p, 1 - alpha, alpha))"),
)
knock.wrong(
    "sixteen numbers",
    "your random numbers are multiples of 1/16, so u is 1 too often; take rng.random",
    ("(rng.random(p.shape) <", "(rng.integers(0, 16, p.shape) / 16 <"),
)
knock.wrong(
    "drawn from elsewhere",
    "you draw from NumPy's global generator; use rng",
    ("(rng.random(p.shape)", "(np.random.random(p.shape)"),
)
knock.wrong(
    "drawn without the curriculum",
    "draw drops blocks that may not be dropped yet",
    (DRAW, DRAWN),
)
knock.wrong(
    "seed fixed",
    "you make a generator of your own, so each draw is the same: use rng",
    ("(rng.random(p.shape)", "(np.random.default_rng(0).random(p.shape)"),
)
knock.wrong(
    "forced blocks in the loss",
    "blocks that may not be dropped are in the loss; leave them out",
    (LOSS, ""),
)
knock.wrong(
    "reward climbs down",
    "the sign of the loss is wrong: a good choice must become more likely",
    ("return -(advantage *", "return (advantage *"),
)
knock.wrong(
    "a Python float",
    "the loss is a Python float, which has no dtype; give it that of the logits",
    (
        "return -(advantage * log_p.sum(axis=1)).mean()",
        "return float(-(advantage * log_p.sum(axis=1)).mean())",
    ),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: multiply by it",
    ("return -g * advantage", "return -advantage"),
)
knock.wrong(
    "gradient of a plain policy",
    "u - p is the gradient where u is drawn from p; here it is drawn from q",
    (
        "by_logits = by_q * (2 * alpha - 1) * p * (1 - p)",
        "by_logits = u - p",
    ),
)
knock.wrong(
    "slope of q forgotten",
    "the factor 2 alpha - 1, from q to p, is missing",
    ("by_q * (2 * alpha - 1) *", "by_q *"),
)
knock.wrong(
    "sign where dropped",
    "the sign is wrong where u is 0: log(1 - q) falls when q grows",
    ("1 / q, -1 / (1 - q))", "1 / q, 1 / (1 - q))"),
)
knock.wrong(
    "forced blocks get a gradient",
    "blocks that may not be dropped get a gradient; they are not in the loss",
    (BACK, ""),
)
knock.wrong(
    "gradient not averaged",
    "the loss is a mean over the images, so divide the gradient by their number",
    ("by_logits / len(u)", "by_logits"),
)
