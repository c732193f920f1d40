"""Grader of k012: sum, mean and variance, backwards."""

from functools import cache

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "An element of x counts in one element of y. Which element of g does it get?",
        "np.expand_dims(g, axis) puts reduced axes back, for numbers, negative ones "
        "and tuples; then NumPy's broadcasting does the rest. With axis=None a g "
        "without axes fits everywhere.",
        "sum: if axis is not None and not keepdims: g = np.expand_dims(g, axis); then "
        "np.broadcast_to(g, x.shape). mean: that divided by x.size // g.size. var: the "
        "gradient of the mean times 2 * (x - x.mean(axis, keepdims=True)).",
    ],
)


def reduced(ndim, axis):
    """The axes that are reduced, as numbers from 0."""
    if axis is None:
        return list(range(ndim))
    return [a % ndim for a in (axis if isinstance(axis, tuple) else (axis,))]


@cache
def groups(shape, axis, keepdims):
    """The shape of the result; for every place in it, the places it is made of."""
    axes = reduced(len(shape), axis)
    found = {}
    for at in np.ndindex(*shape):
        if keepdims:
            to = tuple(0 if a in axes else i for a, i in enumerate(at))
        else:
            to = tuple(i for a, i in enumerate(at) if a not in axes)
        found.setdefault(to, []).append(at)
    if keepdims:
        kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    else:
        kept = tuple(n for a, n in enumerate(shape) if a not in axes)
    return kept, found


def mean_of(values):
    return sum(values) / len(values)


def var_of(values):
    m = mean_of(values)
    return mean_of([(v - m) ** 2 for v in values])


FORWARD = {"sum": sum, "mean": mean_of, "var": var_of}
SLOPE = {  # of one of the values
    "sum": lambda v, values: 1,
    "mean": lambda v, values: 1 / len(values),
    "var": lambda v, values: 2 / len(values) * (v - mean_of(values)),
}


def forward(name):
    def function(x, axis=None, keepdims=False):
        shape, found = groups(x.shape, axis, keepdims)
        y = np.zeros(shape)
        for to, places in found.items():
            y[to] = FORWARD[name]([float(x[at]) for at in places])
        return y

    return function


def backward(name):
    def function(g, x, axis=None, keepdims=False):
        out = np.zeros_like(x)
        for to, places in groups(x.shape, axis, keepdims)[1].items():
            values = [float(x[at]) for at in places]
            for at in places:
                out[at] = float(g[to]) * SLOPE[name](float(x[at]), values)
        return out

    return function


AXES = [
    *(None, 0, 1, 2, -1, -2, -3),
    *((0, 1), (0, 2), (1, 2), (2, 0), (2, 1), (-1, 0), (0, -1), (-2, -1), (-2, 0)),
    *((1,), (0, 1, 2), ()),
]


def gradients(mine, r, name):
    """Central differences for a few shapes; a loop for every axis and keepdims."""
    f = getattr(mine, f"{name}_backward")
    a, b, c, n = r.size(2, 3), r.size(2, 3), r.size(2, 3), r.size(2, 3)
    checks.gradient(f, forward(name), r(a, a + 1), r=r, axis=1)
    checks.gradient(f, forward(name), r(a, b), r=r)
    checks.gradient(f, forward(name), r(a, b, c), r=r, axis=r.choice([0, 1, -2]))
    several = [((a, b, c), axis) for axis in AXES]
    several += [((n, n, n), axis) for axis in (0, -2, (2, 0))]
    several += [((1, b), 0), ((b, 1), 1), ((1,), 0), ((b,), 0), ((b,), -1)]
    for i, (shape, axis) in enumerate(several):
        for keepdims in (False, True) if name == "sum" else [i % 3 == 1]:
            g, x = r(*groups(shape, axis, keepdims)[0]), r(*shape)
            checks.value(f, backward(name), g, x, axis=axis, keepdims=keepdims)


@knock.check("sums along the rows of a square matrix")
def rows(mine, r):
    x = r.rng.permutation(9).reshape(3, 3).astype(float)
    g = r.rng.permutation(np.array([10.0, 20.0, 30.0])) + 1
    checks.value(mine.sum_backward, backward("sum"), g, x, axis=1)
    checks.value(
        mine.sum_backward, backward("sum"), g[:, None], x, axis=1, keepdims=True
    )


@knock.check("the gradient of the sum, for every kind of axis")
def sums(mine, r):
    gradients(mine, r, "sum")


@knock.check("the gradient of the mean, for every kind of axis")
def means(mine, r):
    gradients(mine, r, "mean")


@knock.check("the gradient of the variance, for every kind of axis")
def variances(mine, r):
    gradients(mine, r, "var")


@knock.check("float32 stays float32; views with other strides are right too")
def layout(mine, r):
    x = r(4, 2 * r.size(2, 3), 3).astype(np.float32)[::-1, ::2].swapaxes(0, 2)
    for name in FORWARD:
        f, oracle = getattr(mine, f"{name}_backward"), backward(name)
        for axis in (None, 2, (1, 2)):
            kept = groups(x.shape, axis, False)[0]
            g = r(*kept[::-1]).astype(np.float32).T
            checks.value(f, oracle, g, x, axis=axis)
        square = r(3, 3).T
        for axis in (0, 1, -1):
            checks.value(f, oracle, r(3), square, axis=axis)
        many = r(300, 1)
        checks.value(f, oracle, np.asarray(r()), many, again=False)
        checks.value(f, oracle, r(2), r(3, 2) + 1e4, axis=0)


@knock.check("the dtype is that of x, also where g has another")
def mixed(mine, r):
    x = r(r.size(2, 3), r.size(2, 3))
    for name in FORWARD:
        f, oracle = getattr(mine, f"{name}_backward"), backward(name)
        for axis, keepdims in ((None, False), (1, False), (0, True)):
            g = r(*groups(x.shape, axis, keepdims)[0])
            options = {"axis": axis, "keepdims": keepdims}
            checks.value(f, oracle, g, x.astype("float32"), **options)
            rough, g = (1e-5, 1e-6), np.asarray(g, "float32")
            checks.value(f, oracle, g, x, tolerance=rough, **options)


knock.wrong(
    "upstream ignored",
    "you give ones: that is dy/dx alone; every element must get its share of g, the "
    "gradient from above",
    (
        "return np.broadcast_to(g, x.shape).astype(x.dtype)",
        "return np.ones_like(x)",
    ),
)
knock.wrong(
    "axes not put back",
    "the axes that the sum removed are missing in g, so that g is spread along the "
    "wrong ones: put them back with length 1",
    (
        "if axis is not None and not keepdims:",
        "if axis is not None and keepdims is None:",
    ),
)
knock.wrong(
    "keepdims ignored",
    "with keepdims=True the reduced axes are still there in g: put none back then",
    ("if axis is not None and not keepdims:", "if axis is not None:"),
)
knock.wrong(
    "first axis put back",
    "you put the missing axis back in front; it belongs where it was removed",
    ("np.expand_dims(g, axis)", "np.expand_dims(g, 0)"),
)
knock.wrong(
    "only positive axes",
    "a negative axis counts from the end of x's axes, not of g's, which are fewer",
    (
        "        g = np.expand_dims(g, axis)",
        "        axes = axis if isinstance(axis, tuple) else (axis,)\n"
        "        axes = sorted(a % max(g.ndim, 1) if a < 0 else a for a in axes)\n"
        "        g = g.reshape([n for n in g.shape])\n"
        "        for a in axes:\n"
        "            g = np.expand_dims(g, a)",
    ),
)
knock.wrong(
    "mean not divided",
    "this is the gradient of the sum: a mean passes on 1/n of g to each of its n "
    "elements",
    ("sum_backward(g, x, axis, keepdims) / n", "sum_backward(g, x, axis, keepdims)"),
)
knock.wrong(
    "mean divided by all",
    "you divide by the number of all elements of x; n is how many become one",
    ("n = x.size // g.size", "n = x.size"),
)
knock.wrong(
    "mean divided by the results",
    "you divide by the number of means; n is how many elements go into one of them",
    ("n = x.size // g.size", "n = g.size"),
)
knock.wrong(
    "variance without 2",
    "a factor 2 is missing: the derivative of a square is twice what is squared",
    ("* 2 * centred", "* centred"),
)
knock.wrong(
    "variance not centred",
    "you take x itself for x - m: take the mean away first",
    ("centred = x - x.mean(axis, keepdims=True)", "centred = x"),
)
knock.wrong(
    "variance centred by all",
    "you take away the mean of all elements; each group has a mean of its own",
    ("x - x.mean(axis, keepdims=True)", "x - x.mean()"),
)
knock.wrong(
    "variance divided by n - 1",
    "you divide by n - 1 as for a sample of a larger population; np.var divides by n",
    (
        "return mean_backward(g, x, axis, keepdims) * 2 * centred",
        "n = x.size // g.size\n"
        "    return sum_backward(g, x, axis, keepdims) * 2 * centred / max(n - 1, 1)",
    ),
)
knock.wrong(
    "sign of the variance",
    "the sign is flipped: it is x - m, not m - x",
    (
        "centred = x - x.mean(axis, keepdims=True)",
        "centred = x.mean(axis, keepdims=True) - x",
    ),
)
knock.wrong(
    "always float64",
    "the result is float64 even where x is float32: do not multiply by float64 ones",
    ("np.broadcast_to(g, x.shape).astype(x.dtype)", "g * np.ones(x.shape)"),
)
knock.wrong(
    "dtype of g",
    "the result has the dtype of g where that is another: the gradient of x has the "
    "dtype of x",
    ("np.broadcast_to(g, x.shape).astype(x.dtype)", "np.broadcast_to(g, x.shape)"),
)
