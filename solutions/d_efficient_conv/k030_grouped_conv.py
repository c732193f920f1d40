"""k030: Grouped convolution

** | 25 minutes | after k025

In an ordinary convolution every filter reads every channel. A grouped convolution cuts
the channels into equal groups, in the order in which they stand, and the filters
likewise. A filter reads only the channels of the group that it belongs to:

    x:   0  1  2  |  3  4  5        C = 6 channels, groups = 2
         -------     -------
    y:    0   1   |   2   3         O = 4 filters; 0 and 1 read channels 0, 1 and 2

    y[n, o] = sum over c of the convolution of x[n, first + c] with w[o, c], where
    first   = the first channel of the group of filter o, and c < C / groups

So w is groups times smaller than the kernel of an ordinary convolution, and there is
groups times less to multiply. With one group it is the ordinary one; with as many
groups as channels every filter sees a single channel (k031).

Backward there is nothing new: groups have nothing in common, neither channels nor
filters, so each has the gradients of an ordinary convolution of its own.

To fill up w with zeros and take one ordinary convolution is groups times the work, and
it is not quite the same: 0 * NaN is NaN. NaN and infinities are numbers like others
here, forward and backward: they go where the sums above take them, and that is never
into another group.

The convolution of k025 is there for you, with both of its gradients. Padding and stride
are as there; dilation is always 1 here.

Rules: NumPy and k025 only, no ready-made grouped convolution.

Shapes: x and gx (N, C, H, W), w and gw (O, C / groups, kh, kw), y and g (N, O, oh, ow)
with oh = (H + 2 * padding - kh) // stride + 1, ow alike. groups divides C and O.
Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep
convolutional neural networks", NIPS 2012, where two groups lived on two GPUs.
Checked: against loops over single channels, and small steps for the gradients; from one
group to one channel in each; strides, padding, views, float32; that no group meets
another, with NaN and infinities; the rules.
"""

import numpy as np

from solutions.c_convolution.k025_stride_pad_dilation import conv2d, conv2d_backward


def grouped_conv2d(x, w, groups, stride, padding):
    """Every group of filters at every place of its own group of channels.

    x and w are floats of one dtype, which y has, too.

    Shapes: x (N, C, H, W), w (O, C / groups, kh, kw), y (N, O, oh, ow).
    """
    # answer
    parts = zip(np.split(x, groups, axis=1), np.split(w, groups))
    y = [conv2d(channels, filters, stride, padding, 1) for channels, filters in parts]
    return np.concatenate(y, axis=1)


def grouped_conv2d_backward(g, x, w, groups, stride, padding):
    """The gradients (gx, gw) of `grouped_conv2d` with the same options.

    g, x and w are floats of one dtype, which gx and gw have, too.

    Shapes: g (N, O, oh, ow), x and gx (N, C, H, W), w and gw (O, C / groups, kh, kw).
    """
    # answer
    g, x = np.split(g, groups, axis=1), np.split(x, groups, axis=1)
    parts = zip(g, x, np.split(w, groups))
    both = [conv2d_backward(*part, stride, padding, 1) for part in parts]
    gx, gw = zip(*both)
    return np.concatenate(gx, axis=1), np.concatenate(gw)
