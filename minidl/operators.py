"""Operators and methods of Tensor, bound from one table."""

from . import backend, ops
from . import functional as F
from .autograd import Primitive
from .tensor import Tensor


def _getitem(x, index):
    """``x[index]``; Tensors, arrays and lists inside become arrays beside ``x``."""

    def place(i):
        i = i.data if isinstance(i, Tensor) else i
        return (
            backend.asarray(i, None, x.device)
            if backend.is_array(i) or isinstance(i, list)
            else i
        )

    parts = index if isinstance(index, tuple) else (index,)
    return ops.getitem(x, index=tuple(map(place, parts)))


def _to(x, target):
    """``x`` as another dtype, or on another device ("cpu" or "cuda")."""
    if target in ("cpu", "cuda"):
        return x if x.device == target else ops.transfer(x, device=target)
    dtype = backend.check_dtype("to", target)
    return x if x.dtype == dtype else ops.cast(x, dtype=str(dtype))


def _sizes(function, option):
    """A method that takes its sizes one by one or as a tuple."""

    def method(x, *sizes):
        first = sizes[0] if len(sizes) == 1 else sizes
        return function(
            x, **{option: tuple(first) if isinstance(first, list) else first}
        )

    return method


def _swapped(op):
    return lambda x, y: op(y, x)


_OPERATORS = {
    "neg": ops.neg,
    "add": ops.add,
    "sub": ops.sub,
    "mul": ops.mul,
    "truediv": ops.div,
    "pow": ops.power,
    "matmul": F.matmul,
    "eq": ops.eq,
    "ne": ops.ne,
    "lt": ops.lt,
    "le": ops.le,
    "gt": ops.gt,
    "ge": ops.ge,
    "abs": ops.abs,
    "getitem": _getitem,
    "radd": _swapped(ops.add),
    "rsub": _swapped(ops.sub),
    "rmul": _swapped(ops.mul),
    "rtruediv": _swapped(ops.div),
    "rpow": _swapped(ops.power),
    "rmatmul": _swapped(F.matmul),
}

_METHODS = {
    "reshape": _sizes(ops.reshape, "shape"),
    "permute": _sizes(ops.permute, "dims"),
    "flip": _sizes(ops.flip, "dims"),
    "to": _to,
    "cpu": lambda x: _to(x, "cpu"),
    "cuda": lambda x: _to(x, "cuda"),
}

_SAME_NAME = """
    abs amax amin argmax argmin clip clamp cos cumsum erf exp expand flatten floor
    gather log log_softmax logsumexp matmul max mean min pow relu scatter_add sigmoid
    sign sin softmax split sqrt squeeze sum tanh transpose unsqueeze var
"""


def _function(op):
    """A primitive as a plain function: quicker to bind and to call than an object."""
    if not isinstance(op, Primitive):
        return op
    call = op.__call__
    return lambda x, *args, **options: call(x, *args, **options)


def _iterate(x):
    return (x[i] for i in range(len(x)))


for _name, _op in _OPERATORS.items():
    setattr(Tensor, f"__{_name}__", _function(_op))
for _name, _op in _METHODS.items():
    setattr(Tensor, _name, _op)
for _name in _SAME_NAME.split():
    setattr(Tensor, _name, _function(getattr(F, _name)))
Tensor.__iter__ = _iterate
Tensor.T = property(lambda x: ops.permute(x, dims=tuple(range(x.ndim))[::-1]))
