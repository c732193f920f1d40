"""The Walsh-Hadamard transform on CUDA: one read and one write up to `longest` numbers.

Each thread holds sixteen numbers. The index of a number in its tile has three kinds of
bits: five name the lane, four the register, the rest the warp; a level of the transform
adds and subtracts numbers whose indices differ in one bit. Lane bits are reached by
warp shuffles, register bits in the thread, warp bits by one exchange through shared
memory, after which they are register bits. Short rows lie side by side in a tile and
need no exchange. The levels of longer rows that join whole tiles are done in place, up
to eight in one pass over memory, by threads whose neighbours hold neighbouring columns.
"""

from ..backend import xp_of
from ._cuda import SHARED, Raw, blocks

_LEVELS = r"""
// Of 16 numbers that lie `stride` apart: the levels from distance `low` to below `end`.
__device__ void levels(T* v, I stride, I low, I end) {
    #pragma unroll
    for (int bit = 1; bit < 16; bit *= 2)
        if (stride * bit >= low && stride * bit < end) {
            #pragma unroll
            for (int k = 0; k < 16; k++)
                if (!(k & bit)) {
                    T a = v[k], b = v[k | bit];
                    v[k] = a + b;
                    v[k | bit] = a - b;
                }
        }
}
"""

_tiles = Raw(
    _LEVELS
    + r"""
// Rows of n numbers, n a power of two; a block transforms 16 numbers a thread, which
// are several whole rows or one. Of x and y one may be the other.
extern "C" __global__ void __launch_bounds__(512) minidl_fwht_tiles(
        const T* x, T* y, I total, I n) {
    extern __shared__ T tile[];
    I threads = (I)blockDim.x, lane = (I)threadIdx.x % 32;
    I start = (I)blockIdx.x * threads * 16;
    I own = (I)threadIdx.x / 32 * 512 + lane;  // of a warp; registers 32 apart
    T v[16];
    #pragma unroll
    for (int k = 0; k < 16; k++) {
        I i = own + 32 * k;
        v[k] = start + i < total ? x[start + i] : T(0);
    }
    #pragma unroll
    for (int bit = 1; bit < 32; bit *= 2)
        if (bit < n) {
            T sign = lane & bit ? T(-1) : T(1);
            #pragma unroll
            for (int k = 0; k < 16; k++)
                v[k] = sign * v[k] + __shfl_xor_sync(0xffffffffu, v[k], bit);
        }
    levels(v, 32, 32, n);
    I stride = 32;
    if (n > 512) {
        #pragma unroll
        for (int k = 0; k < 16; k++) tile[own + 32 * k] = v[k];
        __syncthreads();
        own = (I)threadIdx.x;
        stride = threads;
        #pragma unroll
        for (int k = 0; k < 16; k++) v[k] = tile[own + threads * k];
        levels(v, threads, 512, n);
    }
    #pragma unroll
    for (int k = 0; k < 16; k++) {
        I i = own + stride * k;
        if (start + i < total) y[start + i] = v[k];
    }
}
""",
    "minidl_fwht_tiles",
)

_columns = Raw(
    _LEVELS
    + r"""
// In place, every transform of `parts` numbers that lie `stride` apart: up to 16 in the
// registers of one thread, 256 in those of 16. The stride is at least a block's width.
extern "C" __global__ void __launch_bounds__(512) minidl_fwht_columns(
        T* y, I parts, I stride, I columns) {
    extern __shared__ T tile[];
    I width = (I)blockDim.x, upper = (I)threadIdx.y, rows = (I)blockDim.y;
    I column = (I)blockIdx.x * width + (I)threadIdx.x;
    if (parts <= 16) column = ((I)blockIdx.x * rows + upper) * width + (I)threadIdx.x;
    bool inside = column < columns;
    I start = column / stride * (stride * parts) + column % stride;
    I row = parts <= 16 ? 0 : upper, step = parts <= 16 ? 1 : 16;
    T v[16];
    #pragma unroll
    for (int k = 0; k < 16; k++) {
        I i = row + step * k;
        v[k] = inside && i < parts ? y[start + i * stride] : T(0);
    }
    levels(v, step, 1, parts);
    if (parts > 16) {
        #pragma unroll
        for (int k = 0; k < 16; k++)
            tile[(row + step * k) * width + (I)threadIdx.x] = v[k];
        __syncthreads();
        row = 16 * upper;
        step = 1;
        #pragma unroll
        for (int k = 0; k < 16; k++)
            v[k] = tile[(row + k) * width + (I)threadIdx.x];
        levels(v, 1, 1, 16);
    }
    #pragma unroll
    for (int k = 0; k < 16; k++) {
        I i = row + step * k;
        if (inside && i < parts) y[start + i * stride] = v[k];
    }
}
""",
    "minidl_fwht_columns",
)


def longest(itemsize: int) -> int:
    """The row length that one pass transforms: shared memory holds a row."""
    return 1 << (SHARED // itemsize).bit_length() - 1


def plan(bits: int, itemsize: int) -> tuple[int, list[int]]:
    """Levels that the first pass does of ``bits``, and those of each further pass."""
    passes, rest = [], bits - (longest(itemsize).bit_length() - 1)
    while rest > 0:
        passes.append(8 if rest > 4 else rest)
        rest -= passes[-1]
    return bits - sum(passes), passes


def transform(x, y) -> None:
    """The transform of the last axis of ``x`` into ``y``: both contiguous, or one."""
    n, itemsize = x.shape[-1], x.dtype.itemsize
    if not x.size:
        return
    done, passes = plan(n.bit_length() - 1, itemsize)
    threads = 512 if 1 << done > 4096 else 256
    grid, shared = (blocks(x.size, 16 * threads),), 0
    if 1 << done > 512:
        shared = 16 * threads * itemsize
    _tiles(x.dtype, grid, (threads,), (x, y, x.size, 1 << done), shared)
    width = 32 if itemsize == 4 else 16  # so that 256 rows fit shared memory
    for more in passes:
        parts, columns, block = 1 << more, x.size >> more, (width, 16)
        shared = 256 * width * itemsize if parts > 16 else 0
        grid = (blocks(columns, width if shared else width * 16),)
        _columns(x.dtype, grid, block, (y, parts, 1 << done, columns), shared)
        done += more


def cuda(x):
    xp = xp_of(x)
    y = xp.empty(x.shape, x.dtype)
    transform(xp.ascontiguousarray(x), y)
    return y
