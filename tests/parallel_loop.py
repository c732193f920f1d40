"""A loop over Numba's own threads, for tests of how many there are."""

import numpy as np

from minidl.kernels._dispatch import jit, prange


@jit(parallel=True)
def _loop(x, y):
    for i in prange(len(x)):
        for j in range(len(x)):
            y[i] += x[i] * x[j]


def products(x):
    """``x[i] * sum(x)``: every thread writes its own part."""
    y = np.zeros_like(x)
    _loop(x, y)
    return y
