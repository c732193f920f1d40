"""k036: The interlaced grouped convolution of clcNet

*** | 25 minutes | after k025, k030, k035

A grouped convolution (k030) is cheap because its groups never meet: output group i
reads input group i and nothing else. So two of them in a row are two networks that know
nothing of each other. clcNet deals the outputs out like cards before the next layer
sees them: first channel 0 of every group, then channel 1 of every group, and so on.
Now any `groups` neighbours come from that many different groups.

    z = the grouped convolution of x, L channels in groups of L / groups
    y[:, t * groups + i] = z[:, i * (L / groups) + t]       channel t of group i

    two groups of three:   z:  a0 a1 a2 | b0 b1 b2
                           y:  a0 b0 a1 b1 a2 b2            y[:, p] = z[:, order[p]]
                                                            order = 0 3 1 4 2 5

This is interlace(L, groups) of k035, done to the outputs. The inputs are read in
blocks, as in any grouped convolution. With one group, or with one channel in each,
nothing moves. (Where something moves, the order is its own inverse only if
L = groups * groups.)

The way back begins with the last step: g lies as y does, so first every channel of it
goes to where z has that channel. The rest is the gradient of a grouped convolution.

conv2d and conv2d_backward of k025 are there to be used. The stride is 1, and a kernel
of k by k taps (k odd, mostly 3) has padding k // 2, so the image keeps its size.

Shapes: x and gx (N, C, H, W), w and gw (L, C / groups, k, k), y and g (N, L, H, W);
groups divides C and L. Filters [i * L / groups, (i + 1) * L / groups) of w are those
of group i, which reads channels [i * C / groups, (i + 1) * C / groups) of x.
Source: Zhang, "clcNet: Improving the efficiency of convolutional neural network using
channel local convolutions", CVPR 2018.
Checked: against loops on many shapes, one group and one channel a group among them;
gradients against small steps and loops, with random g; float32; views.
"""

import numpy as np

from solutions.c_convolution.k025_stride_pad_dilation import conv2d, conv2d_backward


def interlaced_conv(x, w, groups):
    """A grouped convolution of x whose output channels are interlaced: y (N, L, H, W).

    x and w are floats of one dtype, which y has, too.

    Shapes: x (N, C, H, W), w (L, C / groups, k, k).
    """
    raise NotImplementedError("k036: write interlaced_conv")


def interlaced_conv_backward(g, x, w, groups):
    """The gradients (gx, gw) of `interlaced_conv`; ``g`` is the gradient by y.

    g, x and w are floats of one dtype, which gx and gw have, too.

    Shapes: g (N, L, H, W), x and gx (N, C, H, W), w and gw (L, C / groups, k, k).
    """
    raise NotImplementedError("k036: write interlaced_conv_backward")
