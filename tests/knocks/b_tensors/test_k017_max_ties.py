"""Grader of k017: the gradient of a maximum, with ties."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Which elements are equal to the maximum of their row? Comparing x with its "
        "maximum, axes kept, answers for all of them at once.",
        "Count the winners along the same axis, and give each g / count. Without "
        "keepdims g lacks the axis: put it back, with length 1, so that it broadcasts.",
        "y = x.max(axis, keepdims=True); winners = x == y; count = winners.sum(axis, "
        "keepdims=True); then winners * (g.reshape(y.shape) / count), in x's dtype.",
    ],
)

AXES = {
    1: (0, -1, None),
    2: (0, 1, -2, None, (1, 0)),
    3: (0, 1, -1, None, (0, 2), (-1, 1)),
}


def maximum(x, axis=None, keepdims=False):
    """The definition by Python's max, one line of numbers at a time."""
    y, lines = kept(x, axis)
    for place, line in lines.items():
        y[place] = max(x[at] for at in line)
    return y if keepdims else y.squeeze(tuple(gone(x, axis)))


def gone(x, axis):
    axes = range(x.ndim) if axis is None else np.atleast_1d(axis)
    return {int(a) % x.ndim for a in axes}


def kept(x, axis):
    """Zeros of the shape of y, axes kept; for each place in it, where in x to look."""
    axes, lines = gone(x, axis), {}
    for at in np.ndindex(*x.shape):
        place = tuple(0 if i in axes else n for i, n in enumerate(at))
        lines.setdefault(place, []).append(at)
    return np.zeros([1 if i in axes else n for i, n in enumerate(x.shape)]), lines


def shares(g, x, axis=None, keepdims=False):
    """Equal shares for those that tie, one line of numbers at a time."""
    out, (y, lines) = np.zeros(x.shape, x.dtype), kept(x, axis)
    g = np.reshape(g, y.shape)
    for place, line in lines.items():
        best = max(x[at] for at in line)
        winners = [at for at in line if x[at] == best]
        for at in winners:
            out[at] = g[place] / len(winners)
    return out


def ask(mine, r, x, axis, keepdims):
    g = np.asarray(r(*maximum(x, axis, keepdims).shape), x.dtype)
    checks.value(mine.max_backward, shares, g, x, axis=axis, keepdims=keepdims)


@knock.check("one winner in every row: it gets the gradient, the others zero")
def winner(mine, r):
    for axis in (1, 0):
        n, m = r.size(2, 4), r.size(3, 5)
        x = r.rng.permutation(n * m).reshape(n, m) - 4.0
        checks.gradient(mine.max_backward, maximum, x, r=r, axis=axis)


@knock.check("several winners: equal shares", points=2)
def ties(mine, r):
    top = 1.0 + r.size(1, 4)
    x = np.array([[top, 0, top], [-top, -top, -top], [0, 0, -1], [2, 1, 0]])
    x = x[:, r.rng.permutation(3)]
    ask(mine, r, x, 1, False)
    ask(mine, r, x.T, 0, False)
    for _ in range(3):
        x = r.ties(r.size(1, 4), r.size(4, 7))
        ask(mine, r, x - 1, r.choice([0, 1, -1]), False)


@knock.check("every axis, several, all; with keepdims and without", points=2)
def axes(mine, r):
    for ndim in (1, 2, 3):
        for axis in AXES[ndim]:
            for keepdims in (False, True):
                x = r.ties(*[r.size(1, 4) for _ in range(ndim)])
                x = x * r.choice([1.0, -1.0])
                ask(mine, r, x, axis, keepdims)
    x = r.rng.permutation(12).reshape(2, 3, 2) / 8.0
    for options in ({"axis": (0, -1)}, {"axis": 1, "keepdims": True}):
        checks.gradient(mine.max_backward, maximum, x, r=r, **options)


@knock.check("square arrays; almost equal is not equal; float32; infinities; views")
def corners(mine, r):
    n = r.size(2, 4)
    for axis in (0, 1):
        for keepdims in (False, True):
            ask(mine, r, r.ties(n, n), axis, keepdims)
            ask(mine, r, r.ties(n, n, n), axis, keepdims)
            ask(mine, r, r.ties(n, 1, 3).astype(np.float32).T, axis, keepdims)
    x = r.ties(2, 5) * 1e-12 + r.choice([0, 1.0, -3.0])
    ask(mine, r, x, 1, False)
    ask(mine, r, 1e9 + 1e-3 * r.ties(3, 4), 0, True)
    x = r(3, 4)
    x[0], x[1, 1:3], x[2, 2:] = -np.inf, np.inf, -np.inf
    ask(mine, r, x, 1, False)
    ask(mine, r, np.array([[0.0, -1, -0.0], [-0.0, 0.0, -2]]), 1, False)
    ask(mine, r, np.array([[5e-324, 0, 5e-324], [1e308, -1e308, 1e308]]), 1, True)
    for kind in (np.float64, np.float32):  # what max_along gives is no array
        x = r.ties(2, 3).astype(kind)
        checks.value(mine.max_backward, shares, kind(r.size(2, 7)), x)
    for axis in (0, 1):  # g by columns, turned, backwards
        x, g = r.ties(3, 2, 4), r(*np.delete((3, 2, 4), axis))
        for lay in (np.asfortranarray, lambda a: a[::-1, ::-1].copy()[::-1, ::-1]):
            checks.value(mine.max_backward, shares, lay(g), x, axis=axis)
            checks.value(mine.max_backward, shares, lay(g), lay(x), axis=axis)


@knock.check("many ties: 256 and more")
def many(mine, r):
    for n in (256, 300, 1024, 70_000):
        for kind in (np.float64, np.float32):
            top = kind(r.size(0, 3))
            line, g = np.full(n, top), r(1).astype(kind)
            what = f"max_backward: {n:,} equal numbers"
            wanted = np.full(n, g[0] / n, kind)
            received = checks.call(mine.max_backward, g[0], line)
            checks.equal(received, wanted, what)
    rows = np.full((300, 2), -1.0)
    rows[7:9, 1], g = -2, r(2)
    wanted = np.where(rows == -1, g / (300, 298), 0)
    received = checks.call(mine.max_backward, g, rows, axis=0)
    checks.equal(received, wanted, "max_backward: two columns of 300 rows")


knock.wrong(
    "everybody gets all",
    "each of the tied elements gets the whole gradient, so more goes out than came in: "
    "divide by their number",
    ("np.reshape(g, y.shape) / count", "np.reshape(g, y.shape)"),
)
knock.wrong(
    "first winner takes all",
    "the first of the tied elements gets everything (argmax); here they share equally",
    (
        "    winners = x == y\n",
        "    axes = range(x.ndim) if axis is None else np.atleast_1d(axis) % x.ndim\n"
        "    last = np.moveaxis(x == y, sorted(axes), range(-len(axes), 0))\n"
        "    flat = last.reshape(*last.shape[: x.ndim - len(axes)], -1)\n"
        "    flat = (np.cumsum(flat, -1) == 1) & flat\n"
        "    flat = flat.reshape(last.shape)\n"
        "    winners = np.moveaxis(flat, range(-len(axes), 0), sorted(axes))\n",
    ),
)
knock.wrong(
    "counted over the whole array",
    "you count the winners of all rows together; count along the axis, for each row",
    (
        "winners.sum(axis=axis, keepdims=True, dtype=x.dtype)",
        "winners.sum(keepdims=True, dtype=x.dtype)",
    ),
)
knock.wrong(
    "counted in a byte",
    "the winners are counted in 8 bits, so that 256 of them are 0 and 300 are 44: "
    "leave out dtype, or count in that of x",
    ("keepdims=True, dtype=x.dtype)", "keepdims=True, dtype=np.uint8).astype(x.dtype)"),
)
knock.wrong(
    "mean",
    "you divide by the number of all elements; only the winners share",
    ("count = winners.sum(", "count = np.ones_like(x).sum("),
)
knock.wrong(
    "upstream ignored",
    "the gradient that comes in from above, g, is ignored",
    ("np.reshape(g, y.shape) / count", "1 / count"),
)
knock.wrong(
    "sign flipped",
    "the sign is flipped: when the winner rises, so does the maximum",
    ("return winners", "return -1 * winners"),
)
knock.wrong(
    "minimum",
    "the gradient goes to the smallest elements",
    (
        "y = max_along(x, axis, keepdims=True)",
        "y = -max_along(-x, axis, keepdims=True)",
    ),
)
knock.wrong(
    "largest of all",
    "only the largest element of the whole array gets a gradient: take the maximum "
    "along the axis",
    (
        "    winners = x == y\n    count = winners.sum(axis=axis, keepdims=True, "
        "dtype=x.dtype)\n",
        "    winners = x == x.max()\n    count = np.maximum(1, winners.sum(axis=axis, "
        "keepdims=True, dtype=x.dtype))\n",
    ),
)
knock.wrong(
    "largest by size",
    "you compare absolute values: -5 is smaller than 3",
    (
        "    y = max_along(x, axis, keepdims=True)\n    winners = x == y\n",
        "    y = max_along(abs(x), axis, keepdims=True)\n    winners = abs(x) == y\n",
    ),
)
knock.wrong(
    "times the maximum",
    "the gradient is multiplied by the maximum; y rises one to one with its winner",
    ("np.reshape(g, y.shape) / count", "np.reshape(g, y.shape) * y / count"),
)
knock.wrong(
    "almost equal",
    "elements that are almost equal share too (np.isclose); only equal ones tie",
    ("winners = x == y", "winners = np.isclose(x, y)"),
)
knock.wrong(
    "always float64",
    "the gradient is float64 for float32 input: dividing by an integer array promotes; "
    "count in x's dtype",
    ("keepdims=True, dtype=x.dtype)", "keepdims=True)"),
)
