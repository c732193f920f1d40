"""Depthwise convolution, stride 1 or 2: a kernel slides over each plane by itself.

There is nothing to reuse but the rows that are in the first cache anyway, so images are
read where they lie and each output is written once: the time is that of the memory.
"""

import numpy as np

from ._dispatch import jit
from ._memory import empty, zeros
from ._pool import in_parts, mine, workers
from .correlate import flat
from .slides import LANES, slide, slide_dots
from .windows import output_size

WIDTHS = (3, 5, 7)  # of kernels: the loop over a row of taps is unrolled


def fits(step, kernel, stride, multiplier) -> bool:
    """Whether there is a loop for it; the input gradient has one output a channel."""
    usual = kernel[1] in WIDTHS if stride == (1, 1) else kernel[1] == 3
    return stride in ((1, 1), (2, 2)) and usual and (step != "input" or multiplier == 1)


@jit(nogil=True)
def _planes(part, parts, x, w, bias, y, multiplier, stride, sizes):
    """The ``part``-th of ``parts`` equal parts of all planes of y."""
    x_area, y_area, taps = sizes[0] * sizes[1], sizes[2] * sizes[3], sizes[4] * sizes[5]
    planes, channels = y.size // y_area, bias.size
    for plane in range(*mine(part, parts, planes)):
        channel, source = plane % channels, plane // multiplier
        w_at, b = channel * taps, bias[channel]
        y_at, x_at = plane * y_area, source * x_area
        if stride == 2:
            slide(y, y_at, x, x_at, w, w_at, b, sizes, 3, 2)
        elif sizes[5] == 3:
            slide(y, y_at, x, x_at, w, w_at, b, sizes, 3, 1)
        elif sizes[5] == 5:
            slide(y, y_at, x, x_at, w, w_at, b, sizes, 5, 1)
        else:
            slide(y, y_at, x, x_at, w, w_at, b, sizes, 7, 1)


def forward(x, w, stride, padding, dilation, groups, bias=None):
    """y (N, O, oh, ow) of x (N, groups, H, W) and w (O, 1, kh, kw)."""
    out = output_size(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = empty((len(x), len(w), *out), x.dtype)
    bias = np.zeros(len(w), w.dtype) if bias is None else bias
    corner = padding[0][0], padding[1][0]
    sizes = (*x.shape[2:], *out, *w.shape[2:], *corner, *dilation)
    arrays = flat(x), flat(w), flat(bias), y.reshape(-1)
    parts = workers(len(x) * len(w), y.size * w[0].size)
    in_parts(_planes, parts, *arrays, len(w) // groups, stride[0], sizes)
    return y


def input_gradient(g, w, size, stride, padding, dilation, groups):
    """x (N, groups, H, W): g slid over by the kernel turned around; one output each.

    A stride first puts g's rows and columns as far apart as its windows are.
    """
    if stride != (1, 1):
        spread = [s * (n - 1) + 1 for s, n in zip(stride, g.shape[2:])]
        apart = zeros((*g.shape[:2], *spread), g.dtype)
        apart[:, :, :: stride[0], :: stride[1]] = g
        g, stride = apart, (1, 1)
    reach = [d * (k - 1) for d, k in zip(dilation, w.shape[2:])]
    padding = [
        (r - before, n + before - m)
        for r, (before, _), n, m in zip(reach, padding, size, g.shape[2:])
    ]
    return forward(g, w[:, :, ::-1, ::-1], stride, padding, dilation, groups)


@jit(nogil=True)
def _weigh(part, parts, x, g, dw, multiplier, stride, sizes):
    """The ``part``-th of ``parts`` equal parts of the kernels: each over all images."""
    x_area, g_area, taps = sizes[0] * sizes[1], sizes[2] * sizes[3], sizes[4] * sizes[5]
    channels = len(dw)
    images = g.size // (channels * g_area)
    sums = np.empty(taps * LANES, x.dtype)
    for channel in range(*mine(part, parts, channels)):
        sums[:] = 0
        for image in range(images):
            plane = image * channels + channel
            g_at, x_at = plane * g_area, plane // multiplier * x_area
            if stride == 2:
                slide_dots(sums, 0, g, g_at, x, x_at, sizes, 3, 2)
            elif sizes[5] == 3:
                slide_dots(sums, 0, g, g_at, x, x_at, sizes, 3, 1)
            elif sizes[5] == 5:
                slide_dots(sums, 0, g, g_at, x, x_at, sizes, 5, 1)
            else:
                slide_dots(sums, 0, g, g_at, x, x_at, sizes, 7, 1)
        for tap in range(taps):
            total = sums[tap * LANES]
            for lane in range(1, LANES):
                total += sums[tap * LANES + lane]
            dw[channel, tap] = total


def weight_gradient(x, g, kernel, stride, padding, dilation, groups):
    """w (O, 1, kh, kw): each kernel's products are summed by one thread."""
    outputs = g.shape[1]
    corner = padding[0][0], padding[1][0]
    sizes = (*x.shape[2:], *g.shape[2:], *kernel, *corner, *dilation)
    dw = np.empty((outputs, kernel[0] * kernel[1]), x.dtype)
    arrays = flat(x), flat(g), dw
    parts = workers(outputs, g.size * dw.shape[1])
    in_parts(_weigh, parts, *arrays, outputs // groups, stride[0], sizes)
    return dw.reshape(outputs, 1, *kernel)
