"""The Walsh-Hadamard transform of an array where it lies, and what that asks of it."""

import numpy as np

from ..backend import device_of, float32, float64, is_array
from ..errors import ArgumentError, DtypeError, ShapeError
from .fwht import in_place
from .fwht_cuda import transform


def check(where, name, x):
    """Raise unless ``x`` is floats whose last axis is a power of two."""
    if x.dtype not in (float32, float64):
        raise DtypeError(f"{where}: {name} must be float32 or float64; got {x.dtype}")
    if x.ndim == 0:
        raise ShapeError(f"{where}: {name} must be at least 1-D; got ()")
    n = x.shape[-1]
    if n < 1 or n & (n - 1):
        raise ShapeError(
            f"{where}: last axis must be a power of two; got {n}, "
            f"the next is {1 << n.bit_length() if n else 1}"
        )


def fwht_(x):
    """`fwht` of an array (no Tensor) where it lies, without a copy; returns ``x``.

    Whatever views the same memory sees the result, so each element must have memory of
    its own: C-contiguous, as neither broadcast nor overlapping arrays are.

    Shapes: x (..., n), n a power of two.
    Raises: DtypeError, ShapeError, ArgumentError; ``x`` is unchanged then.
    """
    if not is_array(x):
        kind = f"{type(x).__module__}.{type(x).__name__}".removeprefix("builtins.")
        raise DtypeError(f"fwht_: x must be a NumPy or CuPy array; got {kind}")
    check("fwht_", "x", x)
    if not x.flags.c_contiguous:
        raise ArgumentError(
            f"fwht_: x must be C-contiguous; got strides {x.strides} for shape "
            f"{x.shape}; use fwht, which takes any layout"
        )
    if device_of(x) == "cuda":
        transform(x, x)
    elif x.flags.writeable and x.flags.aligned:
        in_place(x.view(type=np.ndarray))
    else:
        problem = "a misaligned" if x.flags.writeable else "a read-only"
        raise ArgumentError(
            f"fwht_: x must be aligned memory that may be written; got {problem} array"
        )
    return x
