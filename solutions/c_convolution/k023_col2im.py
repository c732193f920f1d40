"""k023: col2im, the transpose of im2col

*** | 20 minutes | after k022

im2col only copies pixels, so it is linear: written as a matrix M of zeros and ones, it
takes all pixels to all entries of the columns. Gradients flow back through a linear map
by its transpose M^T, also called its adjoint. No need to build M: the transpose of
"this entry is a copy of that pixel" is "this entry is added to that pixel".

    im2col:  cols[(c, i, j), (n, p, q)]  =  x[n, c, p + i, q + j]
    col2im:  x[n, c, p + i, q + j]      +=  cols[(c, i, j), (n, p, q)]

Windows overlap, so a pixel collects from all windows that hold it. That is why col2im
is not the inverse of im2col: on an image of ones, 3 x 4 with a 2 x 2 kernel,
col2im(im2col(ones)) counts the windows over each pixel:

    1 2 2 1
    2 4 4 2        corners lie under one window, edges under two, the rest under four
    1 2 2 1

What makes it the transpose is one identity, true for any image x and any columns u; to
test it with random numbers is the quickest test of any backward pass there is:

    sum(im2col(x) * u) = sum(x * col2im(u))

Rows and columns are in the order of k022: (channel, i, j) and (image, p, q).

Shapes: cols (C * kh * kw, N * oh * ow) with oh = H - kh + 1 and ow = W - kw + 1;
shape is the tuple (N, C, H, W) of the result.
Source: Chellapilla, Puri and Simard, "High performance convolutional neural networks
for document processing", 2006; Claerbout, "Basic Earth Imaging", 1995, on adjoints.
Checked: against a loop, the counts of overlaps, the identity above.
"""

import numpy as np


def col2im(cols, shape, kh, kw):
    """Every entry of the columns added to the pixel it is a copy of; dtype kept.

    It may share memory with cols (for a kernel of one tap nothing is added up), but not
    with what an earlier call gave.

    Shapes: cols (C * kh * kw, N * oh * ow), result ``shape`` = (N, C, H, W).
    """
    # answer
    images, channels, height, width = shape
    oh, ow = height - kh + 1, width - kw + 1
    cols = cols.reshape(channels, kh, kw, images, oh, ow)
    x = np.zeros(shape, cols.dtype)
    for i in range(kh):
        for j in range(kw):
            x[:, :, i : i + oh, j : j + ow] += cols[:, i, j].swapaxes(0, 1)
    return x
