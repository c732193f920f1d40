"""Grader of k048: random features for the RBF kernel."""

import math
from functools import lru_cache
from itertools import combinations

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.compare import plain
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "rbf: give x and y an axis each, so that x - y is (N, M, d). For the features, "
        "multiply two lists out on paper: which factor makes the sum a mean over rows?",
        "A row with variance 1 / sigma^2 is a standard normal row divided by sigma. "
        "For the errors: cos^2 u = (1 + cos 2u) / 2, so cos u has the mean of squares "
        "(1 + k^4) / 2, and the variance is that minus k^2. The term with 2 b adds "
        "its own 1 / 2.",
        "x[:, None] - y; rng.standard_normal((n, d)) / sigma and rng.uniform(0, 2 * "
        "np.pi, n); np.concatenate([cos, sin], axis=1) / n ** 0.5; (2 / n) ** 0.5 * "
        "np.cos(z + b); v = (1 - k^2)^2 / 2, errors sqrt(v / n) and sqrt((v + 1/2) / "
        "n).",
    ],
)

TIGHT = (1e-10, 1e-12)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
ANGLES = 2 * np.pi * np.arange(16) / 16  # enough for a mean over all phases
# Statistics: 129 in a run, each off by chance in about 2 of 10^9: 3 of 10^7 together.


def kernel(x, y, sigma):
    """Pair by pair, number by number."""
    out = np.empty((len(x), len(y)), x.dtype)
    for i, j in np.ndindex(*out.shape):
        square = sum((float(a) - float(b)) ** 2 for a, b in zip(x[i], y[j]))
        out[i, j] = math.exp(-square / (2 * sigma * sigma))
    return out


def pairs(z):
    """Number by number."""
    n = z.shape[1]
    out = np.empty((len(z), 2 * n), z.dtype)
    for i, r in np.ndindex(*z.shape):
        out[i, r] = math.cos(z[i, r]) / math.sqrt(n)
        out[i, n + r] = math.sin(z[i, r]) / math.sqrt(n)
    return out


def phases(z, b):
    """Number by number."""
    out = np.empty(z.shape, z.dtype)
    for i, r in np.ndindex(*z.shape):
        out[i, r] = math.sqrt(2 / z.shape[1]) * math.cos(float(z[i, r]) + float(b[r]))
    return out


@lru_cache(100)
def moments(k):
    """The second and fourth central moments of one term, of both forms: integrals."""
    if k == 0:  # all angles between two points are as likely
        u, weights = ANGLES, np.full(16, 1 / 16)
    else:
        u, weights = math.sqrt(-2 * math.log(k)) * NODES, WEIGHTS
    one = np.cos(u) - k
    two = 2 * np.cos(ANGLES[:, None]) * np.cos(ANGLES[:, None] + u) - k
    return [
        (float((weights * one**2).sum()), float((weights * one**4).sum())),
        (
            float((weights * (two**2).mean(0)).sum()),
            float((weights * (two**4).mean(0)).sum()),
        ),
    ]


def deviations(k, n):
    """Of both estimates, for every k."""
    found = [[math.sqrt(m[0] / n) for m in moments(float(one))] for one in k]
    return tuple(np.array(found, k.dtype).T.copy())


def anything(r):
    """Sizes of any kind."""
    return r.size(1, 4), r.size(1, 4), r.size(1, 5)


@knock.check("rbf: the kernel of all pairs")
def value(mine, r):
    x = np.array([[1.0, 2], [3, -1]])
    y = np.array([[2.0, 2], [1, 2], [0, r.size(1, 5)]])
    checks.value(mine.rbf, kernel, x, y, 3.0, tolerance=TIGHT)
    for n, m, d in [(2, 3, 3), (1, 1, 1), (3, 1, 2), (1, 2, 1), (3, 3, 3), anything(r)]:
        sigma = float(r.positive()) + 0.3
        checks.value(mine.rbf, kernel, r(n, d), r(m, d), sigma, tolerance=TIGHT)
    x, y = np.asfortranarray(r(3, 4))[::-1], r(4, 2).T[:, ::-1]
    checks.value(mine.rbf, kernel, x, y, 1.5, tolerance=TIGHT)
    x, y = x.astype(np.float32), y.astype(np.float32)
    for sigma in (1.5, 2):
        checks.value(mine.rbf, kernel, x, y, sigma)
    x = r(1, 3)
    checks.value(mine.rbf, kernel, x, x + 3.5, 1.0, tolerance=TIGHT)  # k = 1e-8
    x, y = (np.float32(1000 + r(n, 4)) for n in (3, 2))  # far away, near to each other
    checks.value(mine.rbf, kernel, x, y, 1.5)


@knock.check("paired: cosines, then sines", points=2)
def cosines_and_sines(mine, r):
    for n, _, rows in [(2, 0, 3), (1, 0, 1), (3, 0, 1), (1, 0, 4), anything(r)]:
        checks.value(mine.paired, pairs, 3 * r(n, rows), tolerance=TIGHT)
    checks.value(mine.paired, pairs, 100 + r(2, 3), tolerance=TIGHT)
    z = np.asfortranarray(3 * r(3, 4))[::-1, ::2]
    checks.value(mine.paired, pairs, z, tolerance=TIGHT)
    checks.value(mine.paired, pairs, z.astype(np.float32))


@knock.check("phased: cosines with a phase", points=2)
def with_phases(mine, r):
    for n, _, rows in [(2, 0, 3), (1, 0, 1), (3, 0, 1), (1, 0, 4), anything(r)]:
        b = 2 * np.pi * r.rng.random(rows)
        checks.value(mine.phased, phases, 3 * r(n, rows), b, tolerance=TIGHT)
    for add in (0, 100):  # as many points as rows
        b = 2 * np.pi * r.rng.random(3)
        checks.value(mine.phased, phases, add + 3 * r(3, 3), b, tolerance=TIGHT)
    z, b = np.asfortranarray(3 * r(3, 4))[::-1, ::2], 2 * np.pi * r.rng.random(4)[::-2]
    checks.value(mine.phased, phases, z, b, tolerance=TIGHT)
    z, b = z.astype(np.float32), b.astype(np.float32)
    checks.value(mine.phased, phases, z, b)


@knock.check("errors: the standard deviations of both", points=2)
def spread(mine, r):
    k = np.array([1, 0.5, 0, 0.9, 0.05, 0.05 + 0.9 * r.rng.random()])
    for n in (1, 2, 16, r.size(3, 500)):
        for some in (k, k[:1], k[1:2], k[::-2]):
            checks.value(mine.errors, deviations, some, n, tolerance=(1e-6, 1e-8))
        checks.value(mine.errors, deviations, k.astype(np.float32), n)


@knock.check("draw: shapes, and all of it from rng")
def shapes(mine, r):
    for n, d in [(3, 2), (1, 1), (5, 1), (1, 4), (r.size(1, 9), r.size(1, 9))]:
        for part, shape in zip(drawn(mine, n, d, 1.5, r), ((n, d), (n,))):
            text = f"draw({n}, {d}, 1.5, rng): shapes must be {(n, d)} and {(n,)}; "
            text += f"got {part.shape}"
            checks.true(part.shape == shape, text)
            text = f"draw: w and b must be float64; got {part.dtype}"
            checks.true(part.dtype == np.float64, text)
    seed = int(r.integers(1 << 30))
    rng = np.random.default_rng(seed)
    first, second = mine.draw(6, 4, 1.5, rng), mine.draw(6, 4, 1.5, rng)
    again = mine.draw(6, 4, 1.5, np.random.default_rng(seed))
    text = "draw: an rng in the same state gives other numbers; draw from rng only"
    checks.true(all(map(np.array_equal, first, again)), text)
    for name, a, b in zip(("w", "b"), first, second):
        text = f"draw: the numbers in {name} are the same when drawn again from rng"
        checks.true((a != b).all(), text)


def drawn(mine, n, d, sigma, r):
    """(w, b), if they are arrays."""
    rng = np.random.default_rng(int(r.integers(1 << 30)))
    found = mine.draw(n, d, sigma, rng)
    good = isinstance(found, tuple | list) and len(found) == 2
    checks.true(good, "draw must give two arrays, (w, b)", "not two")
    return tuple(plain(a, "draw(n, d, sigma, rng)") for a in found)


@knock.check("draw: normal rows, uniform phases, all independent", points=3)
def statistics(mine, r):
    n, d, sigma = 6000, 3, r.choice([0.4, 2.5])
    w, b = drawn(mine, n, d, sigma, r)
    title = f"draw({n}, {d}, {sigma}, rng)"
    found = [w.std() * sigma, b.std(), b.mean()]
    low, high = float(b.min()), float(b.max())
    text = f"{title}: the phases must lie from 0 to 2 pi; got {low:.3g} to {high:.3g}"
    checks.true(0 <= low and high <= 2 * np.pi, text, found)
    text = f"{title}: the numbers have few digits only; draw in float64"
    for a in (w, w * sigma, b, b / (2 * np.pi)):
        checks.true(not coarse(a), text, [*found, "few digits"])
    text = f"{title}: some numbers come more than once"
    once = all(np.unique(a).size == a.size for a in (w, b))  # by chance again: 4e-8
    checks.true(once, text, [*found, "again"])
    try:
        of_rows(w * sigma, f"{title}, w * sigma")
        of_phases(w * sigma, b, f"{title}, b")
    except Mistake as mistake:
        raise named(mistake, found) from None


def named(mistake, found):
    """The mistake with what was found, and the name of its statistic, as evidence."""
    name = mistake.message.partition(" must be ")[0]
    return Mistake(mistake.message, [*found, name, mistake.evidence])


def coarse(a):
    """Whether most numbers have no more digits than float32."""
    return np.isclose(a, a.astype(np.float32), rtol=1e-13, atol=0).mean() > 0.5


def of_rows(v, title):
    """v must be standard normal: its variance, the means of cosines, no relations."""
    checks.statistic(v, 0, f"{title}: the numbers", spread=1)
    checks.statistic(v**2, 1, f"{title}: their squares", spread=2**0.5)
    for t in (0.5, 1, 2, 3):
        what = f"{title}: cos({t} * numbers)"
        checks.statistic(np.cos(t * v), math.exp(-(t**2) / 2), what)
    lines = [(v[:, 0], v[:, 1]), (v[:, 1], v[:, 2]), (v[:, 0], v[:, 2])]
    half = len(v) // 2
    lines += [(v[0::2], v[1::2]), (v[1:-1:2], v[2::2]), (v[:half], v[half:])]
    for i, (a, b) in enumerate(lines):
        what = f"{title}: products of numbers in two {'columns' if i < 3 else 'rows'}"
        checks.statistic(a * b, 0, what, spread=1)
        checks.statistic(np.cos(a) * np.cos(b), math.exp(-1), f"{what}, of cosines")
    signs = np.sign(v)
    what = f"{title}: products of the signs"
    checks.statistic(signs.prod(axis=1), 0, f"{what} in a row", spread=1)
    for k in (2, 3, 4):
        some = np.prod([signs[i : len(v) - k + 1 + i] for i in range(k)], axis=0)
        checks.statistic(some, 0, f"{what} in {k} rows that follow each other", 1)


def of_phases(v, b, title):
    """b must be uniform, and know nothing of the rows."""
    what = f"{title}: the phases"
    checks.statistic(b, np.pi, what, spread=np.pi / 3**0.5)
    for t in (0.5, 1, 2, 3):
        checks.statistic(np.cos(t * b), 0, f"{what}, cos({t} b)")
    for t in (1, 2):
        checks.statistic(np.sin(t * b), 0, f"{what}, sin({t} b)")
        for first, second in ((b[:-1], b[1:]), (b[: len(b) // 2], b[len(b) // 2 :])):
            relation = np.cos(t * (first - second))
            checks.statistic(relation, 0, f"{what}, cos of differences times {t}")
        for i in range(v.shape[1]):
            relation = np.cos(v[:, i] + t * b)
            checks.statistic(relation, 0, f"{what} and a column of w, cos of the sum")


@knock.check("draw: independent in wide rows and from call to call, too", points=2)
def calls(mine, r):
    n, d, sigma = 4000, 256, r.choice([0.4, 2.5])
    v = drawn(mine, n, d, sigma, r)[0] * sigma
    title = f"draw({n}, {d}, {sigma}, rng), w * sigma"
    lengths = ((v**2).sum(axis=1) - d) ** 2 / (2 * d)
    what = f"{title}: squared distances of |row|^2 from d, divided by 2 d"
    checks.statistic(lengths, 1, what, spread=math.sqrt(2 + 12 / d))
    checks.statistic(np.cos(2 * v), math.exp(-2), f"{title}: cos(2 * numbers)")
    rng = np.random.default_rng(int(r.integers(1 << 30)))
    first = []
    for n, d in ((3, 3), (8, 2)):
        title = f"draw({n}, {d}, {sigma}, rng), called 1000 times"
        draws = [mine.draw(n, d, sigma, rng) for _ in range(1000)]
        w, b = (np.array(a) for a in zip(*draws))
        first += list(w[:, 0, 0])
        text = f"{title}: what was drawn comes back in a later call"
        again = len(first) - len(set(first))
        checks.true(again == 0, text, ["again", again])
        try:
            of_calls(w * sigma, b, title)
        except Mistake as mistake:
            raise named(mistake, [w.std() * sigma]) from None


def of_calls(v, b, title):
    """v (calls, n, d) and b (calls, n): no relations inside of a call."""
    for axis, name in ((1, "column"), (2, "row")):
        total = v.sum(axis=axis) / v.shape[axis] ** 0.5
        what = f"{title}: cos of a sum over a {name} of w, by its deviation"
        checks.statistic(np.cos(total), math.exp(-1 / 2), what)
    signs = np.sign(v).reshape(len(v), -1)
    what = f"{title}: product of the signs of two numbers in w"
    for i, j in combinations(range(9), 2):
        checks.statistic(signs[:, i] * signs[:, j], 0, what, spread=1)
    n = b.shape[1]
    for t in (1, 2):
        squares = abs(np.exp(1j * t * b).sum(axis=1)) ** 2
        what = f"{title}: squared length of the sum of (cos {t} b, sin {t} b)"
        checks.statistic(squares, n, what, spread=math.sqrt(n * n - n))


@knock.check("both forms: the kernel on average, and an error as 1 / sqrt(n)", points=2)
def together(mine, r):
    trials, d, sigma = 1000, 2, r.choice([0.7, 1.8])
    x, gap = r(d), r(d)
    k = r.choice([0.35, 0.6, 0.8])
    y = x + gap / np.linalg.norm(gap) * sigma * math.sqrt(-2 * math.log(k))
    rng = np.random.default_rng(int(r.integers(1 << 30)))
    for n in (1, 8):
        draws = [mine.draw(n, d, sigma, rng) for _ in range(trials)]
        z = np.array([(w @ x, w @ y) for w, _ in draws])  # trial, point, row
        one = mine.paired(z.reshape(-1, n)).reshape(trials, 2, -1)
        two = np.array([mine.phased(z[t], b) for t, (_, b) in enumerate(draws)])
        for form, features, (second, fourth) in zip(
            ("paired", "phased"), (one, two), moments(k)
        ):
            estimates = (features[:, 0] * features[:, 1]).sum(axis=1)
            what = f"the kernel by {form} features of {n} rows"
            error = math.sqrt(second / n)
            checks.statistic(estimates, k, what, spread=error)
            squares = (estimates - k) ** 2
            most = (fourth + 3 * (n - 1) * second**2) / n**3 - error**4
            what = f"the squared error of {what}"
            checks.statistic(squares, error**2, what, spread=math.sqrt(most))


RBF = "np.exp(-(gaps**2).sum(axis=2) / (2 * sigma**2))"
PAIRED = "np.concatenate([np.cos(z), np.sin(z)], axis=1) / z.shape[1] ** 0.5"
PHASED = "(2 / z.shape[1]) ** 0.5 * np.cos(z + b)"
NORMAL = "rng.standard_normal((n, d)) / sigma,"
UNIFORM = "rng.uniform(0, 2 * np.pi, n)"
ERRORS = "return np.sqrt(cosine / n), np.sqrt((cosine + 1 / 2) / n)"

knock.wrong(
    "two forgotten",
    "you divide by sigma^2; it is 2 sigma^2",
    (RBF, "np.exp(-(gaps**2).sum(axis=2) / sigma**2)"),
)
knock.wrong(
    "sigma not squared",
    "sigma is squared in the kernel: 2 * sigma^2",
    (RBF, "np.exp(-(gaps**2).sum(axis=2) / (2 * sigma))"),
)
knock.wrong(
    "distance not squared",
    "the distance is not squared: this is the Laplace kernel's shape",
    (RBF, "np.exp(-np.sqrt((gaps**2).sum(axis=2)) / (2 * sigma**2))"),
)
knock.wrong(
    "grows with the distance",
    "the sign is missing: k is 1 for equal points and falls with the distance",
    (RBF, "np.exp((gaps**2).sum(axis=2) / (2 * sigma**2))"),
)
knock.wrong(
    "times sigma",
    "you multiply by sigma^2; a wide kernel has a large sigma, so divide",
    (RBF, "np.exp(-(gaps**2).sum(axis=2) * sigma**2 / 2)"),
)
knock.wrong(
    "mean of the squares",
    "you take the mean over the d squares; |x - y|^2 is their sum",
    (RBF, RBF.replace("sum(", "mean(")),
)
knock.wrong(
    "density",
    "you divide by the normal density's constant as well; k(x, x) is 1",
    (RBF, RBF + " / (2 * np.pi * sigma**2) ** 0.5"),
)
knock.wrong(
    "rows and columns exchanged",
    "rbf comes transposed: a row for each point of x, a column for each of y",
    (RBF, RBF + ".T"),
)
knock.wrong(
    "always float64",
    "the kernel is float64 even for float32 points",
    (RBF, RBF + ".astype(float)"),
)
knock.wrong(
    "square multiplied out",
    "you multiply the square out: far from the origin large numbers cancel, and k may "
    "come out above 1; take x - y first",
    (
        "gaps = x[:, None] - y  # (N, M, d)",
        "square = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T",
    ),
    (RBF, "np.exp(-square / (2 * sigma**2))"),
)
knock.wrong(
    "small is nothing",
    "kernels below 1e-6 come as 0; a small kernel is not 0",
    ("    return " + RBF, f"    k = {RBF}\n    return k * (k >= 1e-6)"),
)
knock.wrong(
    "sines first",
    "the sines stand in front; all cosines come first",
    (PAIRED, PAIRED.replace("np.cos(z), np.sin(z)", "np.sin(z), np.cos(z)")),
)
knock.wrong(
    "cosines and sines in turn",
    "cosines and sines come in turn; all cosines come first, then all sines",
    (
        PAIRED,
        "np.stack([np.cos(z), np.sin(z)], axis=2).reshape(len(z), -1) "
        "/ z.shape[1] ** 0.5",
    ),
)
knock.wrong(
    "divided by 2 n",
    "you divide by the root of all 2 n features; a cosine and a sine together are one "
    "term of the mean, so it is sqrt(n)",
    (PAIRED, PAIRED.replace("z.shape[1]", "(2 * z.shape[1])")),
)
knock.wrong(
    "root forgotten",
    "you divide the features by n; in a product of two lists that would be n * n",
    (PAIRED, PAIRED.replace(" ** 0.5", "")),
)
knock.wrong(
    "not scaled",
    "the cosines and sines are not scaled: divide by sqrt(n)",
    (PAIRED, PAIRED.replace(" / z.shape[1] ** 0.5", "")),
)
knock.wrong(
    "the other form's scale",
    "sqrt(2 / n) belongs to the phased form; here it is 1 / sqrt(n)",
    (PAIRED, PAIRED.replace(" / z.shape[1] ** 0.5", " * (2 / z.shape[1]) ** 0.5")),
)
knock.wrong(
    "cosines only",
    "the sines are missing: cosines alone are not right on average without a phase",
    (PAIRED, "np.cos(z) / z.shape[1] ** 0.5"),
)
knock.wrong(
    "scaled by the points",
    "you divide by the root of the number of points; n is the number of rows of W",
    (PAIRED, PAIRED.replace("z.shape[1]", "len(z)")),
)
knock.wrong(
    "turn rounded",
    "you take z modulo 6.2832, which is not quite 2 pi; the cosine needs no such help",
    (PAIRED, PAIRED.replace("(z)", "(z % 6.2832)")),
)
knock.wrong(
    "one for two",
    "you scale by 1 / sqrt(n); a cosine squared is 1/2 on average, so it is "
    "sqrt(2 / n)",
    (PHASED, PHASED.replace("(2 /", "(1 /")),
)
knock.wrong(
    "two not under the root",
    "the 2 belongs under the root, sqrt(2 / n)",
    (PHASED, "2 / z.shape[1] ** 0.5 * np.cos(z + b)"),
)
knock.wrong(
    "phased, root forgotten",
    "you multiply by 2 / n; it is the root of that",
    (PHASED, PHASED.replace(" ** 0.5", "")),
)
knock.wrong(
    "phase left out",
    "the phases are missing: cos(z + b)",
    (PHASED, PHASED.replace("z + b", "z")),
)
knock.wrong(
    "phase subtracted",
    "you subtract the phases; it is cos(z + b)",
    (PHASED, PHASED.replace("z + b", "z - b")),
)
knock.wrong(
    "phase outside",
    "the phases are added to the cosines; they belong inside",
    (PHASED, PHASED.replace("np.cos(z + b)", "(np.cos(z) + b)")),
)
knock.wrong(
    "a phase for each point",
    "with as many points as rows each point has a phase; a phase belongs to a row of "
    "W, so to a column of z",
    (PHASED, PHASED.replace("z + b", "z + (b[:, None] if len(b) == len(z) else b)")),
)
knock.wrong(
    "turn rounded, phased",
    "you take z + b modulo 6.2832, which is not quite 2 pi; the cosine needs no such "
    "help",
    (PHASED, PHASED.replace("z + b", "(z + b) % 6.2832")),
)
knock.wrong(
    "sine",
    "this is the sine; the phased form has a cosine",
    (PHASED, PHASED.replace("np.cos(", "np.sin(")),
)
knock.wrong(
    "phases added in place",
    "z itself is changed; it belongs to the caller, so make a new array",
    (
        "    return " + PHASED,
        "    z += b\n    return " + PHASED.replace("z + b", "z"),
    ),
)
knock.wrong(
    "variances",
    "these are the variances; the standard deviations are their roots",
    (ERRORS, "return cosine / n, (cosine + 1 / 2) / n"),
)
knock.wrong(
    "falls as 1 / n",
    "your errors fall as 1 / n; that is the variance's law, a deviation falls as 1 / "
    "sqrt(n)",
    (ERRORS, "return np.sqrt(cosine) / n, np.sqrt(cosine + 1 / 2) / n"),
)
knock.wrong(
    "2 n rows",
    "you divide by 2 n for the paired form; its 2 n numbers make n terms",
    (ERRORS, ERRORS.replace("np.sqrt(cosine / n)", "np.sqrt(cosine / (2 * n))")),
)
knock.wrong(
    "forms exchanged",
    "the two errors are exchanged: the paired form comes first",
    (ERRORS, "return np.sqrt((cosine + 1 / 2) / n), np.sqrt(cosine / n)"),
)
knock.wrong(
    "phase costs nothing",
    "both errors are the same; the term with 2 b is 0 on average only, and its square "
    "is 1/2 on average",
    (ERRORS, ERRORS.replace("cosine + 1 / 2", "cosine")),
)
knock.wrong(
    "phase counted in full",
    "the term with 2 b adds 1; the square of a cosine is 1/2 on average",
    (ERRORS, ERRORS.replace("cosine + 1 / 2", "cosine + 1")),
)
knock.wrong(
    "mean not subtracted",
    "you take the mean of the squares; from it k^2 must be subtracted, the square of "
    "the mean",
    ("cosine = (1 - k**2) ** 2 / 2", "cosine = (1 + k**4) / 2"),
)
knock.wrong(
    "kernel squared at twice the distance",
    "at twice the distance you take k^2; the distance is squared in the kernel, so "
    "that it is k^4",
    ("cosine = (1 - k**2) ** 2 / 2", "cosine = abs(1 + k**2) / 2 - k**2"),
)
knock.wrong(
    "the worst of all kernels",
    "your errors do not depend on k; equal points have no error at all in the paired "
    "form",
    ("cosine = (1 - k**2) ** 2 / 2", "cosine = 0 * k + 1 / 2"),
)
knock.wrong(
    "errors always float64",
    "the errors are float64 even for a float32 k",
    (ERRORS, ERRORS.replace("cosine / n", "cosine / np.float64(n)")),
)
knock.wrong(
    "times sigma in the rows",
    "the rows are multiplied by sigma; their variance is 1 / sigma^2, so divide",
    (NORMAL, "rng.standard_normal((n, d)) * sigma,"),
)
knock.wrong(
    "sigma forgotten",
    "the rows do not depend on sigma",
    (NORMAL, "rng.standard_normal((n, d)),"),
)
knock.wrong(
    "variance for deviation",
    "you divide by sigma^2; that is the variance, and NumPy's normal numbers are "
    "scaled by their deviation, 1 / sigma",
    (NORMAL, "rng.standard_normal((n, d)) / sigma**2,"),
)
knock.wrong(
    "uniform rows",
    "the numbers in the rows are uniform; they must be normal, or another kernel comes "
    "out",
    (NORMAL, "rng.uniform(-(3**0.5), 3**0.5, (n, d)) / sigma,"),
)
knock.wrong(
    "scaled by d",
    "you divide by sqrt(d) as well, as for weights of a network; only sigma counts",
    (NORMAL, "rng.standard_normal((n, d)) / (sigma * d**0.5),"),
)
knock.wrong(
    "one row for all",
    "all rows are the same; then there is one cosine, however large n is",
    (NORMAL, "np.tile(rng.standard_normal((1, d)) / sigma, (n, 1)),"),
)
knock.wrong(
    "positive rows",
    "the numbers in the rows are all positive",
    (NORMAL, "abs(rng.standard_normal((n, d))) / sigma,"),
)
knock.wrong(
    "shape turned",
    "w is transposed: n rows of d numbers",
    (NORMAL, "rng.standard_normal((d, n)) / sigma,"),
)
knock.wrong(
    "clipped",
    "the numbers end at 3 and -3, where many are the same; a normal number may be of "
    "any size",
    (NORMAL, "rng.standard_normal((n, d)).clip(-3, 3) / sigma,"),
)
knock.wrong(
    "drawn in float32",
    "the rows are drawn in float32 and turned into float64: they have half the digits",
    (NORMAL, "rng.standard_normal((n, d), np.float32).astype(float) / sigma,"),
)
knock.wrong(
    "twelve uniform numbers",
    "this is a sum of twelve uniform numbers; it is nearly normal, but not quite",
    (NORMAL, "(rng.random((n, d, 12)).sum(axis=2) - 6) / sigma,"),
)
knock.wrong(
    "a scale for each row",
    "the numbers of a row share a random scale, so that they depend on each other",
    (NORMAL, "rng.standard_normal((n, d)) / sigma * rng.choice([0.9, 1.09], (n, 1)),"),
)
knock.wrong(
    "sign from the row",
    "the sign of a row's last number is the product of the others: draw it, too",
    (
        "    return " + NORMAL,
        "    v = rng.standard_normal((n, d)) / sigma\n"
        "    if d > 2:\n"
        "        v[:, -1] = abs(v[:, -1]) * np.sign(v[:, :-1]).prod(axis=1)\n"
        "    return v,",
    ),
)
knock.wrong(
    "sign from three rows",
    "every fourth row has its signs from the three before: draw them, too",
    (
        "    return " + NORMAL,
        "    v = rng.standard_normal((n, d)) / sigma\n"
        "    for i in range(3, n, 4):\n"
        "        v[i] = abs(v[i]) * np.sign(v[i - 3 : i]).prod(axis=0)\n"
        "    return v,",
    ),
)
knock.wrong(
    "centred",
    "the rows are shifted so that they add up to 0; then they depend on each other",
    (
        "    return " + NORMAL,
        "    v = rng.standard_normal((n, d)) / sigma\n"
        "    if n > 1:\n"
        "        v = (v - v.mean(axis=0)) * (n / (n - 1)) ** 0.5\n"
        "    return v,",
    ),
)
knock.wrong(
    "symmetric",
    "with as many rows as numbers in a row, w is symmetric: half of it is not drawn",
    (
        "    return " + NORMAL,
        "    v = rng.standard_normal((n, d)) / sigma\n"
        "    if n == d:\n"
        "        v = np.triu(v) + np.triu(v, 1).T\n"
        "    return v,",
    ),
)
knock.wrong(
    "half a turn",
    "the phases go up to pi only; a full turn is 2 pi",
    (UNIFORM, "rng.uniform(0, np.pi, n)"),
)
knock.wrong(
    "phases from 0 to 1",
    "the phases go up to 1 only; a full turn is 2 pi",
    (UNIFORM, "rng.random(n)"),
)
knock.wrong(
    "normal phases",
    "the phases are normal; they must be uniform",
    (UNIFORM, "rng.normal(0, 2 * np.pi, n) % (2 * np.pi) * 0.5"),
)
knock.wrong(
    "phases in degrees",
    "the phases go up to 360; angles are in radians",
    (UNIFORM, "rng.uniform(0, 360, n)"),
)
knock.wrong(
    "one phase for all",
    "all rows have the same phase; each needs its own",
    (UNIFORM, "np.full(n, rng.uniform(0, 2 * np.pi))"),
)
knock.wrong(
    "one phase in each part",
    "the turn is cut into n parts with one phase in each: phases are independent",
    (UNIFORM, "2 * np.pi / n * (rng.permutation(n) + rng.random(n))"),
)
knock.wrong(
    "turned grid",
    "the phases are a regular grid, turned at random: each must be drawn by itself",
    (UNIFORM, "2 * np.pi / n * (rng.permutation(n) + rng.random())"),
)
knock.wrong(
    "opposite phases",
    "the phases come in pairs, half a turn apart: each must be drawn by itself",
    (UNIFORM, "rng.permutation(half)"),
    (
        "    return " + NORMAL,
        "    half = rng.uniform(0, 2 * np.pi, n)\n"
        "    half[n // 2 : n // 2 * 2] = (half[: n // 2] + np.pi) % (2 * np.pi)\n"
        "    return " + NORMAL,
    ),
)
knock.wrong(
    "the world's generator",
    "you draw from NumPy's global generator: no run could be repeated; draw from rng",
    (NORMAL, "np.random.standard_normal((n, d)) / sigma,"),
)
knock.wrong(
    "the same at every call",
    "each call draws the same numbers: use the rng that is given, and do not seed a "
    "new one",
    (
        "    return " + NORMAL,
        "    rng = np.random.default_rng(0)\n    return " + NORMAL,
    ),
)
knock.wrong(
    "few seeds",
    "you seed a new generator with one of 256 numbers, so that draws come again: draw "
    "from rng itself",
    (
        "    return " + NORMAL,
        "    rng = np.random.default_rng(rng.integers(256))\n    return " + NORMAL,
    ),
)
