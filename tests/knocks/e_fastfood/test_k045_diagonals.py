"""Grader of k045: the random parts of Fastfood.

Nothing is compared with given random numbers: what is drawn may be drawn in any way. A
mean may be six standard errors off, a share of a distribution by 3 / sqrt(n).
Some 170 means and 9 distributions are looked at: a right answer fails any of them less
than once in 10^6 runs. What differs from a right answer by less passes: signs of which
51 % are 1, normal numbers whose mean is 0.05, the sum of twelve uniform numbers.
"""

import math

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.compare import plain

knock = Grader(
    hints=[
        "Look through the methods of rng: rng.choice, rng.permutation and "
        "rng.standard_normal draw d numbers at once. What is the length of a vector of "
        "normal numbers the root of?",
        "rng.chisquare(d, d) draws d squared lengths for d degrees of freedom. Pi "
        "reads by p: u[:, p]. Its transpose writes by p, and the diagonals come in the "
        "opposite order.",
        "rng.choice([-1.0, 1.0], d); np.sqrt(rng.chisquare(d, d)) / "
        "np.linalg.norm(g); apply: s * g * (b * x)[:, p]; apply_transposed: u[:, p] = "
        "g * s * y, then b * u.",
    ],
)

TIGHT = (1e-12, 1e-13)
SHAPES = [(1, 3), (2, 4), (3, 1), (1, 1), (4, 4), (1, 8), (5, 7), (2, 2)]


def generator(r):
    """A generator that no draw has been taken from."""
    return np.random.default_rng(int(r.integers(1 << 30)))


def drawn(f, d, rng, *args):
    """One draw, of the right shape; numbers are float64, and none is NaN."""
    result, places = f(*(args or (d,)), rng), f.__name__ == "random_permutation"
    if type(result) is np.ndarray and result.shape == (d,):
        if places and result.dtype.kind in "iu":
            return result.astype(np.int64)
        if not places and result.dtype == np.float64 and np.isfinite(result).all():
            return result
    what = f"{f.__name__}(g, rng), d = {d}" if args else f"{f.__name__}({d}, rng)"
    result = plain(result, what)
    text = f"{what}: shape must be {(d,)}; got {result.shape}"
    checks.true(result.shape == (d,), text, (f.__name__, result.shape))
    wanted = "an integer dtype" if places else "dtype float64"
    good = result.dtype.kind in "iu" if places else result.dtype == np.float64
    text = f"{what} must have {wanted}; got {result.dtype}"
    checks.true(good, text, (f.__name__, str(result.dtype)))
    checks.true(np.isfinite(result).all(), f"{what}: not all numbers are finite")
    return result


def many(f, count, d, rng):
    """Draw after draw from the same generator, (count, d)."""
    return np.stack([drawn(f, d, rng) for _ in range(count)])


def chi_square(x, d):
    """The shares of chi-square numbers below each x, for an even d."""
    term, total = np.ones(x.shape), np.zeros(x.shape)
    for k in range(d // 2):
        total += term
        term *= x / 2 / (k + 1)
    return 1 - np.exp(-x / 2) * total


def apply(x, s, g, p, b):
    """Number by number."""
    y = np.zeros(x.shape, x.dtype)
    for n, i in np.ndindex(*x.shape):
        source = int(p[i])
        y[n, i] = s[i] * (g[i] * (b[source] * x[n, source]))
    return y


def apply_transposed(y, s, g, p, b):
    """Number by number, back to where it came from."""
    x = np.zeros(y.shape, y.dtype)
    for n, i in np.ndindex(*y.shape):
        source = int(p[i])
        x[n, source] += b[source] * (g[i] * (s[i] * y[n, i]))
    return x


def parts(r, d):
    """Any s, g and b; a permutation that is not its own inverse if there is one."""
    p = r.rng.permutation(d)
    while d > 2 and np.array_equal(p[p], np.arange(d)):
        p = r.rng.permutation(d)
    return r(d), r(d), p, r(d)


@knock.check("B: the signs are 1 and -1, equally likely, and independent")
def signs(mine, r):
    rng, f, what = generator(r), mine.random_signs, "random_signs"
    found = many(f, 300, 4, rng)
    text = f"{what}: only 1 and -1 may be drawn; got {np.unique(found)[:5]}"
    checks.true((abs(found) == 1).all(), text, found)
    for i in range(4):
        checks.statistic(found[:, i], 0, f"{what}: b[{i}]", 1)
    for i, j in ((0, 1), (1, 2), (0, 2), (0, 3)):
        checks.statistic(found[:, i] * found[:, j], 0, f"{what}: b[{i}] * b[{j}]", 1)
    checks.statistic(found.prod(axis=1), 0, f"{what}: the product of four signs", 1)
    between = found[1:] * found[:-1]
    checks.statistic(between, 0, f"{what}: a sign times that of the draw before", 1)
    large = drawn(f, 8000, rng)
    checks.statistic(large, 0, f"{what}(8000, rng)", 1)
    for gap in (1, 2, 4000):
        checks.statistic(
            large[gap:] * large[:-gap], 0, f"{what}: b[i] * b[i + {gap}]", 1
        )
    checks.true(abs(drawn(f, 1, rng)).item() == 1, f"{what}(1, rng): not 1 or -1")


@knock.check("Pi: every order is equally likely", points=2)
def permutation(mine, r):
    rng, f, what = generator(r), mine.random_permutation, "random_permutation"
    for d in (1, 2, 3, 4, 9):
        p = drawn(f, d, rng)
        text = f"{what}({d}, rng): each of 0 ... {d - 1} must come once; got {p}"
        checks.true(np.array_equal(np.sort(p), np.arange(d)), text, p)
    d = 25
    found, places = many(f, 150, d, rng), np.arange(d)
    good = np.array_equal(np.sort(found), np.tile(places, (len(found), 1)))
    checks.true(good, f"{what}({d}, rng): each number must come once", found)
    fixed = (found == places).sum(axis=1)
    checks.statistic(fixed, 1, f"{what}: how many numbers stay in place", 1)
    again = np.take_along_axis(found, found, axis=1)
    text = f"{what}: how many numbers are back in place when it is applied twice"
    checks.statistic((again == places).sum(axis=1), 2, text, math.sqrt(3))
    beside = (found[:, 1:] == found[:, :-1] + 1).sum(axis=1)
    text = f"{what}: how many numbers are followed by the next larger one"
    checks.statistic(beside, (d - 1) / d, text, 1)
    middle, variance = (d - 1) / 2, (d * d - 1) / 12
    slope = (found - middle) @ (places - middle) / (d * variance)
    checks.statistic(
        slope, 0, f"{what}: the correlation of p[i] with i", 1 / math.sqrt(d - 1)
    )
    text = f"{what}: one draw against the next, how many numbers are the same"
    checks.statistic((found[1:] == found[:-1]).sum(axis=1), 1, text, 1)
    code = many(f, 600, 3, rng) @ [9, 3, 1]
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        share = code == np.dot(order, [9, 3, 1])
        checks.statistic(
            share, 1 / 6, f"{what}(3, rng): the share of {order}", math.sqrt(5) / 6
        )
    d = 1000
    larger = (many(f, 20, d, rng) > np.arange(d)).sum(axis=1)
    text = f"{what}({d}, rng): how often p[i] is larger than i"
    checks.statistic(larger, (d - 1) / 2, text, math.sqrt((d + 1) / 12))


@knock.check("G: standard normal numbers, independent of each other")
def gaussian(mine, r):
    rng, f, what = generator(r), mine.random_gaussian, "random_gaussian"
    large = drawn(f, 8000, rng)
    checks.statistic(large, 0, f"{what}(8000, rng)", 1)
    checks.statistic(large**2, 1, f"{what}(8000, rng)**2", math.sqrt(2))
    checks.distribution(large, checks.normal_cdf, f"{what}(8000, rng)")
    text = f"{what}(8000, rng): no number is beyond 3 or -3 (21 are, on average)"
    checks.true(abs(large).max() > 3, text, abs(large).max())  # by chance 4e-10
    for gap in (1, 2, 4000):
        checks.statistic(
            large[gap:] * large[:-gap], 0, f"{what}: g[i] * g[i + {gap}]", 1
        )
    found = many(f, 400, 2, rng)
    for i in range(2):
        checks.distribution(found[:, i], checks.normal_cdf, f"{what}(2, rng): g[{i}]")
    text = f"{what}(2, rng): g[0]**2 + g[1]**2"
    checks.distribution((found**2).sum(axis=1), lambda x: chi_square(x, 2), text)
    checks.statistic(found[:, 0] * found[:, 1], 0, f"{what}: g[0] * g[1]", 1)
    text = f"{what}: a number times that of the draw before"
    checks.statistic(found[1:] * found[:-1], 0, text, 1)
    checks.distribution(many(f, 200, 1, rng), checks.normal_cdf, f"{what}(1, rng)")


@knock.check("S: lengths of normal vectors, divided by the length of g", points=2)
def lengths(mine, r):
    f, what = mine.random_lengths, "random_lengths(g, rng)"
    for d, count in ((8, 120), (2, 250)):
        rng, all_g, found = generator(r), r(count, d), []
        for i, g in enumerate(all_g):
            given = g * (1, 10, 0.1)[i % 3]
            kept = given.copy()
            found.append(drawn(f, d, rng, given) * math.sqrt(kept @ kept))
            checks.true(np.array_equal(given, kept), f"{what} changes g", given)
        size = np.array(found)
        text = f"{what}: (s[i] * |g|)**2, d = {d}"
        checks.statistic(size**2, d, text, math.sqrt(2 * d))
        checks.true((size > 0).all(), f"{what}: every length is positive", size)
        checks.distribution(size**2, lambda x, d=d: chi_square(x, d), text)
        share = chi_square(size**2, d) - 0.5
        text = f"{what}: how s[0] goes with s[1], d = {d}"
        checks.statistic(12 * share[:, 0] * share[:, 1], 0, text, 1)
        text = f"{what}: how s[i] goes with that of the draw before, d = {d}"
        checks.statistic(12 * share[1:] * share[:-1], 0, text, 1)
        text = f"{what}: how s[i] goes with g[i], d = {d}"
        checks.statistic(
            share * np.sign(abs(all_g) - 0.67449), 0, text, math.sqrt(1 / 12)
        )
    rng = generator(r)
    found = [drawn(f, 3, rng, g) * math.sqrt(g @ g) for g in r(250, 3)]
    checks.statistic(
        np.square(found), 3, f"{what}: (s[i] * |g|)**2, d = 3", math.sqrt(6)
    )


@knock.check("S: lengths for 1, 3 and 32 numbers, each of its own")
def more_lengths(mine, r):
    f, what = mine.random_lengths, "random_lengths(g, rng)"
    for d, count in ((1, 1500), (3, 700)):
        rng, g = generator(r), r(d)
        size = np.array([drawn(f, d, rng, g) for _ in range(count)]) * math.sqrt(g @ g)
        text = f"{what}: the shares of s[i] * |g|, d = {d}"
        checks.distribution(size, lambda x, d=d: chi(x, d), text)
    for d, count in ((2, 1500), (8, 500), (32, 300)):
        rng, g = generator(r), r(d)
        size = np.array([drawn(f, d, rng, g) for _ in range(count)]) * math.sqrt(g @ g)
        share = chi_square(size**2, d) - 0.5  # uniform, variance 1 / 12
        pairs = (share.sum(axis=1) ** 2 - (share**2).sum(axis=1)) * 12
        spread = math.sqrt(d * (d - 1) * 2)  # of pairs of independent numbers
        text = f"{what}: how all pairs s[i] and s[j] go together, d = {d}"
        checks.statistic(pairs / spread, 0, text, 1)
        sums = share.sum(axis=1) * math.sqrt(12 / d)
        text = f"{what}: how all s[i] go with all of the draw before, d = {d}"
        checks.statistic(sums[1:] * sums[:-1], 0, text, 1)
    g = r(5)
    drawn(f, 5, generator(r), g.astype(np.float32))
    drawn(f, 5, generator(r), np.array([0, 0, 1.5, 0, -2]))


def chi(x, d):
    """The shares of lengths below each x, for d = 1 and d = 3."""
    below = np.array([math.erf(a / math.sqrt(2)) for a in x])
    return below - (d == 3) * np.sqrt(2 / math.pi) * x * np.exp(-x * x / 2)


@knock.check("B, Pi and G, drawn one after another, do not depend on each other")
def together(mine, r):
    d, count = 8, 150
    for first in ("b", "p", "g"):
        rng = generator(r)
        draw = {
            "b": lambda rng=rng: drawn(mine.random_signs, d, rng),
            "p": lambda rng=rng: 2.0 * drawn(mine.random_permutation, d, rng) - d + 1,
            "g": lambda rng=rng: drawn(mine.random_gaussian, d, rng),
        }
        order = [first, *(name for name in "gpb" if name != first)]
        order += order[::-1]
        rows = [[draw[name]() for name in order] for _ in range(count)]
        for i in range(len(order)):
            for j in range(i):
                if order[i] == order[j]:
                    continue
                a, b = (np.array([row[k] for row in rows]) for k in (j, i))
                names = f"{order[j]}, then {order[i]}"
                compare(a, b, names, order)


def compare(a, b, names, order):
    """Neither the signs, the parities nor the orders of two parts may go together."""
    d = a.shape[1]
    for way, change in (("signs", np.sign), ("parities", parity), ("orders", ordered)):
        x, y = change(a), change(b)
        text = f"the {way} of {names}, drawn in the order {' '.join(order)}"
        checks.statistic((x * y).sum(axis=1) / math.sqrt(d), 0, text, 1.1)


def parity(a):
    """1 and -1 in turn for whole numbers that are 2 apart; signs for all others."""
    whole = (a == np.round(a)).all() and abs(a).max() > 1
    return 1 - 2 * ((a - a.min()) // 2 % 2) if whole else np.sign(a)


def ordered(a):
    """For whole numbers, where small and large ones lie; signs for all others."""
    whole = (a == np.round(a)).all() and abs(a).max() > 1
    return np.sign(2 * np.argsort(a, axis=1) - a.shape[1] + 1) if whole else np.sign(a)


@knock.check("long draws are never equal, nor do they repeat within")
def repeats(mine, r):
    rng, d = generator(r), 64
    for name in ("random_signs", "random_gaussian", "random_permutation"):
        f = getattr(mine, name)
        found = {drawn(f, d, rng).tobytes() for _ in range(400)}
        text = f"{name}({d}, rng): of 400 draws only {len(found)} differ"
        checks.true(len(found) == 400, text, (name, len(found) < 150))
    g = drawn(mine.random_gaussian, 4000, rng)
    count = len(np.unique(g))
    text = f"random_gaussian(4000, rng): only {count} of the numbers differ"
    checks.true(count == 4000, text, ("within", count // 500))
    g = drawn(mine.random_gaussian, 40000, rng)
    share, text = math.erfc(3 / math.sqrt(2)), "random_gaussian: the share beyond 3"
    checks.statistic(abs(g) > 3, share, text, math.sqrt(share * (1 - share)))


@knock.check("B: one sign and two; Pi: three, four and 128 places", points=2)
def small(mine, r):
    rng, f, what = generator(r), mine.random_signs, "random_signs"
    found = many(f, 600, 1, rng)
    checks.statistic(found, 0, f"{what}(1, rng)", 1)
    found = many(f, 600, 2, rng)
    checks.statistic(found.prod(axis=1), 0, f"{what}(2, rng): b[0] * b[1]", 1)
    f, what = mine.random_permutation, "random_permutation"
    found = many(f, 1500, 3, rng)
    up = (found[:, 0] < found[:, 1]) * 1.0 + (found[:, 1] < found[:, 2])
    up += found[:, 0] < found[:, 2]
    checks.statistic(
        up, 1.5, f"{what}(3, rng): how many pairs are in order", math.sqrt(11 / 12)
    )
    share = (found == np.arange(3)).all(axis=1)
    checks.statistic(
        share, 1 / 6, f"{what}(3, rng): the share of 0 1 2", math.sqrt(5) / 6
    )
    d = 128
    p = many(f, 60, d, rng)
    steps = np.sort(np.diff(p, axis=1) % d, axis=1)
    same = (np.diff(steps, axis=1) == 0).mean()
    text = f"{what}({d}, rng): the steps in the list are nearly all the same"
    checks.true(same < 0.9, text, "one step")
    text = f"{what}({d}, rng): the share of numbers that stay in their half"
    stay = ((p < d // 2) == (np.arange(d) < d // 2)).mean(axis=1)
    checks.statistic(stay, 0.5, text, 0.5 / math.sqrt(d - 1))
    d = 4000
    rising = (np.diff(many(f, 4, d, rng), axis=1) > 0).sum(axis=1)
    text = f"{what}({d}, rng): how often the next number is larger"
    checks.statistic(rising, (d - 1) / 2, text, math.sqrt((d + 1) / 12))


@knock.check("apply and its transpose: 300 places, float16 and longdouble")
def wide(mine, r):
    for f, oracle in ((mine.apply, apply), (mine.apply_transposed, apply_transposed)):
        args = r(1, 300), *parts(r, 300)
        checks.value(f, oracle, *args, tolerance=TIGHT, again=False)
        for dtype in (np.float16, np.longdouble):
            x, s, g, p, b = r(2, 4), *parts(r, 4)
            x, s, g, b = (a.astype(dtype) for a in (x, s, g, b))
            kind = f(x, s, g, p, b).dtype
            text = f"{f.__name__}: dtype must be {x.dtype}; got {kind}"
            checks.true(kind == x.dtype, text, (f.__name__, str(x.dtype), str(kind)))


@knock.check("S: three times as large a g, or another order of it")
def scaled(mine, r):
    for d in (1, 5, 8):
        g, seed = r(d), int(r.integers(1 << 30))
        what = "random_lengths(3 * g, rng), against a third of random_lengths(g, rng)"
        s, third, turned = (
            drawn(mine.random_lengths, d, np.random.default_rng(seed), given)
            for given in (g, 3 * g, -g[::-1])
        )
        checks.equal(third, s / 3, what, tolerance=TIGHT)
        what = "random_lengths of -g from its end: its length is the same"
        checks.equal(turned, s, what, tolerance=TIGHT)


@knock.check("the same seed gives the same numbers; the next call gives others")
def seeds(mine, r):
    g, seed = r(40), int(r.integers(1 << 30))
    for name in ("random_signs", "random_permutation", "random_gaussian"):
        f = getattr(mine, name)
        repeat(lambda rng, f=f: drawn(f, 60, rng), name, seed)
    repeat(lambda rng: drawn(mine.random_lengths, 40, rng, g), "random_lengths", seed)


def repeat(draw, name, seed):
    """Twice from one generator, and once from another in the same state."""
    rng = np.random.default_rng(seed)
    first, second = draw(rng), draw(rng)
    np.random.default_rng(seed + 1).random()
    again = draw(np.random.default_rng(seed))
    text = f"{name}: another generator in the same state gives other numbers; draw "
    checks.true(
        np.array_equal(first, again), f"{text}from rng only", (name, "not from rng")
    )
    text = f"{name}: the next call with the same generator gives the same numbers"
    checks.true(not np.array_equal(first, second), text, (name, "same again"))
    other = draw(np.random.default_rng(seed + 1))
    text = f"{name}: a generator with another seed gives the same numbers"
    checks.true(not np.array_equal(first, other), text, (name, "same for another seed"))


def cases(r):
    """Arguments of many shapes."""
    for n, d in [*SHAPES, (r.size(1, 4), r.size(1, 9))]:
        yield r(n, d), *parts(r, d)


@knock.check("apply: three numbers, then many shapes", points=2)
def value(mine, r):
    one = np.ones(3)
    x = np.array([[1.0, 4.0, 16.0]])
    for p in ([2, 0, 1], [0, 1, 2]):
        checks.value(mine.apply, apply, x, one, one, np.array(p), one, tolerance=TIGHT)
    for args in cases(r):
        checks.value(mine.apply, apply, *args, tolerance=TIGHT)


@knock.check("apply_transposed: three numbers, then many shapes", points=2)
def transposed(mine, r):
    f, one = mine.apply_transposed, np.ones(3)
    y = np.array([[1.0, 4.0, 16.0]])
    for p in ([2, 0, 1], [0, 1, 2]):
        args = y, one, one, np.array(p), one
        checks.value(f, apply_transposed, *args, tolerance=TIGHT)
    for args in cases(r):
        checks.value(f, apply_transposed, *args, tolerance=TIGHT)


@knock.check("the one is the transpose of the other")
def adjoint(mine, r):
    for x, *rest in cases(r):
        checks.adjoint(
            lambda x, rest=rest: mine.apply(x, *rest),
            lambda y, rest=rest: mine.apply_transposed(y, *rest),
            x,
            r(*x.shape),
            "apply(x, ...) and apply_transposed(y, ...)",
        )


@knock.check("apply and its transpose: float32 stays float32; views; nothing is shared")
def layout(mine, r):
    for f, oracle in ((mine.apply, apply), (mine.apply_transposed, apply_transposed)):
        for n, d in ((2, 4), (1, 1), (3, 5)):
            x, s, g, p, b = r(n, d), *parts(r, d)
            single = [a.astype(np.float32) for a in (x, s, g, b)]
            single.insert(3, p.astype(np.int32))
            checks.value(f, oracle, *single)
            turned = [r(2 * d)[::-2] for _ in range(3)]
            turned.insert(2, p[::-1])
            checks.value(f, oracle, r(d, n).T[::-1], *turned, tolerance=TIGHT)
            checks.value(f, oracle, np.asfortranarray(x), s, g, p, b, tolerance=TIGHT)
            args = x, s, g, p, b
            ones = x, *(np.ones(d),) * 2, np.arange(d), np.ones(d)
            for given in (args, ones):
                y = f(*given)
                text = f"{f.__name__}: the result shares memory with an argument"
                shared = any(np.shares_memory(y, a) for a in given)
                checks.true(not shared, text)
            for a in args:
                f(*args)
                a[...] = a[::-1].copy() if a is p else -2 * a  # others in their place
                what = f"{f.__name__} again, after an array was changed in place"
                checks.equal(f(*args), oracle(*args), what, tolerance=TIGHT)


SIGNS = "rng.choice([-1.0, 1.0], d)"
ORDER = "rng.permutation(d)"
NORMAL = "rng.standard_normal(d)"
LENGTHS = "np.sqrt(rng.chisquare(len(g), len(g))) / np.linalg.norm(g)"
APPLY = "return s * g * (b * x)[:, p]"
BACK = "    u[:, p] = g * s * y  # back to the place that it came from\n"
BACK += "    return b * u\n"

knock.wrong(
    "0 and 1",
    "your signs are 0 and 1; a sign is 1 or -1",
    (SIGNS, "rng.integers(0, 2, d).astype(float)"),
)
knock.wrong(
    "0 among the signs",
    "0 is among your signs; rng.integers(-1, 2) draws -1, 0 and 1",
    (SIGNS, "rng.integers(-1, 2, d).astype(float)"),
)
knock.wrong(
    "uniform, not signs",
    "your signs are any numbers between -1 and 1; take 1 and -1 only",
    (SIGNS, "rng.uniform(-1, 1, d)"),
)
knock.wrong(
    "whole signs",
    "your signs are whole numbers; give them as floats, float64",
    (SIGNS, "rng.choice([-1, 1], d)"),
)
knock.wrong(
    "half of each",
    "your signs are always half 1 and half -1, so they depend on each other; draw each "
    "on its own",
    (SIGNS, "rng.permutation(np.arange(d) % 2 * 2.0 - 1)"),
)
knock.wrong(
    "one sign for all",
    "all d signs of a draw are the same; draw each on its own",
    (SIGNS, "np.full(d, rng.choice([-1.0, 1.0]))"),
)
knock.wrong(
    "in turn",
    "your signs take turns, 1, -1, 1, ...; draw each on its own",
    (SIGNS, "rng.choice([-1.0, 1.0]) * (-1.0) ** np.arange(d)"),
)
knock.wrong(
    "more of one sign",
    "one sign is much more likely; both have probability 1/2",
    (SIGNS, "rng.choice([-1.0, 1.0], d, p=[0.25, 0.75])"),
)
knock.wrong(
    "signs of the whole program",
    "your signs are drawn by np.random, not from rng: the same seed gives other signs",
    (SIGNS, "np.random.choice([-1.0, 1.0], d)"),
)
knock.wrong(
    "a seed of its own",
    "every call makes a generator with the same seed and so draws the same signs; use "
    "rng",
    (SIGNS, "np.random.default_rng(0).choice([-1.0, 1.0], d)"),
)
knock.wrong(
    "with replacement",
    "some places come twice in your list and others never: draw without replacement",
    (ORDER, "rng.integers(0, d, d)"),
)
knock.wrong(
    "counted from 1",
    "your places run from 1 to d; they are counted from 0",
    (ORDER, "1 + rng.permutation(d)"),
)
knock.wrong(
    "only rotated",
    "your list is only rotated: of all orders these are few",
    (ORDER, "np.roll(np.arange(d), rng.integers(d))"),
)
knock.wrong(
    "never shuffled",
    "your list is 0, 1, 2, ...; nothing is random in it",
    (ORDER, "np.arange(d)"),
)
knock.wrong(
    "pairs exchanged",
    "your list only exchanges numbers in pairs, so it is its own inverse; most orders "
    "are not",
    (
        f"    return {ORDER}\n",
        "    order, p = rng.permutation(d), np.arange(d)\n"
        "    a, b = order[: d // 2], order[d // 2 : d // 2 * 2]\n"
        "    p[a], p[b] = b, a\n"
        "    return p\n",
    ),
)
knock.wrong(
    "one cycle",
    "in your list no number stays in its place; a random order may leave some there "
    "(one on average)",
    (
        f"    return {ORDER}\n",
        "    order, p = rng.permutation(d), np.empty(d, int)\n"
        "    p[order] = np.roll(order, 1)\n"
        "    return p\n",
    ),
)
knock.wrong(
    "exchanged with any place",
    "you exchange every place with any other place; then some orders are more likely, "
    "so exchange it with a place that is not done yet",
    (
        f"    return {ORDER}\n",
        "    p = np.arange(d)\n"
        "    for i, j in enumerate(rng.integers(0, d, d)):\n"
        "        p[i], p[j] = p[j], p[i]\n"
        "    return p\n",
    ),
)
knock.wrong(
    "a list of floats",
    "your list has floats in it; places are whole numbers",
    (ORDER, "rng.permutation(d).astype(float)"),
)
knock.wrong(
    "uniform numbers",
    "your numbers for G are uniform; draw them from the normal distribution",
    (NORMAL, "rng.uniform(-(3**0.5), 3**0.5, d)"),
)
knock.wrong(
    "sum of uniform numbers",
    "your numbers for G are sums of a few uniform numbers: none is far from 0; draw "
    "them from the normal distribution",
    (NORMAL, "rng.random((d, 3)).sum(axis=1) * 2 - 3"),
)
knock.wrong(
    "divided by the root of d",
    "your numbers for G have variance 1 / d; it is 1",
    (NORMAL, "rng.standard_normal(d) / d**0.5"),
)
knock.wrong(
    "scaled to a length",
    "g is scaled to the length sqrt(d); that length is random, too, so leave it alone",
    (
        f"    return {NORMAL}\n",
        "    g = rng.standard_normal(d)\n    return g * (d**0.5 / np.linalg.norm(g))\n",
    ),
)
knock.wrong(
    "no negative numbers",
    "your numbers for G are all positive; half of all normal numbers are negative",
    (NORMAL, "abs(rng.standard_normal(d))"),
)
knock.wrong(
    "sorted",
    "your numbers for G are sorted, so they are not independent of each other",
    (NORMAL, "np.sort(rng.standard_normal(d))"),
)
knock.wrong(
    "single precision",
    "your numbers for G are float32; float64 is wanted",
    (NORMAL, "rng.standard_normal(d, np.float32)"),
)
knock.wrong(
    "numbers of the whole program",
    "your numbers for G are drawn by np.random, not from rng: the same seed gives "
    "others",
    (NORMAL, "np.random.standard_normal(d)"),
)
knock.wrong(
    "root forgotten",
    "your l[i] are chi-square, so they are squared lengths: take the root",
    (LENGTHS, "rng.chisquare(len(g), len(g)) / np.linalg.norm(g)"),
)
knock.wrong(
    "divided by the square",
    "you divide by the sum of squares of g; divide by its root, the length of g",
    (LENGTHS, LENGTHS.replace("np.linalg.norm(g)", "(g @ g)")),
)
knock.wrong(
    "not divided",
    "your s[i] are l[i]; divide them by the length of g",
    (LENGTHS, "np.sqrt(rng.chisquare(len(g), len(g)))"),
)
knock.wrong(
    "multiplied",
    "you multiply by the length of g; S takes it out, so divide",
    (LENGTHS, LENGTHS.replace(") / np", ") * np")),
)
knock.wrong(
    "divided one by one",
    "every l[i] is divided by its own g[i]; divide all by the length of g",
    (LENGTHS, LENGTHS.replace("np.linalg.norm(g)", "abs(g)")),
)
knock.wrong(
    "divided by the root of d",
    "you divide by sqrt(d), which is the length of g only on average; take that of "
    "this g",
    (LENGTHS, LENGTHS.replace("np.linalg.norm(g)", "len(g) ** 0.5")),
)
knock.wrong(
    "one length for all",
    "all rows get the same length; each has its own",
    (
        LENGTHS,
        "np.full(len(g), np.sqrt(rng.chisquare(len(g)))) / np.linalg.norm(g)",
    ),
)
knock.wrong(
    "one degree of freedom",
    "your lengths have one degree of freedom, as if each vector had one number; it has "
    "d",
    (LENGTHS, "abs(rng.standard_normal(len(g))) / np.linalg.norm(g)"),
)
knock.wrong(
    "one degree less",
    "your lengths have d - 1 degrees of freedom; nothing is subtracted here, so d",
    (
        LENGTHS,
        "np.linalg.norm(rng.standard_normal((len(g) - 1, len(g))), axis=0) / "
        "np.linalg.norm(g)",
    ),
)
knock.wrong(
    "lengths not random",
    "all your l[i] are sqrt(d): that is about their mean, but they are random",
    (
        LENGTHS,
        "np.full(len(g), len(g) ** 0.5) / np.linalg.norm(g)",
    ),
)
knock.wrong(
    "lengths of normal spread",
    "your l[i] are normal numbers around sqrt(d); draw the lengths of normal vectors, "
    "which are never negative",
    (
        LENGTHS,
        "rng.normal((len(g) - 0.5) ** 0.5, 0.5**0.5, len(g)) / np.linalg.norm(g)",
    ),
)
knock.wrong(
    "permuted the other way",
    "apply sends number i to the place p[i]; place i is to get number p[i]: read by p",
    (APPLY, "return s * g * (b * x)[:, np.argsort(p)]"),
)
knock.wrong(
    "not permuted",
    "the permutation is missing in apply",
    (APPLY, "return s * g * (b * x) + 0.0 * p.sum().astype(x.dtype)"),
)
knock.wrong(
    "B after Pi",
    "apply meets Pi before B; the product is read from right to left, so B comes first",
    (APPLY, "return s * g * b * x[:, p]"),
)
knock.wrong(
    "G before Pi",
    "apply meets G before Pi; the product is read from right to left, so Pi comes "
    "first",
    (APPLY, "return s * (g * b * x)[:, p]"),
)
knock.wrong(
    "S forgotten",
    "S is missing in apply",
    (APPLY, "return g * (b * x)[:, p]"),
)
knock.wrong(
    "G forgotten",
    "G is missing in apply",
    (APPLY, "return s * (b * x)[:, p]"),
)
knock.wrong(
    "B forgotten",
    "B is missing in apply",
    (APPLY, "return s * g * x[:, p]"),
)
knock.wrong(
    "permuted once more",
    "the transpose reads by p, as apply does; it must send number i back to place p[i]",
    (BACK, "    u[:] = (g * s * y)[:, p]\n    return b * u\n"),
)
knock.wrong(
    "not permuted back",
    "the permutation is missing in the transpose",
    (BACK, "    u[:] = g * s * y\n    return b * u\n"),
)
knock.wrong(
    "same order again",
    "the transpose meets B first; the order of a product turns round, so S and G come "
    "first and B last",
    (BACK, "    u[:, p] = b * y\n    return s * g * u\n"),
)
knock.wrong(
    "all diagonals first",
    "the transpose multiplies by b before the permutation; B comes after it",
    (BACK, "    u[:, p] = g * s * b * y\n    return u\n"),
)
knock.wrong(
    "all diagonals last",
    "the transpose multiplies by s and g after the permutation; they come before it",
    (BACK, "    u[:, p] = y\n    return g * s * b * u\n"),
)
knock.wrong(
    "the inverse",
    "this is the inverse, which divides by the diagonals; the transpose multiplies",
    (BACK, "    u[:, p] = y / (g * s)\n    return u / b\n"),
)
knock.wrong(
    "always float64",
    "the transpose gives float64 for float32; keep the dtype",
    ("    u = np.empty_like(y)\n", "    u = np.empty(y.shape)\n"),
)
KEPT = ("import numpy as np\n", "import numpy as np\n\nknown = {}\n")
STORED = (
    f"    return {NORMAL}\n",
    f"    known[d] = {NORMAL}\n    return known[d].copy()\n",
)
knock.wrong(
    "signs of the last g",
    "your signs are those of the last g; B is drawn on its own",
    (f"return {SIGNS}", f"return np.sign(known[d]) if d in known else {SIGNS}"),
    STORED,
    KEPT,
)
knock.wrong(
    "order of the last g",
    "your list sorts the last g; Pi is drawn on its own",
    (f"return {ORDER}", f"return np.argsort(known[d]) if d in known else {ORDER}"),
    STORED,
    KEPT,
)
knock.wrong(
    "lengths with a common part",
    "your lengths share a part of their vectors; every vector is drawn on its own",
    (
        LENGTHS,
        "np.sqrt(rng.chisquare(1) * (len(g) > 1) + rng.chisquare(max(len(g) - 1, 1), "
        "len(g))) / np.linalg.norm(g)",
    ),
)
knock.wrong(
    "one length for all from 16 on",
    "for 16 numbers and more all rows get the same length; each has its own",
    (
        LENGTHS,
        "np.sqrt(rng.chisquare(len(g), len(g) if len(g) < 16 else 1)) * np.ones(len(g))"
        " / np.linalg.norm(g)",
    ),
)
knock.wrong(
    "no chance for one number",
    "for d = 1 your length is always 1; it is random there, too",
    (LENGTHS, f"{LENGTHS} if len(g) > 1 else 1 / abs(g.astype(float))"),
)
knock.wrong(
    "lengths in the dtype of g",
    "your lengths have the dtype of g; float64 is wanted for float32, too",
    (LENGTHS, f"({LENGTHS}).astype(g.dtype)"),
)
knock.wrong(
    "a thousand draws of g",
    "there are only 1,000 different g: a seed is drawn out of so few; draw from rng",
    (NORMAL, "np.random.default_rng(rng.integers(1000)).standard_normal(d)"),
)
knock.wrong(
    "a thousand draws of signs",
    "there are only 1,000 different b: a seed is drawn out of so few; draw from rng",
    (SIGNS, "np.random.default_rng(rng.integers(1000)).choice([-1.0, 1.0], d)"),
)
knock.wrong(
    "rounded",
    "your numbers for G are rounded, so many of them are equal",
    (NORMAL, "np.round(rng.standard_normal(d), 1)"),
)
knock.wrong(
    "repeated after 512",
    "your g repeats after 512 numbers; draw all d of them",
    (NORMAL, "np.resize(rng.standard_normal(min(d, 512)), d)"),
)
knock.wrong(
    "one sign is always 1",
    "for d = 1 your sign is always the same; 1 and -1 are equally likely",
    (SIGNS, "rng.choice([-1.0, 1.0], d) if d > 1 else np.ones(1)"),
)
knock.wrong(
    "shuffled in blocks",
    "your list is shuffled in blocks of 64; every number may go to any place",
    (
        f"    return {ORDER}\n",
        "    p = np.arange(d)\n"
        "    for i in range(0, d, 64):\n"
        "        rng.shuffle(p[i : i + 64])\n"
        "    return p\n",
    ),
)
knock.wrong(
    "places in eight bits",
    "apply reads the places as uint8, which ends at 255; d may be larger",
    (APPLY, "return s * g * (b * x)[:, p.astype(np.uint8)]"),
)
knock.wrong(
    "two dtypes only",
    "apply gives float32 or float64, whatever comes in; keep the dtype of x",
    (
        APPLY,
        "return (s * g * (b * x)[:, p]).astype(\n"
        "        np.float32 if x.dtype == np.float32 else np.float64\n    )",
    ),
)
