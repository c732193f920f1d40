"""k049: The adaptive Fastfood layer

**** | 30 minutes | after k020, k046

A dense layer of d by d has d * d weights. Fastfood (k046) has three diagonals in their
place, drawn at random and left alone. But a diagonal has a gradient, so it can be
trained like any weight: that is the adaptive Fastfood layer. S, G, B and the bias
learn, and the permutation Pi stays as it was drawn.

    x --V = S H G Pi H B / sqrt(d)--> y --+ bias--> z --ReLU--> h --. w--> one number

    z = V x + bias        V x = fastfood(x, s, g, p, b, 1) of k046, so sigma = 1
    h = max(z, 0)

For d = 1024 the layer has 4 * 1024 parameters, bias included; a dense one has more than
a million.

To see it learn, h is read out by one row of weights w, and the loss is half the mean of
the squared errors over the N points of the batch:

    loss = 1 / (2 N) * sum over i of  (h[i] . w - t[i])^2

One step of plain SGD takes the gradients of this loss by s, g, b, bias and w, all of
them for the parameters as they were before the step, and moves each parameter:

    parameter - lr * gradient        no momentum, no decay, p unchanged

Backwards, begin with the loss: what is its gradient by h[i]? The ReLU lets through what
belongs to z > 0, and nothing where z is 0 or less. The rest is fastfood_backward.

The layer starts as a random Fastfood matrix whose rows all have the length sqrt(2), as
He's rule asks before a ReLU (k020); `start` is given. At the end your layer learns the
function |u . x| for a direction u. A frozen one, where only the bias and w are trained,
learns beside it.

fastfood and fastfood_backward of k046 are there to be used.

Shapes: x and dx (N, d), h and dh (N, d), t (N,); s, g, b, bias, w and their gradients
(d,); p (d,), whole numbers. params = (s, g, b, bias, w). All floats have one dtype,
which the results keep.
Source: Yang et al., "Deep fried convnets", ICCV 2015; He et al., "Delving deep into
rectifiers", 2015.
Checked: the layer against the matrix, written out; gradients against small steps and
that matrix, also where z is exactly 0, tiny or large; steps of SGD exactly, few and
many, also where the loss grows; float32; views; in the end, training over some seeds
beside the reference and beside a frozen layer.
"""

import numpy as np

from solutions.e_fastfood.k046_fastfood_product import fastfood, fastfood_backward


def start(d, rng):
    """Given: params (s, g, b, bias, w) and p to begin with, drawn from ``rng``."""
    g, b = rng.standard_normal(d), rng.choice([-1.0, 1.0], d)
    s = np.full(d, (2 / (g @ g)) ** 0.5)
    w = rng.standard_normal(d) / d**0.5
    return (s, g, b, np.zeros(d), w), rng.permutation(d)


def layer(x, s, g, p, b, bias):
    """h = max(V x + bias, 0) for every row of x; a new array.

    Shapes: x and h (N, d); s, g, p, b and bias (d,).
    """
    # answer
    return np.maximum(fastfood(x, s, g, p, b, 1) + bias, 0)


def layer_backward(dh, x, s, g, p, b, bias):
    """The gradients (dx, ds, dg, db, dbias) of `layer`; ``dh`` is the gradient by h.

    Nothing comes through where V x + bias is exactly 0.

    Shapes: dh and dx (N, d), the others (d,).
    """
    # answer
    dz = dh * (fastfood(x, s, g, p, b, 1) + bias > 0)
    return *fastfood_backward(dz, x, s, g, p, b, 1), dz.sum(axis=0)


def sgd_step(params, p, x, t, lr):
    """The parameters (s, g, b, bias, w) after one step of SGD on all points: a tuple.

    The given arrays are not changed.

    Shapes: x (N, d), t (N,).
    """
    # answer
    s, g, b, bias, w = params
    h = layer(x, s, g, p, b, bias)
    error = (h @ w - t) / len(x)
    _, *grads = layer_backward(np.outer(error, w), x, s, g, p, b, bias)
    grads.append(error @ h)
    return tuple(a - lr * grad for a, grad in zip(params, grads))


def train(params, p, x, t, steps=200, lr=0.1):
    """The parameters after so many steps of SGD, each on all points: a tuple.

    Every step has the same lr, and none is left out. After no steps the values of
    ``params`` come back: the same arrays, or copies. The given arrays are not changed.
    """
    # answer
    for _ in range(steps):
        params = sgd_step(params, p, x, t, lr)
    return tuple(params)
