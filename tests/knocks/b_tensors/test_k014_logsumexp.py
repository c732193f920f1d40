"""Grader of k014: log-sum-exp and its gradient."""

import warnings
from functools import wraps

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "What is log(e^1000 + e^999), as 1000 plus something?",
        "Take the maximum along the axis with keepdims=True, subtract it, and add it "
        "again after the logarithm. Where all are -inf subtract a finite number "
        "instead, for -inf - -inf is NaN.",
        "top = x.max(axis, keepdims=True); top = np.where(np.isfinite(top), top, 0); "
        "y = top.squeeze(axis) + np.log(np.exp(x - top).sum(axis)), the logarithm "
        "inside of \"with np.errstate(divide='ignore')\". Gradient: e = np.exp(x - "
        "top), s = e.sum(axis, keepdims=True), np.expand_dims(g, axis) * e / "
        "np.where(s > 0, s, 1), as the dtype of x.",
    ],
)


def muted(f):
    """``f``, with nothing heard of NumPy's warnings: values are looked at first."""

    @wraps(f)
    def function(*args):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f(*args)

    return function


def no_warning(f, *args):
    """NumPy may not warn of anything in f(*args)."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        checks.call(f, *args)
    checks.true(
        not heard,
        f"{f.__name__}: the values are right, but NumPy warns of a "
        f"{heard[0].message if heard else ''}, and whoever uses this is alarmed\n  "
        "with\n"
        f"    x = {args[-2].tolist()}\n    axis = {args[-1]}",
        ("warning", f.__name__),
    )


def along(x, axis):
    """(place in y, places in x) for every sum."""
    axis %= x.ndim
    others = x.shape[:axis] + x.shape[axis + 1 :]
    for to in np.ndindex(*others):
        yield to, [(*to[:axis], i, *to[axis:]) for i in range(x.shape[axis])]


def forward(x, axis):
    """Two terms at a time: the larger one, and log(1 + e^-distance)."""
    axis %= x.ndim
    y = np.zeros(x.shape[:axis] + x.shape[axis + 1 :], x.dtype)
    for to, places in along(x, axis):
        total = -np.inf
        for at in places:
            high, low = max(total, float(x[at])), min(total, float(x[at]))
            total = high if low == -np.inf else high + np.log1p(np.exp(low - high))
        y[to] = total
    return y


def backward(g, x, axis):
    """Each share as 1 / (sum of e^distance)."""
    out = np.zeros_like(x)
    for to, places in along(x, axis):
        for at in places:
            if x[at] > -np.inf:
                with np.errstate(over="ignore"):
                    apart = [np.exp(float(x[b]) - float(x[at])) for b in places]
                out[at] = float(g[to]) / sum(apart)
    return out


def agree(mine, r, x, axis):
    """Both functions against the loops, and without a warning."""
    g = r(*forward(x, axis).T.shape).astype(x.dtype).T
    checks.value(muted(mine.logsumexp), forward, x, axis)
    no_warning(mine.logsumexp, x, axis)
    gx = checks.value(muted(mine.logsumexp_backward), backward, g, x, axis)
    rest = np.where(x == -np.inf, gx, 0)
    if rest.any():
        text = "logsumexp_backward must give exactly 0 where x is -inf; got "
        raise Mistake(f"{text}{np.abs(rest).max():.3g}", rest * 1e30)
    no_warning(mine.logsumexp_backward, g, x, axis)


@knock.check("the logarithm of a sum of exponentials, of small numbers")
def small(mine, r):
    x = np.log(r.rng.permutation(np.arange(1.0, 10)).reshape(3, 3))
    for axis in (1, 0):
        checks.value(mine.logsumexp, forward, x, axis)
    a, b, c = r.size(2, 4), r.size(2, 3), r.size(1, 3)
    for shape in [(a, b, c), (a, a), (1, b), (b, 1), (b,), (1,)]:
        for axis in range(-len(shape), len(shape)):
            checks.value(mine.logsumexp, forward, r(*shape), axis)


@knock.check("its gradient, of small numbers")
def gradient(mine, r):
    a, b, c = r.size(2, 3), r.size(2, 4), r.size(1, 3)
    f = mine.logsumexp_backward
    checks.gradient(f, forward, r(a, a), r=r, axis=r.choice([1, -1]))
    checks.gradient(f, forward, r(a, b), r=r, axis=0)
    for shape in [(a, b, c), (a, a, a), (1, b), (b, 1), (b,), (1,)]:
        for axis in range(-len(shape), len(shape)):
            g = r(*shape[: axis % len(shape)], *shape[axis % len(shape) + 1 :])
            checks.value(f, backward, g, r(*shape), axis)


@knock.check("huge values, and rows at very different heights, without a warning")
def huge(mine, r):
    n = r.size(2, 4)
    agree(mine, r, r(n, n) + 1000, 1)
    agree(mine, r, r(n, n) - 1000, 1)
    agree(mine, r, r(n, n + 1) + 2000 * np.arange(-1, n - 1)[:, None], -1)
    agree(mine, r, r(n + 1, n) + 2000 * np.arange(-1, n - 1), 0)
    agree(mine, r, r(n, n) * 1e4, 0)
    agree(mine, r, np.array([1e30, -1e30, 0, 1e4]), 0)
    agree(mine, r, np.array([[1e300, -1e300], [-1e300, -1e300]]), 1)
    agree(mine, r, np.array([[3e35, -1e36], [-1e36, 1e36]], np.float32), 1)
    x, g = np.full((2, 300), 5.0), r(2)
    checks.value(mine.logsumexp, forward, x, 1, again=False)
    shares = np.repeat(g[:, None] / 300, 300, 1)
    f = mine.logsumexp_backward
    checks.value(f, lambda *_: shares, g, x, 1, again=False)
    agree(mine, r, np.full((2, n), -1e4), 1)
    checks.value(muted(mine.logsumexp), forward, np.full((2, n), -1e30), 1)


@knock.check("-inf among other values, and alone, without a warning")
def holes(mine, r):
    n = r.size(2, 4)
    alone = np.full((2, n), -np.inf)
    mixed = np.concatenate([alone[:1], r(n, n), [[5.0, *alone[0, 1:]]]])
    mixed[1, 0] = mixed[2, -1] = -np.inf
    agree(mine, r, mixed[1:], 1)
    agree(mine, r, mixed, 1)
    agree(mine, r, mixed.T, 0)
    agree(mine, r, alone, 1)
    agree(mine, r, alone, 0)
    some = r(3, n, n) * 1000
    some[r.rng.random(some.shape) < 0.4] = -np.inf
    agree(mine, r, some, r.choice([0, 1, 2, -2]))


@knock.check("float32 stays float32; views with other strides are right too")
def layout(mine, r):
    n = r.size(2, 4)
    x = r(3, 2 * n, 3).astype(np.float32)[::-1, ::2].swapaxes(0, 2)
    for axis in range(3):
        agree(mine, r, x, axis)
    agree(mine, r, (r(n, 3) + 100).astype(np.float32), 1)
    agree(mine, r, (r(n, 3) - 120).astype(np.float32), 1)
    agree(mine, r, np.array([[1e30, 0], [-np.inf, -np.inf]], np.float32), 1)
    agree(mine, r, r(3, 3).T, 1)
    x, f = r(3, 3), mine.logsumexp_backward
    checks.value(f, backward, r(3), x.astype(np.float32), 1)
    g = r(3).astype(np.float32)
    checks.value(f, backward, g, x, 1, tolerance=(1e-5, 1e-6))
    y = mine.logsumexp(r(3).astype(np.float32), 0)
    checks.true(
        type(y) is float or getattr(y, "dtype", None) == np.float32,
        f"logsumexp of a row of float32 must be a float32; got {type(y).__name__}",
    )


knock.wrong(
    "overflow",
    "you take exp of x as it is: e^710 is more than a float64 can hold; take the "
    "maximum away first",
    (
        "        y = np.log(np.exp(x - top).sum(axis, keepdims=True)) + top",
        "        y = np.log(np.exp(x).sum(axis, keepdims=True))",
    ),
)
knock.wrong(
    "maximum not added again",
    "the maximum that you took away must be added again after the logarithm",
    ("sum(axis, keepdims=True)) + top", "sum(axis, keepdims=True))"),
)
knock.wrong(
    "one maximum for all",
    "you take away the maximum of the whole array: a row far below it becomes e^-2000 "
    "= 0; every row needs its own",
    (
        "finite even if all are -inf\n",
        "finite even if all are -inf\n    top = np.full_like(top, top.max())\n",
    ),
)
knock.wrong(
    "only the maximum",
    "this is the maximum alone; the logarithm of the sum is still to be added",
    (
        "y = np.log(np.exp(x - top).sum(axis, keepdims=True)) + top",
        "y = top + 0 * x.sum(axis, keepdims=True)",
    ),
)
knock.wrong(
    "mean of the terms",
    "this is the logarithm of the mean of the terms, log n too low: it is of their sum",
    (
        "np.exp(x - top).sum(axis, keepdims=True)) +",
        "np.exp(x - top).mean(axis, keepdims=True)) +",
    ),
)
knock.wrong(
    "NaN from -inf",
    "where all are -inf the maximum is -inf, too, and -inf - -inf is NaN: take away a "
    "finite number there",
    (
        "    top = x.max(axis, keepdims=True, initial=lowest)  # finite",
        "    top = x.max(axis, keepdims=True)  # finite",
    ),
)
knock.wrong(
    "warning",
    "the values are right, but the logarithm of 0 makes NumPy warn: say that you "
    "expect it, by \"with np.errstate(divide='ignore')\"",
    ('np.errstate(divide="ignore")', "np.errstate()"),
)
knock.wrong(
    "upstream ignored",
    "this is the softmax alone: multiply it by g, the gradient from above",
    ("    softmax *= np.expand_dims(g, axis)", "    # none"),
)
knock.wrong(
    "upstream spread",
    "every element gets all of g; it must get its share only, the softmax",
    (
        "terms / np.maximum(total, 1)",
        "np.isfinite(x).astype(x.dtype)",
    ),
)
knock.wrong(
    "shares of the whole array",
    "your shares add up to 1 over the whole array; they must do so along the axis",
    ("total = terms.sum(axis, keepdims=True)", "total = terms.sum(keepdims=True)"),
)
knock.wrong(
    "upstream on the wrong axis",
    "g has lost the axis: without np.expand_dims(g, axis) it is spread along another "
    "one",
    ("softmax *= np.expand_dims(g, axis)", "softmax = softmax * g"),
)
knock.wrong(
    "gradient overflows",
    "the gradient takes exp of x as it is: the maximum must be taken away there as "
    "well",
    ("terms = np.exp(x - top)", "terms = np.exp(x)"),
    ("np.maximum(total, 1)", "np.where(total > 0, total, 1)"),
)
knock.wrong(
    "gradient NaN from -inf",
    "where all are -inf there are no shares: the gradient is 0 there, not 0 / 0",
    ("terms / np.maximum(total, 1)", "terms / total"),
)
knock.wrong(
    "distances cut off",
    "where x is -inf the gradient must be exactly 0; yours is a tiny number, as if the "
    "distance from the maximum were cut off somewhere",
    (
        "    terms = np.exp(x - top)\n",
        "    terms = np.exp(np.maximum(x - top, -80)) * (x.max(axis, keepdims=True) > "
        "-np.inf)\n",
    ),
)
knock.wrong(
    "dtype of g",
    "the result has the dtype of g where that is another: the gradient of x has the "
    "dtype of x",
    ("softmax *= np.expand_dims(", "softmax = softmax * np.expand_dims("),
)
