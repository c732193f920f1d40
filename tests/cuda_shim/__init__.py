"""CUDA kernels on the CPU: their source compiled as C++, every access watched.

`RawKernel` has the call of CuPy's, on NumPy arrays. A wrong kernel raises `Fault`: an
index out of bounds (of arrays, of static and dynamic shared memory), a race between two
threads, shared memory read before it is written, barriers that not all threads reach,
integers that overflow. `runtime.cpp` says how.
"""

import atexit
import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ORDERS = ("forward", "reverse", "shuffled")  # of threads and of blocks
SHARED = 48 << 10  # bytes of shared memory for a block unless a kernel asks for more
GAP = 1 << 16  # bytes between arrays, where nothing lies that could be hit unnoticed
OPTIONS = [
    "-std=c++17",
    "-O1",
    "-g1",
    "-fPIC",
    "-ffp-contract=off",
    "-w",
    "-fsanitize=thread",
    "-fno-tree-loop-distribute-patterns",
    "-fsanitize=bounds-strict,signed-integer-overflow,shift,integer-divide-by-zero",
]
MISSING = "CUDA kernels run on the CPU through g++, which is not installed"

launched: dict = {}  # kernel name -> launches so far
_order = ["shuffled"]


class Fault(RuntimeError):
    """What a kernel does wrong, with the thread, the block and the line."""


def available() -> bool:
    """Whether there is a compiler."""
    return shutil.which("g++") is not None


@contextmanager
def order(name: str):
    """Inside, threads and blocks run in this one of `ORDERS`."""
    _order.append(ORDERS[ORDERS.index(name)])
    try:
        yield
    finally:
        _order.pop()


@cache
def _folder() -> Path:
    """Where this process keeps what it compiles; removed at its end."""
    path = Path(tempfile.mkdtemp(prefix="cuda_shim_"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def _compile(*command):
    result = subprocess.run(["g++", *map(str, command)], text=True, capture_output=True)
    if result.returncode:
        raise SyntaxError(result.stderr[:4000])


@cache
def _runtime() -> ctypes.PyDLL:
    """The part that all kernels share; and the header, compiled once for all."""
    shutil.copy(HERE / "device.hpp", _folder())
    header = _folder() / "device.hpp"
    _compile(*OPTIONS, "-x", "c++-header", header, "-o", f"{header}.gch")
    path = _folder() / "libruntime.so"
    options = ["-std=c++17", "-O2", "-fPIC", "-shared", "-U_FORTIFY_SOURCE"]
    _compile(*options, HERE / "runtime.cpp", "-o", path, "-ldl")
    library = ctypes.PyDLL(str(path))
    library.cuda_shim_launch.restype = ctypes.c_char_p
    return library


def prepare(kernels) -> None:
    """Compile several (source, name) ahead, as many at a time as there are cores."""
    _runtime()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda kernel: _library(*kernel), kernels))


@cache
def _library(code: str, name: str) -> tuple[ctypes.PyDLL, Path]:
    """The compiled kernel, once for the same source."""
    _runtime()
    dynamic = r"extern\s+__shared__\s+([\w ]+?)\s+(\w+)\[\s*\]\s*;"
    code = re.sub(dynamic, r"\1* \2 = (\1*)cuda_shim::dynamic_shared();", code)
    text = f'#include "device.hpp"\n#line 1 "{name}.cu"\n{code}\n'
    text += f"CUDA_SHIM_EXPORT({name})\n"
    stem = _folder() / hashlib.sha256(text.encode()).hexdigest()[:16]
    source, unit, path = (stem.with_suffix(s) for s in (".cpp", ".o", ".so"))
    source.write_text(text)
    _compile(*OPTIONS, f"-I{_folder()}", "-c", source, "-o", unit)
    _compile("-shared", "-nostdlib", unit, _folder() / "libruntime.so", "-o", path)
    library = ctypes.PyDLL(str(path))
    library.cuda_shim_static.restype = ctypes.c_void_p
    library.cuda_shim_static_bytes.restype = ctypes.c_long
    return library, path


def _sizes(what, sizes, limits):
    sizes = tuple(sizes)
    whole = all(isinstance(s, int) for s in sizes) and 1 <= len(sizes) <= 3
    if not whole or any(not 1 <= s <= most for s, most in zip(sizes, limits)):
        raise ValueError(f"{what} must be 1 to 3 integers up to {limits}; got {sizes}")
    return sizes + (1,) * (3 - len(sizes))


class RawKernel:
    """A kernel of CUDA C++, called as CuPy's: grid, block, arguments, shared memory."""

    def __init__(self, code, name, options=()):
        self.code, self.name = code, name
        self.max_dynamic_shared_size_bytes = SHARED

    def __call__(self, grid, block, args, *, shared_mem=0):
        library, path = _library(self.code, self.name)
        grid = _sizes("grid", grid, ((1 << 31) - 1, 65535, 65535))
        block = _sizes("block", block, (1024, 1024, 64))
        if np.prod(block) > 1024:
            raise ValueError(f"a block has at most 1024 threads; got {block}")
        fixed = library.cuda_shim_static_bytes()
        if fixed > SHARED or fixed + shared_mem > self.max_dynamic_shared_size_bytes:
            bytes_ = f"{fixed} static and {shared_mem} dynamic bytes"
            raise ValueError(f"{self.name}: too much shared memory: {bytes_}")
        values, arrays, back = self._arguments(library, args)
        count = len(arrays)
        starts = (ctypes.c_void_p * count)(*[a.ctypes.data for _, a in arrays])
        nbytes = (ctypes.c_size_t * count)(*[a.nbytes for _, a in arrays])
        units = (ctypes.c_size_t * count)(*[a.itemsize for _, a in arrays])
        numbers = (ctypes.c_int * count)(*[i for i, _ in arrays])
        pointers = (ctypes.c_void_p * len(values))(*[v.ctypes.data for v in values])
        offset, dims = ctypes.c_size_t(), ctypes.c_uint * 3
        unit = min((a.itemsize for _, a in arrays if a.dtype.kind == "f"), default=4)
        launched[self.name] = launched.get(self.name, 0) + 1
        message = _runtime().cuda_shim_launch(
            library.cuda_shim_entry,
            pointers,
            dims(*grid),
            dims(*block),
            ctypes.c_void_p(library.cuda_shim_static()),
            ctypes.c_size_t(fixed),
            ctypes.c_size_t(shared_mem),
            ctypes.c_size_t(unit),
            count,
            starts,
            nbytes,
            units,
            numbers,
            ORDERS.index(_order[-1]),
            ctypes.byref(offset),
        )
        for given, copy in back:
            if given.flags.writeable:
                given[...] = copy
            elif given.tobytes() != copy.tobytes():
                raise Fault(f"{self.name}: writes to an array that is read-only")
        if message:
            place = self._line(path, offset.value)
            raise Fault(f"{self.name}: {message.decode()}{place}")

    def _arguments(self, library, args):
        """Values as the kernel reads them, the arrays, and what to copy back where.

        Arrays lie in one piece of memory with gaps; what is given twice is there once.
        """
        kinds, sizes = ((ctypes.c_int * 64)() for _ in range(2))
        expected = library.cuda_shim_signature(kinds, sizes)
        if len(args) != expected:
            raise TypeError(f"{self.name} takes {expected} arguments; got {len(args)}")
        room = sum(a.nbytes + 2 * GAP for a in args if isinstance(a, np.ndarray))
        arena, at = np.empty(room, np.uint8), GAP
        values, arrays, back, copies = [], [], [], {}
        for i, (value, kind, size) in enumerate(zip(args, kinds, sizes)):
            where = f"{self.name}: argument {i}"
            if chr(kind) == "p":
                if not isinstance(value, np.ndarray) or not value.flags.c_contiguous:
                    raise TypeError(f"{where} must be a contiguous array; got {value}")
                if value.size and value.itemsize != size:
                    raise TypeError(
                        f"{where} must have {size} bytes an element; got {value.dtype}"
                    )
                key = (value.ctypes.data, value.nbytes)
                for other, _ in back:
                    if np.may_share_memory(value, other) and value.nbytes:
                        if key not in copies:
                            raise TypeError(f"{where} overlaps another argument")
                if key not in copies:
                    copy = arena[at : at + value.nbytes].view(value.dtype)
                    copies[key] = copy = copy.reshape(value.shape)
                    copy[...] = value
                    at += -(-value.nbytes // 256) * 256 + GAP
                    arrays.append((i, copy))
                    back.append((value, copy))
                values.append(np.array(copies[key].ctypes.data, np.uintp))
            else:
                # CuPy passes a Python int as a long long and a float as a double.
                value = np.asarray(value)
                if (
                    value.ndim
                    or value.itemsize != size
                    or ((value.dtype.kind == "f") != (chr(kind) == "f"))
                ):
                    raise TypeError(
                        f"{where} has {size} bytes of kind {chr(kind)!r}; "
                        f"got {value.dtype} {value!r:.40}"
                    )
                values.append(value)
        return values, arrays, back

    def _line(self, path, offset):
        """`` (name.cu:line)`` of the code at ``offset`` of a library, if known."""
        if not offset or not shutil.which("addr2line"):
            return ""
        command = ["addr2line", "-e", str(path), hex(offset)]
        found = subprocess.run(command, text=True, capture_output=True).stdout
        line = re.search(r":(\d+)", found)
        return f" ({self.name}.cu:{line[1]})" if line else ""
