"""k007: A gradient checker

*** | 30 minutes | after k005

Whoever writes a backward function makes mistakes, and training on a wrong gradient
often still works, only worse. So we let the definition of the derivative judge. Move
one number of the input a little to both sides, and see what the output does:

    df/dx[i]  is about  (f(x + h e_i) - f(x - h e_i)) / (2 h)    with h = 1e-6

(two sides, because the error of one side falls with h, that of two sides with h * h).
If f gives an array, weight its elements by a random gradient g from above and add up:

    d<g, f>/dx[i]  is about  (<g, f(x + h e_i)> - <g, f(x - h e_i)>) / (2 h)

    xs --+-- backward(g, *xs) ----------------+
         |                                    +-- close? --> True or False
         +-- f at x + h e_i and x - h e_i ----+

A checker is as good as the mistakes that it catches. Feed ones as g, and a backward
that ignores g passes. Let NumPy broadcast when you compare, and a wrong shape passes.
A tolerance that is too large lets errors through; one that knows no rounding, or
measures a gradient of 0 by its own size, refuses what is right.

Shapes: f(*xs) gives one array (or number) y of any shape; backward(g, *xs) gives one
gradient for each x, each with the shape of its x, in a tuple of arrays (or numbers). It
never gives a bare array or None, and neither of the two raises an exception.
Source: Griewank and Walther, "Evaluating derivatives", 2nd ed., 2008, chapter 1.
Checked: by right backward functions, which your checker must accept, and wrong ones,
which it must reject. Derivatives are between a thousandth and some thousands in size
(or 0), sometimes both in one x or one call. In a wrong gradient some element is off by
a thousandth of its own size or more, in a right one all are off by rounding only.
"""

import numpy as np


def check_gradient(f, backward, xs, rng):
    """Whether ``backward(g, *xs)`` gives the gradients of ``f(*xs)``: True or False.

    xs: a list of float64 arrays of any shape, () too, with one element or more; they
    are left as they are, even if backward writes into what it is given. g, the gradient
    from above, is drawn from the normal distribution by the Generator rng. Each element
    is judged by its own size, however large others are. False too if backward gives too
    few or too many gradients, or one of another shape than its x, or if it changes g or
    an x in place. f itself can be trusted.
    """
    # answer
    xs = [x.copy() for x in xs]
    g = rng.standard_normal(np.shape(f(*xs)))
    given = [np.array(a) for a in (g, *xs)]  # copies: backward may write into them
    gradients = backward(*given)
    if not all(np.array_equal(a, b) for a, b in zip(given, (g, *xs))):
        return False
    if [np.shape(gradient) for gradient in gradients] != [x.shape for x in xs]:
        return False
    h = 1e-6
    for x, gradient in zip(xs, gradients):
        numeric = np.zeros(x.shape)
        for i in np.ndindex(x.shape):
            kept = x[i]
            x[i] = kept + h
            above = np.sum(g * f(*xs))
            x[i] = kept - h
            below = np.sum(g * f(*xs))
            x[i] = kept
            numeric[i] = (above - below) / (2 * h)
        if not np.allclose(gradient, numeric, rtol=1e-5, atol=1e-7):
            return False
    return True
