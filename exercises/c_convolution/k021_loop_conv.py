"""k021: Convolution by loops

** | 15 minutes | after k011

Slide a small window over an image. At every place, multiply what lies under it by the
kernel and add it all up; do so for every filter, over all channels at once.

    y[n, o, p, q] = sum over c, i, j of  w[o, c, i, j] * x[n, c, p + i, q + j]

    x: 1 2 3 0      w: 1 0      y: 1*1 + 1*5 = 6 ...
       4 5 6 0         0 1
       7 8 9 0

No padding, stride 1: a window must lie inside of the image. As everywhere in deep
learning this is cross-correlation: the kernel is not turned around.

Shapes: x (N, C, H, W), w (O, C, kh, kw), y (N, O, H - kh + 1, W - kw + 1).
Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998.
Checked: against another loop on random shapes, one pixel, impulses.
"""

import numpy as np


def conv2d(x, w):
    """Every filter at every place of every image.

    Shapes: x (N, C, H, W), w (O, C, kh, kw), y (N, O, H - kh + 1, W - kw + 1).
    """
    raise NotImplementedError("k021: write conv2d")
