"""k054: Attention over kernels, with a temperature

*** | 30 minutes | after k014, k050

Dynamic convolution mixes kernels as CondConv does (k051), but its shares sum to 1. They
come from a small network with one hidden layer and end in a softmax, whose scores are
divided by a temperature T first:

    m   = mean over all pixels of x                       GAP          (N, C)
    h   = max(m @ w1 + b1, 0)                             ReLU         (N, M)
    z   = h @ w2 + b2                                     scores       (N, K)
    pi[b, k] = e^(z[b, k] / T) / sum over j of e^(z[b, j] / T)         (N, K)

    scores     2    1    0            T = 1:   0.67 0.24 0.09
                                      T = 30:  0.34 0.33 0.32    nearly even: all
                                      T = 0.1: 1.00 0.00 0.00    kernels learn

As T grows the shares become even, as T goes to 0 the largest score takes all (equal
scores share). To all scores of an image any number can be added: nothing changes. So
the largest can be made 0, and nothing overflows.

Backwards, every score has a part in all shares of its image:

    gz[b, k] = pi[b, k] * (g[b, k] - sum over j of g[b, j] * pi[b, j]) / T

The ReLU lets a gradient through where m @ w1 + b1 is above 0, and none where it is
exactly 0. T is a number that is set, not learned; it gets no gradient.

Shapes: x and gx (N, C, H, W), w1 (C, M), b1 (M,), w2 (M, K), b2 (K,), the same for
their gradients; pi and g (N, K). All sizes are 1 or more. T is a number from 1e-3 to
1e6, a float or an int. The arrays are floats of one dtype, which every result has, too.
Scores are up to 1e6 in size; there are no NaN and no infinities. np.seterr and the
filters of warnings stay as they were.
Source: Chen, Dai, Liu, Chen, Yuan and Liu, "Dynamic convolution: Attention over
convolution kernels", CVPR 2020.
Checked: shares against loops, their sums, adding to all scores, T large and small, with
scores that differ by about T; gradients against small steps and loops, with random g;
scores of 1e6 and -1e6 without a warning; units exactly at 0; float32; views; results of
their own.
"""

import numpy as np


def attention(x, w1, b1, w2, b2, temperature):
    """pi, the shares of all K kernels for each image; without NumPy's warnings.

    Shapes: x (N, C, H, W), w1 (C, M), b1 (M,), w2 (M, K), b2 (K,), pi (N, K), a new
    array.
    """
    raise NotImplementedError("k054: write attention")


def attention_backward(g, x, w1, b1, w2, b2, temperature):
    """The gradients (gx, gw1, gb1, gw2, gb2) of `attention`; ``g`` is that by pi.

    All are new arrays that can be written to; no warnings here either.

    Shapes: g (N, K); each gradient as what it belongs to.
    """
    raise NotImplementedError("k054: write attention_backward")
