"""k017: The gradient of a maximum, with ties

*** | 20 minutes | after k012

Only the largest element decides what the maximum is: raise it a little, and the maximum
rises as much; move any other, and nothing happens. So the whole gradient goes to the
winner, and zero to the others.

But who is the winner of 3 1 3? Strictly, the maximum has no derivative there. Any way
to share g among the tied elements is a subgradient, and one must be chosen. We choose
*equal shares*:

    y = max of x along the axis
    dL/dx[i] = g / (number of elements equal to y)   where x[i] = y, else 0

    x: 3 1 3    y: 3    g: 10    gradient: 5 0 5
       2 7 4       7        2              0 2 0

That is our convention, and that of torch.amax; torch.max along an axis gives all to one
of them instead. Equal means exactly equal: 3 and 3.000001 do not tie, but two
infinities of the same sign do.

Shapes: y is x without the axis (or axes); with keepdims=True the axis stays, with
length 1. axis is None (all of them), a number or a tuple; negative ones count from the
end. g has the shape of y. x is a float array (float32 or float64) without NaN, g finite
and of the same dtype.
Source: Boyd and Vandenberghe, "Subgradients" (lecture notes, Stanford EE364b), section
on the pointwise maximum.
Checked: without ties numerically; with ties against loops, along every axis; with
infinities, and with many thousand ties.
"""

import numpy as np


def max_along(x, axis=None, keepdims=False):
    """The largest elements of ``x`` along an axis, several axes, or all (None)."""
    return np.max(x, axis=axis, keepdims=keepdims)


def max_backward(g, x, axis=None, keepdims=False):
    """The gradient of `max_along` by ``x``; elements that tie get equal shares.

    Shapes: g that of max_along(x, axis, keepdims) (so with axis=None it may be a NumPy
    number, as that gives), the result that of x, and its dtype.
    """
    # answer
    y = max_along(x, axis, keepdims=True)
    winners = x == y
    count = winners.sum(axis=axis, keepdims=True, dtype=x.dtype)
    return winners * (np.reshape(g, y.shape) / count)
