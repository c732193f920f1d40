"""k037: The channel dependency graph

*** | 25 minutes | after k030, k035, k036

Which input channels can an output channel of a network see? For one layer that is a
matrix D of yes and no, one row for each output and one column for each input:

    D[o, i] = True    where output o reads input i

    2 groups,     grouped    i: 0 1 2 3       the same,  interlaced    0 1 2 3
    4 inputs,     o = 0         1 1 . .       (k036)     p = 0         1 1 . .
    4 outputs     o = 1         1 1 . .                  p = 1         . . 1 1
                  o = 2         . . 1 1                  p = 2         1 1 . .
                  o = 3         . . 1 1                  p = 3         . . 1 1

Layers in a row make a graph: from an output a path goes back through one channel of
every layer between to an input. The number of paths from output o to input i is an
entry of a matrix product. For two layers, D1 first and then D2, it is

    paths[o, i] = sum over m of  D2[o, m] * D1[m, i]

and so on for more: the data goes through the first layer of a list first, and the last
layer stands leftmost in the product. (Mind that NumPy's product of boolean matrices is
boolean: it says whether there is a path, and does not count.)

The channel receptive field of an output is the set of inputs that at least one path
leads to. If it is all inputs for every output, the layers have a full channel receptive
field. Two grouped layers of 2 groups never do: they have the matrix on the left, only
with entries 2. With the interlace between them they do, and every entry is 1.

Shapes: D (outputs, inputs). All numbers of channels are 1 or more; groups divides the
inputs and the outputs.
Source: Zhang, "clcNet: Improving the efficiency of convolutional neural network using
channel local convolutions", CVPR 2018.
Checked: the matrices of many layers; counts of paths through random layers, against
following each path; the fields of random matrices; blocks of clcNet, full and not.
"""

from functools import reduce

import numpy as np


def grouped(inputs, outputs, groups):
    """D of a grouped convolution: a boolean array (outputs, inputs).

    Group g of the outputs, a block of neighbours, reads group g of the inputs.
    """
    # answer
    blocks = np.eye(groups, dtype=bool)
    return blocks.repeat(outputs // groups, axis=0).repeat(inputs // groups, axis=1)


def interlaced(inputs, outputs, groups):
    """D of a grouped convolution with interlaced outputs: boolean (outputs, inputs).

    Output p of it is output order[p] of the grouped convolution, and order is
    np.arange(outputs).reshape(groups, outputs // groups).T.ravel(), as in k036.
    """
    # answer
    order = np.arange(outputs).reshape(groups, -1).T.ravel()
    return grouped(inputs, outputs, groups)[order]


def paths(layers):
    """How many paths lead from each output of the last layer to each input.

    layers: a list of one or more boolean matrices, in the order in which the data goes
    through them; the outputs of each are as many as the inputs of the next. Below
    2**60 paths lead from an output to an input.

    Shapes: the result is an array of whole numbers (outputs of the last layer, inputs
    of the first), of an integer dtype.
    """
    # answer
    return reduce(lambda before, d: d @ before, [d.astype(int) for d in layers])


def field_sizes(d):
    """How many inputs each output can see: whole numbers (outputs,), integer dtype.

    d: (outputs, inputs), a boolean matrix, or numbers of paths of `paths`.
    """
    # answer
    return np.count_nonzero(d, axis=1)


def is_full(d):
    """Whether every output can see every input: True or False.

    d: (outputs, inputs), a boolean matrix, or numbers of paths of `paths`.
    """
    # answer
    return bool(np.all(d))
