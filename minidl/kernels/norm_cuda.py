"""Passes over planes on CUDA; sums with a warp for each, in one read of the images.

Partial sums are float64, as on the CPU, and added in a fixed order without atomic
additions: the same input, the same bits. Results are (N, C); joining them over N takes
what CuPy does with small arrays anyway.
"""

import math

from ..backend import float64, xp_of
from ._cuda import Elementwise, Raw, blocks

WARPS = 8  # in a block, each with a plane of its own

affine = Elementwise(
    "T x, T scale, T shift, T center, T low",
    "T y",
    "T v = (x - center) * scale + shift; y = v < low ? low : v",
    "minidl_channel_affine",
)
blend = Elementwise(
    "T g, T x, T a, T b, T c, T center, T scale, T shift",
    "T y",
    """
    T d = x - center;
    T up = d * scale + shift > 0 ? g : T(0);
    y = a * up + (b * d + c);
    """,
    "minidl_channel_blend",
)

_WARP = r"""
__device__ double all_lanes(double v) {
    for (int bit = 16; bit; bit /= 2) v += __shfl_xor_sync(0xffffffffu, v, bit);
    return v;
}
// The plane of this warp; beyond the last one there is nothing to do for all its lanes.
__device__ I warp_index() {
    return (I)blockIdx.x * (I)(blockDim.x / 32) + (I)(threadIdx.x / 32);
}
"""
_moments = Raw(
    _WARP
    + r"""
// The mean and the sum of squared deviations of each plane of m values. The second pass
// finds the plane in the cache.
extern "C" __global__ void minidl_plane_moments(
        const T* __restrict__ x, double* __restrict__ mean,
        double* __restrict__ deviation, I planes, I m) {
    I plane = warp_index(), lane = (I)(threadIdx.x % 32);
    if (plane >= planes) return;
    x += plane * m;
    double sum = 0;
    for (I i = lane; i < m; i += 32) sum += x[i];
    double center = all_lanes(sum) / m;
    sum = 0;
    for (I i = lane; i < m; i += 32) {
        double d = x[i] - center;
        sum += d * d;
    }
    sum = all_lanes(sum);
    if (lane == 0) {
        mean[plane] = center;
        deviation[plane] = sum;
    }
}
""",
    "minidl_plane_moments",
)
_products = Raw(
    _WARP
    + r"""
// The sums of g and of g (x - center) over each plane, of g where it counts.
extern "C" __global__ void minidl_plane_products(
        const T* __restrict__ g, const T* __restrict__ x, const T* __restrict__ center,
        const T* __restrict__ scale, const T* __restrict__ shift,
        double* __restrict__ total, double* __restrict__ product,
        I planes, I channels, I m) {
    I plane = warp_index(), lane = (I)(threadIdx.x % 32);
    if (plane >= planes) return;
    I c = plane % channels;
    T middle = center[c], a = scale[c], b = shift[c];
    g += plane * m;
    x += plane * m;
    double sum = 0, along = 0;
    for (I i = lane; i < m; i += 32) {
        double up = (x[i] - middle) * a + b > 0 ? g[i] : T(0);
        sum += up;
        along += up * ((double)x[i] - middle);
    }
    sum = all_lanes(sum);
    along = all_lanes(along);
    if (lane == 0) {
        total[plane] = sum;
        product[plane] = along;
    }
}
""",
    "minidl_plane_products",
)
_sums = Raw(
    _WARP
    + r"""
extern "C" __global__ void minidl_plane_sums(
        const T* __restrict__ x, double* __restrict__ total, I planes, I m) {
    I plane = warp_index(), lane = (I)(threadIdx.x % 32);
    if (plane >= planes) return;
    x += plane * m;
    double sum = 0;
    for (I i = lane; i < m; i += 32) sum += x[i];
    sum = all_lanes(sum);
    if (lane == 0) total[plane] = sum;
}
""",
    "minidl_plane_sums",
)


def _run(kernel, arrays, results, *channels):
    """``results`` arrays (N, C) of what ``kernel`` finds in planes of ``arrays``."""
    x, xp = arrays[0], xp_of(*arrays)
    found = [xp.zeros(x.shape[:2], float64) for _ in range(results)]
    if x.size:
        planes = x.shape[0] * x.shape[1]
        sizes = (planes, *(len(a) for a in channels[:1]), math.prod(x.shape[2:]))
        given = map(xp.ascontiguousarray, (*arrays, *channels))
        grid, block = (blocks(planes, WARPS),), (32 * WARPS,)
        kernel(x.dtype, grid, block, (*given, *found, *sizes))
    return found


def plane_moments(x):
    """The means and the sums of squared deviations of the planes of ``x``."""
    return _run(_moments, (x,), 2)


def plane_products(g, x, *channels):
    """The sums of ``g`` and of ``g (x - center)`` over planes, where g counts."""
    return _run(_products, (g, x), 2, *channels)


def plane_sums(x):
    """The sum of each plane of ``x``."""
    return _run(_sums, (x,), 1)[0]
