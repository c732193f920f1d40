"""k027: Pooling

** | 20 minutes | after k017, k018

Cut each image into square windows and keep one number of each: the largest (max
pooling) or the mean (average pooling). The windows lie side by side, as tiles do; rows
and columns at the end that do not fill a window are dropped. At least one window fits.

Below, the lines | and - are the borders of the windows:

    x: 1 3 | 0 2 | 7     size 2     max: 3 4     mean: 2    2
       2 2 | 4 2 | 7                     6 5           2.25 3.5
       ----+-----+--
       6 0 | 2 5 | 7
       3 0 | 5 2 | 7     the last column is dropped

Backward, max pooling is a switch: the gradient of a window goes, whole, to the pixel
that was the largest, and to no other. If several are equally large (after a ReLU often
all of them are 0), it goes to the first, in the order of reading: row by row, left to
right. Mean pooling sends every pixel of a window an equal share. What was dropped gets
0.

Shapes: x and gx (N, C, H, W), y and g (N, C, H // size, W // size).
Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998
(mean); Ranzato et al., "Unsupervised learning of invariant feature hierarchies with
applications to object recognition", CVPR 2007 (max).
Checked: loops on random shapes, also with rows and columns to drop, negative numbers,
ties and almost-ties; gradients by small steps.
"""

import numpy as np


def max_pool2d(x, size):
    """The largest number of every window of size x size pixels; dtype kept.

    Shapes: x (N, C, H, W), y (N, C, H // size, W // size).
    """
    raise NotImplementedError("k027: write max_pool2d")


def max_pool2d_backward(g, x, size):
    """The gradient gx: that of each window goes to its first maximum.

    g and x are floats of one dtype, which gx has, too.

    Shapes: g (N, C, H // size, W // size), x and gx (N, C, H, W).
    """
    raise NotImplementedError("k027: write max_pool2d_backward")


def avg_pool2d(x, size):
    """The mean of every window of size x size pixels; dtype kept.

    Only the means of whole numbers are float64, as those of np.mean are.

    Shapes: x (N, C, H, W), y (N, C, H // size, W // size).
    """
    raise NotImplementedError("k027: write avg_pool2d")


def avg_pool2d_backward(g, x, size):
    """The gradient gx: that of each window in equal shares.

    g and x are floats of one dtype, which gx has, too.

    Shapes: g (N, C, H // size, W // size), x and gx (N, C, H, W).
    """
    raise NotImplementedError("k027: write avg_pool2d_backward")
