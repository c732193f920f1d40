"""Memory for large results, kept when they are freed and given out again.

A system hands out memory page by page, and fills every page with zeros first: for a
result that a loop is about to write, that costs as much as the loop. A training step
asks for the same sizes again and again, so what one step frees serves the next.
"""

import math

import numpy as np

LEAST = 1 << 18  # bytes below which the allocator keeps memory by itself
MOST = 1 << 30  # bytes that are kept at most
LINE = 64  # bytes of a cache line: vectors that begin on one are never split

_free: dict[int, list[np.ndarray]] = {}  # by size in bytes
_kept = 0


class _Block:
    """Memory under an array; returns it to be used again when the array has gone."""

    def __init__(self, memory, shape, dtype):
        self.memory = memory
        start = memory.ctypes.data
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (start + -start % LINE, False),
        }

    def __del__(self):
        global _kept
        if _kept is None or MOST is None:  # the interpreter is shutting down
            return
        size = self.memory.size
        if _kept + size > MOST:
            release()  # sizes that were used once may fill it
        if size <= MOST:
            _kept += size
            _free.setdefault(size, []).append(self.memory)


def empty(shape, dtype) -> np.ndarray:
    """``np.empty``, of memory that an earlier result has left if there is some."""
    global _kept
    dtype = np.dtype(dtype)
    shape = tuple(map(int, shape))
    size = math.prod(shape) * dtype.itemsize
    if size < LEAST:
        return np.empty(shape, dtype)
    step = 1 << (size.bit_length() - 4)  # sizes that are near each other share
    size = -(-(size + LINE) // step) * step
    try:
        memory = _free[size].pop()
        _kept -= size
    except (KeyError, IndexError):
        memory = np.empty(size, np.uint8)
    return np.asarray(_Block(memory, shape, dtype))


def zeros(shape, dtype) -> np.ndarray:
    """``np.zeros`` on such memory."""
    x = empty(shape, dtype)
    x.fill(0)
    return x


def release() -> None:
    """Give the memory that is kept for later results back to the system."""
    global _kept
    _free.clear()
    _kept = 0
