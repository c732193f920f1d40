"""Array libraries and devices: the only module that knows CuPy exists.

Code above this floor asks `xp_of(x)` for the library of its arrays and uses the names
that NumPy and CuPy share. CuPy is imported when a CUDA device is first asked for.
"""

import sys

import numpy as np

from .errors import ArgumentError, BackendError, DtypeError

float32, float64 = np.dtype("float32"), np.dtype("float64")
int64, bool_ = np.dtype("int64"), np.dtype("bool")

REMEDY = (
    "install CuPy with `pip install 'minidl[cuda13]'` (or `cuda12`) on a machine "
    "with an NVIDIA GPU, or use device 'cpu'"
)


def is_available() -> bool:
    """Whether device ``"cuda"`` can be used: CuPy imports and finds a GPU."""
    try:
        import cupy
    except ImportError:
        return False
    return bool(cupy.is_available())


def check_device(device: str) -> str:
    """Return ``device`` if it is usable; raise with the remedy otherwise."""
    if device not in ("cpu", "cuda"):
        raise ArgumentError(f"device: must be 'cpu' or 'cuda'; got {device!r}")
    if device == "cuda" and not is_available():
        found = "CuPy finds no GPU" if "cupy" in sys.modules else "CuPy is missing"
        raise BackendError(f"device: 'cuda' is not usable, {found}; {REMEDY}")
    return device


def is_array(x) -> bool:
    """Whether ``x`` is an array of one of the two libraries."""
    cupy = sys.modules.get("cupy")
    return isinstance(x, np.ndarray) or bool(cupy) and isinstance(x, cupy.ndarray)


def device_of(x) -> str:
    """The device name, ``"cpu"`` or ``"cuda"``, where array ``x`` lives."""
    return "cpu" if isinstance(x, np.ndarray | np.generic) else "cuda"


_HOST = frozenset({np.ndarray, int, float, bool, tuple, str, type(None)})


def xp_of(*arrays):
    """The array library, numpy or cupy, of all ``arrays``; others are passed over.

    Raises: BackendError when NumPy and CuPy arrays are mixed.
    """
    if type(arrays[0]) is np.ndarray and len(arrays) == 1:
        return np
    if _HOST.issuperset(map(type, arrays)):  # the common case, quickly
        return np
    devices = [device_of(a) for a in arrays if is_array(a)]
    if len(set(devices)) > 1:
        shown = ", ".join(devices)
        raise BackendError(f"arrays must be on one device; got {shown}; use .to()")
    return sys.modules["cupy"] if "cuda" in devices else np


def asarray(data, dtype=None, device="cpu"):
    """An array on ``device`` from array-likes; host data is copied to the GPU."""
    if device == "cpu":
        return np.asarray(asnumpy(data), dtype=dtype)
    check_device(device)
    return sys.modules["cupy"].asarray(data, dtype=dtype)


def asnumpy(x):
    """A host array or scalar: device arrays are copied (a sync), others returned."""
    return x if isinstance(x, np.ndarray) or not is_array(x) else x.get()


def from_dlpack(x):
    """An array over the memory of a DLPack exporter, on the device where that is."""
    if x.__dlpack_device__()[0] == 1:  # kDLCPU
        return np.from_dlpack(x)
    check_device("cuda")
    return sys.modules["cupy"].from_dlpack(x)


def scatter_add(target, index, values) -> None:
    """In place ``target[index] += values``, counting repeated indices every time."""
    if target.dtype == int64 and device_of(target) == "cuda":
        # CUDA adds 64-bit integers atomically as unsigned ones; the bits are the same.
        target, values = target.view("uint64"), values.astype(int64).view("uint64")
    xp_of(target).add.at(target, index, values)


def check_dtype(where: str, dtype) -> np.dtype:
    """Return the dtype if minidl has it: float32, float64, any integer, bool."""
    try:
        dtype = np.dtype("None" if dtype is None else dtype)
    except TypeError:
        raise DtypeError(f"{where}: dtype is not understood; got {dtype!r}") from None
    if dtype.kind in "iub" or dtype in (float32, float64):
        return np.dtype(dtype.type)  # NumPy's own object: quick to compare
    raise DtypeError(
        f"{where}: dtype must be float32, float64, an integer or bool; got {dtype}"
    )


def cupy_module():
    """CuPy itself, for those who build kernels with it."""
    import cupy

    return cupy
