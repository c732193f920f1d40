"""Softmax cross-entropy of classes and its gradient: one pass over the logits each.

``x`` (N, C, ...) logits, ``target`` (N, ...) whole numbers in [0, C), ``smoothing`` e:
``loss = log(sum_c exp(x_c)) - (1 - e) x_target - e / C sum_c x_c``, all of it taken
relative to the largest logit, so that nothing overflows.
"""

import math

import numpy as np

from ..backend import xp_of
from ._cuda import Raw, blocks, lanes
from ._dispatch import Kernel, jit
from ._memory import empty
from ._pool import mine
from ._share import share

# With more classes NumPy, whose exp computes several values at a time, is quicker.
FEW = 64
EXP = 8  # how many plain elements the work on a logit is worth


def _shifted(x):
    """Logits relative to the largest, and their exponentials."""
    z = x - x.max(axis=1, keepdims=True)
    return z, xp_of(x).exp(z)


def loss_reference(x, target, smoothing):
    """The loss of each sample: (N, ...)."""
    z, powers = _shifted(x)
    index = target.astype("int64")[:, None]
    hit = xp_of(x, target).take_along_axis(z, index, 1)[:, 0]
    if smoothing:
        hit = (1.0 - smoothing) * hit + smoothing * z.mean(axis=1)
    return xp_of(x).log(powers.sum(axis=1)) - hit


@jit(nogil=True)
def _loss(part, parts, x, target, smoothing, y):
    samples, classes, places = x.shape
    for n in range(*mine(part, parts, samples)):
        for k in range(places):
            top = x[n, 0, k]
            for c in range(classes):
                top = max(top, x[n, c, k])
            total = flat = np.float64(0)
            for c in range(classes):
                z = x[n, c, k] - top
                total += math.exp(z)
                flat += z
            hit = x[n, target[n, k], k] - top
            if smoothing:
                hit = (1.0 - smoothing) * hit + smoothing * flat / classes
            y[n, k] = math.log(total) - hit


def _lines(x, target):
    """``x`` as (N, C, L) and ``target`` as (N, L)."""
    n, c = x.shape[:2]
    length = math.prod(x.shape[2:])
    x, target = np.ascontiguousarray(x), np.ascontiguousarray(target)
    return x.reshape(n, c, length), target.reshape(n, length)


def loss_cpu(x, target, smoothing):
    if x.shape[1] > FEW:
        return loss_reference(x, target, smoothing)
    lines, classes = _lines(x, target)
    y = empty(classes.shape, x.dtype)
    share(_loss, EXP * x.size, lines, classes, smoothing, y)
    return y.reshape(target.shape)


def gradient_reference(g, x, target, smoothing):
    """``g (softmax(x) - t)``, t the smoothed classes: (N, C, ...)."""
    xp = xp_of(g, x, target)
    powers = _shifted(x)[1]
    classes = xp.arange(x.shape[1]).reshape(-1, *[1] * (x.ndim - 2))
    g, index = g[:, None], target[:, None]
    y = powers * (g / powers.sum(axis=1, keepdims=True))
    if smoothing:
        y -= g * (smoothing / x.shape[1])
    y -= xp.where(classes == index, g * (1.0 - smoothing), x.dtype.type(0))
    return y


@jit(nogil=True)
def _gradient(part, parts, g, x, target, smoothing, y):
    samples, classes, places = x.shape
    for n in range(*mine(part, parts, samples)):
        for k in range(places):
            top = x[n, 0, k]
            for c in range(classes):
                top = max(top, x[n, c, k])
            total = np.float64(0)
            for c in range(classes):
                z = math.exp(x[n, c, k] - top)
                y[n, c, k] = z
                total += z
            scale, rest = g[n, k] / total, g[n, k] * (smoothing / classes)
            for c in range(classes):
                y[n, c, k] = y[n, c, k] * scale - rest
            y[n, target[n, k], k] -= g[n, k] * (1.0 - smoothing)


def _gradient_of_many(g, x, target, smoothing):
    """As the reference, in one array of the size of ``x``."""
    y = x - x.max(axis=1, keepdims=True)
    np.exp(y, out=y)
    y *= (g / y.sum(axis=1))[:, None]
    if smoothing:
        y -= (g * (smoothing / x.shape[1]))[:, None]
    places = np.indices(target.shape, sparse=True)
    y[places[0], target, *places[1:]] -= g * (1.0 - smoothing)
    return y


def gradient_cpu(g, x, target, smoothing):
    if x.shape[1] > FEW:
        return _gradient_of_many(g, x, target, smoothing)
    lines, classes = _lines(x, target)
    y = empty(lines.shape, x.dtype)
    g = np.ascontiguousarray(g).reshape(classes.shape)
    share(_gradient, EXP * x.size, g, lines, classes, smoothing, y)
    return y.reshape(x.shape)


_LINE = r"""
__device__ T larger(T a, T b) { return b > a || b != b ? b : a; }  // a NaN stays
// Of the line of a sample: the largest logit, the sum of the powers of what the others
// are below it, the sum of these distances. The lanes of a sample share its classes.
__device__ void line(const T* __restrict__ x, I classes, I step, I lane, I lanes,
                     T& top, double& total, double& flat) {
    top = x[0];
    for (I c = lane; c < classes; c += lanes) top = larger(top, x[c * step]);
    for (int bit = (int)lanes / 2; bit; bit /= 2)
        top = larger(top, __shfl_xor_sync(0xffffffffu, top, bit));
    total = flat = 0;
    for (I c = lane; c < classes; c += lanes) {
        T z = x[c * step] - top;
        total += exp(z);
        flat += z;
    }
    for (int bit = (int)lanes / 2; bit; bit /= 2) {
        total += __shfl_xor_sync(0xffffffffu, total, bit);
        flat += __shfl_xor_sync(0xffffffffu, flat, bit);
    }
}
"""
_loss_device = Raw(
    _LINE
    + r"""
extern "C" __global__ void minidl_cross_entropy(
        const T* __restrict__ x, const long long* __restrict__ target,
        const T* __restrict__ smoothing, T* __restrict__ y,
        I samples, I classes, I places, I lanes) {
    I thread = (I)blockIdx.x * (I)blockDim.x + (I)threadIdx.x;
    I sample = thread / lanes, lane = thread % lanes;
    bool active = sample < samples;  // shuffles need the other lanes of the warp, too
    if (!active) sample = samples - 1;
    x += sample / places * classes * places + sample % places;
    T top;
    double total, flat, e = smoothing[0];
    line(x, classes, places, lane, lanes, top, total, flat);
    double hit = x[(I)target[sample] * places] - top;
    if (e != 0) hit = (1 - e) * hit + e * flat / classes;
    if (active && lane == 0) y[sample] = log(total) - hit;
}
""",
    "minidl_cross_entropy",
)
_gradient_device = Raw(
    _LINE
    + r"""
extern "C" __global__ void minidl_cross_entropy_input(
        const T* __restrict__ g, const T* __restrict__ x,
        const long long* __restrict__ target, const T* __restrict__ smoothing,
        T* __restrict__ y, I samples, I classes, I places, I lanes) {
    I thread = (I)blockIdx.x * (I)blockDim.x + (I)threadIdx.x;
    I sample = thread / lanes, lane = thread % lanes;
    bool active = sample < samples;
    if (!active) sample = samples - 1;
    I first = sample / places * classes * places + sample % places;
    x += first;
    y += first;
    T top;
    double total, flat, e = smoothing[0], up = g[sample];
    line(x, classes, places, lane, lanes, top, total, flat);
    if (!active) return;
    I hit = (I)target[sample];
    for (I c = lane; c < classes; c += lanes) {
        T z = x[c * places] - top;
        double wanted = e / classes + (c == hit ? 1 - e : 0);
        y[c * places] = up * (exp(z) / total - wanted);
    }
}
""",
    "minidl_cross_entropy_input",
)


def _on_device(kernel, arrays, target, smoothing, y):
    """A warp for each sample, or where its classes lie apart a thread."""
    x, xp = arrays[-1], xp_of(*arrays)
    if target.size:
        n, places = target.size, target.size // len(target)
        own = lanes(x.shape[1]) if places == 1 else 1
        given = [*arrays, target.astype(xp.int64), xp.full(1, smoothing, x.dtype)]
        given = [xp.ascontiguousarray(a) for a in given]
        sizes = (n, x.shape[1], places, own)
        kernel(x.dtype, (blocks(n * own, 256),), (256,), (*given, y, *sizes))
    return y


def loss_cuda(x, target, smoothing):
    y = xp_of(x, target).empty(target.shape, x.dtype)
    return _on_device(_loss_device, (x,), target, smoothing, y)


def gradient_cuda(g, x, target, smoothing):
    y = xp_of(g, x, target).empty(x.shape, x.dtype)
    return _on_device(_gradient_device, (g, x), target, smoothing, y)


cross_entropy = Kernel(loss_reference, loss_cpu, loss_cuda)
cross_entropy_input = Kernel(gradient_reference, gradient_cpu, gradient_cuda)
