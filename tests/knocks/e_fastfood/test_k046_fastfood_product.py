"""Grader of k046: the Fastfood product."""

import tracemalloc
from functools import cache
from itertools import combinations

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Write one line for each of u1 ... u5 and y. Multiplying by a diagonal matrix "
        "is b * x, and fwht(u1) is H u1 for all points at once.",
        "Backwards, name the gradients by what they belong to: d5 = c * s * dy, d4 = "
        "fwht(d5), d3 = g * d4. dg meets what went into G (u3), db what went into B "
        "(x). The permutation took u2[p[i]] to place i, so d3[i] goes to place p[i].",
        "d2[:, p] = d3; d1 = fwht(d2); dx = b * d1; ds = (c * dy * u5).sum(0); dg = "
        "(d4 * u3).sum(0); db = (d1 * x).sum(0), with u3 and u5 computed again.",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [(2, 4), (1, 4), (3, 8), (1, 1), (3, 1), (2, 2), (1, 2), (4, 16), (16, 4)]
FLOATS = (0, 1, 2, 3, 5)  # dy, x, s, g and b
LENGTHS = (64, 128, 256, 512)
ROOM = 64 * 8  # bytes for each number of a point: far more than a right answer needs


@cache
def hadamard(d):
    """H: the sign of an entry is the parity of the bits that row and column share."""
    signs = [[(-1.0) ** bin(i & j).count("1") for j in range(d)] for i in range(d)]
    return np.array(signs)


def factors(s, g, p, b, sigma):
    """The five matrices and the constant, from left to right."""
    d = len(s)
    move = np.zeros((d, d))
    for i, source in enumerate(p):
        move[i, source] = 1
    h = hadamard(d)
    left = np.diag(s / (sigma * np.sqrt(d))) @ h
    return left, np.diag(g), move @ h, np.diag(b)


def forward(x, s, g, p, b, sigma):
    """The matrix V, written out."""
    left, middle, right, last = factors(s, g, p, b, sigma)
    v = left @ middle @ right @ last
    return (np.asarray(x, float) @ v.T).astype(x.dtype)


def backward(dy, x, s, g, p, b, sigma):
    """The gradient by the matrix V, and what its diagonals have of it."""
    left, middle, right, last = factors(s, g, p, b, sigma)
    dv = np.asarray(dy, float).T @ x
    dx = dy @ (left @ middle @ right @ last)
    outer = np.diag(np.full(len(s), 1 / (sigma * np.sqrt(len(s)))))
    ds = np.diag(dv @ (outer @ hadamard(len(s)) @ middle @ right @ last).T)
    dg = np.diag(left.T @ dv @ (right @ last).T)
    db = np.diag((left @ middle @ right).T @ dv)
    return tuple(np.array(a).astype(x.dtype) for a in (dx, ds, dg, db))


def small_steps(dy, *args):
    """The gradients of <dy, y>, by differences."""
    return tuple(checks.numeric(forward, args, dy, i) for i in (0, 1, 2, 4))


def permutation(r, d):
    """A random one that is not its own inverse, if there is one."""
    while True:
        p = r.rng.permutation(d)
        if d < 3 or (p[p] != np.arange(d)).any():
            return p


def sample(r, n, d):
    """x, s, g, p, b and sigma of these sizes."""
    sigma = float(r.positive()) + r.choice([0.3, 2.0])  # not 1, most often
    return r(n, d), r(d), r(d), permutation(r, d), r(d), sigma


def with_dy(r, n, d):
    """The same behind a gradient from above."""
    args = sample(r, n, d)
    return r(n, d), *args


def anything(r):
    """Sizes of any kind."""
    return r.size(1, 5), 2 ** r.size(0, 5)


@knock.check("fastfood: the matrix V times every row of x", points=2)
def value(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(mine.fastfood, forward, *sample(r, *case), tolerance=TIGHT)


@knock.check("the four gradients, against small steps and the matrix", points=3)
def gradients(mine, r):
    for case in [(2, 4), (1, 4), (2, 1), (1, 2)]:
        four(mine, small_steps, with_dy(r, *case), tolerance=(1e-5, 1e-7))
    for case in [*CASES, anything(r), anything(r)]:
        four(mine, backward, with_dy(r, *case), tolerance=TIGHT)


def four(mine, oracle, args, tolerance):
    """All four gradients; the evidence of a mistake is all that came back."""
    f = mine.fastfood_backward
    try:
        checks.value(f, oracle, *args, tolerance=tolerance, again=False)
    except Mistake as mistake:
        found = checks.call(f, *args)
        found = list(found) if isinstance(found, tuple | list) else mistake.evidence
        raise Mistake(mistake.message, found) from None


@knock.check("no matrix of d by d: memory for d = 64, 128, 256 and 512")
def lean(mine, r):
    few = with_dy(r, 1, 8)
    for f, first in ((mine.fastfood, 1), (mine.fastfood_backward, 0)):
        f(*few[first:])  # what is loaded at the first call, is loaded now
        used = {d: peak(f, with_dy(r, 1, d)[first:]) for d in LENGTHS}
        much = [d for d in LENGTHS if used[d] >= ROOM * d]
        if much:
            d = much[0]
            raise Mistake(
                f"{f.__name__} uses {used[d]:,} bytes for one point of length {d}: "
                f"that is room for a matrix of {d} by {d}; use fwht for H, and s * u "
                "for S u",
                f"matrix in {f.__name__} for d in {much}",
            )


def peak(f, args) -> int:
    """The most bytes that a call has allocated at one time."""
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        f(*args)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not running:
            tracemalloc.stop()


@knock.check("float32 stays float32; views are right; earlier results stay")
def layout(mine, r):
    f, back = mine.fastfood, mine.fastfood_backward
    args = dy, x, s, g, p, b, sigma = with_dy(r, 3, 8)
    y, four = checks.call(f, *args[1:]), checks.call(back, *args)
    checks.value(f, forward, -x, *args[2:], tolerance=TIGHT)
    checks.value(back, backward, -dy, *args[1:], tolerance=TIGHT)
    what = "an earlier result, after another call"
    checks.equal(y, forward(*args[1:]), f"fastfood: {what}", tolerance=TIGHT)
    right = backward(*args)
    checks.equal(four, right, f"fastfood_backward: {what}", tolerance=TIGHT)
    x, dy = np.asfortranarray(x)[::-1], dy[:, ::-1]
    s, g, b = (np.repeat(a, 2)[::-2] for a in (s, g, b))
    many = x, s, g, p[::-1], b, sigma
    checks.value(f, forward, *many, tolerance=TIGHT)
    checks.value(back, backward, dy, *many, tolerance=TIGHT)
    dy, x, s, g, b = (a.astype(np.float32) for a in (dy, x, s, g, b))
    for sigma in (1.5, 2):
        checks.value(f, forward, x, s, g, p, b, sigma)
        checks.value(back, backward, dy, x, s, g, p, b, sigma)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    for order in (1, -1):
        args = with_dy(r, 2, 4)
        both(mine, args, "with numbers not seen before", order)
        for a, name in zip(args, ("dy", "x", "s", "g", "p", "b")):
            a[:] = np.roll(a, 1) if name == "p" else -2 * a  # in the same array
            what = f"again, after {name} was changed in place"
            for result in both(mine, args, what, order):
                text = f"a result shares memory with {name}: make a new array"
                checks.true(not np.shares_memory(result, a), text)
        both(mine, (*args[:-1], 2 * args[-1]), "again, with another sigma", order)
    *first, p, b, sigma = with_dy(r, 1, 8)
    for places in combinations(range(8), 2):
        q = p.copy()
        q[list(places)] = q[list(places[::-1])]
        both(mine, (*first, q, b, sigma), "again, with two numbers of p exchanged")


def both(mine, args, what, order=1):
    """All five results, right for these very arrays; for order -1, backward first."""
    ways = [("fastfood", forward, args[1:]), ("fastfood_backward", backward, args)]
    ways = ways[::order]
    found = [getattr(mine, name)(*given) for name, _, given in ways]
    for (name, oracle, given), result in zip(ways, found):
        checks.equal(result, oracle(*given), f"{name} {what}", tolerance=TIGHT)
    y, four = found[::order]
    return y, *four


@knock.check("zeros and tiny numbers, in the diagonals as well")
def small(mine, r):
    args = with_dy(r, 3, 8)
    for i in FLOATS:
        args[i][..., r.rng.permutation(8)[:2]] = 0
    checks.value(mine.fastfood, forward, *args[1:], tolerance=TIGHT)
    four(mine, backward, args, tolerance=TIGHT)
    for i in FLOATS:
        args = list(with_dy(r, 2, 8))
        args[i] = args[i] * 1e-12
        checks.value(mine.fastfood, forward, *args[1:], tolerance=(1e-10, 0))
        four(mine, backward, args, tolerance=(1e-10, 0))


def transform(x):
    """H times each row. H of a * b is that of a, with that of b in every entry."""
    d = x.shape[1]
    a = 2 ** (d.bit_length() // 2)
    rows = hadamard(a) @ x.reshape(-1, a, d // a) @ hadamard(d // a)
    return rows.reshape(x.shape)


def long_forward(x, s, g, p, b, sigma):
    """`forward` without the matrix."""
    return s / sigma / np.sqrt(len(s)) * transform(g * transform(x * b)[:, p])


def long_backward(dy, x, s, g, p, b, sigma):
    """`backward` without the matrix: V transposed is B H Pi^T G H S."""
    q, dy = np.argsort(p), dy / sigma / np.sqrt(len(s))
    read, above = transform(x * b)[:, p], transform(dy * s)
    below = transform(above[:, q] * g[q])
    through = dy * transform(read * g)
    return below * b, *(a.sum(0) for a in (through, above * read, below * x))


@knock.check("long rows, and many of them")
def large(mine, r):
    for n, d in [(3, 512), (1, 2048), (1001, 4)]:
        there, back = (forward, backward) if d < 512 else (long_forward, long_backward)
        args = with_dy(r, n, d)
        options = {"tolerance": TIGHT, "again": False}
        checks.value(mine.fastfood, there, *args[1:], **options)
        four(mine, back, args, tolerance=TIGHT)


FORWARD = "    u3 = fwht(b * x)[:, p]\n    return c * s * fwht(g * u3)"
CONSTANT = "    c = 1 / (sigma * x.shape[1] ** 0.5)\n    u3 = fwht(b * x)[:, p]\n"
BOTH = (  # the constant, in both functions
    (
        CONSTANT + "    return",
        "    c = {0}\n    u3 = fwht(b * x)[:, p]\n    return",
    ),
    (CONSTANT + "    u5", "    c = {0}\n    u3 = fwht(b * x)[:, p]\n    u5"),
)


def constant(name, diagnosis, c):
    """A wrong answer with another constant."""
    knock.wrong(name, diagnosis, *((old, new.format(c)) for old, new in BOTH))


constant(
    "divided by d",
    "you divide by d, as if each H were normalised and there were sqrt(d), too; the "
    "constant is 1 / (sigma * sqrt(d))",
    "1 / (sigma * x.shape[1])",
)
constant(
    "normalised twice",
    "your constant has both a normalised H, twice, and sqrt(d): it is d too small",
    "1 / (sigma * x.shape[1] ** 1.5)",
)
constant(
    "not scaled",
    "the constant 1 / (sigma * sqrt(d)) is missing",
    "1.0",
)
constant(
    "sigma left out",
    "sigma is missing: V is divided by sigma * sqrt(d)",
    "1 / x.shape[1] ** 0.5",
)
constant(
    "times sigma",
    "you multiply by sigma; V is divided by it",
    "sigma / x.shape[1] ** 0.5",
)
constant(
    "sigma squared",
    "you divide by sigma * sigma; that is the variance of the kernel, and V is divided "
    "by sigma",
    "1 / (sigma**2 * x.shape[1] ** 0.5)",
)
constant(
    "root of the batch",
    "you take sqrt of the number of points; d is the length of a row",
    "1 / (sigma * len(x) ** 0.5)",
)
constant(
    "divided by the length of G",
    "you divide by the length of g; whoever made S has done that already",
    "float(1 / (sigma * x.shape[1] ** 0.5) / np.sqrt((g**2).sum()))",
)
knock.wrong(
    "permuted backwards",
    "the permutation is the wrong way round: place i gets u2[p[i]], so it is u2[:, p]",
    (FORWARD, FORWARD.replace("[:, p]", "[:, np.argsort(p)]")),
)
knock.wrong(
    "not permuted",
    "the permutation is missing; without it H G H would hardly mix",
    (FORWARD, FORWARD.replace("[:, p]", "")),
)
knock.wrong(
    "permuted after G",
    "you permute after G; the order is S H G Pi H B, so Pi comes before G",
    (FORWARD, FORWARD.replace("fwht(g * u3)", "fwht((g * fwht(b * x))[:, p])")),
)
knock.wrong(
    "permuted before H",
    "you permute before the first H; the order is S H G Pi H B, so H comes before Pi",
    (FORWARD, FORWARD.replace("fwht(b * x)[:, p]", "fwht((b * x)[:, p])")),
)
knock.wrong(
    "points permuted",
    "u2[p] takes points by their number; p names the places in each row: u2[:, p]",
    (FORWARD, FORWARD.replace("[:, p]", "[p]")),
)
knock.wrong(
    "read from left to right",
    "S meets x first, and B comes last: a product of matrices is read from right to "
    "left",
    (FORWARD, "    u3 = fwht(g * fwht(s * x))[:, p]\n    return c * b * fwht(u3)"),
)
knock.wrong(
    "S and B exchanged",
    "b is in the place of s, and s in that of b",
    (FORWARD, "    u3 = fwht(s * x)[:, p]\n    return c * b * fwht(g * u3)"),
)
knock.wrong(
    "first H left out",
    "there is one H only: it stands on both sides of G Pi",
    (FORWARD, FORWARD.replace("fwht(b * x)", "(b * x)")),
)
knock.wrong(
    "last H left out",
    "the H after G is missing",
    (FORWARD, FORWARD.replace("fwht(g * u3)", "g * u3")),
)
knock.wrong(
    "signs only",
    "you take the signs of b; here b is any numbers, and it is trained later",
    (FORWARD, FORWARD.replace("b * x", "np.sign(b) * x")),
)
knock.wrong(
    "B added",
    "b is added to x; a diagonal matrix multiplies",
    (FORWARD, FORWARD.replace("b * x", "b + x")),
)
knock.wrong(
    "matrix written out",
    "you write the matrix out: it has d * d numbers, which Fastfood is there to save",
    (
        FORWARD,
        "    h = fwht(np.eye(len(b), dtype=x.dtype))\n"
        "    return c * s * ((g * ((b * x) @ h)[:, p]) @ h)",
    ),
)
knock.wrong(
    "changed in place",
    "x itself is changed; it belongs to the caller, so work on a new array",
    (FORWARD, "    x *= b\n" + FORWARD.replace("b * x", "x")),
)
knock.wrong(
    "always float64",
    "the result is float64 even for float32: np.sqrt(d) is a float64 of NumPy; take "
    "d ** 0.5",
    (FORWARD, FORWARD.replace("c * s", "np.float64(c) * s")),
)
knock.wrong(
    "upstream ignored",
    "dy is ignored: these are the gradients of the plain sum of y; multiply by the "
    "gradient that comes from above",
    ("    d4 = fwht(c * s * dy)\n", "    dy = 0 * dy + 1\n    d4 = fwht(c * s * dy)\n"),
)
knock.wrong(
    "permuted again",
    "on the way back you permute once more; send each number to the place it came "
    "from: d2[:, p] = d3",
    ("d2[:, p] = g * d4  #", "d2[:] = (g * d4)[:, p]  #"),
)
knock.wrong(
    "not permuted back",
    "on the way back the permutation is missing: d2[:, p] = d3",
    ("d2[:, p] = g * d4  #", "d2[:] = g * d4  #"),
)
knock.wrong(
    "ds without the constant",
    "ds misses the constant: y is c * s * u5, so ds is the sum of c * dy * u5",
    ("(c * dy * u5).sum(0)", "(dy * u5).sum(0)"),
)
knock.wrong(
    "dg before the permutation",
    "dg meets what was there before the permutation; G reads u3, not u2",
    ("(d4 * u3).sum(0)", "(d4 * fwht(b * x)).sum(0)"),
)
knock.wrong(
    "dg after G",
    "dg is multiplied by g once more: it is what came from above times what went in, "
    "u3",
    ("(d4 * u3).sum(0)", "(d4 * g * u3).sum(0)"),
)
knock.wrong(
    "db after B",
    "db is multiplied by b once more: it is what came from above times what went in, x",
    ("(d1 * x).sum(0)", "(d1 * b * x).sum(0)"),
)
knock.wrong(
    "db before the last step",
    "db is made of the gradient of u2; B needs that of u1, on the other side of H",
    ("(d1 * x).sum(0)", "(d2 * x).sum(0)"),
)
knock.wrong(
    "S left out on the way back",
    "the gradient that goes on below S misses s",
    ("fwht(c * s * dy)", "fwht(c * dy)"),
)
knock.wrong(
    "constant left out on the way back",
    "the gradient that goes on below S misses the constant c",
    ("fwht(c * s * dy)", "fwht(s * dy)"),
)
knock.wrong(
    "B left out on the way back",
    "dx misses b: x is multiplied by b, and so is its gradient",
    ("return b * d1,", "return 1 * d1,"),
)
knock.wrong(
    "inverse of H",
    "on the way back you divide by d, which undoes H; a gradient goes through H "
    "transposed, which is H itself",
    ("    d1 = fwht(d2)\n", "    d1 = fwht(d2) / x.shape[1]\n"),
)
knock.wrong(
    "first point only",
    "only the first point counts in ds, dg and db: add up over all points",
    (
        "(c * dy * u5).sum(0), (d4 * u3).sum(0), (d1 * x).sum(0)",
        "(c * dy * u5)[0], (d4 * u3)[0], (d1 * x)[0]",
    ),
)
knock.wrong(
    "averaged over the batch",
    "ds, dg and db are means over the points; they are sums: if a mean is wanted the "
    "loss takes it, and then it is in dy already",
    (
        "(c * dy * u5).sum(0), (d4 * u3).sum(0), (d1 * x).sum(0)",
        "(c * dy * u5).mean(0), (d4 * u3).mean(0), (d1 * x).mean(0)",
    ),
)
knock.wrong(
    "not added up",
    "ds, dg and db have a row for each point: a diagonal serves all points, so add up",
    (
        "(c * dy * u5).sum(0), (d4 * u3).sum(0), (d1 * x).sum(0)",
        "c * dy * u5, d4 * u3, d1 * x",
    ),
)
knock.wrong(
    "gradients in another order",
    "the gradients come in another order: it is (dx, ds, dg, db)",
    (
        "b * d1, (c * dy * u5).sum(0), (d4 * u3).sum(0), (d1 * x).sum(0)",
        "b * d1, (d1 * x).sum(0), (d4 * u3).sum(0), (c * dy * u5).sum(0)",
    ),
)
knock.wrong(
    "matrix on the way back",
    "the way back writes the matrix H out; it is fwht there, too",
    (
        "    d1 = fwht(d2)\n",
        "    d1 = d2 @ fwht(np.eye(len(b), dtype=x.dtype))\n",
    ),
)
KEPT = ("import numpy as np\n", "import numpy as np\n\nKEPT = {}\n")
DB = "(d1 * x).sum(0)"

knock.wrong(
    "matrix for small d",
    "you write the matrix out where d is small; no matrix of d by d, for no d",
    (
        FORWARD,
        "    if len(b) <= 256:\n"
        "        h = fwht(np.eye(len(b), dtype=x.dtype))\n"
        "        return c * s * ((g * ((b * x) @ h)[:, p]) @ h)\n" + FORWARD,
    ),
)
knock.wrong(
    "matrix for small d on the way back",
    "the way back writes the matrix H out where d is small; it is fwht for every d",
    (
        "    d1 = fwht(d2)\n",
        "    d1 = fwht(d2)\n"
        "    if len(b) < 500:\n"
        "        d1 = d2 @ fwht(np.eye(len(b), dtype=x.dtype))\n",
    ),
)
knock.wrong(
    "kept from the way there",
    "the way back takes what fastfood has left for the same x; s, g, p or b may be "
    "others by then",
    KEPT,
    (FORWARD, FORWARD.replace("u3 =", "u3 = KEPT[x.tobytes()] =")),
    (
        CONSTANT + "    u5",
        CONSTANT + "    u3 = KEPT.get(x.tobytes(), u3)\n    u5",
    ),
)
knock.wrong(
    "inverse kept by its ends",
    "you keep the inverse of p and find it by a few numbers of p; other permutations "
    "have these, too",
    KEPT,
    (
        "    d2[:, p] = g * d4  #",
        "    ends = len(p), int(p[0]), int(p[-1])\n"
        "    d2[:] = (g * d4)[:, KEPT.setdefault(ends, np.argsort(p))]  #",
    ),
)
knock.wrong(
    "ds by division",
    "you divide by s to find ds, and s may be 0; ds is the sum of c * dy * u5",
    ("(c * dy * u5).sum(0)", "(dy * fastfood(x, s, g, p, b, sigma)).sum(0) / s"),
)
knock.wrong(
    "dg by division",
    "you divide by g to find dg, and g may be 0; dg is the sum of d4 * u3",
    ("(d4 * u3).sum(0)", "(d4 * (g * u3)).sum(0) / g"),
)
knock.wrong(
    "db by division",
    "you divide by b to find db, and b may be 0; db is the sum of d1 * x",
    (DB, "(b * d1 * x).sum(0) / b"),
)
knock.wrong(
    "all by division",
    "the gradients are divided by s, g and b, which may be 0; that the sums agree is a "
    "test of gradients, not a way to make them",
    ("(c * dy * u5).sum(0)", "(dy * fastfood(x, s, g, p, b, sigma)).sum(0) / s"),
    ("(d4 * u3).sum(0)", "(d4 * (g * u3)).sum(0) / g"),
    (DB, "(b * d1 * x).sum(0) / b"),
)
knock.wrong(
    "zeros of G replaced",
    "zeros in g give way to a small number; nothing divides by g, so they may stay",
    (
        CONSTANT + "    u5",
        CONSTANT + "    g = g + (g == 0) * g.dtype.type(1e-3)\n    u5",
    ),
)
knock.wrong(
    "tiny numbers dropped",
    "tiny numbers in g count as 0; but they are numbers as others are, and x may be "
    "large",
    (FORWARD, FORWARD.replace("g * u3", "(abs(g) > 1e-8) * g * u3")),
)
knock.wrong(
    "permutation in a byte",
    "you store p in 8 bits: that is enough for d = 256, and no more",
    (FORWARD, FORWARD.replace("[:, p]", "[:, p.astype(np.uint8)]")),
)
knock.wrong(
    "permutation in a byte on the way back",
    "on the way back you store p in 8 bits: that is enough for d = 256, and no more",
    (
        "    d2 = np.empty_like(d4)\n    d2[:, p] = g * d4  #",
        "    d2 = np.zeros_like(d4)\n    d2[:, p.astype(np.uint8)] = g * d4  #",
    ),
)
knock.wrong(
    "six steps",
    "your own transform makes six steps, enough for d = 64; log2(d) are needed, and "
    "fwht makes them",
    (
        "from solutions.e_fastfood.k043_fwht import fwht\n",
        "def fwht(x):\n"
        "    for h in (1, 2, 4, 8, 16, 32):\n"
        "        if h < x.shape[1]:\n"
        "            q = x.reshape(len(x), -1, 2, h)\n"
        "            p, q = q[:, :, 0], q[:, :, 1]\n"
        "            x = np.stack([p + q, p - q], 2).reshape(x.shape)\n"
        "    return x\n",
    ),
)
knock.wrong(
    "first 64 points in ds",
    "only the first 64 points count in ds; add up over all points",
    ("(c * dy * u5).sum(0)", "(c * dy * u5)[:64].sum(0)"),
)
knock.wrong(
    "first 100 points",
    "only the first 100 points come back; there are N",
    (FORWARD, FORWARD.replace("b * x", "b * x[:100]")),
)
