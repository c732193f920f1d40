"""k102: PruningNet: weights for every width

*** | 25 minutes | after k020, k028, k033

How many channels should each layer of a network have? To try a choice one would have
to train it. MetaPruning trains one network for all choices: the weights of a layer are
made by a small net, the PruningNet, which is told the widths. It makes the full-size
kernel every time, and what is too much is cut off:

    code   = (inputs / I, outputs / O)                (2,)  both in (0, 1]
    h      = ReLU(w1 code + b1)                       (hidden,)
    full   = w2 h + b2, as an array (O, I, k, k)
    kernel = full[:outputs, :inputs]

           i: 0 1 2 3
    o: 0      # # # .        O = 3, I = 4, outputs = 2, inputs = 3: what is marked
       1      # # # .        by # is the kernel, the rest is made for nothing
       2      . . . .

At full width nothing is cut off. But a narrow kernel is no part of the wide one, since
another code leads to other weights: only that makes it better than plain cutting.

While training, widths are drawn anew in each step. What is cut off has no influence, so
its gradient is exactly 0: the rows of w2 and the numbers of b2 that belong to it. All
else is a net of two layers, whose gradients go back to w1 and b1. The gradient of ReLU
is 1 above 0, and 0 elsewhere, at 0 as well. The code is given and gets none.

A layer of C channels may have 31 widths, from 10 % to 100 % of C in steps of 3 %: as
many whole channels as fit into that, but one at least.

All that costs memory. Take a block of MobileNet, a depthwise convolution (its kernel is
(C, 1, k, k)) and a pointwise one ((O, C, 1, 1)). With 512 channels, 3x3 and 32 hidden
numbers the block has 266,752 weights, and the PruningNets that make them, one for each
convolution, have 8,803,008 parameters.

When all is trained, choices are compared by the generated weights. Batch norm (k028) is
in the way: its running statistics come from all widths that were drawn in training, and
fit none of them. So, for each choice, mean and variance of each channel are taken anew,
over all images and pixels of some batches together.

Shapes: w1 (hidden, 2), b1 (hidden,), w2 (O * I * k * k, hidden), b2 (O * I * k * k,),
kernel and g (outputs, inputs, k, k); 1 <= outputs <= O, 1 <= inputs <= I. Row
((o * I + i) * k + p) * k + q of w2 makes tap (p, q) of channel i of filter o. All
arrays in one call are floats of one dtype, and so are the results, but for `encoding`
and `widths`. No result shares memory with what is given, or with another one.
Source: Liu et al., "MetaPruning: Meta learning for automatic neural network channel
pruning", ICCV 2019.
Checked: against loops; the full width and a single channel; gradients against small
steps and loops, and that nothing reaches what is cut off; the widths and the counts,
exactly; statistics of batches of several sizes; float32; views.
"""

import numpy as np


def widths(channels):
    """The 31 widths that a layer may have, an array of integers, from small to large.

    channels: a whole number from 1 to 10**9; no rounding error may creep in.
    """
    raise NotImplementedError("k102: write widths")


def encoding(inputs, outputs, shape):
    """The code (2,) of a layer, float64.

    shape: (O, I, k, k), that of the full kernel.
    """
    raise NotImplementedError("k102: write encoding")


def kernel(inputs, outputs, w1, b1, w2, b2, shape):
    """The kernel (outputs, inputs, k, k) that the PruningNet makes for these widths."""
    raise NotImplementedError("k102: write kernel")


def kernel_backward(g, inputs, outputs, w1, b1, w2, b2, shape):
    """The gradients (gw1, gb1, gw2, gb2) of `kernel`; ``g`` is that of its result.

    Shapes: g (outputs, inputs, k, k); each gradient has the shape of its array.
    """
    raise NotImplementedError("k102: write kernel_backward")


def block_cost(channels, filters, k, hidden):
    """(parameters of both PruningNets, weights of the block): depthwise and pointwise.

    The depthwise convolution has `channels` channels and k by k taps, the pointwise one
    leads on to `filters`. Each PruningNet has two numbers coming in, and offsets. Both
    counts are whole numbers, exact however large they are.
    """
    raise NotImplementedError("k102: write block_cost")


def fresh_statistics(batches):
    """(mean, variance) of each channel, over all batches as if they were one.

    The variance is the mean square of what is left when the mean is taken away. The
    mean may be a million times the spread (in float32, a thousand times).

    Shapes: batches, a list of arrays (N, C, H, W), N differs; results (C,).
    """
    raise NotImplementedError("k102: write fresh_statistics")
