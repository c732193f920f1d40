"""k056: A probe for collapsed experts

**** | 40 minutes | after k020, k054, k055

A mixture of experts can fail in silence. Where a router prefers one expert, that one
learns more, is preferred more, and in the end it does all the work: the routing has
collapsed. The loss does not say so. The shares do (k050, k054), over a batch:

    p[b]     = shares[b] / sum of shares[b]         a row for each image, its sum is 1
    usage    = mean over b of p[b]                  (K,), how much each expert is used
    H(q)     = - sum over k of q[k] * log q[k]      entropy, where 0 * log 0 is 0
    N(q)     = e^H(q)                               effective number, from 1 to K
    dead[k]  = usage[k] < least / K                 less than a part of an even share

N counts as one feels: shares 1/3, 1/3, 1/3, 0 are 3 experts; 0.9, 0.1 are 1.38. With
the usage alone, though, three routings look the same. What tells them apart is how
much the rows differ from it, the information I = H(usage) - mean over b of H(p[b]):

    rows (K = 2)        usage     N(usage)  mean H(p[b])   I        the router is
    1   0  / 1   0      1   0        1           0         0        collapsed
    0.5 0.5/ 0.5 0.5    0.5 0.5      2         log 2       0        indifferent
    1   0  / 0   1      0.5 0.5      2           0       log 2      specialised

I is 0 where all rows are equal, and log K at most.

Then watch a routing while it learns. The layer is the smallest there is: images of one
pixel, x[b] with C channels, of which it makes one number y[b], to be t[b]. The scores
of the attention are linear in x:

    pi   = softmax(x @ weight / T)
    y[b] = sum over k of pi[b, k] * (experts[k] . x[b])
    loss = 1 / (2 N) * sum over b of (y[b] - t[b])^2

    error = (y - t) / N                     gexperts[k] = sum of error * pi[:, k] * x
    gpi[b, k] = error[b] * (experts[k] . x[b])
    gz  = pi * (gpi - sum over j of gpi[:, j] * pi[:, j]) / T       (k054)
    gweight = x^T gz                        each parameter - lr * its gradient

`unfair`, given, is a start where expert 0 is preferred by far. With T = 1 the others
hardly get a gradient, and most often it stays so. With T = 30 at first and 1 at the end
the others learn as well, and two or three of them share the work.

Shapes: shares (N, K), numbers of 0 or more, in each row one above 0 at least; x (N, C),
t (N,), weight (C, K), experts (K, C). All sizes are 1 or more. Floats of one dtype,
which every array of floats that comes back has, too. x @ weight is less than 1e4 in
size, and T from 0.1 to 1e6.
Source: Chen, Dai, Liu, Chen, Yuan and Liu, "Dynamic convolution: Attention over
convolution kernels", CVPR 2020, for the temperature; Hill, "Diversity and evenness",
Ecology 1973, for the effective number.
Checked: usage, numbers and information against loops, with zeros in the shares, one
image, one expert, many; without a warning; steps of training exactly; float32; views;
at last, training over some seeds beside the reference, collapsed and annealed.
"""

import numpy as np


def unfair(c, k, rng):
    """Given: weight (c, k) and experts (k, c); the last channel of x must be 1."""
    weight, experts = 0.1 * rng.standard_normal((c, k)), rng.standard_normal((k, c))
    weight[-1, 0] += 8
    return weight, experts


def usage(shares):
    """The mean share of every expert; rows are divided by their sums before.

    Shapes: shares (N, K), result (K,), a new array; its sum is 1.
    """
    raise NotImplementedError("k056: write usage")


def effective_number(q):
    """e^H(q) along the last axis, without NumPy's warnings; q sums to 1 there.

    Shapes: q (..., K), result (...); a number where q is (K,).
    """
    raise NotImplementedError("k056: write effective_number")


def dead(shares, least):
    """Which experts have a usage below least / K: bools.

    Shapes: shares (N, K), result (K,); least is a number from 0 to 1.
    """
    raise NotImplementedError("k056: write dead")


def information(shares):
    """I, how much the routing depends on the image: a number, without warnings."""
    raise NotImplementedError("k056: write information")


def train(weight, experts, x, t, temperatures, lr):
    """(weight, experts, numbers) after one step on all points for each temperature.

    numbers (steps,) holds N(usage(pi)) of the shares pi in every step, that is before
    the parameters change. Gradients are those of the loss, at the step's temperature,
    by the parameters before the step. Results are new arrays; after no steps numbers is
    empty.

    Shapes: x (N, C), t (N,), weight (C, K), experts (K, C), temperatures (steps,).
    """
    raise NotImplementedError("k056: write train")
