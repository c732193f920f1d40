"""k041: IGCV2: a dense matrix as a product of sparse ones

**** | 25 minutes | after k036, k037, k038

One 1x1 convolution of C channels has C * C weights. IGCV2 writes the matrix as a
product of many sparse ones, each a grouped convolution followed by a permutation:

    y = P_L W_L ... P_2 W_2 P_1 W_1 x

W_l is block diagonal: its C / K_l blocks, here called partitions, are K_l by K_l, and
partition p reads and writes the channels [p * K_l, (p + 1) * K_l). P_l is the interlace
of k035 with C / K_l groups:

    z[p * K + a] = sum over b of  blocks[p, a, b] * x[p * K + b]        W: K = K_l
    y[q]         = z[order[q]]                                          P
    order        = np.arange(C).reshape(C // K, K).T.ravel()

    C = 6 and K = 2, three partitions:   z:  a0 a1 | b0 b1 | c0 c1
                                         y:  a0 b0 c0 a1 b1 c1

The sizes K_1, ..., K_L decide how often an output meets an input. The layers are
complementary if exactly one path (k037) leads from every output to every input: nothing
is missing, and nothing is paid for twice. Find out which sizes do that.

The first layer may be spatial, with a kernel of S taps (S = 9 for 3x3); all others are
1x1. So the weights in all blocks together are C * (S * K_1 + K_2 + ... + K_L). For
C = 64 and S = 9, all of these complementary:

    sizes      64      1, 64    1, 8, 8    1, 4, 4, 4
    weights    36864   4672     1600       1344

Which sizes of L layers are the best? A sum of L numbers with a given product is least
when they are equal. That is the balance condition; the terms of the sum, not the sizes,
are what becomes equal. The sizes need not be whole numbers then.

Shapes: x and y (N, C); layers is a list of one or more arrays, that of layer l is
(C / K_l, K_l, K_l). Every size divides C, and may be 1 or C.
Source: Xie et al., "IGCV2: Interleaved structured sparse convolutional neural
networks", CVPR 2018.
Checked: against loops over dense matrices; numbers of paths; which sizes are
complementary; counts of weights; the balance against many other sizes; float32; views.
"""

import numpy as np


def structured(x, layers):
    """y = P_L W_L ... P_1 W_1 x for every row of x; layers[0] is the first, W_1.

    x and the blocks are floats of one dtype, which y has, too; y is a new array, also
    where it has the numbers of x.

    Shapes: x and y (N, C), layers[l] (C / K, K, K), each with its own K.
    """
    # answer
    for blocks in layers:
        z = x.reshape(len(x), len(blocks), -1)  # (N, partitions, K)
        x = np.einsum("pab,npb->nap", blocks, z).reshape(len(x), -1)
    return x


def path_counts(channels, sizes):
    """How many paths lead from each output to each input, if no weight is zero.

    sizes: the numbers K_1, ..., K_L, in the order in which the data goes through.
    Below 2**60 paths lead from an output to an input, and the counts are exact.

    Shapes: the result is (channels, channels), [output, input], of an integer dtype.
    """
    # answer
    layers = [np.ones((channels // size, size, size), int) for size in sizes]
    return structured(np.eye(channels, dtype=int), layers).T


def is_complementary(channels, sizes):
    """Whether exactly one path leads from every output to every input: True or False.

    sizes: K_1, ..., K_L, as for `path_counts`.
    """
    # answer
    # From every output prod(sizes) paths lead back, and no two meet while they can.
    return bool(np.prod(sizes) == channels)


def weight_count(channels, sizes, area):
    """The number of weights in all blocks, where the first layer has area taps.

    sizes: K_1, ..., K_L, as for `path_counts`; area is S. A whole number, exact however
    large it is.
    """
    # answer
    return channels * (area * sizes[0] + sum(sizes[1:]))


def balance(channels, area, depth):
    """(K_1, K, weights) with the fewest weights, where all sizes multiply to channels.

    K is the size of every layer but the first; depth is the number of layers, L, 2 or
    more. All are real numbers, not rounded; a size may be less than 1.
    """
    # answer
    size = (area * channels) ** (1 / depth)
    return size / area, size, depth * channels * size
