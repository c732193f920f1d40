"""Compiling once on a machine: what is kept on disk, and a word when it takes long.

Numba's own cache keeps one index for all versions of a loop. Two processes that write
it at once lose entries, or make one version's entry point to the code of another; a
damaged file raises. Here every version has a file of its own, found by the hash of
what identifies it, written at once, and read only if its checksum is right. The folder
is Numba's: ``NUMBA_CACHE_DIR`` if that is set, else ``__pycache__`` beside the source,
else, where that cannot be written, the user's cache folder.
"""

import os
import pickle
import sys
import threading
import time
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..files import atomic_write

SILENT = "MINIDL_QUIET"  # the variable that silences the word
PATIENCE = 1.0  # seconds of compiling before it is said


class Files:
    """The versions of one loop on disk; stands in for Numba's index of them.

    ``key`` is Numba's: the argument types, the processor, the byte code. ``stamp``
    changes with the source files and with the libraries that the code relies on.
    """

    def __init__(self, folder, name, stamp):
        import llvmlite
        import numba

        self.folder, self.name = Path(folder), name
        versions = (numba.__version__, llvmlite.__version__, np.__version__)
        self.stamp = repr((stamp, versions))

    def _place(self, key):
        """The file of a version, and what must stand at its head."""
        label = sha256(repr(key[:2]).encode()).hexdigest()  # edits overwrite the file
        head = sha256(f"{self.stamp} {key!r}".encode()).digest()
        return self.folder / f"{self.name}.{label[:16]}.nbc", head

    def load(self, key):
        """The stored code; None if there is none, or not of this source, or damaged."""
        path, head = self._place(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        body = data[64:]
        if data[:64] != head + sha256(body).digest():
            return None
        return pickle.loads(body)

    def save(self, key, data):
        """Store code; where that fails it is compiled again next time."""
        from numba.core.serialize import dumps

        path, head = self._place(key)
        body = dumps(data)
        atomic_write(path, head + sha256(body).digest() + body)

    def flush(self):
        """Forget every version (Numba's ``recompile`` asks for that)."""
        for path in self.folder.glob(f"{self.name}.*.nbc"):
            path.unlink(missing_ok=True)


@cache
def _classes():
    """Numba's cache over `Files`, and its listener that announces long compiling."""
    from numba.core import event
    from numba.core.caching import FunctionCache

    class Cache(FunctionCache):
        def __init__(self, function, sources):
            super().__init__(function)
            stamp = [sha256(Path(p).read_bytes()).hexdigest() for p in sources]
            self._cache_file = Files(self.cache_path, self._impl.filename_base, stamp)

        def save_overload(self, sig, data):
            try:
                super().save_overload(sig, data)
            except OSError:  # the disk is full, or the folder has gone: only slower
                pass

    class Announcer(event.Listener):
        def on_start(self, event):
            notice.start(event.data["dispatcher"])

        def on_end(self, event):
            notice.end(event.data["dispatcher"])

    event.register("numba:compile", Announcer())
    return Cache


class Notice:
    """Says once in a process, on stderr, that kernels are being compiled.

    A timer says it while the compiler works. It writes to whatever ``sys.stderr`` is
    at that moment: rich puts its own there, which writes above a progress bar.
    """

    def __init__(self):
        self.said = bool(os.environ.get(SILENT, "").strip("0 "))
        self.spent, self.depth, self.timer = 0.0, 0, None

    def start(self, dispatcher):
        if not self._concerns(dispatcher):
            return
        self.depth += 1  # compiling a loop compiles its helpers
        if self.depth == 1:
            self.began = time.monotonic()
            if not self.said:
                left = max(0.0, PATIENCE - self.spent)
                self.timer = threading.Timer(left, self.say, [dispatcher])
                self.timer.daemon = True
                self.timer.start()

    def end(self, dispatcher):
        if not self._concerns(dispatcher):
            return
        self.depth -= 1
        if self.depth == 0:
            self.spent += time.monotonic() - self.began
            if self.timer is not None:
                self.timer.cancel()
                self.timer.join()
                self.timer = None

    def say(self, dispatcher):
        self.said = True
        name = dispatcher.py_func.__module__.rpartition(".")[2]
        kept = dispatcher.stats.cache_path is not None
        how_long = "once on this machine" if kept else "no cache folder can be written"
        try:
            print(
                f"minidl: compiling kernels ({name}, ...): {how_long}; "
                f"{SILENT}=1 hides this",
                file=sys.stderr,
                flush=True,
            )
        except (OSError, ValueError, AttributeError):  # stderr is closed, or None
            pass

    @staticmethod
    def _concerns(dispatcher):
        return getattr(dispatcher, "announced", False)


notice = Notice()


def build(function, sources, **options):
    """``numba.njit(**options)(function)``, cached on disk where that is possible.

    What is cached holds as long as the files ``sources`` stay what they are.
    """
    import numba

    numba.config.THREADING_LAYER = "workqueue"
    compiled = numba.njit(**options)(function)
    if numba.config.DISABLE_JIT:
        return compiled
    kept = _classes()
    compiled.announced = True
    try:
        compiled._cache = kept(function, sources)
    except (RuntimeError, OSError):  # no folder may be written to, or no source read
        pass
    return compiled
