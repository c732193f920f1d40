"""k050: The router of CondConv

** | 25 minutes | after k012, k014

A convolution has one kernel for all images. CondConv has a few, the experts, and a
small router that looks at each image and says how much of each expert it gets. What
it looks at is the mean of every channel over all pixels (global average pooling). A
matrix and a bias make n scores of these C means, the sigmoid makes shares of them:

    m[b, c]     = mean over all pixels of x[b, c]                GAP
    z[b, i]     = sum over c of m[b, c] * weight[c, i] + bias[i]
    alpha[b, i] = 1 / (1 + e^-z[b, i])                           between 0 and 1

    x (N, C, H, W) --GAP--> m (N, C) --weight, bias--> z (N, n) --sigmoid--> alpha

Each image is routed by itself: what else is in the batch does not matter. The shares
of an image need not sum to 1; an expert is on or off whatever the others do.

For z = -1000 the formula says e^1000, more than a float can hold. The result, 0, is
right even then, but NumPy warns. Written with e^z, z = 1000 comes out as NaN. There
are ways without either (k014 knows the function log(1 + e^t) well). NumPy may not be
silenced for the whole program: np.seterr and warnings' filters stay as they were.

Backwards the sigmoid has the derivative alpha * (1 - alpha), and the mean deals out
its gradient evenly: every pixel of a channel gets the same.

(The formula of the paper has no bias, the authors' code has one; a bias of zeros gives
the formula.)

Shapes: x and gx (N, C, H, W), weight and gweight (C, n), bias and gbias (n,), alpha
and g (N, n). All sizes are 1 or more. All are floats of one dtype, which every result
has, too. Scores are up to 1e6 in size, and there are no NaN and no infinities.
Source: Yang, Bender, Le and Ngiam, "CondConv: Conditionally parameterized convolutions
for efficient inference", NeurIPS 2019, section 3.
Checked: alpha against loops over pixels; gradients against small steps and loops, with
random g; scores of 1000 and -1000 without a warning; one pixel, one expert, one image,
and many; float32; views; that results are arrays of their own.
"""

import numpy as np


def route(x, weight, bias):
    """alpha, the share of every expert in every image; without NumPy's warnings.

    Shapes: x (N, C, H, W), weight (C, n), bias (n,), alpha (N, n), a new array.
    """
    raise NotImplementedError("k050: write route")


def route_backward(g, x, weight, bias):
    """The gradients (gx, gweight, gbias) of `route`; ``g`` is the gradient by alpha.

    All three are new arrays that can be written to; no warnings here either.

    Shapes: g (N, n), gx (N, C, H, W), gweight (C, n), gbias (n,).
    """
    raise NotImplementedError("k050: write route_backward")
