"""The CUDA shim refuses launches that CUDA or CuPy would refuse or get wrong."""

import cuda_shim
import numpy as np
import pytest
from cuda_shim import Fault, RawKernel

pytestmark = pytest.mark.skipif(not cuda_shim.available(), reason=cuda_shim.MISSING)

COPY = """
extern "C" __global__ void copy(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i];
}
"""
x = np.arange(4, dtype="float32")
n = np.int32(4)


def test_shared_memory_is_nan_before_a_block():
    """Seen through a copy by the C library, which nobody watches."""
    source = """
    extern "C" __global__ void rows(const float* x, float* y, int n) {
        extern __shared__ float part[];
        __shared__ float fixed[4];
        float v[2];
        if (threadIdx.x) return;
        __builtin_memcpy(v, part, n);
        __builtin_memcpy(v + 1, fixed, n);
        y[blockIdx.x] = isnan(v[0]) && isnan(v[1]);
        __builtin_memset(part, 0, n);
        __builtin_memset(fixed, 0, n);
    }"""
    y = np.zeros(3, "float32")
    RawKernel(source, "rows")((3,), (128,), (x, y, n), shared_mem=64)
    assert y.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "grid, block, args, message",
    [
        ((0,), (32,), (x, x, n), "grid must be"),
        ((1,), (2048,), (x, x, n), "block must be"),
        ((1,), (64, 32), (x, x, n), "at most 1024 threads"),
        ((1, 70000), (32,), (x, x, n), "grid must be"),
        ((1.0,), (32,), (x, x, n), "grid must be"),
        ((1,), (32,), (x, x), "takes 3 arguments; got 2"),
        ((1,), (32,), (x, x, 4), "has 4 bytes of kind 'i'; got int64"),
        ((1,), (32,), (x, x, np.float32(4)), "kind 'i'; got float32"),
        ((1,), (32,), (x, x.astype(float), n), "must have 4 bytes"),
        ((1,), (32,), (x, x[::2], n), "contiguous"),
        ((1,), (32,), (x, x[1:], n), "overlaps another argument"),
    ],
)
def test_launches_that_cuda_or_cupy_would_refuse_or_get_wrong(
    grid, block, args, message
):
    with pytest.raises((TypeError, ValueError), match=message):
        RawKernel(COPY, "copy")(grid, block, args, shared_mem=512)


def test_too_much_shared_memory_is_refused():
    with pytest.raises(ValueError, match="0 static and 60000 dynamic bytes"):
        args = (x, x.copy(), n)
        RawKernel(COPY, "copy")((1,), (32,), args, shared_mem=60000)


def test_source_that_is_no_cpp_is_refused():
    with pytest.raises(SyntaxError, match="broken.cu:1"):
        RawKernel("void broken( {", "broken")((1,), (32,), ())


def test_a_right_launch_copies_back():
    y = np.zeros(4, "float32")
    RawKernel(COPY, "copy")((1,), (32,), (x, y, n))
    assert y.tolist() == x.tolist()


EVERY_CALL = """
extern "C" __global__ void every(int* out) {
    int lane = threadIdx.x % 32, v = 100 * threadIdx.y + lane, o = 64 * threadIdx.y;
    unsigned all = 0xffffffffu;
    out[o + lane] = __shfl_xor_sync(all, v, 5) + 1000 * __shfl_sync(all, v, 7);
    if (lane < 16)
        v = __shfl_down_sync(0xffffu, v, 3, 8) + 1000 * __shfl_up_sync(0xffffu, v, 2);
    __syncwarp(all);
    out[o + 32 + lane] = v;
}
"""


@pytest.mark.parametrize("order", cuda_shim.ORDERS)
def test_shuffles_move_what_cuda_says(order):
    out = np.zeros((2, 64), np.int32)
    with cuda_shim.order(order):
        RawKernel(EVERY_CALL, "every")((1,), (32, 2), (out,))
    for warp in range(2):
        base, lanes = 100 * warp, range(32)
        first = [base + (i ^ 5) + 1000 * (base + 7) for i in lanes]
        down = [base + (i + 3 if i % 8 + 3 < 8 else i) for i in range(16)]
        up = [base + (i - 2 if i >= 2 else i) for i in range(16)]
        second = [d + 1000 * u for d, u in zip(down, up)]
        assert out[warp].tolist() == first + second + [base + i for i in lanes[16:]]


def test_a_fault_does_not_write():
    y = np.zeros(4, "float32")
    with pytest.raises(Fault, match="element 4 of argument 1, which has 4"):
        RawKernel(COPY.replace("y[i]", "y[i + 1]"), "copy")((1,), (32,), (x, y, n))


def test_an_array_that_is_read_only_may_be_read_and_not_written():
    fixed, y = x.copy(), np.zeros(4, "float32")
    fixed.flags.writeable = False
    RawKernel(COPY, "copy")((1,), (32,), (fixed, y, n))
    assert np.array_equal(y, x)
    with pytest.raises(Fault, match="copy: writes to an array that is read-only"):
        RawKernel(COPY, "copy")((1,), (32,), (x + 1, fixed, n))
    assert np.array_equal(fixed, x)
