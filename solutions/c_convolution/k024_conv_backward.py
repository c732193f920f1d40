"""k024: The gradients of a convolution

*** | 30 minutes | after k022, k023

The convolution of k021 has two inputs, so a gradient g that comes from above goes two
ways: on to the image and to the kernel. Every output is a sum of products,

    y[n, o, p, q] = sum over c, i, j of  w[o, c, i, j] * x[n, c, p + i, q + j]

and in each product the gradient of one factor is the other factor, times g. What is
used several times collects several gradients: a pixel from all windows and filters that
see it, a tap of the kernel from all places and images it was used at.

    gw[o, c, i, j]          = sum over n, p, q of  g[n, o, p, q] * x[n, c, p + i, q + j]
    gx[n, c, p + i, q + j] += sum over o of        g[n, o, p, q] * w[o, c, i, j]

With the matrices of k022 this is the gradient of a matrix product Y = W cols, which is
known from any linear layer, and the way back from columns to pixels is k023:

              x --im2col--> cols --W cols--> Y          G: g laid out as Y is
              gx <--col2im-- W^T G <-------- G          gw: G cols^T

im2col(x, kh, kw) gives the columns (C * kh * kw, N * oh * ow), and
col2im(cols, x.shape, kh, kw) adds them back into images; both are imported for you.

(Many books write gx as a convolution of g, padded with zeros, with the kernel turned by
180 degrees and its two channel axes exchanged. It is the same sum in another order.)

Shapes: x and gx (N, C, H, W), w and gw (O, C, kh, kw), g (N, O, oh, ow) with
oh = H - kh + 1 and ow = W - kw + 1.
Source: LeCun et al., "Backpropagation applied to handwritten zip code recognition",
1989; Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.
Checked: against differences of a loop, element by element, with random g; against a
loop on many shapes; that both are transposes of the forward pass.
"""

import numpy as np

from solutions.c_convolution.k022_im2col import im2col
from solutions.c_convolution.k023_col2im import col2im


def conv2d_backward(g, x, w):
    """The gradients (gx, gw) of y = conv2d(x, w), padding 0 and stride 1.

    ``g`` is the gradient by y: gx = dL/dx and gw = dL/dw for a loss L with dL/dy = g.
    g, x and w are floats of one dtype, which gx and gw have, too.

    Shapes: g (N, O, oh, ow), x and gx (N, C, H, W), w and gw (O, C, kh, kw).
    """
    # answer
    filters, _, kh, kw = w.shape
    g = np.swapaxes(g, 0, 1).reshape(filters, -1)  # (O, N * oh * ow), as in k022
    gw = (g @ im2col(x, kh, kw).T).reshape(w.shape)
    gcols = w.reshape(filters, -1).T @ g  # (C * kh * kw, N * oh * ow)
    return col2im(gcols, x.shape, kh, kw), gw
