"""k047: Padding and stacking to n outputs

*** | 25 minutes | after k046

A Fastfood block (k046) maps d numbers to d numbers, and d is a power of two. Data has
d0 numbers, any count, and a layer wants n outputs, any count again. Two tricks help.

Padding: zeros are put behind the d0 numbers, up to d, the next power of two; if d0 is
one already, d = d0. Zeros change nothing: they only meet columns of V that are not
needed.

Stacking: L blocks, each with its own S, G, Pi and B, all read the same padded x. Their
outputs are put one behind the other, L * d of them; of these the first n are kept.

    x = (x0 x1 x2 x3 x4)   d0 = 5, n = 18

    padded, d = 8:          (x0 x1 x2 x3 x4 0 0 0)
                             |         |         |
                          block 0   block 1   block 2        L = 3: 2 are too few
                             |         |         |
                         y0 ... y7 y8 ... y15 y16 y17 | dropped: 6 outputs

    y[l * d + i] = (V_l x)[i]        V_l = S_l H G_l Pi_l H B_l / (sigma * sqrt(d))

The rows of one block depend on each other; blocks with numbers of their own do not. d,
here and in the constant, is the padded length.

What is stored, for L = number_of_blocks(d0, n):

    parameters   the diagonals of all blocks, all entries, needed or not
    bytes        these, 4 bytes each, and the permutations, 4 bytes for each number

All counts are whole numbers (3.0 is none), and exact for all d0 and n up to 2**62.

A dense layer stores d0 * n parameters. In LeNet, 800 numbers become 500 by 400,000
weights, and the network has 430,500 (biases not counted). With Fastfood the 800 are
padded to 1024; for n = 2048 two blocks have 6,144 parameters, 10 * 2048 more lead on to
the 10 classes, and with the 25,500 of the convolutions that makes 52,124.

The numbers of all blocks come stacked, too: s[l], g[l], p[l] and b[l] belong to block
l. fastfood of k046 is there to be used.

Shapes: x (N, d0), y (N, n); s, g, p and b (L, d); sigma is a number above 0. d0 and n
are 1 or more. x, s, g and b are floats of one dtype, and so is every result.
Source: Le, Sarlos and Smola, "Fastfood", ICML 2013; the LeNet of Yang et al., "Deep
fried convnets", ICCV 2015.
Checked: padding for many lengths, around all powers of two up to 2**60; y against the
matrices of all blocks, 1 to 40 of them, written out, below each other; the counts,
those of LeNet and very large ones among them; float32; views.
"""

import numpy as np

from solutions.e_fastfood.k046_fastfood_product import fastfood


def padded_length(d0):
    """The smallest power of two that is d0 or more; a whole number. 1 is a power.

    No rounding: d0 may be as large as 2**62.
    """
    raise NotImplementedError("k047: write padded_length")


def pad(x):
    """x with zeros behind the d0 numbers of each row, as a new array; dtype kept.

    Shapes: x (N, d0), result (N, d).
    """
    raise NotImplementedError("k047: write pad")


def number_of_blocks(d0, n):
    """How many blocks n outputs need at least: L, a whole number."""
    raise NotImplementedError("k047: write number_of_blocks")


def stacked(x, s, g, p, b, sigma, n):
    """The first n outputs of the blocks, one behind the other; a new array.

    The number of blocks is as small as it can be for n, `number_of_blocks`.

    Shapes: x (N, d0); s, g, p and b (L, d); result (N, n).
    """
    raise NotImplementedError("k047: write stacked")


def storage(d0, n):
    """(parameters, bytes) of the blocks that lead from d0 numbers to n outputs.

    Both are whole numbers; 3.0 is none.
    """
    raise NotImplementedError("k047: write storage")
