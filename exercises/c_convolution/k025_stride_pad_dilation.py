"""k025: Stride, padding and dilation

*** | 40 minutes | after k024

Three numbers say where the windows of a convolution lie, the same for rows and columns.

    stride      the window moves by so many pixels: fewer places, a smaller result
    padding     so many rings of zeros are laid around the image first
    dilation    the taps of the kernel are so many pixels apart: it sees further

With xp the padded image, tap (i, j) of the window at place (p, q) sees

    y[n, o, p, q] = sum over c, i, j of
                    w[o, c, i, j] * xp[n, c, p * stride + i * dilation,
                                             q * stride + j * dilation]

    one row of 6 pixels, stride 3, padding 1, a kernel of 2 taps with dilation 2 (the
    rings of zeros are also above and below, but not drawn):

    xp:      0  a  b  c  d  e  f  0
    p = 0    *     *
    p = 1             *     *
                               *     *     does not fit: there are 2 places

From its first to its last tap a kernel of k taps spans dilation * (k - 1) + 1 pixels;
`output_size` counts how often that fits. Pixels that no window sees (a, d, f above) do
not matter to y: their gradient is zero. What the zeros of the padding collect is thrown
away.

Rules: loop over the taps (i, j) only, or not at all. This convolution can train a
network: over all places at once it is many times faster than place by place.

Shapes: x and gx (N, C, H, W), w and gw (O, C, kh, kw), y and g (N, O, oh, ow) with
oh = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1, ow alike.
stride >= 1, padding >= 0 and dilation >= 1 are whole numbers; there is at least one
place: oh >= 1 and ow >= 1.
Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016;
Yu and Koltun, "Multi-scale context aggregation by dilated convolutions", 2016.
Checked: against loops and differences, each option alone and all together; the rules.
"""

import numpy as np


def output_size(size, taps, stride, padding, dilation):
    """How many places a kernel of so many taps has along an axis of ``size`` pixels."""
    return (size + 2 * padding - dilation * (taps - 1) - 1) // stride + 1


def conv2d(x, w, stride, padding, dilation):
    """Every filter at every place of every padded image.

    x and w are floats of one dtype, which y has, too.

    Shapes: x (N, C, H, W), w (O, C, kh, kw), y (N, O, oh, ow).
    """
    raise NotImplementedError("k025: write conv2d")


def conv2d_backward(g, x, w, stride, padding, dilation):
    """The gradients (gx, gw) of `conv2d` with the same options.

    g, x and w are floats of one dtype, which gx and gw have, too.

    Shapes: g (N, O, oh, ow), x and gx (N, C, H, W), w and gw (O, C, kh, kw).
    """
    raise NotImplementedError("k025: write conv2d_backward")
