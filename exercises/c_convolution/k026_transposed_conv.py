"""k026: Transposed convolution

*** | 20 minutes | after k021, k025

A strided convolution makes an image smaller. Its transpose runs the other way and
makes one larger: every pixel of the small image y paints a copy of the kernel, scaled
by the pixel's value. The copies lie `stride` apart, and where they overlap, the paint
adds up.

    x[n, o, p * stride + i, q * stride + j] += y[n, c, p, q] * w[c, o, i, j]
                                               for all c, p, q, i, j

    y: 2 3    w: 1 1 1    stride 2    x: 2 2 2
                                             3 3 3
                                         ---------
                                         2 2 5 3 3

Why "transposed"? A convolution is linear, so it is a matrix A; this is A^T, which makes
    <conv(x), y> = <x, conv_transpose(y)>    for all x and y.
So it is also what sends a gradient back through a convolution. It does not undo the
convolution: A^T A is not the identity. (The letters are those of the convolution: here
the small y is what comes in, and the large x is what comes out.)

Note the order of the axes of w: a kernel that takes C_out channels to C_in in the
convolution takes C_in channels to C_out here, and is not rearranged for that.

Shapes: y (N, C_in, P, Q), w (C_in, C_out, kh, kw),
    x (N, C_out, (P - 1) * stride + kh, (Q - 1) * stride + kw).
Source: Zeiler et al., "Deconvolutional networks", CVPR 2010; Dumoulin and Visin, "A
guide to convolution arithmetic for deep learning", 2016, chapter 4.
Checked: one pixel, overlapping rows of ones, a loop on random shapes and strides (also
those larger than the kernel), and that it is the transpose of a strided convolution.
"""

import numpy as np


def conv_transpose2d(y, w, stride):
    """Every pixel of y paints a scaled copy of the kernel, stride apart.

    The result is x; its dtype is that of products of y and w: np.result_type(y, w).

    Shapes: y (N, C_in, P, Q), w (C_in, C_out, kh, kw),
        x (N, C_out, (P - 1) * stride + kh, (Q - 1) * stride + kw).
    """
    raise NotImplementedError("k026: write conv_transpose2d")
