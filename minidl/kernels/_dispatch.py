"""One operation, up to three rungs: reference, Numba on the CPU, CUDA through CuPy."""

import os
import sys
from pathlib import Path
from threading import RLock
from types import FunctionType

import numpy as np

from .. import threads
from ..backend import xp_of
from ._compile import build


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


ROOM = Path(__file__).parent  # the files of all loops
LOOPS: list["Jit"] = []  # all of them, in the order of their definition
_one_at_a_time = RLock()
_held = []  # locks taken for a fork


def _before_fork():
    """Wait until no thread runs a parallel loop or compiles: it would not exist in the
    child, and what it holds would never be given back there."""
    found = [_one_at_a_time]
    if numba_lock := sys.modules.get("numba.core.compiler_lock"):
        found.append(numba_lock.global_compiler_lock)
    for lock in found:
        lock.acquire()
        _held.append(lock)


def _after_fork():
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )


class Lazy:
    """A function that Numba builds, as ``compiled``, when it is first needed."""

    def __init__(self, function):
        self.function, self._compiled = function, None
        self.__doc__ = function.__doc__

    @property
    def built(self) -> bool:
        """Whether ``compiled`` has been asked for."""
        return self._compiled is not None

    @property
    def compiled(self):
        """What Numba makes of the function; it is imported only here."""
        if self._compiled is None:
            with _one_at_a_time:
                self._compiled = self._compiled or self._build()
        return self._compiled

    def sources(self) -> set[str]:
        """The files that the machine code is made from."""
        return {self.function.__code__.co_filename}


class Jit(Lazy):
    """A loop that Numba compiles at its first call, or takes from its cache on disk.

    Numba's workqueue threads survive fork and do not fight BLAS; they would end the
    process if two threads entered them at once, so parallel loops take turns.
    """

    def __init__(self, function, **options):
        super().__init__(function)
        self.options = options
        LOOPS.append(self)

    def helpers(self) -> dict[str, Lazy]:
        """What it calls, by name."""
        names, space = self.function.__code__.co_names, self.function.__globals__
        return {n: space[n] for n in names if isinstance(space.get(n), Lazy)}

    def sources(self):
        return super().sources().union(*(h.sources() for h in self.helpers().values()))

    def _build(self):
        import numba

        helpers = {name: helper.compiled for name, helper in self.helpers().items()}
        function = FunctionType(
            self.function.__code__,
            {**self.function.__globals__, **helpers, "prange": numba.prange},
            self.function.__name__,
        )
        return build(function, sorted(self.sources()), **self.options)

    def __call__(self, *args):
        compiled = self.compiled
        if not self.options.get("parallel"):
            return compiled(*args)
        with _one_at_a_time:
            threads.enter_loop()
            return compiled(*args)


class Intrinsic(Lazy):
    """A piece of a loop whose LLVM code is written by hand.

    ``function`` says in Python what it computes, and runs where nothing is compiled;
    ``generate(typingctx, *types)`` gives the signature and the code generator, as
    `numba.extending.intrinsic` wants it. It imports what it needs when it is called.
    """

    def __init__(self, function, generate):
        super().__init__(function)
        self.generate = generate

    def _build(self):
        import numba.extending

        if numba.config.DISABLE_JIT:
            return self.function
        return numba.extending.intrinsic(prefer_literal=True)(self.generate)

    def sources(self):
        known = self.generate.__globals__.values()
        modules = (sys.modules[v.__module__] for v in known if isinstance(v, type))
        files = (vars(module).get("__file__") for module in modules)
        own = {file for file in files if file and Path(file).parent == ROOM}
        return super().sources() | own | {self.generate.__code__.co_filename}

    def __call__(self, *args):
        return self.function(*args)


def jit(**options):
    """Decorate a loop to become a `Jit`; ``options`` go to ``numba.njit``.

    Inside, ``prange`` (imported from here) names Numba's parallel range, and any other
    `Jit` or `Intrinsic` may be called: an edit of their files compiles anew. Numbers
    must be of these files too: of others the cache does not know.
    """
    return lambda function: Jit(function, **options)


def intrinsic(generate):
    """Decorate a function to become an `Intrinsic` with this code generator."""
    return lambda function: Intrinsic(function, generate)


prange = range


def _stats():
    built = [loop.compiled for loop in LOOPS if loop.built]
    return [c.stats for c in built if hasattr(c, "stats")]  # a plain function has none


def compilations() -> tuple[int, int]:
    """How many versions of loops this process compiled, and how many it loaded."""
    stats = _stats()
    return (
        sum(s.cache_misses.total() for s in stats),
        sum(s.cache_hits.total() for s in stats),
    )


def folders() -> set[str | None]:
    """Where the loops used so far are cached; None for not at all."""
    return {s.cache_path for s in _stats()}
