"""One operation, up to three rungs: reference, Numba on the CPU, CUDA through CuPy."""

from functools import cached_property
from threading import Lock
from types import FunctionType

import numpy as np

from ..backend import xp_of


class Kernel:
    """Arrays in, array out; runs the fastest rung that exists where the arrays live.

    ``reference`` is plain array code, right under NumPy and CuPy: the specification.
    ``cpu`` and ``cuda`` take the same arguments; each is built at its first use.
    """

    def __init__(self, reference, cpu=None, cuda=None):
        self.reference, self.cpu, self.cuda = reference, cpu, cuda
        self.__doc__ = reference.__doc__

    def __call__(self, *args):
        rung = self.cpu if xp_of(*args) is np else self.cuda
        return (rung or self.reference)(*args)


_one_at_a_time = Lock()


class Jit:
    """A loop that Numba compiles at its first call; Numba is imported only then.

    Machine code is cached on disk where the folder can be written. The workqueue
    threading layer is chosen because it survives fork and does not fight BLAS; it would
    end the process if two threads entered it at once, so parallel loops take turns.
    """

    def __init__(self, function, **options):
        self.function, self.options = function, options

    @cached_property
    def compiled(self):
        import numba

        numba.config.THREADING_LAYER = "workqueue"
        space, names = self.function.__globals__, self.function.__code__.co_names
        helpers = {n: space[n].compiled for n in names if isinstance(space.get(n), Jit)}
        function = FunctionType(
            self.function.__code__,
            {**space, **helpers, "prange": numba.prange},
            self.function.__name__,
        )
        try:
            return numba.njit(cache=True, **self.options)(function)
        except RuntimeError:  # Numba found no folder that it may write to
            return numba.njit(**self.options)(function)

    def __call__(self, *args):
        if not self.options.get("parallel"):
            return self.compiled(*args)
        with _one_at_a_time:
            return self.compiled(*args)


def jit(**options):
    """Decorate a loop to become a `Jit`; ``options`` go to ``numba.njit``.

    Inside, ``prange`` (imported from here) names Numba's parallel range, and a `Jit` of
    the same file may be called. Of the same file only: an edit of another file would
    not invalidate what is cached.
    """
    return lambda function: Jit(function, **options)


prange = range
