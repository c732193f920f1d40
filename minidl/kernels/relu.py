"""ReLU and its gradient: one pass each, without an array of comparisons."""

import numpy as np

from ..backend import xp_of
from ._cuda import Elementwise
from ._dispatch import Kernel, jit
from ._memory import empty
from ._pool import mine
from ._share import ALONE, share


def gate_reference(g, y):
    """``g`` where ``y > 0``, else 0."""
    return xp_of(g, y).where(y > 0, g, g.dtype.type(0))


@jit(nogil=True)
def _gate(part, parts, g, y, out):
    first, last = mine(part, parts, g.size)
    g, y, out, zero = g[first:last], y[first:last], out[first:last], g.dtype.type(0)
    for i in range(len(g)):
        v = g[i]  # read in any case, so that there is no branch
        out[i] = v if y[i] > 0 else zero


def gate_cpu(g, y):
    out = empty(g.shape, g.dtype)
    arrays = (np.ascontiguousarray(a).reshape(-1) for a in (g, y, out))
    share(_gate, g.size, *arrays)
    return out


gate_cuda = Elementwise("T g, T y", "T out", "out = y > 0 ? g : T(0)", "minidl_gate")


def relu_reference(x):
    """``max(x, 0)``; a NaN stays one."""
    return xp_of(x).maximum(x, x.dtype.type(0))


@jit(nogil=True)
def _relu(part, parts, x, y):
    first, last = mine(part, parts, x.size)
    x, y, zero = x[first:last], y[first:last], x.dtype.type(0)
    for i in range(len(x)):
        v = x[i]
        y[i] = zero if v <= 0 else v


def relu_cpu(x):
    if x.size < ALONE or not x.flags.c_contiguous or x.dtype.kind != "f":
        return relu_reference(x)  # NumPy's loop is as quick on one core
    y = empty(x.shape, x.dtype)
    share(_relu, x.size, x.reshape(-1), y.reshape(-1))
    return y


gate = Kernel(gate_reference, gate_cpu, gate_cuda)
relu = Kernel(relu_reference, relu_cpu)
