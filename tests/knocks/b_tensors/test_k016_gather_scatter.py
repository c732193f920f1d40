"""Grader of k016: gather and scatter-add."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Forwards, NumPy's indexing by an array of integers does it all. Backwards, "
        "ask for every row of x: which places of y show it?",
        "out[index] += g reads out[index], adds, and writes: where an index occurs "
        "twice, the second write replaces the first. A loop over all indices would be "
        "right; NumPy has a function that does not forget repeated ones.",
        "out = np.zeros_like(x), then np.add.at(out, index, g).",
    ],
)


def gather(x, index):
    """The definition, one row at a time."""
    y = np.zeros(index.shape + x.shape[1:], x.dtype)
    for at in np.ndindex(*index.shape):
        y[at] = x[int(index[at]) % len(x)]
    return y


def scatter_add(g, x, index):
    """The transpose, one row at a time."""
    out = np.zeros(x.shape, x.dtype)
    for at in np.ndindex(*index.shape):
        row = int(index[at]) % len(x)
        out[row] = out[row] + g[at]
    return out


def draw(r, *tail, negative=False):
    """A table and an index that repeats a row and leaves another out."""
    rows = r.size(3, 5)
    index = r.integers(rows - 1, 2, r.size(2, 4))
    index[1, 0] = index[0, 0]
    index[0, 1] = (index[0, 0] + 1) % (rows - 1)
    if negative:  # two names of the same row
        index[0, 0], index[0, 1], index[1, 1] = rows - 2, -2, -rows
    return r(rows, *tail), index


@knock.check("rows by their numbers, each once")
def rows(mine, r):
    n, d = r.size(3, 4), r.size(2, 3)
    x, index = r(n, d), r.rng.permutation(n)[: r.size(2, 3)]
    checks.value(mine.gather, gather, x, index)
    g = r(*index.shape, d)
    checks.value(mine.gather_backward, scatter_add, g, x, index)


@knock.check("a row that is taken several times collects all its gradients", points=2)
def repeated(mine, r):
    n, d = r.size(3, 5), r.size(1, 3)
    for index in ([1, 0, 1], [0, 0, 0, 0], [2, 1, 2, 1, 1]):
        index = np.array(index)
        x, g = r(n, d), r(len(index), d)
        checks.value(mine.gather_backward, scatter_add, g, x, index)
    x, index = draw(r, r.size(1, 2))
    checks.gradient(mine.gather_backward, gather, x, index, r=r)
    y = r(*index.shape, *x.shape[1:])
    checks.adjoint(
        lambda x: mine.gather(x, index),
        lambda y: mine.gather_backward(y, x, index),
        x,
        y,
        "gather and gather_backward",
    )


@knock.check("negative numbers count from the end; others are an IndexError")
def negative(mine, r):
    for tail in ((r.size(1, 3),), ()):
        x, index = draw(r, *tail, negative=True)
        checks.value(mine.gather, gather, x, index)
        g = r(*index.shape, *tail)
        checks.value(mine.gather_backward, scatter_add, g, x, index)
    for outside in (len(x), -len(x) - 1):
        index = np.array([0, outside])
        what = f"the table has {len(x)} rows, there is no row {outside}"
        checks.raises(IndexError, mine.gather, x, index, what=what)
        g = r(*index.shape)
        checks.raises(IndexError, mine.gather_backward, g, x, index, what=what)


@knock.check("any shape of index, any number of axes of the table, any dtype", points=2)
def shapes(mine, r):
    for shape in ((), (1,), (0,), (r.size(5, 9),), (2, 3), (2, 1, 4), (1, 0, 2)):
        for tail in ((), (r.size(1, 3),), (2, r.size(1, 3))):
            rows = r.size(1, 4)
            index = r.integers(2 * rows, *shape) - rows
            index = np.asarray(index, r.choice(["int64", "int32", "int16"]))
            x, g = r(rows, *tail), r(*shape, *tail)
            checks.value(mine.gather, gather, x, index)
            checks.value(mine.gather_backward, scatter_add, g, x, index)
    index = r.integers(4, 3, 3)[:, ::-1].T
    x = r(2, 3, 4).astype(np.float32).transpose(2, 0, 1)
    g = r(2, 3, 3, 3).astype(np.float32).transpose(1, 2, 0, 3)
    checks.value(mine.gather, gather, x, index)
    checks.value(mine.gather_backward, scatter_add, g, x, index)
    checks.value(mine.gather, gather, r.integers(9, 4, 2), index)


@knock.check("arrays laid out in any order: by columns, turned, backwards, with gaps")
def layouts(mine, r):
    d = r.size(2, 3)
    index = np.array([[0, 1, 2], [3, 0, 1]]) - r.choice([0, 4])
    x, g = r(4, d), r(2, 3, d)
    orders = (
        np.asfortranarray,
        np.ascontiguousarray,
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        lambda a: a[::-1, ..., ::-1].copy()[::-1, ..., ::-1],
    )
    for lay in orders:
        checks.value(mine.gather, gather, lay(x), index)
        checks.value(mine.gather_backward, scatter_add, lay(g), x, index)
        checks.value(mine.gather, gather, x, lay(index))
        checks.value(mine.gather_backward, scatter_add, g, x, lay(index))
        checks.value(mine.gather_backward, scatter_add, lay(g), lay(x), lay(index))


@knock.check("a large table, a row taken 300 times; other rows at the next call")
def large(mine, r):
    x, index = r(300, 2), r.integers(300, 400) - r.integers(2, 400) * 300
    index[0], index[1] = 299, 256
    g = r(400, 2)
    exact = {"tolerance": (1e-13, 1e-13)}
    for numbers in (index, index[::-1].copy()):
        checks.value(mine.gather, gather, x, numbers)
        checks.value(mine.gather_backward, scatter_add, g, x, numbers, **exact)
    often = np.full(300, r.choice([1, -2]))
    checks.value(mine.gather_backward, scatter_add, g[:300], x[:3], often, **exact)


knock.wrong(
    "the last one wins",
    "a row that is taken several times keeps the last gradient only: out[index] += g "
    "reads, adds and writes all at once; use np.add.at(out, index, g)",
    ("np.add.at(out, index, g)", "out[index] += g"),
)
knock.wrong(
    "memory order",
    "g is flattened in the order in which it lies in memory (order='A' or 'K'), index "
    "is not: only g.reshape(-1, ...) or plain indexing gives the same order for both",
    (
        "np.add.at(out, index, g)",
        "g = g.reshape(np.size(index), *x.shape[1:], order='A')\n"
        "    np.add.at(out, np.ravel(index), g)",
    ),
)
knock.wrong(
    "wraps around",
    "numbers outside of the table wrap around (index % V); they must be an IndexError, "
    "in both functions",
    ("return x[index]", "return x[index % len(x)]"),
)
knock.wrong(
    "mean over repetitions",
    "you divide by how often a row was taken; its gradients add up",
    (
        "    return out\n",
        "    times = np.bincount(np.ravel(index) % len(x), minlength=len(x))\n"
        "    times = np.maximum(times, 1).reshape(-1, *[1] * (x.ndim - 1))\n"
        "    return out / times.astype(x.dtype)\n",
    ),
)
knock.wrong(
    "upstream ignored",
    "you count how often each row was taken, and ignore g: add the rows of g",
    ("np.add.at(out, index, g)", "np.add.at(out, index, np.ones_like(g))"),
)
knock.wrong(
    "sign flipped",
    "the gradient has the wrong sign: what comes in is added, not subtracted",
    ("np.add.at(out, index, g)", "np.subtract.at(out, index, g)"),
)
knock.wrong(
    "flat table",
    "single numbers come back, not rows: np.take without axis=0 reads the table as one "
    "long line",
    ("return x[index]", "return np.take(x, index)"),
)
knock.wrong(
    "columns",
    "you take columns; index counts rows, along the first axis",
    ("return x[index]", "return np.take(x, index % x.shape[-1], axis=-1)"),
)
knock.wrong(
    "index flattened",
    "the shape of index is lost: y has the shape index.shape + x.shape[1:]",
    ("return x[index]", "return x[np.ravel(index)]"),
)
knock.wrong(
    "negative means zero",
    "negative numbers are taken as 0; -1 is the last row, -2 the one before it",
    ("return x[index]", "return x[np.where(index < 0, 0, index)]"),
)
knock.wrong(
    "unique names",
    "repeated numbers are added up, but -1 and V - 1 are kept apart, as if they were "
    "two rows: bring negative ones to [0, V) first",
    (
        "np.add.at(out, index, g)",
        "names = np.unique(index)\n"
        "    sums = [g[index == name].sum(axis=0, dtype=x.dtype) for name in names]\n"
        "    out[names] = np.reshape(sums, (len(names), *x.shape[1:]))",
    ),
)
knock.wrong(
    "added to the table",
    "you add g to the rows of x itself; start from zeros of the shape of x",
    ("out = np.zeros_like(x)", "out = x.copy()"),
)
knock.wrong(
    "short result",
    "the result ends at the largest index; rows never taken have gradients too, zeros: "
    "it has the shape of x",
    (
        "out = np.zeros_like(x)",
        "out = np.zeros_like(x[: np.max(index % len(x), initial=0) + 1])",
    ),
)
knock.wrong(
    "always float64",
    "the gradient is float64 for a float32 table: np.zeros_like(x) keeps its dtype",
    ("np.zeros_like(x)", "np.zeros(x.shape)"),
)
