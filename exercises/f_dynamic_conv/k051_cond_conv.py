"""k051: CondConv: mix the kernels of each image

*** | 35 minutes | after k025, k050

A convolution that costs more is better, mostly. CondConv gets more weights without the
work: it has n kernels, the experts, adds them up in the shares that the router found
for an image (k050), and convolves that image once, with the sum.

    alpha  = route(x, weight, bias)                          (N, n)
    W[b]   = sum over i of alpha[b, i] * experts[i]          a kernel for each image
    y[b]   = x[b] convolved with W[b]

    x --+--route--> alpha --> W = alpha_0 experts_0 + ... + alpha_n-1 experts_n-1
        |                     |
        +--------------------(*)--> y        C * n more multiplications to route and
                                             n * |W| to mix, |W| = O * C * kh * kw

The work of the convolution does not grow with n. The shares are sigmoids, so nothing
is divided by their sum. Padding and stride are those of k025; dilation is 1, and the
convolution has no bias of its own.

Backwards, conv2d_backward gives G[b], the gradient by W[b], for each image. A sum of
products is easy from there:

    gexperts[i] = sum over b of alpha[b, i] * G[b]
    galpha[b,i] = sum over all entries of  G[b] * experts[i]

And x is used twice: by the convolution and by the router. Its gradient has two parts.

route and route_backward of k050, conv2d and conv2d_backward of k025 are there to be
used.

Shapes: x and gx (N, C, H, W), weight and gweight (C, n), bias and gbias (n,), alpha
(N, n), experts and gexperts (n, O, C, kh, kw), y and g (N, O, oh, ow) as in k025. All
sizes are 1 or more. All are floats of one dtype, which every result has, too.
Source: Yang, Bender, Le and Ngiam, "CondConv: Conditionally parameterized convolutions
for efficient inference", NeurIPS 2019, section 3.
Checked: mixed kernels and y against loops, one tap of one expert for one image after
the other; gradients against small steps and such loops, with random g; one expert, one
image, and many; strides and paddings; float32; views; results of their own.
"""

import numpy as np

from solutions.c_convolution.k025_stride_pad_dilation import conv2d, conv2d_backward
from solutions.f_dynamic_conv.k050_gap_router import route, route_backward


def mix(alpha, experts):
    """The kernel of each image: its sum of the experts. A new array.

    Shapes: alpha (N, n), experts (n, O, C, kh, kw), result (N, O, C, kh, kw).
    """
    raise NotImplementedError("k051: write mix")


def cond_conv2d(x, weight, bias, experts, stride, padding):
    """y: each image convolved with its own sum of the experts. A new array.

    Shapes: x (N, C, H, W), weight (C, n), bias (n,), experts (n, O, C, kh, kw),
    y (N, O, oh, ow).
    """
    raise NotImplementedError("k051: write cond_conv2d")


def cond_conv2d_backward(g, x, weight, bias, experts, stride, padding):
    """The gradients (gx, gweight, gbias, gexperts) of `cond_conv2d`: new arrays.

    Shapes: g (N, O, oh, ow); the gradients as x, weight, bias and experts.
    """
    raise NotImplementedError("k051: write cond_conv2d_backward")
