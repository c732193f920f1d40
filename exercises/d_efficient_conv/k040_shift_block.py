"""k040: The shift block: 1x1, shift, 1x1

*** | 25 minutes | after k032, k039

The block of ShiftNet puts the shift (k039) between two 1x1 convolutions. The first
makes `mid` channels of C, each of them moves its own way, and the second mixes them
again. (Batch norm and ReLU, which belong to each convolution, are left out here.)

    x --1x1, w1--> u --shift--> v --1x1, w2--> y
    (N, C, H, W)   (N, mid, H, W)              (N, O, H, W)

    u[n, m] = sum over c of w1[m, c] * x[n, c]        for whole images at once
    v       = shift(u, offsets)
    y[n, o] = sum over m of w2[o, m] * v[n, m]

The way back goes through the same three steps from right to left. A 1x1 convolution is
a matrix product: a gradient goes back through the transposed matrix, and the gradient
of the matrix is what came from above times what went in, added up over all images and
pixels.

The middle is wide: mid = expansion * O channels, and the expansion is a choice. The
shift has no parameters and multiplies nothing, so all the cost is in w1 and w2.

Is a block without a single 3x3 kernel worse than a 3x3 convolution? Not if it is wide
enough. With mid = 9 * C it can be any 3x3 convolution with padding 1 and stride 1: you
choose what every middle channel is, where it moves, and how it counts.

    y[n, o, h, w] = sum over c, i, j of  k[o, c, i, j] * x[n, c, h + i - 1, w + j - 1]
                    (0 where that is outside of x)

The helper `pointwise`, and shift and shift_backward of k039, are there to be used.

Shapes: x and gx (N, C, H, W), y and g (N, O, H, W), w1 and gw1 (mid, C), w2 and gw2
(O, mid), offsets (mid, 2), whole numbers (dh, dw) of any size, as in k039.
Source: Wu et al., "Shift: a zero FLOP, zero parameter alternative to spatial
convolutions", CVPR 2018.
Checked: against loops; gradients against small steps and loops; the counts of some
blocks; blocks made of random 3x3 kernels against the convolution itself.
"""

import numpy as np

from solutions.d_efficient_conv.k039_shift import shift, shift_backward


def pointwise(x, w):
    """Given: the 1x1 convolution of x (N, C, H, W) with w (O, C): (N, O, H, W)."""
    return np.einsum("oc,nchw->nohw", w, x)


def shift_block(x, w1, offsets, w2):
    """y (N, O, H, W) of the story.

    x, w1 and w2 are floats of one dtype, which y has, too.

    Shapes: x (N, C, H, W), w1 (mid, C), offsets (mid, 2), w2 (O, mid).
    """
    raise NotImplementedError("k040: write shift_block")


def shift_block_backward(g, x, w1, offsets, w2):
    """The gradients (gx, gw1, gw2) of `shift_block`; ``g`` is the gradient by y.

    g, x, w1 and w2 are floats of one dtype, which the gradients have, too.

    Shapes: g (N, O, H, W); each gradient has the shape of its array.
    """
    raise NotImplementedError("k040: write shift_block_backward")


def block_cost(inputs, outputs, expansion, height, width):
    """(parameters, multiplications) of a block, for one image of height by width.

    The middle has expansion * outputs channels. What is multiplied with the zeros that
    a shift brings in counts like any other multiplication. Both are whole numbers,
    exact however large they are.
    """
    raise NotImplementedError("k040: write block_cost")


def block_of_kernel(k):
    """(w1, offsets, w2) with which `shift_block` is the 3x3 convolution with k.

    The middle has 9 * C channels, in any order. w1 and w2 have the dtype of k, and may
    share memory with it; offsets are integers.

    Shapes: k (O, C, 3, 3), w1 (9 * C, C), offsets (9 * C, 2), w2 (O, 9 * C).
    """
    raise NotImplementedError("k040: write block_of_kernel")
