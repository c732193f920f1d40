"""minidl: deep learning from first principles, on NumPy, CuPy and Numba.

The floors, lowest first: errors, backend, kernels, tensor, autograd, ops, functional,
operators, nn, optim and data, papers, knocks, cli. A module imports only downward.
"""

from . import threads  # first, because it must run before NumPy is loaded
from . import functional, interchange, operators, random
from .autograd import (
    backward,
    detect_anomaly,
    enable_grad,
    grad,
    is_grad_enabled,
    no_grad,
    primitive,
)
from .backend import bool_, float32, float64, int64, is_available
from .errors import MinidlError
from .functional import *  # noqa: F403
from .interchange import from_dlpack, tensor
from .random import manual_seed
from .recompute import checkpoint
from .tensor import Tensor
from .threads import get_num_threads, set_num_threads

__version__ = "0.1.0"
threads.from_environment()


def stop_gradient(x: Tensor) -> Tensor:
    """``x`` as a constant: the same values, no gradient flowing through."""
    return x.detach()


_ROOMS = "bench data knocks models nn optim papers predict testing train".split()


def __getattr__(name):
    """Rooms above the engine open when they are first used: importing stays quick."""
    from importlib import import_module

    if name in ("count", "summary"):
        return getattr(import_module(".nn", __name__), name)
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module 'minidl' has no attribute {name!r}")
