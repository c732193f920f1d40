"""CUDA's own compilers, where there are any: nvcc, and NVRTC, which CuPy uses."""

import ctypes
import ctypes.util
import importlib.util
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from minidl.kernels._cuda import TYPES

ARCHITECTURE = "sm_90"
C_LINKAGE = 'extern "C" '
MISSING = "needs nvcc (on PATH or in /usr/local/cuda/bin) or NVRTC's library"


def nvcc() -> str | None:
    """The path of nvcc."""
    return shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


@cache
def nvrtc() -> ctypes.CDLL | None:
    """NVRTC's library: of the system, or of one of NVIDIA's Python packages."""
    names = [ctypes.util.find_library("nvrtc")]
    try:
        spec = importlib.util.find_spec("nvidia")
    except (ImportError, ValueError):
        spec = None
    for folder in spec.submodule_search_locations or () if spec else ():
        names += sorted(map(str, Path(folder).glob("*/lib/libnvrtc.so.*")))
    for name in filter(None, names):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def compile_nvcc(compiler: str, source: str, folder: Path) -> str:
    """Compile with all warnings as errors; the assembler's report, or raise."""
    path = folder / "kernels.cu"
    path.write_text(source)
    command = [compiler, "-cubin", f"-arch={ARCHITECTURE}", "-Werror", "all-warnings"]
    command += ["-Xptxas", "-v,-Werror", "-o", os.devnull, str(path)]
    result = subprocess.run(command, text=True, capture_output=True)
    if result.returncode:
        raise SyntaxError(result.stderr[-4000:])
    return result.stderr


def compile_nvrtc(library: ctypes.CDLL, source: str) -> str:
    """Compile as CuPy does; the compiler's messages, or raise with them."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    failed = library.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None
    )
    assert not failed, f"nvrtcCreateProgram returned {failed}"
    options = [f"--gpu-architecture={ARCHITECTURE}".encode()]
    given = (ctypes.c_char_p * len(options))(*options)
    failed = library.nvrtcCompileProgram(program, len(options), given)
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    if failed:
        raise SyntaxError(log.value.decode()[-4000:])
    return log.value.decode()


def together(texts) -> str:
    """Several sources as one, each in a namespace of its own."""
    parts = [
        f"namespace kernel_{i} {{\n{text.replace(C_LINKAGE, '')}\n}}\n"
        for i, text in enumerate(texts)
    ]
    return "".join(parts)


def elementwise(inputs: str, outputs: str, body: str, name: str) -> str:
    """An elementwise kernel's body as a kernel over flat arrays, in C++ of its own."""
    kinds = {"T": "T", **TYPES}
    lines, parameters = [], []
    for side, mark in ((inputs, "const "), (outputs, "")):
        for parameter in side.split(","):
            kind, label = parameter.strip().rsplit(" ", 1)
            parameters.append(f"{mark}{kinds[kind]}* {label}_")
            lines.append(f"{mark}{kinds[kind]}& {label} = {label}_[i]; (void){label};")
    body = "\n".join(lines) + body
    return (
        f'\nextern "C" __global__ void {name}({", ".join(parameters)}, I n) {{\n'
        f"I i = (I)blockIdx.x * (I)blockDim.x + (I)threadIdx.x;\n"
        f"if (i >= n) return;\n{body};\n}}\n"
    )
