"""k038: The cheapest groups that see everything

**** | 25 minutes | after k033, k037

A block of clcNet is a pair of layers: an interlaced grouped convolution (k036) from M
inputs to L middle channels with g1 groups and a kernel of A taps (A = 9 for 3x3), then
a grouped 1x1 convolution from L to N outputs with g2 groups.

    x --grouped 3x3, g1 groups--> interlace --grouped 1x1, g2 groups--> y
    M                             L                                     N

Each layer has as many weights as it has multiplications for one pixel of its output
(stride 1), for every weight is used once there. Each of the L middle channels reads
M / g1 channels through A taps, each of the N outputs reads L / g2 channels through one:

    f(g1, g2) = L * (M / g1) * A + N * (L / g2)

More groups are cheaper, but the block must keep a full channel receptive field (k037).
A group of the 1x1 layer reads L / g2 neighbours, and any g1 neighbours come from all g1
groups of the first layer. So the field is full exactly if a group reads as many
channels as there are groups before it:

    g1 * g2 <= L

How many groups are best? By search: g1 must divide M and L, g2 must divide L and N, and
there are few such pairs. Or by calculus, if the groups need not be whole numbers: f
falls in both, so at the best point g1 * g2 = L. Put g2 = L / g1 into f, and see where
its derivative by g1 is zero. With M = L = N = 64 and A = 9:

    g1 = 64, g2 = 1          f = 4672      as in MobileNet
    g1 = 32, g2 = 2          f = 3200      the best whole numbers
    g1 = 24, g2 = 64 / 24    f = 3072      the best of all

Shapes: all arguments are whole numbers, 1 or more.
Source: Zhang, "clcNet: Improving the efficiency of convolutional neural network using
channel local convolutions", CVPR 2018.
Checked: the cost against counting weights; the best pair against trying all, with the
full field tested on the matrix of k037; the optimum against a search by halves.
"""

import numpy as np


def cost(inputs, middle, outputs, area, g1, g2):
    """How many multiplications f(g1, g2) one pixel of the output takes.

    inputs, middle and outputs are M, L and N, area is A. g1 divides inputs and middle,
    g2 divides middle and outputs. A whole number, exact however large it is.
    """
    # answer
    return middle * (inputs // g1) * area + outputs * (middle // g2)


def best_groups(inputs, middle, outputs, area):
    """The cheapest pair (g1, g2) of whole numbers that keeps the full field.

    Among equally cheap pairs any will do.
    """
    # answer
    pairs = [
        (g1, g2)
        for g1 in range(1, middle + 1)
        for g2 in range(1, middle // g1 + 1)
        if inputs % g1 == middle % g1 == 0 and middle % g2 == outputs % g2 == 0
    ]
    return min(pairs, key=lambda pair: cost(inputs, middle, outputs, area, *pair))


def optimum(inputs, middle, outputs, area):
    """(g1, g2, f) where f is least with g1 * g2 = middle, for real g1 and g2 above 0.

    They need not be whole numbers, nor divide anything, and may be less than 1.
    """
    # answer
    g1 = np.sqrt(inputs * middle * area / outputs)
    g2 = np.sqrt(middle * outputs / (inputs * area))
    return g1, g2, 2 * np.sqrt(inputs * middle * area * outputs)
