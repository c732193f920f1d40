"""k028: Batch normalisation, training and inference

*** | 30 minutes | after k005, k012

Between two layers, numbers drift: some channels grow large, others fade. Batch norm
brings every channel back to mean 0 and variance 1, over all images and pixels of the
batch, and then lets the network choose a scale gamma and a shift beta of its own:

    xhat = (x - m) / sqrt(v + eps)       m, v: mean and variance of a channel over
    y    = gamma * xhat + beta           (N, H, W): count = N * H * W numbers

In training, m and v are the batch's own; v is the biased variance, which divides by
count. On the way, running estimates are kept for later:

    new mean = (1 - momentum) * mean + momentum * m
    new var  = (1 - momentum) * var  + momentum * v * count / (count - 1)

(the unbiased variance goes into the running one, as in PyTorch). Later, an image's
answer may not depend on the others beside it: with train=False, m and v are the running
ones, and they stay as they are.

v is the mean of (x - m)^2. On paper that is the mean of x^2, less m^2; in a computer,
two large numbers would cancel, and in a channel with m = 1e6 few digits would be left.

Backward, remember that m and v depend on every x, too. With dxhat = gamma * g, and avg
for the mean over (N, H, W),

    gx = (dxhat - avg(dxhat) - xhat * avg(dxhat * xhat)) / sqrt(v + eps)

The second term is the way through m, the third the way through v. So gx has nothing
left that shifts a channel as a whole, or stretches it: y would not change.

Shapes: x, y, g, gx (N, C, H, W); gamma, beta, mean, var and their like (C,).
Source: Ioffe and Szegedy, "Batch normalization: accelerating deep network training by
reducing internal covariate shift", ICML 2015, algorithms 1 and 2.
Checked: loops over channels, training and inference; gradients by small steps; channel
means and variances of y; what gx is orthogonal to; a constant channel, gamma = 0, a
channel far away from 0.
"""

import numpy as np


def batch_norm(x, gamma, beta, mean, var, train, momentum, eps):
    """Normalise every channel: (y, new mean, new var); its inputs are left alone.

    All arrays are floats of one dtype, which is kept. If not train, the new mean and
    var may be the arrays that came in.

    Shapes: x and y (N, C, H, W), with two numbers per channel at least if train;
        gamma, beta, mean, var and what comes back for them (C,).
    """
    raise NotImplementedError("k028: write batch_norm")


def batch_norm_backward(g, x, gamma, eps):
    """The gradients (gx, ggamma, gbeta) of batch norm in training; dtype kept.

    Shapes: g, x and gx (N, C, H, W); gamma, ggamma and gbeta (C,).
    """
    raise NotImplementedError("k028: write batch_norm_backward")
