"""k012: Sum, mean and variance, backwards

** | 20 minutes | after k004, k011

A sum over an axis makes many numbers one. Backwards, the one gradient of that number
goes to all of those that were added, whole, for each of them counts once:

    x: 1 2 3   sum over axis 1    y: 6       g: 10    gradient:  10 10 10
       4 5 6          -->            15         20               20 20 20

A mean is the sum divided by n, the number of elements that become one. The variance is
the mean of the squares of what is left of x when its mean m is taken away:

    y = sum x              dy/dx = 1
    y = 1/n sum x          dy/dx = 1/n
    y = 1/n sum (x - m)^2  dy/dx = 2/n (x - m)

(In the last one m depends on x, too. But the x - m add up to 0, and so does what would
come by that way.) The gradient is this times g, the gradient from above.

The work is to bring g to the shape of x again. With keepdims=True the reduced axes are
still there, with length 1. Without, they are gone and must be put back in their places,
or g lands on the wrong axes; for a square x nobody would warn you.

Shapes: x any, g that of the result: np.sum(x, axis, keepdims=keepdims).shape; the
gradient that of x. axis: None (all), a number, or a tuple of them; -1 is the last axis,
and an empty tuple reduces nothing. x and g hold floats, at least one. The dtype of the
gradient is that of x, also where g has another. (A view may come back: nobody writes
to it.)
Source: Baydin, Pearlmutter, Radul and Siskind, "Automatic differentiation in machine
learning: a survey", 2018.
Checked: against central differences, with every kind of axis, with keepdims and
without; float32; views.
"""

import numpy as np


def sum_backward(g, x, axis=None, keepdims=False):
    """The gradient by x of np.sum(x, axis, keepdims=keepdims).

    Shapes: x any, g that of the sum, the result that of x. dtype of x.
    """
    # answer
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)  # the reduced axes again, with length 1
    return np.broadcast_to(g, x.shape).astype(x.dtype)


def mean_backward(g, x, axis=None, keepdims=False):
    """The gradient by x of np.mean(x, axis, keepdims=keepdims).

    Shapes: x any, g that of the mean, the result that of x. dtype of x.
    """
    # answer
    n = x.size // g.size  # elements to each mean
    return sum_backward(g, x, axis, keepdims) / n


def var_backward(g, x, axis=None, keepdims=False):
    """The gradient by x of np.var(x, axis, keepdims=keepdims).

    Shapes: x any, g that of the variance, the result that of x. dtype of x.
    """
    # answer
    centred = x - x.mean(axis, keepdims=True)
    return mean_backward(g, x, axis, keepdims) * 2 * centred
