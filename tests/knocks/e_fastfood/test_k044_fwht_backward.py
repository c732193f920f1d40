"""Grader of k044: backward through the transform."""

from functools import lru_cache

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Write H_4 on paper and exchange its rows and columns: what changes? If H H is "
        "n I, what has to be done to H x to get x back?",
        "H is symmetric, so H^T g is a transform like any other. In the sandwich, gv = "
        "H g is the gradient of v = d * u; now it is the backward of a product of "
        "numbers, for both factors.",
        "fwht_backward: fwht(g); inverse: fwht(y) / n; orthonormal and its backward: "
        "fwht(...) / n**0.5; sandwich_backward: gv = fwht(g), gx = fwht(d * gv), gd = "
        "(gv * fwht(x)).sum(axis=0).",
    ],
)

TIGHT = (1e-11, 1e-12)
SHAPES = [(4,), (2,), (1,), (8,), (2, 4), (1, 8), (3, 1), (1, 1), (2, 3, 2), (4, 4)]
PAIRS = [(2, 4), (1, 4), (3, 2), (1, 1), (4, 1), (4, 4), (5, 8), (1, 2)]


@lru_cache(20)
def signs(n):
    """Entry (i, j) is 1 if i and j have an even number of bits in common, else -1."""
    h = np.ones((n, n), np.int64)
    for i, j in np.ndindex(n, n):
        if bin(i & j).count("1") % 2:
            h[i, j] = -1
    return h


def transform(x):
    """Number by number of the result: all of x with the signs of one row."""
    y = np.zeros(x.shape, x.dtype)
    for i, row in enumerate(signs(x.shape[-1])):
        y[..., i] = (x * row.astype(x.dtype)).sum(axis=-1)
    return y


def transposed(g):
    """Every number of y gives its gradient to all of x, with the sign of its place."""
    gx = np.zeros(g.shape, g.dtype)
    for i, row in enumerate(signs(g.shape[-1])):
        gx += g[..., i : i + 1] * row.astype(g.dtype)
    return gx


def inverse(y):
    """The linear equations solved, in float64."""
    n = y.shape[-1]
    columns = np.linalg.solve(signs(n).astype(float), y.reshape(-1, n).T)
    return columns.T.reshape(y.shape).astype(y.dtype)


def orthonormal(x):
    """The transform, every number divided."""
    y = transform(x)
    y /= np.sqrt(x.shape[-1]).astype(x.dtype)
    return y


def orthonormal_backward(g):
    """The transpose, every number divided."""
    gx = transposed(g)
    gx /= np.sqrt(g.shape[-1]).astype(g.dtype)
    return gx


def sandwich(x, d):
    """Row by row."""
    return np.stack([transform(d * transform(row)) for row in x])


def sandwich_backward(g, x, d):
    """Row by row; the gradients of d are added up."""
    gx, gd = np.zeros(x.shape, x.dtype), np.zeros(d.shape, d.dtype)
    for i in range(len(x)):
        gv = transposed(g[i])
        gd += gv * transform(x[i])
        gx[i] = transposed(gv * d)
    return gx, gd


ORACLES = {
    "fwht_backward": transposed,
    "inverse": inverse,
    "orthonormal": orthonormal,
    "orthonormal_backward": orthonormal_backward,
}


def shapes(r):
    """Some that are small or have a length of 1, and one of any sizes."""
    return [*SHAPES, (r.size(1, 3), r.size(1, 3), 2 ** r.size(0, 4))]


def pairs(r):
    """The same for the sandwich."""
    return [*PAIRS, (r.size(1, 4), 2 ** r.size(0, 4))]


def fresh(f, *args):
    """No result may share memory with an argument, or with another result."""
    results = f(*args)
    results = results if isinstance(results, tuple | list) else (results,)
    arrays = [*results, *args]
    for i in range(len(results)):
        for other in arrays[i + 1 :]:
            text = f"{f.__name__}: a new array must come back; two share memory"
            checks.true(not np.shares_memory(arrays[i], other), text)


@knock.check("fwht_backward, against small steps and the transposed matrix", points=2)
def backward(mine, r):
    def from_x(g, x):
        return mine.fwht_backward(g)

    for shape in ((4,), (2, 4), (1, 2), (3, 1)):
        checks.gradient(from_x, transform, r(*shape), r=r)
    for shape in shapes(r):
        checks.value(mine.fwht_backward, transposed, r(*shape), tolerance=TIGHT)


@knock.check("inverse: fwht undone")
def undone(mine, r):
    for shape in shapes(r):
        checks.value(mine.inverse, inverse, r(*shape), tolerance=TIGHT)
        x = r(*shape)
        back = checks.call(mine.inverse, transform(x))
        what = "inverse(fwht(x)) against x"
        checks.equal(back, x, what, tolerance=TIGHT, sizes=shape)


@knock.check("orthonormal: the value, and no length changes")
def normalised(mine, r):
    for shape in shapes(r):
        checks.value(mine.orthonormal, orthonormal, r(*shape), tolerance=TIGHT)
        x = r(*shape)
        y = np.array(checks.call(mine.orthonormal, x))
        what = "the sum of squares of orthonormal(x) against that of x"
        checks.equal(np.sum(y**2), np.sum(x**2), what, tolerance=TIGHT)


@knock.check("orthonormal_backward, against small steps and the matrix")
def normalised_backward(mine, r):
    def from_x(g, x):
        return mine.orthonormal_backward(g)

    for shape in ((4,), (2, 2), (1, 8), (3, 1)):
        checks.gradient(from_x, orthonormal, r(*shape), r=r)
    f = mine.orthonormal_backward
    for shape in shapes(r):
        checks.value(f, orthonormal_backward, r(*shape), tolerance=TIGHT)


@knock.check("sandwich: two transforms with a diagonal between them")
def value(mine, r):
    for shape in pairs(r):
        x, d = r(*shape), r(shape[1])
        checks.value(mine.sandwich, sandwich, x, d, tolerance=TIGHT)


@knock.check("sandwich_backward, against small steps and loops", points=2)
def gradients(mine, r):
    f = mine.sandwich_backward
    for n, length in ((1, 2), (2, 4), (3, 1), (2, 2)):
        checks.gradient(f, sandwich, r(n, length), r(length), r=r)
    for shape in pairs(r):
        args = r(*shape), r(*shape), r(shape[1])
        checks.value(f, sandwich_backward, *args, tolerance=TIGHT)


@knock.check("every backward is the transpose of its forward")
def transposes(mine, r):
    def plain(x):
        return transform(x)

    for shape in ((4,), (3, 8), (2, 1)):
        what = "fwht(x) and fwht_backward(g)"
        checks.adjoint(plain, mine.fwht_backward, r(*shape), r(*shape), what)
        f, back = mine.orthonormal, mine.orthonormal_backward
        what = "orthonormal(x) and orthonormal_backward(g)"
        checks.adjoint(f, back, r(*shape), r(*shape), what)
    g, x, d = r(3, 8), r(3, 8), r(8)
    gx, gd = checks.call(mine.sandwich_backward, g, x, d)
    total = float((g * sandwich(x, d)).sum())
    for name, sum_ in (("x * gx", (x * gx).sum()), ("d * gd", (d * gd).sum())):
        what = f"sandwich_backward: the sum of {name} against that of y * g"
        checks.equal(float(sum_), total, what, tolerance=(1e-9, 1e-9))


@knock.check("float32 stays float32; views are right; results are new arrays")
def layout(mine, r):
    for name, oracle in ORACLES.items():
        f = getattr(mine, name)
        for shape in ((4,), (2, 8), (2, 1)):
            try:
                checks.value(f, oracle, r(*shape).astype(np.float32))
            except Mistake as mistake:
                raise Mistake(mistake.message, (name, mistake.evidence)) from None
            fresh(f, r(*shape))
        checks.value(f, oracle, np.asfortranarray(r(3, 4)), tolerance=TIGHT)
        checks.value(f, oracle, r(4, 8)[::-1, ::-2], tolerance=TIGHT)
        checks.value(f, oracle, r(4, 2, 3).swapaxes(0, 2), tolerance=TIGHT)
        checks.value(f, oracle, np.broadcast_to(r(4), (3, 4)), again=False)
    for n, length in ((2, 4), (1, 1), (3, 8)):
        args = r(n, length), r(n, length), r(length)
        fresh(mine.sandwich, *args[1:]), fresh(mine.sandwich_backward, *args)
        single = [a.astype(np.float32) for a in args]
        checks.value(mine.sandwich, sandwich, *single[1:])
        checks.value(mine.sandwich_backward, sandwich_backward, *single)
        turned = r(length, n).T[::-1], np.asfortranarray(args[1]), r(2 * length)[::-2]
        checks.value(mine.sandwich, sandwich, *turned[1:], tolerance=TIGHT)
        f = mine.sandwich_backward
        checks.value(f, sandwich_backward, *turned, tolerance=TIGHT)


@knock.check("float16 and longdouble stay what they are, too")
def dtypes(mine, r):
    for dtype in (np.float16, np.longdouble):
        g, x = ((r.integers(5, 2, 4) - 2).astype(dtype) for _ in "gx")
        d = (r.integers(3, 4) + 1).astype(dtype)
        found = {name: getattr(mine, name)(x) for name in ORACLES}
        found["sandwich"] = mine.sandwich(x, d)
        found["gx"], found["gd"] = mine.sandwich_backward(g, x, d)
        kinds = [(name, str(y.dtype)) for name, y in found.items()]
        for name, kind in kinds:
            text = f"{name}: dtype must be {x.dtype}; got {kind}"
            checks.true(kind == str(x.dtype), text, kinds)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    for name, oracle in ORACLES.items():
        f, x = getattr(mine, name), r(2, 4)
        f(x)
        x *= -2  # the same array with other numbers
        what = f"{name} again, after its array was changed in place"
        checks.equal(f(x), oracle(x), what, tolerance=TIGHT)
        for shape in ((2, 2), (4,), (2, 4), (1, 8)):
            x = r(*shape)
            checks.equal(f(x), oracle(x), f"{name}, another shape", tolerance=TIGHT)
    g, x, d = r(2, 4), r(2, 4), r(4)
    for a, name in ((g, "g"), (x, "x"), (d, "d")):
        mine.sandwich(x, d), mine.sandwich_backward(g, x, d)
        a *= -2
        y, both = mine.sandwich(x, d), mine.sandwich_backward(g, x, d)
        what = f"again, after {name} was changed in place"
        checks.equal(y, sandwich(x, d), f"sandwich {what}", tolerance=TIGHT)
        right = sandwich_backward(g, x, d)
        checks.equal(both, right, f"sandwich_backward {what}", tolerance=TIGHT)


INVERSE = "fwht(y) / y.shape[-1]"
SCALED = "fwht(x) / x.shape[-1] ** 0.5"
DOUBLE = "np.float32 if {0}.dtype == np.float32 else np.float64"
BOTH = "return fwht(d * gv), (gv * fwht(x)).sum(axis=0)"

knock.wrong(
    "inverse for backward",
    "backward divides by n: that is the inverse of H; the gradient wants its transpose",
    ("return fwht(g)\n", "return fwht(g) / g.shape[-1]\n"),
)
knock.wrong(
    "half an inverse for backward",
    "backward divides by the root of n; the transform was not normalised",
    ("return fwht(g)\n", "return fwht(g) / g.shape[-1] ** 0.5\n"),
)
knock.wrong(
    "passed through",
    "g comes back as it was; every number of x goes into all of y, so its gradient "
    "comes from all of g",
    ("return fwht(g)\n", "return g.copy()\n"),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: this is the gradient of the plain sum of y",
    ("return fwht(g)\n", "return fwht(0 * g + 1)\n"),
)
knock.wrong(
    "backwards twice",
    "g is transformed twice, which is n * g; once is enough",
    ("return fwht(g)\n", "return fwht(fwht(g))\n"),
)
knock.wrong(
    "reversed",
    "backward gives the transform from its end; the transpose of H is no reversal",
    ("return fwht(g)\n", "return fwht(g)[..., ::-1].copy()\n"),
)
knock.wrong(
    "inverse not divided",
    "inverse does not divide: H H is n I, so twice the transform is n times too large",
    (INVERSE, "fwht(y)"),
)
knock.wrong(
    "inverse divided by the root",
    "inverse divides by the root of n; only the orthonormal transform is so undone",
    (INVERSE, "fwht(y) / y.shape[-1] ** 0.5"),
)
knock.wrong(
    "divided by the rows",
    "inverse divides by the number of rows; n is the length of the last axis",
    (INVERSE, "fwht(y) / len(y)"),
)
knock.wrong(
    "divided by all numbers",
    "inverse divides by how many numbers y has; n is the length of the last axis",
    (INVERSE, "fwht(y) / y.size"),
)
knock.wrong(
    "divided by n",
    "orthonormal divides by n; so the length of x shrinks by the root of n",
    (SCALED, "fwht(x) / x.shape[-1]"),
)
knock.wrong(
    "not normalised",
    "orthonormal does not divide by anything; the root of n is missing",
    (SCALED, "fwht(x)"),
)
knock.wrong(
    "multiplied by the root",
    "orthonormal multiplies by the root of n; it must divide",
    (SCALED, "fwht(x) * x.shape[-1] ** 0.5"),
)
knock.wrong(
    "made of length 1",
    "every result has length 1: you divide by its own length, not by the root of n",
    (SCALED, "(lambda y: y / (y * y).sum(axis=-1, keepdims=True) ** 0.5)(fwht(x))"),
)
knock.wrong(
    "the root is a NumPy number",
    "orthonormal gives float64 for float32: np.sqrt(n) is a float64 number of NumPy's, "
    "which counts like an array; n ** 0.5 is a number of Python's",
    (SCALED, "fwht(x) / np.sqrt(x.shape[-1])"),
    ("from solutions", "import numpy as np\n\nfrom solutions"),
)
knock.wrong(
    "backward not normalised",
    "orthonormal_backward forgets the root of n; a factor of forward is one of "
    "backward, too",
    ("return orthonormal(g)\n", "return fwht(g)\n"),
)
knock.wrong(
    "root the other way",
    "orthonormal_backward multiplies by the root of n; a factor stays what it is on "
    "the way back",
    ("return orthonormal(g)\n", "return fwht(g) * g.shape[-1] ** 0.5\n"),
)
knock.wrong(
    "root taken twice",
    "orthonormal_backward divides by n; forward divides by its root",
    ("return orthonormal(g)\n", "return fwht(g) / g.shape[-1]\n"),
)
knock.wrong(
    "second transform missing",
    "sandwich does not transform again after the diagonal",
    ("return fwht(d * fwht(x))\n", "return d * fwht(x)\n"),
)
knock.wrong(
    "first transform missing",
    "sandwich does not transform before the diagonal",
    ("return fwht(d * fwht(x))\n", "return fwht(d * x)\n"),
)
knock.wrong(
    "diagonal outside",
    "sandwich multiplies by d at the end; it belongs between the two transforms",
    ("return fwht(d * fwht(x))\n", "return d * fwht(fwht(x))\n"),
)
knock.wrong(
    "sandwich divided",
    "sandwich divides by n; the transforms are not normalised here",
    (
        "return fwht(d * fwht(x))\n",
        "return fwht(d * fwht(x)) / x.shape[-1]\n",
    ),
)
knock.wrong(
    "rows not added up",
    "gd has a row for each row of x: all rows share one d, so add them up",
    (BOTH, BOTH.replace(".sum(axis=0)", "")),
)
knock.wrong(
    "mean over the rows",
    "gd is the mean over the rows; it is their sum",
    (BOTH, BOTH.replace("sum(axis=0)", "mean(axis=0)")),
)
knock.wrong(
    "summed along the row",
    "gd is summed over the wrong axis: add up the rows, axis 0",
    (
        BOTH,
        "gd = (gv * fwht(x)).sum(axis=1)\n"
        "    return fwht(d * gv), gd[(0 * d).astype(int)]",
    ),
)
knock.wrong(
    "one row only",
    "gd comes from the first row alone; add up all rows",
    (BOTH, BOTH.replace(".sum(axis=0)", "[0]")),
)
knock.wrong(
    "x for its transform",
    "gd multiplies by x; what d meets is the transform of x",
    (BOTH, BOTH.replace("gv * fwht(x)", "gv * x")),
)
knock.wrong(
    "g for its transform",
    "gd multiplies g itself; g must go back through the last transform first",
    (BOTH, BOTH.replace("gv * fwht(x)", "g * fwht(x)")),
)
knock.wrong(
    "d in its own gradient",
    "gd has d in it; the gradient of a factor is the other factor",
    (BOTH, BOTH.replace("gv * fwht(x)", "d * gv * fwht(x)")),
)
knock.wrong(
    "first transform not gone back",
    "gx stops at the diagonal: there is a transform before it",
    (BOTH, BOTH.replace("fwht(d * gv)", "d * gv")),
)
knock.wrong(
    "last transform not gone back",
    "gx is d * g transformed; g must go back through the last transform before it "
    "meets d",
    (BOTH, BOTH.replace("fwht(d * gv)", "fwht(d * g)")),
)
knock.wrong(
    "d left out",
    "d is missing in gx; so the way back passes the diagonal as if it were 1",
    (BOTH, BOTH.replace("fwht(d * gv)", "fwht(gv)")),
)
knock.wrong(
    "divided by d",
    "gx divides by d: that would undo the forward; a gradient is multiplied by d",
    (BOTH, BOTH.replace("fwht(d * gv)", "fwht(gv / d)")),
)
knock.wrong(
    "gradients exchanged",
    "gd comes first; the order is that of the arguments, gx and then gd",
    (
        BOTH,
        BOTH.replace(
            "return fwht(d * gv), (gv * fwht(x)).sum(axis=0)",
            "return (gv * fwht(x)).sum(axis=0), fwht(d * gv)",
        ),
    ),
)
knock.wrong(
    "two dtypes only",
    "your results are float32 or float64, whatever comes in; keep the dtype, float16 "
    "and longdouble as well",
    (INVERSE, "(fwht(y) / y.shape[-1]).astype(" + DOUBLE.format("y") + ")"),
    (SCALED, "(fwht(x) / x.shape[-1] ** 0.5).astype(" + DOUBLE.format("x") + ")"),
    ("from solutions", "import numpy as np\n\nfrom solutions"),
)
