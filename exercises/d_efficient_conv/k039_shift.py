"""k039: The shift operation

** | 25 minutes | after k025, k031

A convolution does two things: it mixes channels, and it looks at neighbours. A 1x1
convolution mixes channels for few multiplications. Shift looks at neighbours for none:
every channel is moved as a whole by a few pixels, each in its own direction.

    y[n, c, h, w] = x[n, c, h + dh_c, w + dw_c]       0 where that is outside of x

    one channel,   x:  a b c     (dh, dw) =  y:  b c 0     (dh, dw) =  y:  0 0 0
    3 x 3 pixels       d e f     (0, 1)          e f 0     (-1, 0)         a b c
                       g h i                     h i 0                     d e f

It is a depthwise convolution (k031) with a kernel that has a single 1 and is zero
elsewhere. But nothing is multiplied: a NaN or an infinity is moved like any number, and
if it falls over the edge nothing of it is left, only the 0 that takes its place.

An offset may be larger than the image; then the whole channel is zero. It may even be
10**15, and no memory is as wide as that.

The way back: x[n, c, h, w] went to one place of y at most, so its gradient comes from
there, or is 0 if it fell over the edge.

Which channel moves where? With a kernel of K by K taps (K odd) there are K * K
directions, and each gets C // K**2 of the channels. Those are dealt out one by one: the
first K**2 channels take all directions once, row after row, then the next K**2 do, and
so on. A remainder of less than K**2 channels at the end stays where it is. For K = 3:

    channel      0       1      2      3      4      5      6      7      8
    (dh, dw)  (-1,-1) (-1,0) (-1,1) (0,-1) (0,0)  (0,1)  (1,-1) (1,0)  (1,1)

Of 20 channels 9 to 17 have these directions once more, and 18 and 19 stay.

With a dilation d all of these are d times as far: offsets -d, 0 and d for K = 3, and
-2d, -d, 0, d and 2d for K = 5.

Shapes: x and y, g and gx (N, C, H, W); offsets (C, 2), whole numbers of any sign, where
row c is (dh_c, dw_c).
Source: Wu et al., "Shift: a zero FLOP, zero parameter alternative to spatial
convolutions", CVPR 2018.
Checked: against loops, offsets of any size and sign; gradients against small steps, and
that backward is the transpose; offsets for many C, K and dilations; NaN; float32;
views.
"""

import numpy as np


def shift_offsets(channels, kernel, dilation):
    """The offsets of the story: an integer array (channels, 2) of (dh, dw)."""
    raise NotImplementedError("k039: write shift_offsets")


def shift(x, offsets):
    """Every channel of x moved by its own offset, zeros where there is no x.

    A new array with the dtype of x.

    Shapes: x and result (N, C, H, W), offsets (C, 2).
    """
    raise NotImplementedError("k039: write shift")


def shift_backward(g, offsets):
    """The gradient gx of x, where g is that of y = shift(x, offsets).

    A new array with the dtype of g.

    Shapes: g and gx (N, C, H, W), offsets (C, 2).
    """
    raise NotImplementedError("k039: write shift_backward")
