"""k052: To mix kernels is to mix outputs

*** | 25 minutes | after k025, k051

A convolution is linear in its kernel: convolve with a sum of kernels, and out comes the
sum of what each would have given. So a CondConv layer (k051) is also a mixture of
experts, n small layers whose outputs are added up. There are two ways to compute it:

    kernels   y[b] = x[b] * (sum over i of alpha[b, i] W_i)  +  mixed bias
    outputs   y[b] = sum over i of alpha[b, i] (x[b] * W_i + bias_i)

    mixed bias of image b = sum over i of alpha[b, i] bias_i

    kernels: W_0 W_1 W_2 --alpha[b]--> W          one convolution for each image
    outputs: x[b] --W_0, W_1, W_2--> y_0 y_1 y_2 --alpha[b]--> y[b]

Which way is cheaper? With |W| = O * C * k * k weights in one expert and so many places
in the output, one image takes these multiply-adds:

    kernels   n * |W| + places * |W|      to mix, and to convolve once
    outputs   n * places * |W|            n convolutions

(Not counted: the router, the biases, and the sum of the n outputs.) With many places
the first is nearly n times cheaper. With a single place, as in a linear layer, it is
the second that wins.

Only linearity in w is used. Here the convolution is an argument: conv(x, w) gives
(N, O, oh, ow) of x (N, C, H, W) and w (O, C, kh, kw), without a bias; stride, padding
and dilation are inside, and it may be called for any number of images and filters, 1 or
more, with x and w of one dtype. After a ReLU the two ways are no longer the same.

Rules: call conv no more than needed. Counted are images times filters, over all calls:
N * O for kernels, N * n * O for outputs. For outputs, each image meets each expert as
they are: neither is scaled or mixed before.

Shapes: x (N, C, H, W), alpha (N, n), experts (n, O, C, kh, kw), biases (n, O), y
(N, O, oh, ow). All sizes are 1 or more; shares are any numbers, also below 0. All are
floats of one dtype; conv keeps it, and y has it, too.
Source: Yang, Bender, Le and Ngiam, "CondConv: Conditionally parameterized convolutions
for efficient inference", NeurIPS 2019, section 3.
Checked: both ways against loops, with all kinds of maps that are linear in w; how much
conv is used; the costs, exactly; float32; views; results of their own.
"""

import numpy as np


def mix_kernels(x, alpha, experts, biases, conv):
    """y, where each image is convolved once, with its own sum of the experts.

    Shapes: x (N, C, H, W), alpha (N, n), experts (n, O, C, kh, kw), biases (n, O),
    y (N, O, oh, ow), a new array.
    """
    raise NotImplementedError("k052: write mix_kernels")


def mix_outputs(x, alpha, experts, biases, conv):
    """y, where each image is convolved with every expert, and the outputs are mixed.

    Shapes: as in `mix_kernels`.
    """
    raise NotImplementedError("k052: write mix_outputs")


def costs(channels, filters, kernel, n, places):
    """(kernels, outputs): the multiply-adds of both ways for one image.

    The convolution has kernel x kernel taps. All are whole numbers, also the results;
    3.0 is none.
    """
    raise NotImplementedError("k052: write costs")
