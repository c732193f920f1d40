"""Grader of k073: mixup.

What is drawn may be drawn in any way. A mean may be six standard errors off, a share of
a distribution by 3 / sqrt(n). Some 70 of them are looked at, of at least 99 numbers
each: a right answer fails any of them less than once in 10^6 runs.
"""

import math
from itertools import permutations

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "x[order] is the whole batch in another order, labels[order] are its labels. "
        "All the rest are means with the weights lam and 1 - lam.",
        "np.eye(classes)[labels] are one-hot labels; they are mixed as images are. The "
        "loss takes cross_entropy twice, with labels and with labels[order]; so does "
        "the gradient with cross_entropy_backward.",
        "draw: rng.beta(alpha, alpha), rng.permutation(n). mix: lam * x + (1 - lam) * "
        "x[order]. Gradient: lam * cross_entropy_backward(g, logits, labels) + (1 - "
        "lam) * cross_entropy_backward(g, logits, labels[order]).",
    ],
)

TIGHT = (1e-10, 1e-12)
SHAPES = [(2, 3), (1, 4), (3,), (3, 1, 2, 2), (4, 4), (1,), (5, 2, 3), (17, 1, 9, 2)]
SHAPES += [(40, 2), (3, 3, 3, 3), (2, 3, 1, 2, 2), (2, 1, 2, 1, 1, 3)]
SIZES = [(2, 3), (1, 4), (3, 1), (1, 1), (4, 4), (5, 2), (17, 12), (40, 3)]
WIDE = [(3, 40), (2, 200)]


def blended(x, lam, order):
    """Image by image."""
    out = np.empty_like(x)
    for b in range(len(x)):
        out[b] = lam * x[b].astype(float) + (1 - lam) * x[int(order[b])].astype(float)
    return out


def targets(labels, lam, order, classes):
    """Label by label."""
    out = np.zeros((len(labels), classes))
    for b in range(len(labels)):
        out[b, int(labels[b])] += lam
        out[b, int(labels[int(order[b])])] += 1 - lam
    return out


def loss(logits, labels, lam, order):
    """One cross-entropy with mixed labels, example by example."""
    target, losses = targets(labels, lam, order, logits.shape[1]), []
    for row, wanted in zip(logits.astype(float), target):
        top = max(row)
        log_sum = math.log(math.fsum(math.exp(a - top) for a in row))
        losses += [float(w) * (log_sum - (a - top)) for w, a in zip(wanted, row)]
    return np.asarray(math.fsum(losses) / len(logits), logits.dtype)


def backward(g, logits, labels, lam, order):
    """Softmax less target, example by example."""
    target, out = targets(labels, lam, order, logits.shape[1]), np.empty_like(logits)
    for b, row in enumerate(logits.astype(float)):
        e = np.exp(row - row.max())
        out[b] = float(g) * (e / e.sum() - target[b]) / len(logits)
    return out


def shuffled(r, n):
    """A permutation: not its own inverse and without a fixed point where possible."""
    while True:
        order = r.rng.permutation(n)
        twice = (order[order] == np.arange(n)).any()
        if n < 3 or n > 5 or not twice and (order != np.arange(n)).all():
            return order


def batch(r, n, c):
    """Logits, labels, lam and order."""
    return (
        2 * r(n, c),
        r.integers(c, n),
        0.05 + 0.4 * float(r.rng.random()),
        shuffled(r, n),
    )


def anything(r):
    """Sizes of any kind."""
    return r.size(1, 6), r.size(1, 6)


def shares(r):
    """lam: the ends, near the ends, the middle and others."""
    return 0.0, 1.0, 0.5, 0.3, 0.97, 0.995, 0.01, float(r.rng.random())


@knock.check("mix: so much of each image, so much of another")
def images(mine, r):
    x, order = np.array([[4.0, 8.0], [0.0, 16.0], [2.0, 0.0]]), np.array([2, 0, 1])
    checks.value(mine.mix, blended, x, 0.75, order, tolerance=(0, 0))
    for shape in SHAPES:
        for lam in shares(r):
            args = r(*shape), lam, shuffled(r, shape[0])
            checks.value(mine.mix, blended, *args, tolerance=TIGHT, again=lam == 0.3)
    x = 3 + r(4, 2)
    for order in (np.arange(4), np.arange(4)[::-1], np.array([1, 0, 2, 3])):
        checks.value(mine.mix, blended, x, 0.3, order, tolerance=TIGHT)


@knock.check("mixed_labels: one-hot labels, mixed in the same way")
def labels(mine, r):
    f = mine.mixed_labels
    y, order = np.array([4, 0, 2]), np.array([1, 2, 0])
    checks.value(f, targets, y, 0.5, order, 5, tolerance=TIGHT)
    for n, c in [*SIZES, *WIDE, anything(r), (3, 20)]:
        for lam in shares(r):
            _, y, _, order = batch(r, n, c)
            for some in (y, 0 * y, 0 * y + c - 1):
                checks.value(f, targets, some, lam, order, c, tolerance=TIGHT)
    y = np.array([2, 0, 1], np.int32)
    args = y, 0.3, np.array([1, 2, 0]), 4
    first = checks.value(f, targets, *args, tolerance=TIGHT)
    checks.value(f, targets, 2 - y, *args[1:], tolerance=TIGHT)
    what = "mixed_labels, its first result after the second call: results share memory"
    checks.equal(first, targets(*args), what)


@knock.check("mixup_loss: two cross-entropies, which are one of mixed labels", points=2)
def value(mine, r):
    f = mine.mixup_loss
    for n, c in [(3, 3), *SIZES, *WIDE, anything(r), anything(r)]:
        logits, y, some, order = batch(r, n, c)
        checks.value(f, loss, logits, y, some, order, tolerance=TIGHT)
        for lam in shares(r):
            checks.value(f, loss, logits, y, lam, order, tolerance=TIGHT, again=False)
    for size in (1000.0, 1e4):  # far from each other
        logits, y, lam, order = batch(r, 4, 3)
        logits[np.arange(4), y] += np.array([size, -size])[[0, 1, *r.integers(2, 2)]]
        checks.value(f, loss, logits, y, lam, order, tolerance=TIGHT)


@knock.check("mixup_loss_backward: the gradient by the logits", points=2)
def gradients(mine, r):
    f = mine.mixup_loss_backward
    for n, c in [(3, 3), (2, 4), (1, 2)]:
        logits, *rest = batch(r, n, c)
        checks.gradient(f, loss, logits, *rest, r=r, wrt=[0])
    for n, c in [*SIZES, *WIDE, anything(r), anything(r)]:
        logits, y, some, order = batch(r, n, c)
        checks.value(f, backward, 0.0, logits, y, some, order, again=False)
        for lam in (some, *shares(r)):
            args = float(r()) - 2, logits, y, lam, order
            checks.value(f, backward, *args, tolerance=TIGHT, again=lam == some)
    for size in (1000.0, 1e4):
        logits, y, lam, order = batch(r, 4, 3)
        logits[np.arange(4), y] += np.array([size, -size])[[0, 1, *r.integers(2, 2)]]
        checks.value(f, backward, 2.0, logits, y, lam, order, tolerance=TIGHT)


@knock.check("invariants: lam 1 and 0, sums of labels, exchanged images")
def invariants(mine, r):
    n, c = r.size(2, 5), r.size(2, 5)
    x, (logits, y, lam, order) = r(n, 3), batch(r, n, c)
    what = "with lam = 1 nothing is mixed: "
    checks.equal(checks.call(mine.mix, x, 1.0, order), x, what + "mix")
    target = checks.call(mine.mixed_labels, y, 1.0, order, c)
    checks.equal(target, np.eye(c)[y], what + "mixed_labels")
    one = checks.call(mine.mixup_loss, logits, y, 1.0, order)
    other = checks.call(mine.mixup_loss, logits, y[order], 0.0, np.argsort(order))
    checks.equal(other, np.asarray(one), "mixup_loss of exchanged images, 1 - lam")
    target = checks.call(mine.mixed_labels, y, lam, order, c)
    checks.equal(target.sum(1), np.ones(n), "the sums of the mixed labels")
    grad = checks.call(mine.mixup_loss_backward, 1.5, logits, y, lam, order)
    what = "the gradient of an image, added up over the classes,"
    checks.equal(grad.sum(1), np.zeros(n), what, tolerance=(0, 1e-12))


@knock.check("float32 stays float32; views are right; nothing is shared or kept")
def layout(mine, r):
    for dtype, tolerance in ((float, TIGHT), (np.float32, None)):
        x = np.asfortranarray(r(4, 6, 3).astype(dtype))[::-1, ::2]
        logits, y, lam, order = batch(r, 4, 3)
        logits = np.asfortranarray(logits.astype(dtype))[::-1, ::-1]
        y, order = y[::-1], np.repeat(order, 2)[::-2]
        try:
            checks.value(mine.mix, blended, x, lam, order, tolerance=tolerance)
        except Mistake as mistake:
            raise Mistake(mistake.message, ("mix", mistake.evidence)) from None
        args, g = (logits, y, lam, order), 1.5
        checks.value(mine.mixup_loss, loss, *args, tolerance=tolerance)
        checks.value(mine.mixup_loss_backward, backward, g, *args, tolerance=tolerance)
        g = np.float64(1.5)
        checks.value(mine.mixup_loss_backward, backward, g, *args, tolerance=tolerance)
    for n, lam in ((1, 1.0), (1, 0.0), (1, 0.5), (3, 1.0), (3, 0.0), (3, 0.5)):
        x = r(n, 2)
        mixed, order = mine.mix(x, lam, np.arange(n)), shuffled(r, n)
        text = (
            f"mix with lam = {lam}: the result shares memory with x; make a new array"
        )
        checks.true(not np.shares_memory(mixed, x), text, ("shared", lam))
        logits, y, _, _ = batch(r, n, 4)
        mine.mix(x, lam, order), mine.mixup_loss(logits, y, lam, order)
        mine.mixup_loss_backward(1.0, logits, y, lam, order)
        x *= -2  # the same arrays with other numbers
        logits *= -2
        mixed, right = mine.mix(x, lam, order), blended(x, lam, order)
        checks.equal(mixed, right, "mix again, after x was changed in place")
        args = logits, y, lam, order
        what = "again, after logits were changed in place"
        checks.equal(mine.mixup_loss(*args), loss(*args), f"mixup_loss {what}")
        grad, right = mine.mixup_loss_backward(1.0, *args), backward(1.0, *args)
        checks.equal(grad, right, f"mixup_loss_backward {what}")


@knock.check("draw: one number from 0 to 1 and a permutation, all of it from rng")
def drawn(mine, r):
    for n, alpha in [(1, 1.0), (4, 0.2), (9, 5), (r.size(2, 50), 0.05), (3, 100.0)]:
        seed, words = int(r.integers(1 << 30)), f"draw({n}, {alpha}, rng)"
        found = []
        for _ in range(2):
            np.random.seed(int(r.integers(1 << 30)))
            before = np.random.get_state()
            found.append(mine.draw(n, alpha, np.random.default_rng(seed)))
            after = np.random.get_state()
            touched = before[2] != after[2] or (before[1] != after[1]).any()
        for pair in found:
            good = isinstance(pair, tuple | list) and len(pair) == 2
            text = f"{words} must give (lam, order); got {str(pair)[:60]}"
            checks.true(good, text, type(pair).__name__)
        (lam, order), (other, again) = found
        good = np.ndim(lam) == 0 and 0 <= lam <= 1
        kind = "lam", str(np.asarray(lam).dtype)
        text = f"{words}: lam must be one number in [0, 1]; got {lam}"
        checks.true(good, text, kind)
        good = isinstance(order, np.ndarray) and order.dtype.kind in "iu"
        good = good and sorted(order.tolist()) == list(range(n))
        text = f"{words}: order must be a permutation of 0 ... {n - 1}; got {order}"
        checks.true(good, text, "order")
        text = f"{words} must give the same for generators of the same seed"
        checks.true(lam == other and (order == again).all(), text, "not from rng")
        text = f"{words} draws from NumPy's global generator, or seeds it; use rng only"
        checks.true(not touched, text, "global generator touched")


@knock.check("draw: lam is of Beta(alpha, alpha), all orders are as likely", points=2)
def distribution(mine, r):
    rng, count = r.rng, 2000
    for alpha in (0.2, 1.0, 4.0, 0.05, 0.1, 20.0, 100.0):
        lam = np.array([float(mine.draw(2, alpha, rng)[0]) for _ in range(count)])
        mean, square = 0.5, 1 / (4 * (2 * alpha + 1))
        fourth = 3 * square**2 * (2 * alpha + 1) / (2 * alpha + 3)
        evidence = np.array([alpha, np.sign(round(lam.mean() - mean, 1))])
        fifth = f"lam for alpha = {alpha}"
        pairs = [
            (lam, mean, "lam", math.sqrt(square)),
            ((lam - 0.5) ** 2, square, "(lam - 1/2)^2", math.sqrt(fourth - square**2)),
        ]
        for samples, expected, name, spread in pairs:
            try:
                what = f"{name} for alpha = {alpha}"
                checks.statistic(samples, expected, what, spread)
            except Mistake as mistake:
                size = round(float(np.mean((lam - 0.5) ** 2) / square), 1)
                raise Mistake(mistake.message, (fifth, size, evidence)) from None
        lag = (lam[1:] - 0.5) * (lam[:-1] - 0.5)
        what = f"the product of one lam - 1/2 and the next, for alpha = {alpha},"
        checks.statistic(lag, 0.0, what, square)
        if alpha == 1:
            spread_out(lam)
    lam = [float(mine.draw(1, 0.05, rng)[0]) for _ in range(200)]
    text = "of 200 lam for alpha = 0.05 about 50 are below 1e-6, and as many above 1 - "
    text += f"1e-6; yours are from {min(lam):.2g} to {max(lam):.2g}"
    good = min(lam) < 1e-6 and max(lam) > 1 - 1e-6  # by chance: 0.75^200
    checks.true(good, text, (round(min(lam), 3), round(max(lam), 3)))
    orders = [tuple(mine.draw(3, 1.0, rng)[1].tolist()) for _ in range(count)]
    for wanted in permutations(range(3)):
        hits = np.array([order == wanted for order in orders], float)
        what = f"the share of the order {wanted} among those of 3 images"
        try:
            checks.statistic(hits, 1 / 6, what, math.sqrt(5) / 6)
        except Mistake as mistake:
            found = [round(orders.count(p) / count, 1) for p in permutations(range(3))]
            raise Mistake(mistake.message, found) from None
    pairs = [mine.draw(2, 1.0, rng) for _ in range(count)]
    first = np.array([float(order[0]) for _, order in pairs])
    checks.statistic(first, 0.5, "order[0] of the orders of 2 images", 0.5)
    both = np.array([float(lam) - 0.5 for lam, _ in pairs]) * (first - 0.5)
    what = "lam - 1/2 times order[0] - 1/2, which do not depend on each other,"
    checks.statistic(both, 0.0, what, math.sqrt(1 / 48))


def spread_out(lam):
    """Of 2000 lam for alpha = 1 nearly all differ; all are as likely."""
    different, n = len(set(lam.tolist())), len(lam)
    text = f"of {n} lam for alpha = 1 only {different} differ: they are rounded, or few"
    checks.true(different > 0.95 * n, text, ("differ", different))
    checks.distribution(lam, lambda x: x, "lam for alpha = 1, which is uniform")


@knock.check("draw: all orders are as likely in batches of 5 to 1000", points=2)
def orders(mine, r):
    for n, count in ((5, 1500), (9, 400), (25, 300), (100, 100), (1000, 100)):
        drawn = [mine.draw(n, 1.0, r.rng)[1] for _ in range(count)]
        found, places, of = np.stack(drawn), np.arange(n), f"of {n} images"
        good = (np.sort(found) == places).all()
        checks.true(good, f"an order {of} is not a permutation", "order")
        checks.statistic((found == places).sum(1), 1, f"how many {of} stay in place", 1)
        checks.statistic(
            found[:, 0], (n - 1) / 2, f"order[0] {of}", math.sqrt((n * n - 1) / 12)
        )
        again = np.take_along_axis(found, found, axis=1)
        text = f"how many {of} are back in place when order is applied twice"
        checks.statistic((again == places).sum(1), 2, text, math.sqrt(3))
        text = f"how many {of} are followed by the next one"
        checks.statistic(
            (found[:, 1:] == found[:, :-1] + 1).sum(1), (n - 1) / n, text, 1
        )
        middle, variance = (n - 1) / 2, (n * n - 1) / 12
        slope = (found - middle) @ (places - middle) / (n * variance)
        text = f"the correlation of order[b] with b {of}"
        checks.statistic(slope, 0, text, 1 / math.sqrt(n - 1))
        text = f"how often order[b] is larger than b {of}"
        larger = (found > places).sum(1)
        checks.statistic(larger, (n - 1) / 2, text, math.sqrt((n + 1) / 12))
        text = f"how many {of} are at the same place in the next order"
        checks.statistic((found[1:] == found[:-1]).sum(1), 1, text, 1)
        if n < 10:
            sign = np.linalg.det(np.eye(n)[found])
            checks.statistic(
                sign, 0, f"the sign of the orders {of}, 1 if even, -1 if odd,", 1
            )


DRAW = "return rng.beta(alpha, alpha), rng.permutation(n)"
MIX = "return lam * x + (1 - lam) * x[order]"
EYE = "return mix(np.eye(classes)[labels], lam, order)"
BOTH = "first, second = (cross_entropy(logits, y) for y in (labels, labels[order]))"
LOSS = BOTH + "\n    return lam * first + (1 - lam) * second"
FIRST = "first = cross_entropy_backward(g, logits, labels)"
SECOND = "second = cross_entropy_backward(g, logits, labels[order])"
GRAD = SECOND + "\n    return lam * first + (1 - lam) * second"


def wrong(name, diagnosis, old, new):
    knock.wrong(name, diagnosis, (old, new))


why = "lam is another one for each image; here one number is drawn for the batch"
wrong("a lam for each image", why, DRAW, DRAW.replace("alpha)", "alpha, n)"))
why = "lam is uniform whatever alpha is"
wrong("uniform lam", why, DRAW, DRAW.replace("rng.beta(alpha, alpha)", "rng.random()"))
why = "lam is of Beta(alpha, 1): more of it is near 1 or 0; both arguments are alpha"
wrong("one alpha", why, DRAW, DRAW.replace("alpha, alpha", "alpha, 1"))
why = "lam is never below 1/2; both halves of the distribution are wanted"
new = "lam = rng.beta(alpha, alpha)\n    return max(lam, 1 - lam), rng.permutation(n)"
wrong("larger half", why, DRAW, new)
why = "lam is kept away from 0 and 1"
new = "min(max(rng.beta(alpha, alpha), 0.001), 0.999)"
wrong("lam clipped", why, DRAW, DRAW.replace("rng.beta(alpha, alpha)", new))
why = "lam is always alpha / (2 alpha), the mean; draw it"
wrong("mean lam", why, DRAW, DRAW.replace("rng.beta(alpha, alpha)", "0.5"))
why = "order is drawn with repetitions; it must be a permutation"
wrong("repetitions", why, DRAW, DRAW.replace("permutation(n)", "integers(n, size=n)"))
why = "every image is mixed with its neighbour; all permutations must be as likely"
new = "rng.beta(alpha, alpha), np.roll(np.arange(n), 1)"
wrong("neighbours", why, DRAW, "return " + new)
why = "the order is always turned round; draw a permutation"
wrong("turned round", why, DRAW, "return rng.beta(alpha, alpha), np.arange(n)[::-1]")
why = "you draw cyclic orders only; all permutations must be as likely"
new = "order = np.roll(np.arange(n), rng.integers(n))"
wrong("cyclic", why, DRAW, new + "\n    return rng.beta(alpha, alpha), order")
why = "image 0 always stays in place; it may go anywhere"
new = "return rng.beta(alpha, alpha), np.append(0, 1 + rng.permutation(n - 1))"
wrong("first stays", why, DRAW, new)
why = "you exchange every place with any other; then some orders are more likely"
new = "order = np.arange(n)\n    for i in range(n):\n        j = rng.integers(n)\n"
new += "        order[[i, j]] = order[[j, i]]\n    return rng.beta(alpha, alpha), order"
wrong("exchanged with any place", why, DRAW, new)
why = "large batches are not shuffled at all"
new = DRAW.replace("rng.permutation(n)", "np.arange(n)")
wrong("large in order", why, DRAW, f"if n > 64:\n        {new}\n    {DRAW}")
why = "both halves of the batch are shuffled apart; an image may go to the other half"
new = "a, b = rng.permutation(n // 2), n // 2 + rng.permutation(n - n // 2)\n"
new += "    return rng.beta(alpha, alpha), np.append(a, b)"
wrong("halves apart", why, DRAW, new)
why = "lam is rounded; any number between 0 and 1 may come"
new = DRAW.replace("rng.beta(alpha, alpha)", "round(rng.beta(alpha, alpha), 2)")
wrong("rounded", why, DRAW, new)
why = "small alphas are drawn as if they were 0.2"
wrong("clipped", why, DRAW, DRAW.replace("alpha, alpha", "*2 * [max(alpha, 0.2)]"))
why = "you seed NumPy's global generator; leave it alone"
wrong("global seed", why, DRAW, "np.random.seed(0)\n    " + DRAW)
why = "you draw from NumPy's global generator; draw from rng"
wrong("global generator", why, DRAW, DRAW.replace("rng.beta", "np.random.beta"))
why = "you make a generator of your own: every batch gets the same numbers"
wrong("fixed seed", why, DRAW, "rng = np.random.default_rng(0)\n    " + DRAW)
why = "the pair is (order, lam); it must be (lam, order)"
wrong("pair exchanged", why, DRAW, "return rng.permutation(n), rng.beta(alpha, alpha)")
why = "lam and 1 - lam are exchanged"
wrong("shares exchanged", why, MIX, "return (1 - lam) * x + lam * x[order]")
why = "the second image is not scaled: the shares must sum to 1"
wrong("not a mean", why, MIX, "return lam * x + x[order]")
why = "half of each, whatever lam is"
wrong("half and half", why, MIX, "return (x + x[order]) / x.dtype.type(2)")
why = "the inverse of the order is used: image b is mixed with image order[b]"
wrong("inverse order", why, MIX, MIX.replace("x[order]", "x[np.argsort(order)]"))
why = "images are mixed with the batch turned round; use order"
wrong("order ignored", why, MIX, MIX.replace("x[order]", "x[::-1]"))
why = "the pixels are mixed, not the images: order belongs to the first axis"
new = "if x.shape[-1] == len(x):\n        x = x.swapaxes(0, -1)\n"
new += "        return (lam * x + (1 - lam) * x[order]).swapaxes(0, -1)\n    "
wrong("last axis", why, MIX, new + MIX)
why = "each pixel is taken from one of both images; that is CutMix, mixup adds them"
wrong("one or the other", why, MIX, "return x * 1 if lam >= 0.5 else x[order]")
why = "with lam = 1 x itself comes back; make a new array"
wrong("x itself", why, MIX, "if lam == 1:\n        return x\n    " + MIX)
why = "x is scaled in place; it belongs to whoever called"
new = "other = x[order]\n    x *= lam\n    return x + (1 - lam) * other"
wrong("in place", why, MIX, new)
why = "the result is float64 even for float32"
wrong("always float64", why, MIX, MIX.replace("lam * x +", "lam * x.astype(float) +"))
why = "the labels are not mixed: only the first is there"
wrong("first label", why, EYE, "return np.eye(classes)[labels]")
why = "there are at most 64 classes; C is any number"
new = "hot = np.eye(classes)[labels]\n    hot[:, 64:] = 0\n"
wrong("64 classes", why, EYE, new + "    return mix(hot, lam, order)")
why = "the second label overwrites the first where both are the same: add them"
new = (
    "out, rows = np.zeros((len(labels), classes)), np.arange(len(labels))\n"
    "    out[rows, labels] = lam\n    out[rows, labels[order]] = 1 - lam\n"
    "    return out"
)
wrong("overwritten", why, EYE, new)
why = "there are only as many classes as labels in the batch"
wrong("classes of the batch", why, EYE, EYE.replace("(classes)", "(labels.max() + 1)"))
why = "labels are mixed as numbers: 0.5 of 2 and 0.5 of 4 is not class 3"
new = "y = np.rint(lam * labels + (1 - lam) * labels[order]).astype(int)"
wrong("labels as numbers", why, EYE, new + "\n    return np.eye(classes)[y]")
why = "the loss has the first label only"
wrong("loss of the first", why, LOSS, "return cross_entropy(logits, labels)")
why = "lam and 1 - lam are exchanged in the loss"
new = BOTH + "\n    return lam * second + (1 - lam) * first"
wrong("loss exchanged", why, LOSS, new)
why = "the logits are taken in another order, too; only the labels are"
wrong("logits in order", why, BOTH, BOTH.replace("(logits, y)", "(logits[order], y)"))
why = "both losses count in full"
wrong("sum of losses", why, LOSS, BOTH + "\n    return first + second")
why = "the label with the larger share takes all"
new = "return cross_entropy(logits, labels if lam >= 0.5 else labels[order])"
wrong("larger share", why, LOSS, new)
why = "g is ignored in the second half of the gradient"
wrong("g forgotten", why, SECOND, SECOND.replace("(g,", "(1.0,"))
why = "g is ignored: you have the gradient of the loss itself"
knock.wrong(
    "upstream ignored",
    why,
    (FIRST, FIRST.replace("(g,", "(1.0,")),
    (SECOND, SECOND.replace("(g,", "(1.0,")),
)
why = "the gradient has the first label only"
wrong("gradient of the first", why, GRAD, "return first")
why = "lam and 1 - lam are exchanged in the gradient"
new = SECOND + "\n    return lam * second + (1 - lam) * first"
wrong("gradient exchanged", why, GRAD, new)
why = "the gradient is multiplied by N: CE is a mean over the examples"
new = GRAD.replace("return", "return len(labels) * (") + ")"
wrong("gradient not averaged", why, GRAD, new)
why = "the gradient is float64 even for float32"
wrong("gradient float64", why, GRAD, GRAD.replace("* second", "* second.astype(float)"))
