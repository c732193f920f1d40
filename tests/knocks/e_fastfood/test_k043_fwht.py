"""Grader of k043: the fast Walsh-Hadamard transform."""

import ast
import tracemalloc
from functools import lru_cache

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.compare import inputs
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Write the transform of two numbers, then that of four with the table of the "
        "story. Which shape does the last axis need, so that the numbers p of all "
        "pairs are one slice of it, and the numbers q another?",
        "For pairs h apart, cut the last axis into (n // (2 * h), 2, h): the axis of "
        "length 2 tells p from q. Only one axis is cut, so reshape gives a view, "
        "however x lies in memory, as long as the axes in front stay as they are.",
        "pairs = x.reshape(*x.shape[:-1], n // (2 * h), 2, h); p, q = pairs[..., 0, :],"
        " pairs[..., 1, :]; pairs[..., 0, :], pairs[..., 1, :] = p + q, p - q; then "
        "h *= 2, while h < n. fwht does that to a copy. Each step makes n numbers.",
    ],
)

TIGHT = (1e-11, 1e-12)
SHAPES = [(2,), (1,), (4,), (8,), (1, 2), (3, 4), (2, 1), (1, 1), (5, 8), (2, 3, 4)]
SHAPES += [(4, 4), (16,), (1, 3, 1, 2), (2, 64)]
OTHERS = [3, 5, 6, 7, 12, 24, 48, 96, 0]
DTYPES = [np.int64, np.int32, np.int16, np.float32, np.float16, np.longdouble]
DENSE = ["matmul", "dot", "inner", "vdot", "vecdot", "matvec", "vecmat", "tensordot"]
DENSE += ["einsum", "linalg", "__matmul__", "__rmatmul__", "__imatmul__"]
HIDDEN = ["map", "vectorize", "frompyfunc", "apply_along_axis"]
LENGTHS = (512, 4096, 16384)
ROOM = 48 * 8  # bytes for each number: a recursion that keeps its arrays needs 42 * 8
VIEWS = [
    lambda m: m,
    lambda m: m[..., ::-1],
    lambda m: m[::-1, 1:2],
    lambda m: m.swapaxes(0, 2),
    lambda m: m.swapaxes(1, 2),
    lambda m: m[1:3, ::3, ::2].swapaxes(0, 1),
    lambda m: m[..., 2, 2:6],
    lambda m: m[..., 3],
]


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


def changed(f, memory, view, what):
    """``f(view(memory))`` must transform what it gets, and nothing else in memory."""
    expected, before = memory.copy(), view(memory).copy()
    view(expected)[...] = transform(before)
    given = inputs(["x"], [before])
    still = memory.copy()
    f(view(memory))
    if np.array_equal(memory, still) and not np.array_equal(expected, still):
        text = f"{what}: x is as it was before; its numbers must be changed\n  with\n"
        raise Mistake(text + given, memory)
    inside, wanted = np.array(view(memory)), view(expected)
    checks.equal(inside, wanted, f"x after {what}", given=given, tolerance=TIGHT)
    view(memory)[...] = wanted
    checks.equal(memory, expected, f"the memory around x after {what}", given=given)


@knock.check("fwht_inplace: two numbers, and four")
def small(mine, r):
    for n in (2, 4):
        x = 1.0 + 3 * r.rng.permutation(n)
        changed(mine.fwht_inplace, x, lambda m: m, "fwht_inplace(x)")


@knock.check("fwht_inplace: many lengths, with axes in front", points=2)
def place(mine, r):
    for shape in [*SHAPES, (r.size(1, 3), r.size(1, 3), 2 ** r.size(0, 4))]:
        changed(mine.fwht_inplace, r(*shape), lambda m: m, "fwht_inplace(x)")


@knock.check("fwht_inplace: views of something larger; float32, whole numbers")
def views(mine, r):
    what = "fwht_inplace(x), x a view of a larger array"
    for view in VIEWS:
        m = r(8, 4, 8)
        changed(mine.fwht_inplace, m, view, what)
        changed(mine.fwht_inplace, r.integers(100, 8, 4, 8) - 50, view, what)
    m = np.asfortranarray(r(4, 3, 8).astype(np.float32))
    what = "fwht_inplace(x), x of float32"
    expected = transform(m)
    mine.fwht_inplace(m)
    checks.equal(m, expected, f"x after {what}")


@knock.check("fwht: a new array of the same numbers; x stays as it is", points=2)
def value(mine, r):
    x = 1.0 + 3 * r.rng.permutation(4)
    checks.value(mine.fwht, transform, x, tolerance=TIGHT)
    for shape in [*SHAPES, (r.size(1, 3), r.size(1, 3), 2 ** r.size(0, 4))]:
        checks.value(mine.fwht, transform, r(*shape), tolerance=TIGHT)
        x = r(*shape)
        text = f"fwht(x), x of shape {shape}: the result shares memory with x"
        y = mine.fwht(x)
        checks.true(not np.shares_memory(y, x), text)
        x *= -2  # the same array with other numbers
        what = "fwht(x), again, after x was changed in place"
        checks.equal(mine.fwht(x), transform(x), what)


@knock.check("fwht: dtype kept; views are right")
def layout(mine, r):
    for view in VIEWS:
        x = view(r(8, 4, 8))
        checks.value(mine.fwht, transform, x, tolerance=TIGHT)
        checks.value(mine.fwht, transform, view(r(8, 4, 8).astype(np.float32)))
    for shape in ((4,), (2, 8), (3, 1)):
        x = r.integers(100, *shape) - 50
        checks.value(mine.fwht, transform, x, again=False)
        checks.value(mine.fwht, transform, np.asfortranarray(r(2, *shape)))
    x = np.broadcast_to(r(4), (3, 4))
    checks.value(mine.fwht, transform, x, again=False)


@knock.check("whole numbers stay exact, and every dtype stays what it is")
def dtypes(mine, r):
    cases = [r.integers(1 << 60, 2, n) - 3 * (1 << 57) for n in (4, 2, 8)]
    cases += [(r.integers(50, 3, 8) - 25).astype(dtype) for dtype in DTYPES]
    for x in cases:
        what = f"fwht_inplace(x), x of {x.dtype}"
        try:
            changed(mine.fwht_inplace, x, lambda m: m, what)
        except Mistake as mistake:
            raise Mistake(mistake.message, ("in place", mistake.evidence)) from None
        checks.value(mine.fwht, transform, x, again=False)


@knock.check("every call makes a new array, for equal numbers as well")
def fresh(mine, r):
    for x in (r(4), r(2, 8), r.integers(100, 3, 4)):
        first = mine.fwht(x)
        checks.equal(first, transform(x), "fwht(x)", tolerance=TIGHT)
        if first.flags.writeable:
            first[...] = 7  # whoever has a result may write to it
        what = "fwht(x), again, after its first result was written to"
        checks.equal(mine.fwht(x), transform(x), what, tolerance=TIGHT)


def long_transform(x):
    """H of a * b numbers has H of b in it, with the signs of H of a."""
    n = x.shape[-1]
    a = 2 ** (n.bit_length() // 2)
    left, right = (signs(m).astype(x.dtype) for m in (a, n // a))
    return (left @ x.reshape(*x.shape[:-1], a, n // a) @ right).reshape(x.shape)


@knock.check("1,024 numbers, and 8,192")
def large(mine, r):
    if max(peak(f, r(512)) for f in (mine.fwht, mine.fwht_inplace)) >= ROOM * 512:
        return  # the check of memory says so; more numbers would take too much here
    for n in (1024, 8192):
        x = r(n)
        expected = long_transform(x)
        what = f"fwht of {n:,} numbers"
        checks.equal(checks.call(mine.fwht, x), expected, what, tolerance=TIGHT)
        mine.fwht_inplace(x)
        what = f"x after fwht_inplace of {n:,} numbers"
        checks.equal(x, expected, what, tolerance=TIGHT)


@knock.check("twice the transform is n times x; rows of H from unit vectors")
def twice(mine, r):
    for n in (1, 2, 32, 128):
        x = r(2, n)
        y = np.array(checks.call(mine.fwht, x))
        back = checks.call(mine.fwht, y)
        what = f"fwht(fwht(x)) against {n} x, x of shape {x.shape}"
        checks.equal(back, n * x, what, tolerance=TIGHT)
        what = f"the sum of squares of fwht(x), divided by that of x, n = {n}"
        checks.equal(np.sum(y**2) / np.sum(x**2), float(n), what, tolerance=TIGHT)
    for n in (8, 64):
        rows = checks.call(mine.fwht, np.eye(n))
        what = f"fwht of all unit vectors of length {n}, against H"
        checks.equal(rows, signs(n).astype(float), what, tolerance=TIGHT)


def refuses(f, x):
    """Whether ``f(x)`` raises ValueError."""
    try:
        f(x)
    except ValueError:
        return True
    return False


@knock.check("other lengths: ValueError, and x stays as it is")
def lengths(mine, r):
    sizes = [*OTHERS, 2 ** r.size(3, 6) - 1, 2 ** r.size(3, 6) + 1]
    shapes = [*((n,) for n in sizes), *((4, n) for n in sizes)]
    for f in (mine.fwht_inplace, mine.fwht):
        kept = [r(*shape) for shape in shapes]
        arrays = [x.copy() for x in kept]
        found = [refuses(f, x) for x in arrays]
        stays = [np.array_equal(x, copy) for x, copy in zip(arrays, kept)]
        for shape, refused, good in zip(shapes, found, stays):
            text = f"{f.__name__}(x), x of shape {shape}: ValueError must be raised"
            checks.true(refused, text, ("refused", found))
            text = f"{f.__name__}(x), x of shape {shape}: x is changed before the error"
            checks.true(good, text, ("as before", stays))
        checks.true(not refuses(f, r(3, 6, 4)), "x of shape (3, 6, 4) is refused")


@knock.check("how many additions there are")
def additions(mine, r):
    sizes = [2, 1, 4, 8, 16, 1024, 2 ** r.size(4, 30), 2 ** r.size(4, 30), 2**40]
    found = [mine.additions(n) for n in sizes]
    for n, received in zip(sizes, found):
        count, done = 0, 1
        while done < n:
            count, done = count + n, 2 * done
        try:
            checks.count(received, count, f"additions({n})")
        except Mistake as mistake:
            raise Mistake(mistake.message, found) from None
        text = f"additions({n}) must be a Python int; got {type(received).__name__}"
        checks.true(type(received) is int, text, found)


@knock.check("the rules: no product of matrices; a loop over the steps only")
def rules(mine, r):
    for f in (mine.fwht, lambda x: (mine.fwht_inplace(x), x)[1]):
        checks.equal(f(r.ties(4) + 0.0).shape, (4,), "the shape of the result")
    checks.banned(mine, *DENSE, *HIDDEN, "scipy", "torch", "minidl")
    for node in ast.walk(ast.parse(mine.source)):
        if isinstance(node, ast.MatMult):
            raise Mistake("@ is not allowed in this knock", "@")
    for f in (mine.fwht, mine.fwht_inplace):
        name = f.__name__
        checks.steps(f, (r(1, 64),), (r(1, 128),), name, "pairs")
        checks.steps(f, (r(2, 16),), (r(40, 16),), name, "rows")


@knock.check("memory for a few copies of x: 512, 4,096 and 16,384 numbers")
def lean(mine, r):
    for f in (mine.fwht, mine.fwht_inplace):
        f(r(8))  # what is loaded at the first call, is loaded now
        for n in LENGTHS:
            used = peak(f, r(n))
            text = f"{f.__name__} of {n:,} numbers uses {used:,} bytes: that is "
            text += f"{used / (8 * n):.0f} times x; does x meet the rows of a matrix?"
            much = used > 8 * ROOM * n  # a whole matrix, or its factors
            checks.true(used < ROOM * n, text, (f.__name__, n, much))


def peak(f, x) -> int:
    """The most bytes that a call has allocated at one time."""
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        f(x)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not running:
            tracemalloc.stop()


@knock.check("2,048 numbers take less time than the dense product", late=True)
def speed(mine, r):
    n = 2048
    matrix, x = np.ones((1, 1)), r(n)
    while len(matrix) < n:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])

    def dense(x):
        return np.einsum("ij,j->i", matrix, x)  # on one core, unlike @

    def inplace(x):
        mine.fwht_inplace(np.array(x))

    what = "fwht of 2,048 numbers (the plain loop is the dense product here)"
    checks.faster(mine.fwht, dense, x, factor=1, what=what)
    what = what.replace("fwht", "fwht_inplace")
    checks.faster(inplace, dense, x, factor=1, what=what)


STEP = "        pairs[..., 0, :], pairs[..., 1, :] = p + q, p - q\n"
COPY = "    y = np.array(x)\n    fwht_inplace(y)\n    return y\n"
STEPS = "    while h < n:\n"
END = "        h *= 2\n"


def inside(dtype):
    """Whole numbers go through another dtype in fwht_inplace."""
    begin = "    kept = x\n    if x.dtype.kind == 'i':\n"
    return (STEPS, f"{begin}        x = x.astype({dtype})\n{STEPS}"), (
        END,
        END + "    kept[...] = x\n",
    )


knock.wrong(
    "sum used for the difference",
    "the difference is taken from the sum, which is in the place of p already; work "
    "out both before you store one",
    (STEP, "        p += q\n        q[...] = p - q\n"),
)
knock.wrong(
    "difference used for the sum",
    "the sum is taken from the difference, which is in the place of q already; work "
    "out both before you store one",
    (STEP, "        q[...] = p - q\n        p += q\n"),
)
knock.wrong(
    "sum and difference exchanged",
    "the difference comes first and the sum second; the sum takes the place of p",
    (STEP, STEP.replace("p + q, p - q", "p - q, p + q")),
)
knock.wrong(
    "difference the other way",
    "the differences have the wrong sign: p - q, where p is in front of q",
    (STEP, STEP.replace("p - q", "q - p")),
)
knock.wrong(
    "normalised",
    "your transform is divided by the root of n; it is not normalised here",
    (STEP, STEP.replace("= p + q, p - q", "= (p + q) / 2**0.5, (p - q) / 2**0.5")),
)
knock.wrong(
    "halved at every step",
    "every step is divided by 2, so that all is divided by n; that is the inverse",
    (STEP, STEP.replace("= p + q, p - q", "= (p + q) / 2, (p - q) / 2")),
)
knock.wrong(
    "last step missing",
    "the last step is missing: the pairs that are n / 2 apart are added, too",
    ("    while h < n:\n", "    while 2 * h < n:\n"),
)
knock.wrong(
    "first step missing",
    "the first step is missing: neighbours are pairs, too, so h begins at 1",
    ("n, h = x.shape[-1], 1\n", "n, h = x.shape[-1], 2\n"),
)
knock.wrong(
    "always neighbours",
    "every step pairs neighbours; the distance h must double from step to step",
    (
        "n // (2 * h), 2, h)  # one axis cut: a view",
        "n // 2, 2, 1)",
    ),
)
knock.wrong(
    "Haar",
    "only the sums are transformed further: that is the Haar transform; the "
    "differences need the next steps as well",
    (
        STEP,
        "        p, q = x[..., 0 :: 2 * h], x[..., h :: 2 * h]\n"
        "        x[..., 0 :: 2 * h], x[..., h :: 2 * h] = p + q, p - q\n",
    ),
)
knock.wrong(
    "bit-reversed order",
    "the numbers are right, but in bit-reversed (Paley) order; natural order is that "
    "of the rows of H",
    (
        "        h *= 2\n",
        "        h *= 2\n"
        "    y = x.reshape(*x.shape[:-1], *(2,) * (n.bit_length() - 1))\n"
        "    lead = x.ndim - 1\n"
        "    axes = [*range(lead), *range(y.ndim - 1, lead - 1, -1)]\n"
        "    x[...] = y.transpose(axes).reshape(x.shape)\n",
    ),
)
knock.wrong(
    "first axis",
    "the transform runs along the first axis; it runs along the last",
    ("n, h = x.shape[-1], 1\n", "x = x.swapaxes(0, -1)\n    n, h = x.shape[-1], 1\n"),
)
knock.wrong(
    "all axes as one",
    "x is transformed as one long vector; every row of the last axis stands for itself",
    ("n, h = x.shape[-1], 1\n", "x = x.reshape(-1)\n    n, h = x.size, 1\n"),
)
knock.wrong(
    "a copy transformed",
    "x itself is not changed: your steps work on another array; write into x itself",
    ("    while h < n:\n", "    x = np.array(x)\n    while h < n:\n"),
)
knock.wrong(
    "reshape that copies",
    "some views stay as they were: reshape(-1, ...) joins the axes in front, and where "
    "x is a view that is possible only in a copy; cut the last axis, and leave the "
    "others alone",
    ("x.reshape(*x.shape[:-1], n // (2 * h), 2, h)", "x.reshape(-1, 2, h)"),
)
knock.wrong(
    "x changed by fwht",
    "fwht changes x, too: transform a copy",
    ("    y = np.array(x)\n", "    y = x\n"),
)
knock.wrong(
    "always float64",
    "the result is float64, whatever x is; keep the dtype of x",
    ("    y = np.array(x)\n", "    y = np.array(x, float)\n"),
)
knock.wrong(
    "one array for all results",
    "results of earlier calls change: all calls share one array for the result",
    (
        "    y = np.array(x)\n",
        "    y = known.setdefault((x.shape, x.dtype), np.array(x))\n    y[...] = x\n",
    ),
    ("import numpy as np\n", "import numpy as np\n\nknown = {}\n"),
)
knock.wrong(
    "x itself for one number",
    "for one number x itself comes back; the result must always be a new array",
    (
        "    y = np.array(x)\n",
        "    if x.shape[-1] == 1:\n        return x\n    y = np.array(x)\n",
    ),
)
knock.wrong(
    "left to reshape",
    "you leave it to reshape to refuse other lengths; that is after the first steps, "
    "and x has been changed by then",
    ("if n < 1 or n & (n - 1):", "if n < 1:"),
)
knock.wrong(
    "nothing is a power of two",
    "a length of 0 must be refused, too: n & (n - 1) is 0 for 0",
    ("if n < 1 or n & (n - 1):", "if n & (n - 1):"),
)
knock.wrong(
    "only odd lengths refused",
    "odd lengths are refused, but 6 or 12 are no powers of two either",
    (
        "    if n < 1 or n & (n - 1):\n",
        "    if n > 0 and n % 2 == 0 and n & (n - 1):\n"
        "        return\n"
        "    if n < 1 or n & (n - 1):\n",
    ),
)
knock.wrong(
    "cut down",
    "other lengths are cut down to a power of two; they must be refused",
    (
        '        raise ValueError(f"fwht: the length must be a power of two; '
        'got {n}")\n',
        "        n = 1 << n.bit_length() - 1 if n else 0\n        x = x[..., :n]\n",
    ),
)
knock.wrong(
    "only pairs counted",
    "you count the pairs; each takes an addition and a subtraction",
    ("n * (n.bit_length() - 1)", "n // 2 * (n.bit_length() - 1)"),
)
knock.wrong(
    "dense count",
    "that is the count of the dense product; here log2(n) steps make n numbers each",
    ("n * (n.bit_length() - 1)", "n * (n - 1)"),
)
knock.wrong(
    "one step too many",
    "you count one step too many: two numbers take one step",
    ("n * (n.bit_length() - 1)", "n * n.bit_length()"),
)
knock.wrong(
    "natural logarithm",
    "your logarithm is not to the base 2",
    ("n * (n.bit_length() - 1)", "n * np.log(n)"),
)
knock.wrong(
    "a product of matrices",
    "this is a product with H: the rules leave @ and its like out",
    (
        COPY,
        "    y = np.eye(x.shape[-1])\n"
        "    fwht_inplace(y)\n"
        "    return (x @ y).astype(x.dtype)\n",
    ),
)
knock.wrong(
    "pair by pair",
    "Python loops over the pairs; slices do one step for all pairs at once",
    (
        STEP,
        "        for i in range(p.shape[-2]):\n"
        "            a, b = p[..., i, :] + q[..., i, :], p[..., i, :] - q[..., i, :]\n"
        "            p[..., i, :], q[..., i, :] = a, b\n",
    ),
)
knock.wrong(
    "row by row",
    "Python loops over the rows; transform all of them at once",
    (
        "    while h < n:\n",
        "    if x.ndim > 1:\n"
        "        for row in x:\n"
        "            fwht_inplace(row)\n"
        "        return\n"
        "    while h < n:\n",
    ),
)
knock.wrong(
    "H built and summed",
    "the result is right, but something in it grows like n * n, as it does when H is "
    "built and every row is multiplied with x",
    (
        COPY,
        "    y = np.eye(x.shape[-1], dtype=x.dtype)\n"
        "    fwht_inplace(y)\n"
        "    return (x[..., None, :] * y).sum(axis=-1, dtype=x.dtype)\n",
    ),
)
for last in (512, 2048):
    knock.wrong(
        f"distances below {last:,}",
        f"the steps end at a distance of {last // 2:,}; longer x need more of them",
        (STEPS, f"    while h < min(n, {last}):\n"),
    )
for name, dtype in (("float64", "float"), ("float32", "np.float32")):
    knock.wrong(
        f"whole numbers through {name}",
        f"fwht turns whole numbers into {name}, and large ones are rounded; add them "
        "as they are",
        (
            COPY,
            f"    y = x.astype({dtype} if x.dtype.kind == 'i' else x.dtype)\n"
            "    fwht_inplace(y)\n"
            "    return y.astype(x.dtype)\n",
        ),
    )
    knock.wrong(
        f"in place through {name}",
        f"fwht_inplace turns whole numbers into {name}, and large ones are rounded; "
        "add them as they are",
        *inside(dtype),
    )
knock.wrong(
    "whole numbers as int32",
    "fwht_inplace works in int32, which large numbers do not fit into; keep int64",
    *inside("np.int32"),
)
knock.wrong(
    "int32 becomes int64",
    "fwht gives int64 for all whole numbers; keep the dtype of x",
    (
        "    y = np.array(x)\n",
        "    y = x.astype(np.int64) if x.dtype.kind == 'i' else np.array(x)\n",
    ),
)
knock.wrong(
    "float16 becomes float32",
    "fwht gives float32 for float16; keep the dtype of x",
    (
        "    y = np.array(x)\n",
        "    y = np.array(x, np.float32 if x.dtype == np.float16 else x.dtype)\n",
    ),
)
knock.wrong(
    "long double becomes double",
    "fwht gives float64 for longdouble; keep the dtype of x",
    (
        "    y = np.array(x)\n",
        "    y = np.array(x, float if x.dtype == np.longdouble else x.dtype)\n",
    ),
)
knock.wrong(
    "results kept for equal numbers",
    "equal numbers get the same array again: whoever writes to one result changes the "
    "other",
    (
        COPY,
        "    key = x.shape, x.dtype.str, x.tobytes()\n"
        "    if key not in known:\n"
        "        y = np.array(x)\n"
        "        fwht_inplace(y)\n"
        "        known[key] = y\n"
        "    return known[key]\n",
    ),
    ("import numpy as np\n", "import numpy as np\n\nknown = {}\n"),
)
knock.wrong(
    "rows met by vecdot",
    "np.vecdot is a dense product as well, each row of H times x; take sums and "
    "differences",
    (
        COPY,
        "    y = np.eye(x.shape[-1], dtype=x.dtype)\n"
        "    fwht_inplace(y)\n"
        "    return np.vecdot(x[..., None, :], y)\n",
    ),
)
knock.wrong(
    "@ by its long name",
    "__matmul__ is what @ calls: this is a dense product, too",
    (
        COPY,
        "    y = np.eye(x.shape[-1], dtype=x.dtype)\n"
        "    fwht_inplace(y)\n"
        "    return x.__matmul__(y)\n",
    ),
)
knock.wrong(
    "factors of H summed",
    "H is cut into two smaller matrices, and x meets all rows of both; that is "
    "n * sqrt(n), and the steps take n * log2(n)",
    (
        COPY,
        "    n = x.shape[-1]\n"
        "    if n < 1 or n & n - 1:\n"
        "        raise ValueError(n)\n"
        "    a = 1 << (n.bit_length() - 1) // 2\n"
        "    left, right = np.eye(a, dtype=x.dtype), np.eye(n // a, dtype=x.dtype)\n"
        "    fwht_inplace(left)\n"
        "    fwht_inplace(right)\n"
        "    y = x.reshape(*x.shape[:-1], a, n // a)\n"
        "    y = (y[..., None, :] * right).sum(axis=-1, dtype=x.dtype)\n"
        "    y = (y[..., None, :, :] * left[:, :, None]).sum(axis=-2, dtype=x.dtype)\n"
        "    return y.reshape(x.shape)\n",
    ),
)
knock.wrong(
    "rows hidden in map",
    "map loops over the rows, too; write one sum and one difference for all of them",
    (
        STEP,
        "        many = [-1, *p.shape[-2:]]\n"
        "        if p.size:\n"
        "            a, b = p.reshape(many), q.reshape(many)\n"
        "            a, b = list(map(np.add, a, b)), list(map(np.subtract, a, b))\n"
        "            p[...] = np.reshape(a, p.shape)\n"
        "            q[...] = np.reshape(b, q.shape)\n",
    ),
)
knock.wrong(
    "additions as a float",
    "additions gives a float; it is a count, so a Python int",
    ("n * (n.bit_length() - 1)", "float(n * (n.bit_length() - 1))"),
)
knock.wrong(
    "additions in 32 bits",
    "your count does not fit into 32 bits for large n; Python's own int has no end",
    (
        "n * (n.bit_length() - 1)",
        "int(np.array(n).astype(np.int32) * np.int32(n.bit_length() - 1))",
    ),
)
