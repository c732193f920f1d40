"""k005: Undo broadcasting

** | 15 minutes | after k004

From here on numbers come in arrays. NumPy lets arrays of different shapes work together
by copying the smaller one until it fits: that is broadcasting. It writes the shapes
below each other, right-aligned, and copies along every axis that is missing in front or
has size 1:

    x         (4, 2, 3)        x         (4, 2, 3)
    b            (   3)        s            (2, 1)
    x + b     (4, 2, 3)        x * s     (4, 2, 3)

So b is used 8 times, once for each pair of the first two indices; and k004 says what
happens to a node used 8 times: its gradient is the sum of 8 parts. The gradient g of
the result has the result's shape, (4, 2, 3); the gradient of b must have b's, (3,).

    forwards:   [b0 b1 b2]  -->  b0 b1 b2      backwards:   g00 g01 g02
                                 b0 b1 b2                   g10 g11 g12
                                                            ----------- add up
                                                             .   .   .  shape (3,)

    gradient[index in shape] = sum of g over all places that got a copy of that element

This one function lies behind the gradients of +, *, and all their relatives.

Shapes: g (any shape that ``shape`` can be broadcast to); the result has ``shape``.
Source: Harris et al., "Array programming with NumPy", Nature 585, 2020 (broadcasting).
Checked: missing axes, axes of size 1, both, neither; scalars, axes of size 0; that
float32 stays float32; views with other strides; that g is not changed.
"""

import numpy as np


def unbroadcast(g, shape):
    """Sum g back to ``shape``, which was broadcast to g.shape.

    Shapes: g (...), an array of floats that is left as it is; shape a tuple such as
    (3,), (2, 1) or (). The result has this shape and g's dtype; it may be new, or g
    itself or a view of it where nothing is summed, and for () a NumPy number as well
    as an array.
    """
    raise NotImplementedError("k005: write unbroadcast")
