"""Grader of k101: a hypernetwork writes the kernels.

Of the first weights means and shares are checked: each may be six standard errors off,
which chance explains twice in 10^9 (for rare numbers, 3 times in 10^8), a distribution
by 3 / sqrt(n); all of them together, less than once in 10^6 runs.
"""

import math

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Write the shapes below the letters of the sums: which letters are in the "
        "result, and which are summed over? np.einsum takes just these letters.",
        "Backwards each product gives two gradients: g times the one factor, summed "
        "over all letters that the other one lacks. First go to a, with w_out; from "
        "there to z, w and b. For tiles: reshape to (rows, columns, O, I, f, f) and "
        "exchange two axes.",
        'a = np.einsum("tm,ijm->tij", z, w) + b; k = np.einsum("opqj,tij->toipq", '
        'w_out, a) + b_out[:, None]; ga = np.einsum("toipq,opqj->tij", g, w_out), and '
        'gw_out = np.einsum("toipq,tij->opqj", g, a); gz and gw of ga in the same way; '
        "gb = ga.sum(0), gb_out = g.sum((0, 2)). M: w_out and w in one einsum.",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [  # T, N_z, I, O, f, d
    (2, 3, 2, 3, 2, 4),
    (1, 2, 3, 2, 3, 2),
    (1, 1, 1, 1, 1, 1),
    (3, 1, 2, 1, 1, 3),
    (2, 4, 1, 2, 3, 1),
    (2, 2, 2, 2, 2, 2),  # all sizes alike: axes are easily taken for each other
    (3, 3, 3, 3, 3, 3),
    (1, 5, 4, 1, 1, 2),
    (17, 2, 1, 2, 1, 3),
    (2, 18, 2, 1, 2, 3),
    (1, 2, 19, 2, 1, 2),
    (2, 3, 1, 20, 1, 2),
    (1, 3, 2, 1, 9, 2),
    (2, 2, 1, 2, 2, 21),
]
MANY = [(9, 4, 2, 3, 10), (6, 5, 2, 4, 7), (5, 20, 1, 9, 4), (40, 3, 3, 2, 3)]
TINY = [(2, 2, 2, 2, 1, 3), (1, 1, 2, 1, 2, 1), (2, 3, 1, 2, 2, 2)]
GRIDS = [(2, 3, 2, 3, 2), (1, 1, 3, 2, 3), (3, 1, 2, 2, 1), (1, 3, 2, 2, 1)]
GRIDS += [(2, 2, 2, 2, 2), (4, 2, 1, 1, 3), (9, 2, 2, 1, 1), (2, 17, 1, 3, 2)]
GRIDS += [(1, 2, 18, 1, 1)]  # rows, columns, O, I, f


def inner(z, w, b):
    """Vector by vector."""
    a = np.zeros((len(z), *b.shape), z.dtype)
    for t, i in np.ndindex(len(z), len(w)):
        a[t, i] = w[i] @ z[t] + b[i]
    return a


def generate(z, w, b, w_out, b_out):
    """Tap by tap."""
    a = inner(z, w, b)
    outputs, f = b_out.shape[:2]
    k = np.zeros((len(z), outputs, len(w), f, f), z.dtype)
    for t, o, i, p, q in np.ndindex(*k.shape):
        k[t, o, i, p, q] = w_out[o, p, q] @ a[t, i] + b_out[o, p, q]
    return k


def backward(g, z, w, b, w_out, b_out):
    """The same loops: every tap sends its gradient to all that made it."""
    a, ga = inner(z, w, b), np.zeros((len(z), *b.shape), z.dtype)
    gz, gw, gw_out, gb_out = (np.zeros(x.shape, z.dtype) for x in (z, w, w_out, b_out))
    for t, o, i, p, q in np.ndindex(*g.shape):
        up = g[t, o, i, p, q]
        ga[t, i] += up * w_out[o, p, q]
        gw_out[o, p, q] += up * a[t, i]
        gb_out[o, p, q] += up
    for t, i in np.ndindex(len(z), len(w)):
        gz[t] += ga[t, i] @ w[i]
        for j in range(b.shape[1]):
            gw[i, j] += ga[t, i, j] * z[t]
    return gz, gw, sum(ga), gw_out, gb_out


def affine_map(w, b, w_out, b_out):
    """What z = 0 gives, and what each coordinate of z adds to it."""
    z = np.eye(w.shape[2], dtype=w.dtype)
    start = generate(z[:1] * 0, w, b, w_out, b_out)[0]
    none = np.zeros_like(b), np.zeros_like(b_out)
    columns = generate(z, w, none[0], w_out, none[1])
    return np.stack(list(columns), axis=-1), start


def tiled(k, rows, columns):
    """Tile by tile to its place."""
    _, outputs, inputs, f, _ = k.shape
    large = np.zeros((rows * outputs, columns * inputs, f, f), k.dtype)
    for t, tile in enumerate(k):
        o, i = t // columns * outputs, t % columns * inputs
        large[o : o + outputs, i : i + inputs] = tile
    return large


def tiled_backward(g, rows, columns):
    """Number by number back to its tile."""
    outputs, inputs = len(g) // rows, g.shape[1] // columns
    back = np.zeros((rows * columns, outputs, inputs, *g.shape[2:]), g.dtype)
    for o, i in np.ndindex(*g.shape[:2]):
        t = o // outputs * columns + i // inputs
        back[t, o % outputs, i % inputs] = g[o, i]
    return back


def sample(r, tiles, z_dim, inputs, outputs, f, hidden):
    """z, w, b, w_out and b_out of these sizes."""
    w, b = r(inputs, hidden, z_dim), r(inputs, hidden)
    return r(tiles, z_dim), w, b, r(outputs, f, f, hidden), r(outputs, f, f)


def with_g(r, case):
    """The same behind a gradient from above."""
    tiles, _, inputs, outputs, f, _ = case
    return r(tiles, outputs, inputs, f, f), *sample(r, *case)


def anything(r):
    """Sizes of any kind."""
    return tuple(r.size(1, n) for n in (4, 6, 4, 4, 3, 6))


def apart(name, results, given):
    """No result shares memory with what was given, or with another result."""
    results = list(results) if isinstance(results, tuple | list) else [results]
    for i, result in enumerate(results):
        for other in [*given, *results[:i]]:
            if isinstance(other, np.ndarray):
                text = f"{name}: a result shares memory with another array; make a new "
                checks.true(not np.shares_memory(result, other), text + "one", name)


@knock.check("inner: the vectors a against loops")
def first(mine, r):
    for case in [*CASES, anything(r)]:
        checks.value(mine.inner, inner, *sample(r, *case)[:3], tolerance=TIGHT)


@knock.check("generate: the kernels against loops", points=2)
def value(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(mine.generate, generate, *sample(r, *case), tolerance=TIGHT)


@knock.check("all five gradients, against small steps, with a random g", points=2)
def gradients(mine, r):
    for case in TINY:
        checks.gradient(mine.generate_backward, generate, *sample(r, *case), r=r)


@knock.check("all five gradients agree with loops on many shapes")
def backwards(mine, r):
    f = mine.generate_backward
    for case in [*CASES, anything(r), anything(r)]:
        again = case in CASES[:3]
        checks.value(f, backward, *with_g(r, case), tolerance=TIGHT, again=again)


@knock.check("affine_map: M and C, column by column")
def affine(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        args = sample(r, *case)[1:]
        checks.value(mine.affine_map, affine_map, *args, tolerance=TIGHT)


@knock.check("tiles make a larger kernel, and its gradient goes back to them")
def grids(mine, r):
    more = [tuple(r.size(1, 4) for _ in range(5)) for _ in range(2)]
    for rows, columns, outputs, inputs, f in [*GRIDS, *more]:
        k, exact = r(rows * columns, outputs, inputs, f, f), {"tolerance": (0, 0)}
        checks.value(mine.tiled, tiled, k, rows, columns, **exact)
        g = r(rows * outputs, columns * inputs, f, f)
        checks.value(mine.tiled_backward, tiled_backward, g, rows, columns, **exact)


@knock.check("parameters: exact counts")
def counts(mine, r):
    cases = [(16, 16, 7, 4, 4, 0), (16, 16, 7, 4, 4, 1), (1, 1, 1, 1, 1, 1)]
    cases += [(2, 3, 5, 7, 11, 13), (16, 16, 3, 64, 64, 242), (16, 16, 3, 64, 64, 966)]
    cases += [tuple(r.size(1, 40) for _ in range(6)) for _ in range(4)]
    cases += [(10**9 + 7, 10**8 + 3, 101, 10**7 + 9, 10**9 + 9, 10**9 + 1)]
    for case in cases:
        inputs, outputs, f, z_dim, hidden, tiles = case
        one = hidden * z_dim + hidden  # a first layer
        right = one * inputs + outputs * f**2 * hidden + outputs * f**2 + z_dim * tiles
        received = checks.call(mine.parameters, *case)
        checks.count(received, right, f"parameters{case}")
        whole = isinstance(received, int | np.integer)
        text = f"parameters{case} must be a whole number; got {received!r}"
        checks.true(whole, text, "not whole")
    checks.count(mine.parameters(16, 16, 7, 4, 4, 0), 4240, "the paper's generator")


@knock.check("first_weights: normal, and as large as they should be", points=2)
def start(mine, r):
    f = mine.first_weights
    for sizes in ((3, 2, 1, 4, 2), (1, 1, 1, 1, 1), *MANY):
        inputs, outputs, width, z_dim, hidden = sizes
        shapes = (inputs, hidden, z_dim), (inputs, hidden)
        shapes = (*shapes, (outputs, width, width, hidden), (outputs, width, width))
        rng = np.random.default_rng(int(r.integers(1 << 30)))
        draws, what = [], f"first_weights{sizes}"
        for _ in range(40 if sizes in MANY else 2):
            arrays = f(*sizes, rng)
            ok = isinstance(arrays, tuple | list) and len(arrays) == 4
            checks.true(ok, f"{what}: (w, b, w_out, b_out) must come back", "not four")
            zeros = [np.zeros(shape) for shape in shapes]
            checks.equal([a * 0 for a in arrays], zeros, f"{what}, times 0")
            checks.equal(arrays[1::2], zeros[1::2], f"{what}: the offsets")
            apart("first_weights", tuple(arrays), [a for d in draws[-1:] for a in d])
            draws.append(arrays)
        wide = 1 / z_dim, 2 / (inputs * width * width * hidden)
        for name, i, variance in zip(("w", "w_out"), (0, 2), wide):
            if sizes in MANY:
                x = np.stack([d[i].ravel() for d in draws]) / np.sqrt(variance)
                normal(x, f"{what}: {name} divided by the spread that it should have")
        if sizes in MANY:
            w, w_out = (np.stack([d[i].ravel() for d in draws]) for i in (0, 2))
            n = min(w.shape[1], w_out.shape[1])
            both = w[:, :n] * w_out[:, :n] / np.sqrt(wide[0] * wide[1])
            checks.statistic(both, 0, f"{what}: w times w_out, in their order", 1)
    seeds = [np.random.default_rng(5) for _ in range(2)]
    same = zip(*(f(2, 2, 2, 2, 2, rng) for rng in seeds))
    for a, b in same:
        checks.equal(a, b, "first_weights, two generators of one seed")


@knock.check("first_weights: a normal distribution, and no number comes twice")
def shape_of_chance(mine, r):
    for sizes in ((100, 100, 5, 30, 20), (7, 9, 3, 5, 4), (3, 8, 1, 40, 2)):
        inputs, outputs, width, z_dim, hidden = sizes
        arrays = mine.first_weights(
            *sizes, np.random.default_rng(int(r.integers(1 << 30)))
        )
        wide = 1 / z_dim, 2 / (inputs * width * width * hidden)
        for name, i, variance in zip(("w", "w_out"), (0, 2), wide):
            x = arrays[i].ravel() / np.sqrt(variance)
            text, n = f"first_weights{sizes}: {name}", x.size
            count = len(np.unique(abs(x)))
            words = f"{text}: of {n:,} numbers only {count:,} differ, signs aside"
            signs = len(np.unique(x)) > 0.95 * n
            checks.true(count > 0.95 * n, words, (text, "signs differ", signs))
            checks.distribution(x, checks.normal_cdf, f"{text} is not normal")
            if n > 40_000:
                share = math.erfc(3 / math.sqrt(2))
                what = f"{text}: the share beyond 3 times the spread"
                spread = math.sqrt(share * (1 - share))
                checks.statistic(abs(x) > 3, share, what, spread)
                checks.statistic(x**2, 1, f"{text}: the mean square, scaled", 2**0.5)


def normal(x, what):
    """Standard normal numbers, draws (rows) and places (columns) independent."""
    checks.statistic(x, 0, f"the mean of {what}", 1)
    checks.statistic(x**2, 1, f"the mean square of {what}", np.sqrt(2))
    for bound, share in ((0.6744898, 0.5), (1.959964, 0.95)):
        spread = np.sqrt(share * (1 - share))
        text = f"the share within {bound:.3g} of {what}"
        checks.statistic(abs(x) < bound, share, text, spread)
    checks.statistic(x[1:] * x[:-1], 0, f"one draw times the next of {what}", 1)
    for gap in range(1, min(x.shape[1], 12)):
        text = f"numbers {gap} places apart, multiplied, of {what}"
        checks.statistic(x[:, gap:] * x[:, :-gap], 0, text, 1)


@knock.check("float32 stays float32; views are right; results are new arrays")
def layout(mine, r):
    f, back = mine.generate, mine.generate_backward
    for case in ((2, 3, 2, 3, 2, 4), (1, 1, 1, 1, 1, 1), (3, 2, 4, 2, 3, 2)):
        g, *args = with_g(r, case)
        views = [np.asfortranarray(a)[::-1] for a in (g, *args)]
        single = [a.astype(np.float32) for a in views]
        rest = {"again": False}
        for g_, given, options in (
            (views[0], views[1:], {"tolerance": TIGHT, **rest}),
            (single[0], single[1:], rest),
        ):
            checks.value(mine.inner, inner, *given[:3], **options)
            checks.value(f, generate, *given, **options)
            checks.value(back, backward, g_, *given, **options)
            checks.value(mine.affine_map, affine_map, *given[1:], **options)
        apart("inner", mine.inner(*args[:3]), args)
        apart("generate", f(*args), args)
        apart("generate_backward", back(g, *args), [g, *args])
        apart("affine_map", mine.affine_map(*args[1:]), args)
    for rows, columns, outputs, inputs, n in GRIDS[:5]:
        k, big = r(rows * columns, outputs, inputs, n, n), (rows, columns)
        g = r(rows * outputs, columns * inputs, n, n)
        apart("tiled", mine.tiled(k, *big), [k])
        apart("tiled_backward", mine.tiled_backward(g, *big), [g])
        for lay in (lambda a: np.asfortranarray(a)[::-1], lambda a: a.astype("f").T.T):
            checks.value(mine.tiled, tiled, lay(k), *big, tolerance=(0, 0))
            checks.value(
                mine.tiled_backward, tiled_backward, lay(g), *big, tolerance=(0, 0)
            )


INNER = 'np.einsum("tm,ijm->tij", z, w) + b'
KERNEL = '    return np.einsum("opqj,tij->toipq", w_out, a) + b_out[:, None]'
GRID = "(rows, columns, outputs, inputs, f, f).swapaxes(1, 2)"

knock.wrong(
    "half drawn, half repeated",
    "the second half of w_out repeats the first; draw all numbers",
    (
        "rng.normal(0, spread, (outputs, f, f, hidden))",
        "rng.normal(0, spread, (outputs, f, f, hidden))\n"
        "    w_out[(outputs + 1) // 2 :] = w_out[: outputs // 2][::-1]",
    ),
)
knock.wrong(
    "half drawn, half turned",
    "the second half of w_out is the first with other signs; draw all numbers",
    (
        "rng.normal(0, spread, (outputs, f, f, hidden))",
        "rng.normal(0, spread, outputs * f * f * hidden)\n"
        "    half = w_out.size // 2\n"
        "    w_out[w_out.size - half :] = -w_out[:half]\n"
        "    w_out = w_out.reshape(outputs, f, f, hidden)",
    ),
)
knock.wrong(
    "sum of three",
    "w_out is a sum of three uniform numbers, which is never far from 0; draw normal "
    "ones",
    (
        "rng.normal(0, spread, (outputs, f, f, hidden))",
        "(rng.random((3, outputs, f, f, hidden)).sum(axis=0) - 1.5) * 2 * spread",
    ),
)
knock.wrong(
    "one first layer",
    "all channels have the first layer of channel 0; every channel has one of its own",
    ('"tm,ijm->tij", z, w) + b', '"tm,ijm->tij", z, 0 * w + w[:1]) + b'),
)
knock.wrong(
    "a ReLU between",
    "a ReLU stands between the two layers; both are linear",
    (f"return {INNER}", f"return np.maximum({INNER}, 0)"),
)
knock.wrong(
    "no second offset",
    "B_out is missing: K_i = W_out a_i + B_out",
    ("w_out, a) + b_out[:, None]", "w_out, a)"),
)
knock.wrong(
    "channels exchanged",
    "the kernels are (T, I, O, f, f): the output channels come first",
    (KERNEL, KERNEL.replace("->toipq", "->tiopq").replace("[:, None]", "")),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: these are the gradients of the plain sum of k",
    ("    ga = np.einsum", "    g = np.ones_like(g)\n    ga = np.einsum"),
)
knock.wrong(
    "no gradient through the offset",
    "gw_out is computed with W z alone: the second layer reads a, with B in it",
    ("g, inner(z, w, b))", "g, inner(z, w, 0 * b))"),
)
knock.wrong(
    "first tile only",
    "gw is that of the first tile alone: all tiles share w, so add up all of them",
    ('"tij,tm->ijm", ga, z)', '"tij,tm->ijm", ga[:1], z[:1])'),
)
knock.wrong(
    "affine without the first offset",
    "C is B_out alone: what W_out makes of B belongs to it",
    (
        'np.einsum("opqj,ij->oipq", w_out, b) +',
        '0 * np.einsum("opqj,ij->oipq", w_out, b) +',
    ),
)
knock.wrong(
    "tiles by columns",
    "the tiles are laid out column by column; go along the rows first",
    (
        f"k.reshape{GRID}",
        "k.reshape(columns, rows, outputs, inputs, f, f).transpose(1, 2, 0, 3, 4, 5)",
    ),
)
knock.wrong(
    "reshaped only",
    "the numbers are only reshaped, so tiles are torn apart: exchange the axes of "
    "columns and outputs first",
    (f"k.reshape{GRID}", "k"),
)
knock.wrong(
    "gradient not put back",
    "backwards g is only reshaped: exchange the axes of columns and outputs, here too",
    (
        "g.reshape(rows, outputs, columns, inputs, f, f).swapaxes(1, 2)",
        "g",
    ),
)
knock.wrong(
    "tile itself",
    "a single tile comes back as it is, or as a view of it; make a new array",
    ("columns * inputs, f, f).copy()", "columns * inputs, f, f)"),
)
knock.wrong(
    "offsets not counted",
    "the offsets B and B_out are parameters, too",
    ("(z_dim + 1)", "z_dim"),
    ("f * f * (hidden + 1)", "f * f * hidden"),
)
knock.wrong(
    "first layer counted once",
    "every input channel has a first layer of its own; you count one",
    ("inputs * hidden * (z_dim + 1)", "hidden * (z_dim + 1)"),
)
knock.wrong(
    "the same numbers twice",
    "w_out is made of the numbers of w; draw others",
    (
        "rng.normal(0, spread, (outputs, f, f, hidden))",
        "np.resize(w, (outputs, f, f, hidden)) * spread * z_dim**0.5",
    ),
)
knock.wrong(
    "kernels too large",
    "W_out has variance 1 / d, as a usual layer has: the kernels become far too large",
    ("(2 / (inputs * f * f * hidden)) ** 0.5", "hidden**-0.5"),
)
knock.wrong(
    "a forgotten",
    "W_out has the variance of a kernel, but d products are added up in every tap: "
    "divide by d, too",
    ("(inputs * f * f * hidden)) **", "(inputs * f * f)) **"),
)
knock.wrong(
    "variance for a spread",
    "you give the variance where the standard deviation is wanted: take its root",
    ("(2 / (inputs * f * f * hidden)) ** 0.5", "2 / (inputs * f * f * hidden)"),
)
knock.wrong(
    "always float64",
    "the kernels are float64 even for float32: make your arrays with the given dtype",
    (KERNEL, KERNEL + ".astype(float)"),
)
