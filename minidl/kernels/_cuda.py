"""CUDA kernels through CuPy: declared beside their references, built at first use.

Every kernel declared here is in `KERNELS` by its name, so that tests reach all of them.
"""

from functools import cache, lru_cache

import numpy as np

from ..backend import cupy_module

KERNELS: dict = {}

TYPES = {
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
    "float32": "float",
    "float64": "double",
}
NARROW = 1 << 28  # sums and differences of up to seven such numbers fit an int
SHARED = 48 << 10  # bytes of shared memory that every block may use
CONSTANTS = 512  # small arrays kept on the device


@cache
def build(cupy, kind, *definition):
    """An `ElementwiseKernel` or `RawKernel` of the module ``cupy``, built once."""
    return getattr(cupy, kind)(*definition)


def _declare(kernel):
    if KERNELS.setdefault(kernel.name, kernel) is not kernel:
        raise ValueError(f"two CUDA kernels are called {kernel.name!r}")


class Elementwise:
    """A body of C for one element of each array; CuPy broadcasts and loops."""

    def __init__(self, inputs: str, outputs: str, body: str, name: str):
        self.inputs, self.outputs, self.body, self.name = inputs, outputs, body, name
        _declare(self)

    def __call__(self, *args):
        definition = (self.inputs, self.outputs, self.body, self.name)
        return build(cupy_module(), "ElementwiseKernel", *definition)(*args)


class Raw:
    """A kernel in CUDA C++, written once for all types.

    In ``source``, ``T`` is the type of the elements and ``I`` that of every index and
    of every whole number that is an argument: ``int``, and ``long long`` where an array
    or an argument exceeds `NARROW`. Divisions of ints are several times faster, and
    indices of large arrays do not wrap around.

    Args: ``name`` the ``extern "C" __global__`` function in ``source``.
    """

    def __init__(self, source: str, name: str):
        self.source, self.name = source, name
        _declare(self)

    @cache
    def text(self, dtype, wide: bool) -> str:
        """The source for elements of ``dtype``, with 64-bit indices if ``wide``."""
        index = "long long" if wide else "int"
        number = TYPES[np.dtype(dtype).name]
        return f"typedef {number} T; typedef {index} I;{self.source}"

    def __call__(self, dtype, grid, block, args, shared_mem=0):
        """Launch on the current stream, without waiting for it.

        Args: ``grid``, ``block`` tuples of up to three sizes; ``args`` contiguous
        arrays on the device and Python integers; ``shared_mem`` bytes of dynamic shared
        memory for a block.
        """
        wide = max(abs(a) if type(a) is int else a.size for a in args) > NARROW
        whole = np.int64 if wide else np.int32
        args = tuple(whole(a) if type(a) is int else a for a in args)
        kernel = build(cupy_module(), "RawKernel", self.text(dtype, wide), self.name)
        kernel(grid, block, args, shared_mem=shared_mem)


def blocks(threads: int, each: int = 256) -> int:
    """Blocks of ``each`` threads that make at least ``threads``."""
    return -(-threads // each)


def lanes(length: int, most: int = 32) -> int:
    """The smallest power of two that is at least ``length``, and at most ``most``."""
    return min(1 << max(length - 1, 0).bit_length(), most)


def constant(values: tuple, limit: int):
    """Whole numbers, cut to ``+-limit``, as an int64 array on the current device.

    The same values are copied to the device once, so a training loop never waits.
    """
    cupy = cupy_module()
    return _upload(cupy, cupy.cuda.Device().id, values, limit)


@lru_cache(CONSTANTS)
def _upload(cupy, _device, values, limit):
    cut = [min(max(v, -limit), limit) for v in values]
    return cupy.asarray(np.array(cut, np.int64))
