"""k032: Pointwise convolution: one matrix product

* | 10 minutes | after k013, k021

A kernel of 1 x 1 sees a single pixel, with all of its channels. It does not look
around: every pixel is a vector of C numbers, and one matrix turns it into a vector of O
numbers, the same matrix for all pixels of all images.

    y[n, o, p, q] = sum over c of  w[o, c, 0, 0] * x[n, c, p, q]

    w (O, C)      pixels of x (C, 4)      pixels of y (O, 4)

    w w w         a b c d                 . . . .
    w w w    @    a b c d            =    . . . .
                  a b c d

Lay the pixels of an image side by side, and it is one matrix product. It is one half of
a separable convolution (k033), and by far the larger half: in MobileNet 97 % of the
work of both.

A pointwise convolution after another one, with nothing between them, is again a
pointwise convolution: `merge` gives its kernel. (That is why an activation, or a
convolution that looks around, has to stand between the two.)

Rules: no loop (a comprehension is a loop, too), and the product is @, np.matmul or
np.dot: no einsum, no tensordot, no ready-made convolution.

Shapes: x (N, C, H, W), w (O, C, 1, 1), y (N, O, H, W).
Source: Lin, Chen and Yan, "Network in network", ICLR 2014.
Checked: against loops over single pixels; pixels in another order; two kernels in turn
against the merged one; views, float32; the rules.
"""

import numpy as np


def pointwise_conv2d(x, w):
    """Every pixel's channels times the matrix of w.

    x and w are floats of one dtype, which y has, too.

    Shapes: x (N, C, H, W), w (O, C, 1, 1), y (N, O, H, W).
    """
    raise NotImplementedError("k032: write pointwise_conv2d")


def merge(second, first):
    """The kernel that does at once what ``first`` does, and then ``second``.

    With it one `pointwise_conv2d` gives what two give in turn, up to rounding. The
    kernels are floats of one dtype, which is kept.

    Shapes: first (M, C, 1, 1), second (O, M, 1, 1), result (O, C, 1, 1).
    """
    raise NotImplementedError("k032: write merge")
