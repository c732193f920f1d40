"""k035: Channel shuffle: interlacing groups

** | 15 minutes | after k030

Grouped convolutions on top of each other have a flaw: what is in one group never meets
what is in another. The remedy costs nothing. Between two of them the channels are put
in another order, so that the next groups find something from everywhere.

Interlacing deals the channels out like cards: the first of every group, then the second
of every group, and so on.

    6 channels in 2 groups:     0  1  2 | 3  4  5

    interlaced:                 0  3    1  4    2  5

The list of these numbers says where each channel comes from. With p the place after the
shuffle,

    y[:, p] = x[:, interlace(C, groups)[p]]          interlace(6, 2) = [0 3 1 4 2 5]

Take care which way you read it: "place 1 gets channel 3" is not "channel 1 goes to
place 3".

Nothing is lost, so the shuffle can be undone; what undoes it is again an interlacing,
of the same channels in another number of groups. Find out which: it is also what
backward does, for a gradient goes back to the place that its number came from.

Shapes: x, y, g and gx (N, C, H, W); interlace gives C whole numbers. groups divides C
and may be anything from 1 to C.
Source: Zhang, "clcNet: improving the efficiency of convolutional neural network using
channel local convolutions", CVPR 2018; Zhang, Zhou, Lin and Sun, "ShuffleNet", CVPR
2018.
Checked: lists for all sorts of C and groups, channels one by one, gradients by small
steps; that backward undoes the shuffle and is its transpose; views, float32.
"""

import numpy as np


def interlace(channels, groups):
    """Where the channels come from: a new array of so many whole numbers."""
    raise NotImplementedError("k035: write interlace")


def shuffle(x, groups):
    """The channels of all images, interlaced; dtype kept.

    Place p gets channel interlace(C, groups)[p]. It may share memory with x, which is
    not changed.

    Shapes: x and result (N, C, H, W).
    """
    raise NotImplementedError("k035: write shuffle")


def shuffle_backward(g, groups):
    """The gradient gx of x, from the gradient g of shuffle(x, groups); dtype kept.

    It may share memory with g, which is not changed.

    Shapes: g and gx (N, C, H, W).
    """
    raise NotImplementedError("k035: write shuffle_backward")
