"""k021: Convolution by loops

** | 15 minutes | after k011

Slide a small window over an image. At every place, multiply what lies under it by the
kernel and add it all up; do so for every filter, over all channels at once.

    y[n, o, p, q] = sum over c, i, j of  w[o, c, i, j] * x[n, c, p + i, q + j]

    x: 1 2 3 0      w: 1 0      y: 1*1 + 1*5 = 6 ...
       4 5 6 0         0 1
       7 8 9 0

No padding, stride 1: a window must lie inside of the image (the kernel is never larger
than the image). As everywhere in deep learning this is cross-correlation: the kernel is
not turned around.

Shapes: x (N, C, H, W), w (O, C, kh, kw), y (N, O, H - kh + 1, W - kw + 1).
Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998.
Checked: against another loop on random shapes, among them kernels of one tap, one row
or one column; whole numbers, float32, views; results of earlier calls stay.
"""

import numpy as np


def conv2d(x, w):
    """Every filter at every place of every image, a new array.

    Its dtype is that of products of x and w: np.result_type(x, w). So float32 stays
    float32, and whole-number pixels under a fractional kernel give fractions.

    Shapes: x (N, C, H, W), w (O, C, kh, kw), y (N, O, H - kh + 1, W - kw + 1).
    """
    raise NotImplementedError("k021: write conv2d")
