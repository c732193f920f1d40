"""k031: Depthwise convolution

** | 25 minutes | after k025, k030

The most groups that there can be: every channel is a group of its own (k030 with groups
= C). A filter then slides over one channel and never sees another. Each channel has the
same number M of filters, the channel multiplier, and their results stand side by side:

    x:     0     |     1     |     2        C = 3 channels
    y:   0   1   |   2   3   |   4   5      M = 2 filters on each

    y[n, o, p, q] = sum over i, j of
                    w[o, 0, i, j] * xp[n, own(o), p * stride + i, q * stride + j]

    own(o) = the channel over which filter o slides; xp is x with rings of zeros

There is no sum over channels, so there is no matrix product in it either: one tap of
the kernel multiplies whole images, channel by channel.

The same numbers come from an ordinary convolution whose kernel is nearly empty:
`dense_kernel` has w where a filter meets its own channel, and zeros everywhere else.
That shows what a depthwise convolution is; to compute it that way is C times the work.
And it is not quite the same. A multiplication by zero is no protection, since 0 * NaN
is NaN; in a depthwise convolution what is in one channel, even NaN, can reach only the
filters of this channel. There it does arrive: NaN and infinities are numbers like
others, in x and in w.

Rules: in depthwise_conv2d loop over the taps (i, j) only, or not at all: neither over
channels nor images nor places. No ready-made convolution, not even those of k025 and
k030.

Shapes: x (N, C, H, W), w (C * M, 1, kh, kw), y (N, C * M, oh, ow) with
oh = (H + 2 * padding - kh) // stride + 1, ow alike; `output_size` of k025 is there for
you. dense_kernel gives (C * M, C, kh, kw).
Source: Howard et al., "MobileNets: efficient convolutional neural networks for mobile
vision applications", 2017; Chollet, "Xception: deep learning with depthwise separable
convolutions", CVPR 2017.
Checked: both functions against loops, for several multipliers, strides and paddings;
that the dense kernel makes the same convolution; that nothing comes from another
channel, not even NaN, and that NaN and infinities arrive in their own; views, float32;
the rules.
"""

import numpy as np

from solutions.c_convolution.k025_stride_pad_dilation import output_size


def depthwise_conv2d(x, w, stride, padding):
    """Every filter at every place of its own channel.

    x and w are floats of one dtype, which y has, too. How many filters a channel has
    is len(w) // C.

    Shapes: x (N, C, H, W), w (C * M, 1, kh, kw), y (N, C * M, oh, ow).
    """
    raise NotImplementedError("k031: write depthwise_conv2d")


def dense_kernel(w, channels):
    """The kernel with which an ordinary convolution does the same; dtype kept.

    Its zeros are zeros even if there is a NaN or an infinity in w.

    Shapes: w (C * M, 1, kh, kw), result (C * M, C, kh, kw), with C = channels.
    """
    raise NotImplementedError("k031: write dense_kernel")
