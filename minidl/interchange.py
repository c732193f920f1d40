"""Tensors to and from the rest of Python: NumPy, DLPack, numbers and text."""

import numpy as np

from . import backend
from .errors import DtypeError, ShapeError
from .tensor import Tensor


def tensor(data, dtype=None, device=None, requires_grad=False) -> Tensor:
    """A new leaf Tensor holding a copy of ``data``.

    Python floats become float32, Python integers int64; NumPy and CuPy arrays keep
    their type. ``device`` is ``"cpu"`` or ``"cuda"`` (default: where the data is).

    Raises: DtypeError for types other than float32, float64, integers and bool;
    ShapeError for ragged lists; BackendError without a usable GPU.
    """
    dtype = None if dtype is None else backend.check_dtype("tensor", dtype)
    source = data.data if isinstance(data, Tensor) else data
    if not backend.is_array(source):
        try:
            source = np.array(source)
        except ValueError:
            raise ShapeError("tensor: nested lists must have equal lengths") from None
        if source.dtype == "float64" and not isinstance(data, np.generic):
            source = source.astype("float32" if dtype is None else dtype)
    dtype = backend.check_dtype("tensor", source.dtype if dtype is None else dtype)
    array = backend.asarray(source, dtype, device or backend.device_of(source))
    out = Tensor(array.copy() if array is source else array)
    return out.requires_grad_() if requires_grad else out


def from_dlpack(x) -> Tensor:
    """A Tensor over the memory of any DLPack exporter (NumPy, torch, CuPy, JAX).

    Memory that may not be written is copied, since optimisers write in place.
    """
    array = x if isinstance(x, np.ndarray) else backend.from_dlpack(x)
    backend.check_dtype("from_dlpack", array.dtype)
    return Tensor(array if getattr(array.flags, "writeable", True) else array.copy())


def _dlpack(self, **kwargs):
    if self.requires_grad:
        raise BufferError("__dlpack__: tensor requires a gradient; use .detach()")
    x = self.data
    if min(x.strides, default=0) < 0:  # torch aborts the process on these
        x = x.copy()
    return x.__dlpack__(**kwargs)


def _array(self, dtype=None, copy=None):
    x = self.numpy()
    if dtype is None or x.dtype == dtype:
        return x.copy() if copy else x
    if copy is False:
        raise ValueError(f"__array__: {x.dtype} to {dtype} needs a copy")
    return x.astype(dtype)


def _index(self):
    if self.dtype.kind not in "iub":
        raise DtypeError(f"__index__: tensor must hold an integer; got {self.dtype}")
    return int(self.item())


def _len(self):
    if not self.shape:
        raise ShapeError("len: tensor must have at least 1 dimension; got shape ()")
    return self.shape[0]


def _repr(self):
    shown = np.array2string(
        backend.asnumpy(self.data), separator=", ", prefix="tensor("
    )
    extra = (
        "" if self.dtype in ("float32", "int64", "bool") else f", dtype={self.dtype}"
    )
    extra += ", device='cuda'" if self.device == "cuda" else ""
    if self.node is not None:
        extra += f", op={self.node.op.name}"
    elif self.requires_grad:
        extra += ", requires_grad=True"
    return f"tensor({shown}{extra})"


def _format(self, spec):
    return format(self.item(), spec) if spec and not self.shape else repr(self)


Tensor.__array__ = _array
Tensor.__dlpack__ = _dlpack
Tensor.__dlpack_device__ = lambda self: self.data.__dlpack_device__()
Tensor.__float__ = lambda self: float(self.item())
Tensor.__int__ = lambda self: int(self.item())
Tensor.__bool__ = lambda self: bool(self.item())
Tensor.__index__ = _index
Tensor.__len__ = _len
Tensor.__repr__ = _repr
Tensor.__format__ = _format
Tensor.tolist = lambda self: self.data.tolist()
