"""k022: im2col: convolution as one matrix product

*** | 25 minutes | after k021

A loop over places is slow in Python; a matrix product is the fastest thing a computer
does. So copy every window of the image into a column of a matrix. A filter is then a
row of numbers, and convolution is rows times columns: one product for all filters,
all places and all images.

    cols[(c, i, j), (n, p, q)] = x[n, c, p + i, q + j]
    y[o, (n, p, q)] = sum over (c, i, j) of
                      w[o, (c, i, j)] * cols[(c, i, j), (n, p, q)]

An index such as (c, i, j) counts like an odometer: the last number turns fastest, so
it is row (c * kh + i) * kw + j. Columns count likewise: image n, row p, column q.

    x: 1  2  3  4      the place (p, q):  0,0  0,1  0,2  1,0  1,1  1,2
       5  6  7  8
       9 10 11 12      tap (0, 0):         1    2    3    5    6    7
                       tap (0, 1):         2    3    4    6    7    8
    kh = kw = 2        tap (1, 0):         5    6    7    9   10   11
                       tap (1, 1):         6    7    8   10   11   12

Read a column from top to bottom: it is a window. Read a row: it is what one tap of the
kernel sees while the window slides. Pixels are copied up to kh * kw times: memory is
the price of the speed.

Rules: loop over the kernel's taps if you like, but not over places: that is too slow.
In conv2d no loop at all (a comprehension is a loop, too), and the product is @ (or
np.dot, np.matmul): no einsum, no tensordot, no ready-made convolution.

Shapes: x (N, C, H, W), w (O, C, kh, kw), oh = H - kh + 1, ow = W - kw + 1,
cols (C * kh * kw, N * oh * ow), y (N, O, oh, ow).
Source: Chellapilla, Puri and Simard, "High performance convolutional neural networks
for document processing", 2006.
Checked: both functions against loops, in all orders of sizes; the rules.
"""

import numpy as np


def im2col(x, kh, kw):
    """The windows of all images as the columns of one matrix; dtype kept.

    It may be a view of x where that happens to do, as for a kernel of one tap.

    Shapes: x (N, C, H, W), result (C * kh * kw, N * oh * ow). Rows in the order
    (channel, kernel row, kernel column), columns in the order (image, p, q).
    """
    # answer
    images, channels, height, width = x.shape
    oh, ow = height - kh + 1, width - kw + 1
    cols = np.empty((channels, kh, kw, images, oh, ow), x.dtype)
    for i in range(kh):
        for j in range(kw):
            tap = x[:, :, i : i + oh, j : j + ow]  # what it sees: (N, C, oh, ow)
            cols[:, i, j] = tap.swapaxes(0, 1)
    return cols.reshape(channels * kh * kw, images * oh * ow)


def conv2d(x, w):
    """The convolution of k021 as one matrix product with `im2col`'s columns.

    Its dtype is np.result_type(x, w), as there: that is what @ gives by itself.

    Shapes: x (N, C, H, W), w (O, C, kh, kw), y (N, O, oh, ow).
    """
    # answer
    images, _, height, width = x.shape
    filters, _, kh, kw = w.shape
    y = w.reshape(filters, -1) @ im2col(x, kh, kw)  # (O, N * oh * ow)
    y = y.reshape(filters, images, height - kh + 1, width - kw + 1)
    return y.swapaxes(0, 1)
