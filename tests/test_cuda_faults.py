"""The CUDA shim finds wrong kernels: each fault is planted beside its right version.

First in small kernels that show one rule each, then in the kernels of minidl: a line
taken away or changed there does not stay unseen.
"""

import cuda_shim
import numpy as np
import pytest
from cuda_shim import Fault, RawKernel

from minidl import kernels
from minidl.kernels import _cuda

pytestmark = pytest.mark.skipif(not cuda_shim.available(), reason=cuda_shim.MISSING)

# Sums rows of n numbers by halving, in dynamic shared memory.
HALVING = """
extern "C" __global__ void rows(const float* x, float* y, int n) {
    extern __shared__ float part[];
    float sum = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += x[blockIdx.x * n + i];
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int k = blockDim.x / 2; k > 0; k /= 2) {
        if (threadIdx.x < k) part[threadIdx.x] += part[threadIdx.x + k];
        __syncthreads();
    }
    if (threadIdx.x == 0) y[blockIdx.x] = part[0];
}
"""
# The same by shuffles, then over warps in static shared memory.
SHUFFLES = """
extern "C" __global__ void rows(const float* x, float* y, int n) {
    __shared__ float part[4];
    float sum = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += x[blockIdx.x * n + i];
    for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffffu, sum, d);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) y[blockIdx.x] = part[0] + part[1] + part[2] + part[3];
}
"""
# Turns each group of 32 numbers around, through shared memory of the warp alone.
WARPS = """
extern "C" __global__ void rows(const float* x, float* y, int n) {
    __shared__ float part[128];
    int i = blockIdx.x * blockDim.x + threadIdx.x, first = threadIdx.x / 32 * 32;
    part[threadIdx.x] = x[i];
    __syncwarp();
    y[i] = part[first + 31 - threadIdx.x % 32];
}
"""
RIGHT = {"halving": HALVING, "shuffles": SHUFFLES, "warps": WARPS}

FAULTS = {
    # of barriers
    "missing barrier after a write": (
        HALVING,
        "= sum;\n    __syncthreads();",
        "= sum;",
        "race|before anything",
    ),
    "missing barrier in a loop": (
        HALVING,
        "        __syncthreads();\n    }",
        "    }",
        "race",
    ),
    "missing barrier between warps": (
        SHUFFLES,
        "__syncthreads();",
        "",
        "race|before anything",
    ),
    "missing barrier in a warp": (WARPS, "__syncwarp();", "", "race|before anything"),
    "barrier that some threads skip": (
        HALVING,
        "if (threadIdx.x < k) part[threadIdx.x] += part[threadIdx.x + k];",
        "if (threadIdx.x >= k) return; part[threadIdx.x] += part[threadIdx.x + k];",
        "returned",
    ),
    "different barriers": (
        HALVING,
        "= sum;\n    __syncthreads();",
        "= sum;\n    if (threadIdx.x < 50) {\n    __syncthreads();\n    } else {\n"
        "    __syncthreads();\n    }",
        "mismatched barriers",
    ),
    "barrier in a branch": (
        HALVING,
        "= sum;\n    __syncthreads();",
        "= sum;\n    if (threadIdx.x < 50) __syncthreads();",
        "mismatched barriers|race|before anything",
    ),
    "shuffle in a branch": (
        SHUFFLES,
        "    for (int d = 16",
        "    if (threadIdx.x % 2) for (int d = 16",
        "deadlock",
    ),
    "shuffle among the wrong lanes": (
        SHUFFLES,
        "0xffffffffu",
        "0xffffu",
        "does not name",
    ),
    "barrier against a shuffle": (
        SHUFFLES,
        "    for (int d = 16",
        "    if (threadIdx.x == 3) __syncwarp(); else for (int d = 16",
        "deadlock",
    ),
    # of indices
    "dynamic shared memory, past the end": (
        HALVING,
        "y[blockIdx.x] = part[0]",
        "y[blockIdx.x] = part[blockDim.x]",
        "reads out of bounds: element 128 of shared memory, which has 128",
    ),
    "dynamic shared memory, before it": (
        HALVING,
        "= part[0]",
        "= part[-1]",
        "element -1 of shared memory",
    ),
    "static shared memory, past the end": (
        SHUFFLES,
        "float part[4]",
        "float part[3]",
        "index 3, out of bounds",
    ),
    "static shared memory, before it": (
        SHUFFLES,
        "= part[0] +",
        "= part[-1 * int(blockDim.y)] +",
        "out of bounds",
    ),
    "global memory, read past the end": (
        HALVING,
        "i < n;",
        "i <= n;",
        "reads out of bounds: .* of argument 0",
    ),
    "global memory, written past the end": (
        HALVING,
        "y[blockIdx.x] =",
        "y[blockIdx.x + 1] =",
        "writes out of bounds: element 3 of argument 1, which has 3",
    ),
    "global memory, far away": (
        HALVING,
        "x[blockIdx.x * n + i]",
        "x[blockIdx.x * n * 9999 + i]",
        "reads out of bounds",
    ),
    "an index that overflows": (
        HALVING,
        "x[blockIdx.x * n + i]",
        "x[int(blockIdx.x) * 2000000 * n + i]",
        "overflows|out of bounds",
    ),
    # of races
    "all blocks write one element": (
        HALVING,
        "y[blockIdx.x] =",
        "y[0] =",
        "writes element 0 of argument 1.*race",
    ),
    "all threads write one element": (
        HALVING,
        "if (threadIdx.x == 0) y",
        "y",
        "argument 1.*race",
    ),
    "threads add up in global memory": (
        SHUFFLES,
        "if (threadIdx.x == 0) y[blockIdx.x] = part[0]",
        "y[blockIdx.x] += part[0]",
        "race|argument 1",
    ),
    "a thread reads what another wrote": (
        WARPS,
        "y[i] = part",
        "y[i] = 0; y[i] = y[i ^ 1] + part",
        "argument 1.*race",
    ),
    # of memory that nobody wrote
    "shared memory that was not written": (
        HALVING,
        "    part[threadIdx.x] = sum;",
        "    if (threadIdx.x < 100) part[threadIdx.x] = sum;",
        "before anything",
    ),
    "shared memory of the block before": (
        SHUFFLES,
        "if (threadIdx.x % 32 == 0) part",
        "if (threadIdx.x % 32 == 0 && blockIdx.x == 0) part",
        "before anything",
    ),
}


@pytest.fixture(scope="module", autouse=True)
def compiled(request):
    """All kernels, side by side; each at its first use where few tests were picked."""
    if cuda_shim.available() and len(request.session.items) > 50:
        faulty = [(source.replace(a, b), "rows") for source, a, b, _ in FAULTS.values()]
        cuda_shim.prepare(faulty + [(source, "rows") for source in RIGHT.values()])


def launch(source, order="shuffled", n=300):
    """Three blocks of 128 threads; what they wrote, and what is right."""
    if "first + 31" in source:
        x = np.arange(384, dtype="float32")
        y, expected = np.zeros_like(x), x.reshape(-1, 32)[:, ::-1].reshape(-1)
    else:
        x = np.random.default_rng(0).random((3, n)).astype("float32")
        y, expected = np.zeros(3, "float32"), x.sum(1)
    dynamic = 128 * 4 * ("extern __shared__" in source)
    with cuda_shim.order(order):
        args = (x, y, np.int32(n))
        RawKernel(source, "rows")((3,), (128,), args, shared_mem=dynamic)
    return y, expected


@pytest.mark.parametrize("order", cuda_shim.ORDERS)
@pytest.mark.parametrize("name", RIGHT)
def test_right_kernels_pass(name, order):
    np.testing.assert_allclose(*launch(RIGHT[name], order), 1e-5)


@pytest.mark.parametrize("order", cuda_shim.ORDERS)
@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_caught(name, order):
    source, right, wrong, message = FAULTS[name]
    assert source.count(right) == 1
    with pytest.raises(Fault, match=message):
        launch(source.replace(right, wrong), order)


def test_a_fault_names_the_thread_and_the_line():
    wrong = HALVING.replace("y[blockIdx.x] =", "y[3] =")
    with pytest.raises(Fault, match=r"rows: thread \(0, 0, 0\) of block \(0, 0, 0\)"):
        launch(wrong, "forward")
    if cuda_shim.shutil.which("addr2line"):
        line = HALVING[: HALVING.index("y[blockIdx.x] =")].count("\n") + 1
        with pytest.raises(Fault, match=rf"\(rows.cu:{line}\)"):
            launch(wrong)


def test_after_a_fault_the_next_launch_is_right():
    with pytest.raises(Fault):
        launch(HALVING.replace("part[0]", "part[-1]"))
    np.testing.assert_allclose(*launch(HALVING), 1e-5)


# Faults in minidl's own kernels: (a call that runs the kernel, right, wrong).


def own_calls():
    r = np.random.default_rng(1).standard_normal
    image = r((2, 6, 9, 35))
    one, pads = (1, 1), ((1, 1), (1, 1))
    pooling = (image, (9, 35), (1, 3), one, (0, 1), one)
    return {
        "shift": (kernels.shift, image, (-1,) * 6, (-2,) * 6),
        "fwht": (kernels.fwht, r((2, 1 << 12))),
        "fwht columns": (kernels.fwht, r((1, 1 << 17))),
        "unfold": (kernels.unfold, image, (3, 3), one, pads, one),
        "fold": (kernels.fold, r((6, 3, 3, 2, 9, 35)), (9, 35), (3, 3), one, pads, one),
        "gather": (kernels.max_pool2d_gather, image, *pooling),
        "scatter": (kernels.max_pool2d_scatter, r((2, 6, 9, 35)), *pooling),
        "direct": (kernels.conv2d, image, r((6, 2, 3, 3)), one, pads, one, 3),
        "weight": (
            kernels.conv2d_weight,
            image,
            r((2, 6, 9, 35)),
            (3, 3),
            one,
            pads,
            one,
            3,
        ),
    }


def compare_own(name):
    operation, *args = own_calls()[name]
    got, expected = operation.cuda(*args), operation.reference(*args)
    np.testing.assert_allclose(got, expected, 1e-9, 1e-9)


OWN = [
    ("shift", "source < height", "source <= height"),
    ("shift", "if (row < rows) y", "y"),
    ("shift", "source >= 0 && source < width", "source >= 0"),
    ("fwht", "        __syncthreads();\n", ""),
    ("fwht", "start + i < total ? x[start + i]", "true ? x[start + i + 1]"),
    ("fwht", "tile[own + threads * k]", "tile[own + threads * k + 1]"),
    ("fwht", "__shfl_xor_sync(0xffffffffu,", "__shfl_xor_sync(0xffffu,"),
    ("fwht columns", "        __syncthreads();\n", ""),
    ("fwht columns", "row = 16 * upper;", "row = 15 * upper;"),
    ("unfold", "row >= 0 && row < height", "row < height"),
    ("unfold", "if (thread >= threads) return;", ""),
    ("fold", "p < 0 || p % sh || p / sh >= oh", "p % sh || p / sh >= oh"),
    ("gather", "col >= width", "col > width"),
    ("gather", "if (thread >= threads) return;", ""),
    ("scatter", "y[thread] = sum;", "y[thread / 2] = sum;"),
    ("scatter", "q / sw >= ow", "q / sw > ow"),
    ("direct", "        __syncthreads();\n        for (I i", "        for (I i"),
    ("direct", "        __syncthreads();\n    }", "    }"),
    ("direct", "r * tile_w + s", "r * nx + s"),
    ("direct", "row < out_h && col < out_w", "col < out_w"),
    ("direct", "r < tile_h; r += ny", "r < tile_h - 1; r += ny"),
    ("weight", "        __syncthreads();\n        if (number", "        if (number"),
    ("weight", "if (number % 32 == 0) partial", "partial"),
    ("weight", "row < in_h", "row <= in_h"),
    ("weight", "WARPS = 8", "WARPS = 7"),
]


class HostModule:
    """The part of CuPy that the kernels' callers need, on NumPy arrays."""

    RawKernel = RawKernel

    class cuda:
        @staticmethod
        def Device():
            return type("Device", (), {"id": 0})

    asarray = staticmethod(np.asarray)


@pytest.fixture
def on_host(monkeypatch):
    monkeypatch.setattr(_cuda, "cupy_module", lambda: HostModule)


@pytest.mark.parametrize("name", own_calls())
def test_minidls_kernels_pass(on_host, name):
    compare_own(name)


@pytest.mark.parametrize("name, right, wrong", OWN)
def test_a_fault_in_minidls_kernels_is_caught(on_host, monkeypatch, name, right, wrong):
    changed = []

    def text(kernel, dtype, wide, whole=_cuda.Raw.text):
        source = whole(kernel, dtype, wide)
        changed.append(right in source)
        return source.replace(right, wrong)

    monkeypatch.setattr(_cuda.Raw, "text", text)
    with pytest.raises((Fault, AssertionError)):
        compare_own(name)
    assert any(changed)
