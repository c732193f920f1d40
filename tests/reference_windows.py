"""Convolution, unfolding and pooling in nested loops: references of windowed ops."""

import math

import numpy as np


def two(value):
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


def pads(padding, kernel, dilation):
    """((top, bottom), (left, right)) of every spelling of padding."""
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(two(dilation), kernel)]
        return [(t // 2, t - t // 2) for t in total]
    first, second = two(0 if padding == "valid" else padding)
    return [two(first), two(second)]


def windows(size, kernel, stride=1, padding=0, dilation=1):
    """All (p, q, i, j, row, col): output position, kernel tap, pixel (or None)."""
    (sh, sw), (dh, dw) = two(stride), two(dilation)
    (top, bottom), (left, right) = pads(padding, kernel, dilation)
    last_row, last_col = (
        n + after - d * (k - 1)
        for n, after, d, k in zip(size, (bottom, right), (dh, dw), kernel)
    )
    for p, row in enumerate(range(-top, last_row, sh)):
        for q, col in enumerate(range(-left, last_col, sw)):
            for i in range(kernel[0]):
                for j in range(kernel[1]):
                    r, c = row + i * dh, col + j * dw
                    inside = 0 <= r < size[0] and 0 <= c < size[1]
                    yield p, q, i, j, *((r, c) if inside else (None, None))


def counts(taps):
    """The number of output positions (oh, ow) that `windows` visits."""
    return max(t[0] for t in taps) + 1, max(t[1] for t in taps) + 1


def products(n, outputs, per_group, groups, taps):
    """Indices (into x, w, y) of every product that a convolution adds up."""
    for b in range(n):
        for o in range(outputs):
            base = o // (outputs // groups) * per_group
            for c in range(per_group):
                for p, q, i, j, row, col in taps:
                    if row is not None:
                        yield (b, base + c, row, col), (o, c, i, j), (b, o, p, q)


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    outputs, per_group, *kernel = weight.shape
    taps = list(windows(x.shape[2:], kernel, stride, padding, dilation))
    y = np.zeros((len(x), outputs, *counts(taps)))
    for ix, iw, iy in products(len(x), outputs, per_group, groups, taps):
        y[iy] += x[ix] * weight[iw]
    for o in range(outputs if bias is not None else 0):
        y[:, o] += bias[o]
    return y


def conv2d_input(g, weight, size, stride=1, padding=0, dilation=1, groups=1):
    outputs, per_group, *kernel = weight.shape
    taps = list(windows(size, kernel, stride, padding, dilation))
    x = np.zeros((len(g), per_group * groups, *size))
    for ix, iw, iy in products(len(g), outputs, per_group, groups, taps):
        x[ix] += g[iy] * weight[iw]
    return x


def conv2d_weight(x, g, kernel, stride=1, padding=0, dilation=1, groups=1):
    taps = list(windows(x.shape[2:], kernel, stride, padding, dilation))
    w = np.zeros((g.shape[1], x.shape[1] // groups, *kernel))
    for ix, iw, iy in products(len(x), len(w), w.shape[1], groups, taps):
        w[iw] += x[ix] * g[iy]
    return w


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    kh, kw = two(kernel_size)
    taps = list(windows(x.shape[2:], (kh, kw), stride, padding, dilation))
    oh, ow = counts(taps)
    y = np.zeros((len(x), x.shape[1] * kh * kw, oh * ow))
    for b, c in np.ndindex(*x.shape[:2]):
        for p, q, i, j, row, col in taps:
            pixel = 0.0 if row is None else x[b, c, row, col]
            y[b, (c * kh + i) * kw + j, p * ow + q] = pixel
    return y


def fold(cols, output_size, kernel_size, dilation=1, padding=0, stride=1):
    (kh, kw), size = two(kernel_size), two(output_size)
    taps = list(windows(size, (kh, kw), stride, padding, dilation))
    ow = counts(taps)[1]
    x = np.zeros((len(cols), cols.shape[1] // (kh * kw), *size))
    for b, c in np.ndindex(*x.shape[:2]):
        for p, q, i, j, row, col in taps:
            if row is not None:
                x[b, c, row, col] += cols[b, (c * kh + i) * kw + j, p * ow + q]
    return x


def pool_windows(
    size, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    """For each output position, the pixels of its window and its padded area.

    With ``ceil_mode`` windows may reach past the padded end but must start within the
    image or the padding before it.
    """
    kernel, padding, dilation = two(kernel_size), two(padding), two(dilation)
    stride = kernel if stride is None else two(stride)
    axes = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation):
        starts = [
            start
            for start in range(-p, n + p, s)
            if start + d * (k - 1) < n + p or (ceil_mode and start < n)
        ]
        ends = [start + d * (k - 1) for start in starts]
        if ceil_mode:  # beyond those that fit one more, if they leave pixels out
            fitting = [end for end in ends if end < n + p]
            touched = bool(fitting) and fitting[-1] == n + p - 1
            starts = starts[: len(fitting) + (not touched)]
        axes.append([
            ([start + i * d for i in range(k) if 0 <= start + i * d < n],
             sum(start + i < n + p for i in range(k)))
            for start in starts
        ])
    return {
        (a, b): ([(r, c) for r in rows for c in cols], height * width)
        for a, (rows, height) in enumerate(axes[0])
        for b, (cols, width) in enumerate(axes[1])
    }


def shape_of(positions):
    return tuple(max(p[i] for p in positions) + 1 for i in (0, 1))


def largest(plane, pixels):
    """The first pixel, in row order, of the largest value; a NaN is larger than all."""
    best = pixels[0]
    for pixel in pixels[1:]:
        if math.isnan(plane[best]):
            break
        if math.isnan(plane[pixel]) or plane[pixel] > plane[best]:
            best = pixel
    return best


def max_pool2d_gather(h, x, **options):
    positions = pool_windows(x.shape[2:], **options)
    y = np.zeros((*x.shape[:2], *shape_of(positions)))
    for b, c in np.ndindex(*x.shape[:2]):
        for position, (pixels, _) in positions.items():
            y[b, c][position] = h[b, c][largest(x[b, c], pixels)]
    return y


def max_pool2d_scatter(g, x, **options):
    y = np.zeros(x.shape)
    for b, c in np.ndindex(*x.shape[:2]):
        for position, (pixels, _) in pool_windows(x.shape[2:], **options).items():
            y[b, c][largest(x[b, c], pixels)] += g[b, c][position]
    return y


def divisor(pixels, area, count_include_pad=True, divisor_override=None):
    return divisor_override or (area if count_include_pad else len(pixels))


def _split_average(options):
    rule = {k: options.pop(k) for k in ("count_include_pad", "divisor_override")
            if k in options}
    return options, rule


def avg_pool2d(x, **options):
    options, rule = _split_average(options)
    positions = pool_windows(x.shape[2:], **options)
    y = np.zeros((*x.shape[:2], *shape_of(positions)))
    for b, c in np.ndindex(*x.shape[:2]):
        for position, (pixels, area) in positions.items():
            total = math.fsum(x[b, c][pixel] for pixel in pixels)
            y[b, c][position] = total / divisor(pixels, area, **rule)
    return y


def avg_pool2d_spread(g, size, **options):
    options, rule = _split_average(options)
    x = np.zeros((*g.shape[:2], *size))
    for b, c in np.ndindex(*g.shape[:2]):
        for position, (pixels, area) in pool_windows(size, **options).items():
            for pixel in pixels:
                x[b, c][pixel] += g[b, c][position] / divisor(pixels, area, **rule)
    return x
