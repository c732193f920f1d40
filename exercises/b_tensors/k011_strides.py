"""k011: Strides: one memory, many arrays

** | 15 minutes | after nothing

Memory is a single row of numbers. What makes it a matrix is a small table: for every
axis, by how many places one goes on in memory when the index along it grows by one.
These are the strides.

    x = 1 2 3      memory: 1 2 3 4 5 6      strides (3, 1): a row down is 3 places on,
        4 5 6      place:  0 1 2 3 4 5      a column to the right is 1 place on

    place of x[i, j, ...] = i * strides[0] + j * strides[1] + ...

So the same six numbers become another array and never move: only the table changes.

    transposed           1 4      strides (1, 3)
                         2 5
                         3 6

    the row 1 2 3        1 2 3    strides (0, 1): a row down is 0 places on, so all
    broadcast to (2, 3)  1 2 3    rows are one and the same piece of memory

Such an array is called a view. Transposing, slicing and broadcasting cost nothing,
however large the array is.

Strides are counted in elements here; NumPy's x.strides counts bytes, which is
x.itemsize times as many.

Shapes: shape, index, strides and axes are tuples of whole numbers, one per axis, and
tuples of whole numbers come back (Python's or NumPy's). Every length is 1 or more; axes
and indices are counted from 0, none is negative.
Source: van der Walt, Colbert and Varoquaux, "The NumPy array: a structure for efficient
numerical computation", 2011.
Checked: the strides of 0 to 4 axes, lengths of 1 among them; which place in memory
every element of a transposed or broadcast view comes from.
"""

import numpy as np


def contiguous_strides(shape):
    """The strides of an array whose rows lie one after the other in memory.

    The last axis goes on by 1, every other one by the number of elements in all axes
    after it: (2, 3, 4) gives (12, 4, 1), and () gives ().
    """
    raise NotImplementedError("k011: write contiguous_strides")


def element_offset(index, strides):
    """The place in memory of x[index], counted from that of x[0, 0, ...].

    Strides may be of any kind: 0 and negative ones too (x[::-1] has some).
    """
    raise NotImplementedError("k011: write element_offset")


def transpose_strides(strides, axes):
    """The strides of np.transpose(x, axes).

    Axis k of the result is axis axes[k] of x, for all of x's axes in a new order.
    """
    raise NotImplementedError("k011: write transpose_strides")


def broadcast_strides(shape, strides, to):
    """The strides of np.broadcast_to(x, to), where x has this shape and these strides.

    Shapes are aligned at their last axes. New axes in front, and axes of length 1 that
    grow, repeat the same memory; the others stay as they are. (Along an axis of length
    1 nobody ever moves: any stride will do there.)
    """
    raise NotImplementedError("k011: write broadcast_strides")


def view(memory, shape, strides):
    """Given, to try things out: the elements of an array, seen with other strides.

    NumPy believes you: with wrong strides it reads memory that is not the array's.
    """
    steps = [stride * memory.itemsize for stride in strides]  # in bytes
    return np.lib.stride_tricks.as_strided(memory, shape, steps, writeable=False)
