"""k006: Switching the memory off

** | 15 minutes | after k004

A value that remembers how it was made can be differentiated, and pays for it: as long
as the result lives, so does everything that went into it. Two tools make it forget.

`no_grad` stops the recording for a while, for instance where a trained network only
predicts. Inside of the block the numbers are the same, but nothing is remembered:

    with no_grad():
        y = w * x       # y.history is empty

Afterwards the switch must stand where it stood *before* the block. That is not always
"on": blocks may lie in one another, and an exception may leave one in the middle.

    on    | with no_grad():              on
    off   |     with no_grad():          |
    off   |         ...                  |     (leaving the inner block
    off   |     still off                |      must not switch on)
    on    | on again                     on

`detach` forgets the history of one value, and of no other: the same number, but from
there on a constant, through which no derivative flows.

    y = x * detach(x)   # dy/dx = x, not 2 x: only the left path counts

Shapes: any; data is a NumPy array, () for a number.
Source: Paszke et al., "PyTorch: an imperative style, high-performance deep learning
library", 2019; the Python reference, "with statement context managers".
Checked: blocks, blocks in blocks, blocks left by an exception or by return, a switch
turned off by hand before the block; the memory (of views too), the history and the
derivative of a detached value.
"""

from contextlib import contextmanager

import numpy as np


class Value:
    """An array with the record of what it was made from.

    ``history`` holds pairs (parent, slope): the derivative of this value by that one.
    """

    recording = True  # whether new results get a history

    def __init__(self, data, history=()):
        self.data = np.asarray(data)
        self.history = list(history) if Value.recording else []

    def __add__(self, other):
        return Value(self.data + other.data, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        return Value(
            self.data * other.data, [(self, other.data), (other, self.data)]
        )


def derivative(y, x):
    """dy/dx: the slopes multiplied along every path from y back to x, added up."""
    if y is x:
        return np.ones_like(x.data)
    return sum(slope * derivative(parent, x) for parent, slope in y.history)


@contextmanager
def no_grad():
    """``with no_grad(): ...``: while the block runs, ``Value.recording`` is False.

    Afterwards it is what it was when the block began: True, or False if an outer block
    or a line before (Value.recording = False) had turned it off. So too if the block is
    left by return or by any exception, KeyboardInterrupt and the like included; the
    exception goes on to the caller.
    """
    # answer
    before = Value.recording
    Value.recording = False
    try:
        yield  # here the block runs; an exception in it is raised in this line
    finally:
        Value.recording = before


def detach(x):
    """A new Value with the data of x (the same memory) and no history; x stays as is.

    The same memory also if x.data is a view, such as a transposed array. Nothing else
    is changed: the switch stands as it stood.
    """
    # answer
    return Value(x.data)
