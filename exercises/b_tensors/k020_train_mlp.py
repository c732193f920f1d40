"""k020: Train a perceptron of two layers

** | 30 minutes | after k013, k015, k019

Two spirals, one turning around the other: no straight line separates them. A layer of
hidden units bends the plane until one does. All parts are known by now; here they come
together for the first time, and something learns.

    before = x w1 + b1                                x -> [ w1, b1 ] -> relu
    hidden = max(before, 0)                                               |
    logits = hidden w2 + b2                      logits <- [ w2, b2 ] <---+

Backwards, the same way in the other direction, with g = dL/dlogits:

    dL/dw2 = hidden^T g      dL/db2 = g, summed over the points
    dL/dbefore = g w2^T where before > 0, else 0
    dL/dw1 = x^T dL/dbefore  dL/db1 = dL/dbefore, summed over the points

The weights must start random, or all hidden units would stay the same for ever; and not
too large nor too small, or signals would explode or fade from layer to layer. A relu
lets through half of the squares, so a weight with fan_in inputs gets the variance
2 / fan_in. Biases start at zero.

Then, again and again: forward, gradient of the loss, backward, one step of Adam. The
loss is the mean cross entropy (k015), over all points at every step.

Shapes: sizes = (D, H, C); x (N, D), y (N,) labels 0 ... C - 1, logits (N, C);
    params = (w1 (D, H), b1 (H,), w2 (H, C), b2 (C,)), and their gradients alike.
Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating
errors", 1986; He et al., "Delving deep into rectifiers", 2015 (the variance).
Checked: the variance of the weights; logits by loops, gradients numerically and, where
a hidden unit is exactly at 0, by loops; few and many steps of training exactly, on few
and many points; float32; at last, your network learns the spirals.
"""

import numpy as np

from solutions.b_tensors.k015_cross_entropy import cross_entropy_backward
from solutions.b_tensors.k019_optimizers import adam


def spirals(n, rng):
    """Given: ``n`` points (n, 2) on two spirals with a little noise, labels (n,)."""
    y = np.arange(n) % 2
    radius = np.sqrt(rng.uniform(0.05, 1, n))
    angle = 3 * np.pi * radius + np.pi * y
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return 2 * x + 0.04 * rng.standard_normal((n, 2)), y


def init(sizes, rng):
    """Start parameters (w1, b1, w2, b2) for sizes (D, H, C), drawn from ``rng``.

    Weights have mean 0 and variance 2 / fan_in (normal or uniform), biases are 0.
    """
    raise NotImplementedError("k020: write init")


def forward(params, x):
    """The logits (N, C) of the points x (N, D), in their dtype.

    All arrays have one dtype, here and below; float32 stays float32.
    """
    raise NotImplementedError("k020: write forward")


def backward(g, params, x):
    """The gradients by w1, b1, w2, b2, from that of the logits, g (N, C).

    Shapes: those of the parameters. Where x w1 + b1 is exactly 0, the relu's is 0.
    """
    raise NotImplementedError("k020: write backward")


def train(params, x, y, steps=300, lr=0.05):
    """The parameters (w1, b1, w2, b2) after some steps of Adam, each on all points.

    The loss is the mean cross entropy; beta1 = 0.9, beta2 = 0.999, eps = 1e-8, and the
    same lr at every step. Every call starts anew, with m = v = 0 and t = 1. The given
    arrays are not changed; after no steps their values come back. The dtype is kept.
    Shapes: x (N, D), y (N,); the result has those of ``params``, a tuple of four.
    """
    raise NotImplementedError("k020: write train")
