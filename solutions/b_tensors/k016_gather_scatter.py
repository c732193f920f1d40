"""k016: Gather and scatter-add

*** | 15 minutes | after k004, k011

An embedding is a table with one row per word. To look up a text means to *gather*: for
every word number in ``index``, take that row. The same row may be taken many times.

    y[i] = x[index[i]]

    x: 0 | a |    index: 2 0 2    y: | c |    g: | p |    gradient of x: |  q  |
       1 | b |                       | a |       | q |                   |  0  |
       2 | c |                       | c |       | r |                   | p+r |

Backwards, every row of ``g`` goes home to the row that it was taken from. A row taken
twice was used twice, so its gradients add up, as everywhere on shared nodes (k004); a
row never taken gets zeros. This is a *scatter-add*, the transpose of the gather:

    dL/dx[j] = sum of g[i] over all i with index[i] = j

Negative numbers count from the end, as everywhere in Python: -1 is the last row. Hence
-1 and V - 1 are two names of one row.

Shapes: x (V, ...), index an array of integers of any shape, also (), with
    V > index >= -V; y and g index.shape + (...).
Source: Bengio et al., "A neural probabilistic language model", 2003, section 2 (the
table C); Paszke et al., "PyTorch", 2019 (index_add_).
Checked: against loops on tables of one to three axes; with repeated, negative, no and
single indices, arrays laid out in any order, more rows than a byte counts; numbers
outside; the gradient numerically, and as the transpose.
"""

import numpy as np


def gather(x, index):
    """y[i] = x[index[i]]: the rows of a table with the numbers in ``index``.

    Shapes: x (V, ...), index an integer array of any shape, y index.shape + (...). y
    has the dtype of x. (It may be a view of x where index is a single number.)

    Raises: IndexError if a number is not in [-V, V).
    """
    # answer
    return x[index]


def gather_backward(g, x, index):
    """The gradient by ``x``: each row of ``g`` is added where it was taken from.

    Shapes: g index.shape + (...), x and the result (V, ...), all of one dtype. The
    result is a new array at each call.

    Raises: IndexError if a number is not in [-V, V), as `gather`.
    """
    # answer
    out = np.zeros_like(x)
    np.add.at(out, index, g)  # out[index] += g would count a repeated row only once
    return out
