"""Tensor and Node: an array, and the record of the op that made it.

Nothing here knows an op. A Tensor points to the Node that made it, a Node to the
Tensors that went in: the references run one way, so a graph dies with its last Tensor.
"""

from itertools import count
from math import prod

import numpy as np

from . import backend
from .errors import BackendError, DtypeError, GradError, ShapeError

_serials = count()


class Spec:
    """Stands for an array that no derivative reads: its shape without its memory."""

    __slots__ = ("shape", "dtype")

    def __init__(self, array):
        self.shape, self.dtype = array.shape, array.dtype


class Node:
    """One application of an op: what `autograd` needs to run it backwards.

    Nodes are numbered as they are made, so descending serial numbers are a
    topological order of any graph.
    """

    __slots__ = ("op", "inputs", "options", "output", "serial")

    def __init__(self, op, inputs, options, output=None):
        self.op, self.inputs, self.options, self.output = op, inputs, options, output
        self.serial = next(_serials)

    def release(self):
        """Forget inputs and output, so that their memory returns during backward."""
        self.inputs = self.options = self.output = None


class Tensor:
    """An n-dimensional array that remembers how it was made.

    ``data`` is a NumPy or CuPy array, ``grad`` the Tensor that `backward` accumulated,
    ``node`` the op that made it (None for a leaf). Operators and methods are bound in
    `minidl.operators`.
    """

    __slots__ = ("data", "grad", "requires_grad", "node")
    __array_ufunc__ = None  # ndarray * Tensor must call Tensor.__rmul__

    def __init__(self, data, requires_grad=False, node=None):
        self.data, self.requires_grad, self.node = data, requires_grad, node
        self.grad = None

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)
    ndim = property(lambda self: len(self.data.shape))
    device = property(lambda self: backend.device_of(self.data))
    is_leaf = property(lambda self: self.node is None)

    def numel(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    def spec(self) -> "Tensor":
        """The same place in the graph with the shape but without the memory."""
        return Tensor(Spec(self.data), self.requires_grad, self.node)

    def detach(self) -> "Tensor":
        """The same memory outside the graph: no gradient flows through it."""
        return Tensor(self.data)

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Ask for a gradient (or not) at this leaf, in place."""
        if requires_grad and self.dtype.kind != "f":
            raise DtypeError(f"requires_grad_: dtype must be a float; got {self.dtype}")
        if self.node is not None and not requires_grad:
            raise GradError("requires_grad_: tensor must be a leaf; use .detach()")
        self.requires_grad = requires_grad
        return self

    def numpy(self) -> np.ndarray:
        """The NumPy array itself (shared memory), of a tensor outside the graph.

        Raises: GradError if a gradient is required, BackendError on the GPU.
        """
        if self.requires_grad:
            raise GradError("numpy: tensor requires a gradient; use .detach().numpy()")
        if self.device != "cpu":
            raise BackendError("numpy: tensor must be on 'cpu'; got 'cuda'; use .cpu()")
        return self.data

    def item(self):
        """The Python number of a one-element tensor (waits for the GPU)."""
        if self.numel() != 1:
            raise ShapeError(f"item: tensor must have 1 element; got {self.shape}")
        return self.data.item()

    def __deepcopy__(self, memo):
        if self.node is not None:
            raise GradError("deepcopy: tensor must be a leaf; use .detach()")
        copy = object.__new__(type(self))
        Tensor.__init__(copy, self.data.copy(), self.requires_grad)
        return memo.setdefault(id(self), copy)
