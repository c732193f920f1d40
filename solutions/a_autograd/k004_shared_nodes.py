"""k004: Backwards through a graph

** | 20 minutes | after k002, k003

Now k001, k002 and k003 come together: reverse-mode differentiation, the engine under
all of deep learning. While a calculation runs, every number becomes a node that
remembers what it was made from, and how to hand a gradient down: its local backward.
Afterwards one walk from the root to the leaves finds the gradients of all nodes, for
about the price of computing the numbers once more.

What is new: a node may be used several times. If x grows, it moves the root by all the
ways that lead from x to the root, and all that movement adds up:

    root = x * x + x, at x = 3

        x ----+--> a = x * x ---> root = a + x       forwards:   9 + 3 = 12
        |     |                    |
        +-----|--------------------+                 backwards:  root gets g = 1
                                                     a gets 1
                                                     x gets 3 and 3 from a, 1 from root
                                                     x.grad = 7 = 2 * 3 + 1

    grad of x  =  sum, over every use of x, of what that use hands down

Order matters. A node may hand its gradient down only when all of it has arrived, that
is, after all nodes made from it: the order of k003, walked through from the end. Then
every local backward runs just once.

Shapes: values and gradients are plain floats; root and its inputs are Nodes, each with
any number of inputs.
Source: Linnainmaa, "Taylor expansion of the accumulated rounding error", BIT Numerical
Mathematics 16, 1976.
Checked: the grad of every node, on small and random graphs made afresh for every call,
against the sum over all ways from root; a chain of 5,000 nodes; a ladder with 2^60
ways; gradients of 0; that the local backward of every node with inputs runs just once.
"""

import math

from solutions.a_autograd.k003_topological_sort import topological_order


class Node:
    """A number, the nodes it was made from, and how to go back.

    inputs: a tuple of nodes; () if the number is given from outside.
    backward: backward(g) gives a tuple: one gradient for each of ``inputs``.
    grad: the gradient of this node; 0.0 until it is worked out.
    """

    def __init__(self, value, inputs=(), backward=lambda g: ()):
        self.value, self.inputs, self.backward = value, inputs, backward
        self.grad = 0.0


def add(a, b):
    """The node of a + b."""
    return Node(a.value + b.value, (a, b), lambda g: (g, g))


def mul(a, b):
    """The node of a * b."""
    return Node(a.value * b.value, (a, b), lambda g: (g * b.value, g * a.value))


def sin(a):
    """The node of the sine of a."""
    return Node(math.sin(a.value), (a,), lambda g: (g * math.cos(a.value),))


def backward(root, g=1.0):
    """Write into ``grad`` of root, and of every node behind it, its gradient.

    g: the gradient that root itself gets from above. The nodes are fresh: grad is 0.0
    everywhere. The local backward of every node with inputs is called just once, also
    if its gradient is 0: what it does with it is its own business. (A node without
    inputs may be asked or not.) Nothing is returned.
    """
    # answer
    root.grad = g
    for node in reversed(topological_order(root)):
        for x, gx in zip(node.inputs, node.backward(node.grad)):
            x.grad += gx  # what is made from x hands down its share, one by one
