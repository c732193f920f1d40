"""Sliding windows over images: im2col and its adjoint col2im.

``x`` is (N, C, H, W); a window geometry is ``kernel (kh, kw)``, ``stride (sh, sw)``,
``padding ((top, bottom), (left, right))`` of zeros and ``dilation (dh, dw)``.
Columns are (C, kh, kw, N, oh, ow): every output position of one kernel tap lies in one
contiguous row, so a convolution is a single matrix product.
"""

import numpy as np

from ..backend import xp_of
from ._cuda import Raw, blocks
from ._dispatch import Kernel, jit, prange
from ._memory import empty, zeros


def output_size(size, kernel, stride, padding, dilation):
    """Window positions along each axis: ``(size + pads - d (k - 1) - 1) // s + 1``."""
    return tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation)
    )


def _taps(kernel, stride, dilation, out):
    """For each kernel tap, the slices of the padded image that it visits."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            rows = slice(top, top + stride[0] * (out[0] - 1) + 1, stride[0])
            cols = slice(left, left + stride[1] * (out[1] - 1) + 1, stride[1])
            yield i, j, rows, cols


def unfold_reference(x, kernel, stride, padding, dilation):
    """Columns of all windows: one slice of the padded image per kernel tap."""
    xp, (n, c) = xp_of(x), x.shape[:2]
    out = output_size(x.shape[2:], kernel, stride, padding, dilation)
    padded = xp.pad(x, ((0, 0), (0, 0), *padding))
    cols = xp.empty((c, *kernel, n, *out), x.dtype)
    for i, j, rows, columns in _taps(kernel, stride, dilation, out):
        cols[:, i, j] = padded[:, :, rows, columns].transpose(1, 0, 2, 3)
    return cols


def fold_reference(cols, size, kernel, stride, padding, dilation):
    """The adjoint of `unfold`: add every column back to where it was read."""
    xp, c, n, out = xp_of(cols), cols.shape[0], cols.shape[3], cols.shape[4:]
    (top, bottom), (left, right) = padding
    padded = xp.zeros(
        (n, c, size[0] + top + bottom, size[1] + left + right), cols.dtype
    )
    for i, j, rows, columns in _taps(kernel, stride, dilation, out):
        padded[:, :, rows, columns] += cols[:, i, j].transpose(1, 0, 2, 3)
    return padded[:, :, top : top + size[0], left : left + size[1]]


# Rows are cut as slices, which start at zero: so the compiler need not ask whether an
# index is negative, and vectorises the copies of stride 1.


@jit(parallel=True)
def _unfold_loop(x, cols, sh, sw, top, left, dh, dw):
    n, _, h, w = x.shape
    c, kh, kw, _, oh, ow = cols.shape
    for tap in prange(c * kh * kw):
        ch, i, j = tap // (kh * kw), tap // kw % kh, tap % kw
        shift = j * dw - left
        first = min(max(-(shift // sw), 0), ow)  # smallest q with q * sw + shift >= 0
        last = max(min((w - 1 - shift) // sw + 1, ow), first)
        for b in range(n):
            for p in range(oh):
                out, row = cols[ch, i, j, b, p], p * sh + i * dh - top
                if row < 0 or row >= h or first == last:
                    out[:] = 0
                    continue
                out[:first] = 0
                out[last:] = 0
                inner, source = out[first:last], x[b, ch, row, first * sw + shift :]
                if sw == 1:
                    for q in range(inner.size):
                        inner[q] = source[q]
                else:
                    for q in range(inner.size):
                        inner[q] = source[q * sw]


@jit(parallel=True)
def _fold_loop(cols, x, sh, sw, top, left, dh, dw):
    n, _, h, w = x.shape
    c, kh, kw, _, oh, ow = cols.shape
    for ch in prange(c):
        for i in range(kh):
            for j in range(kw):
                shift = j * dw - left
                first = min(max(-(shift // sw), 0), ow)
                last = max(min((w - 1 - shift) // sw + 1, ow), first)
                for b in range(n):
                    for p in range(oh):
                        row = p * sh + i * dh - top
                        if row < 0 or row >= h or first == last:
                            continue
                        inner = cols[ch, i, j, b, p, first:last]
                        target = x[b, ch, row, first * sw + shift :]
                        if sw == 1:
                            for q in range(inner.size):
                                target[q] += inner[q]
                        else:
                            for q in range(inner.size):
                                target[q * sw] += inner[q]


def unfold_cpu(x, kernel, stride, padding, dilation):
    out = output_size(x.shape[2:], kernel, stride, padding, dilation)
    cols = empty((x.shape[1], *kernel, x.shape[0], *out), x.dtype)
    (top, _), (left, _) = padding
    _unfold_loop(np.ascontiguousarray(x), cols, *stride, top, left, *dilation)
    return cols


def fold_cpu(cols, size, kernel, stride, padding, dilation):
    x = zeros((cols.shape[3], cols.shape[0], *size), cols.dtype)
    (top, _), (left, _) = padding
    _fold_loop(np.ascontiguousarray(cols), x, *stride, top, left, *dilation)
    return x


_unfold_device = Raw(
    r"""
// A thread reads all taps of one window of one channel. Taps of the columns lie
// tap_step apart, images image_step; the positions of an image lie side by side.
extern "C" __global__ void minidl_unfold(
        const T* __restrict__ x, T* __restrict__ cols, I threads, I channels, I height,
        I width, I oh, I ow, I kh, I kw, I sh, I sw, I top, I left, I dh, I dw,
        I tap_step, I image_step) {
    I thread = (I)blockIdx.x * (I)blockDim.x + (I)threadIdx.x;
    if (thread >= threads) return;
    I q = thread % ow, plane = thread / ow, p = plane % oh;
    plane /= oh;
    I channel = plane % channels, image = plane / channels;
    const T* source = x + plane * height * width;
    I out = channel * kh * kw * tap_step + image * image_step + p * ow + q;
    for (I i = 0; i < kh; i++) {
        I row = p * sh + i * dh - top;
        bool inside = row >= 0 && row < height;
        for (I j = 0; j < kw; j++) {
            I col = q * sw + j * dw - left;
            bool read = inside && col >= 0 && col < width;
            cols[out] = read ? source[row * width + col] : T(0);
            out += tap_step;
        }
    }
}
""",
    "minidl_unfold",
)
_fold_device = Raw(
    r"""
// A thread adds, for one pixel, the columns of all windows that read it, in the order
// of the taps: no atomic addition, and the same sum every time.
extern "C" __global__ void minidl_fold(
        const T* __restrict__ cols, T* __restrict__ x, I threads, I channels, I height,
        I width, I oh, I ow, I kh, I kw, I sh, I sw, I top, I left, I dh, I dw,
        I tap_step, I image_step) {
    I thread = (I)blockIdx.x * (I)blockDim.x + (I)threadIdx.x;
    if (thread >= threads) return;
    I col = thread % width, plane = thread / width, row = plane % height;
    plane /= height;
    I channel = plane % channels, image = plane / channels;
    const T* source = cols + channel * kh * kw * tap_step + image * image_step;
    T sum = 0;
    for (I i = 0; i < kh; i++) {
        I p = row + top - i * dh;  // times the stride
        if (p < 0 || p % sh || p / sh >= oh) continue;
        for (I j = 0; j < kw; j++) {
            I q = col + left - j * dw;
            if (q < 0 || q % sw || q / sw >= ow) continue;
            sum += source[(i * kw + j) * tap_step + p / sh * ow + q / sw];
        }
    }
    x[thread] = sum;
}
""",
    "minidl_fold",
)


def _launch(kernel, source, target, threads, size, out, kernel_size, *rest):
    (stride, padding, dilation), steps, channels = rest[:3], rest[3:5], rest[5]
    args = (threads, channels, *size, *out, *kernel_size, *stride)
    args += (padding[0][0], padding[1][0], *dilation, *steps)
    kernel(source.dtype, (blocks(threads),), (256,), (source, target, *args))


def unfold_cuda(x, kernel, stride, padding, dilation, by_image=False):
    """Columns (C, kh, kw, N, oh, ow), or (N, C, kh, kw, oh, ow) ``by_image``."""
    xp, (n, c) = xp_of(x), x.shape[:2]
    out = output_size(x.shape[2:], kernel, stride, padding, dilation)
    shape = (n, c, *kernel, *out) if by_image else (c, *kernel, n, *out)
    cols = xp.empty(shape, x.dtype)
    if cols.size:
        area = out[0] * out[1]
        steps = (area, cols.size // n) if by_image else (n * area, area)
        geometry = (x.shape[2:], out, kernel, stride, padding, dilation)
        source, threads = xp.ascontiguousarray(x), n * c * area
        _launch(_unfold_device, source, cols, threads, *geometry, *steps, c)
    return cols


def fold_cuda(cols, size, kernel, stride, padding, dilation, by_image=False):
    """The adjoint of `unfold_cuda`."""
    xp, out = xp_of(cols), cols.shape[4:]
    n, c = cols.shape[:2] if by_image else (cols.shape[3], cols.shape[0])
    x = xp.empty((n, c, *size), cols.dtype)
    if x.size:
        area = out[0] * out[1]
        steps = (area, cols.size // n) if by_image else (n * area, area)
        geometry = (size, out, kernel, stride, padding, dilation)
        _launch(
            _fold_device, xp.ascontiguousarray(cols), x, x.size, *geometry, *steps, c
        )
    return x


unfold = Kernel(unfold_reference, unfold_cpu, unfold_cuda)
fold = Kernel(fold_reference, fold_cpu, fold_cuda)
