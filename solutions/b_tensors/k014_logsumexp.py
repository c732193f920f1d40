"""k014: Log-sum-exp without overflow

** | 20 minutes | after k012

    y = log(e^x1 + e^x2 + ... + e^xn)

This is a maximum with soft corners: at least the largest x, at most log n above it.
Classifiers are built on it (k015). But computed as it is written it is of no use:

    x = 1000, 999:   e^1000 is more than a float can hold, so y = inf
    x = -1000:       e^-1000 is less than the smallest float, so y = log 0 = -inf

No x is out of reach if only their distances matter. A factor e^m taken out of the sum
leaves the logarithm as + m, whatever m is:

    y = m + log(e^(x1 - m) + ... + e^(xn - m))        m = the largest x

Now the largest term is e^0 = 1, and terms too small for a float would not count anyhow.

The gradient is the share of each term in the sum, called softmax, which has the same
troubles and the same remedy:

    dy/dxi = e^xi / (e^x1 + ... + e^xn)               times g, from above

An x of -inf is a term of 0: a choice that is ruled out. If all are -inf the sum is 0
and y is -inf; there are no shares then, and the gradient is 0.

Shapes: x any, axis a number (-1 is the last) of length 1 or more; y and g as x without
that axis. x holds -inf and numbers of up to 1e300 in size (1e36 in float32), whose
distances a float can hold.
Source: Blanchard, D. Higham and N. Higham, "Accurately computing the log-sum-exp and
softmax functions", 2021.
Checked: against pairwise sums and central differences; values of 1e30, rows at very
different heights, -inf alone and among others; no warnings; float32; views.
"""

import numpy as np


def logsumexp(x, axis):
    """log(sum(exp(x))) along an axis, right for large x, without warnings.

    Shapes: x any, the result that of x without the axis. dtype of x. There may be -inf
    in x (and -inf comes out where there is nothing else), but not inf or NaN.
    """
    # answer
    lowest = np.finfo(x.dtype).min
    top = x.max(axis, keepdims=True, initial=lowest)  # finite even if all are -inf
    with np.errstate(divide="ignore"):  # log 0 = -inf is right there
        y = np.log(np.exp(x - top).sum(axis, keepdims=True)) + top
    return y.squeeze(axis)


def logsumexp_backward(g, x, axis):
    """The gradient by x of logsumexp(x, axis): softmax times g, without warnings.

    Shapes: x any, the result that of x, g that of x without the axis. dtype of x, also
    where g has another. It is exactly 0 where x is -inf, also if nothing else is there.
    """
    # answer
    lowest = np.finfo(x.dtype).min
    top = x.max(axis, keepdims=True, initial=lowest)
    terms = np.exp(x - top)
    total = terms.sum(axis, keepdims=True)  # 1 or more; 0 if all are -inf
    softmax = terms / np.maximum(total, 1)
    softmax *= np.expand_dims(g, axis)  # in place: the dtype stays that of x
    return softmax
