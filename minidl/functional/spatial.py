"""Images in space: transposed convolution, adaptive pooling, resizing, sampling."""

import math

import numpy as np

from .. import backend, ops
from ..errors import ArgumentError, ShapeError, unknown_name
from ..ops._geometry import image, padding_pairs, pair
from ..tensor import Tensor
from .basic import gather, matmul, mean, transpose


def conv_transpose2d(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """The input gradient of `conv2d` used as a layer: it enlarges by ``stride``.

    Shapes: x (N, C, H, W); weight (C, O / groups, kh, kw); bias (O,) or None;
    y (N, O, oh, ow) with ``oh = (H - 1) s - 2 p + d (kh - 1) + output_padding + 1``.
    Raises: ShapeError, ArgumentError.
    """
    where = "conv_transpose2d"
    image(where, "input", x)
    if weight.ndim != 4 or weight.shape[0] != x.shape[1]:
        raise ShapeError(
            f"{where}: weight must be ({x.shape[1]}, out/groups, kh, kw); "
            f"got {weight.shape}"
        )
    if not hasattr(groups, "__index__") or groups < 1 or x.shape[1] % groups:
        raise ArgumentError(
            f"{where}: groups must divide {x.shape[1]} input channels; got {groups}"
        )
    stride, dilation = (
        pair(where, "stride", stride, 1),
        pair(where, "dilation", dilation, 1),
    )
    kernel, extra = weight.shape[2:], pair(where, "output_padding", output_padding, 0)
    pads = padding_pairs(where, padding, kernel, stride, dilation)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        raise ArgumentError(
            f"{where}: output_padding must be smaller than stride or "
            f"dilation; got {extra}"
        )
    size = tuple(
        (n - 1) * s - sum(p) + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(x.shape[2:], stride, pads, dilation, kernel, extra)
    )
    if min(size) < 1:
        raise ShapeError(f"{where}: output must have at least 1 pixel; got {size}")
    # Where the padding gives way to the extra pixels they are computed, else empty.
    empty = [max(e - p[1], 0) for e, p in zip(extra, pads)]
    pads = tuple((p[0], max(p[1] - e, 0)) for e, p in zip(extra, pads))
    full = tuple(n - e for n, e in zip(size, empty))
    y = ops.conv2d_input(
        x,
        weight,
        size=full,
        stride=stride,
        padding=pads,
        dilation=dilation,
        groups=groups,
    )
    if any(empty):
        y = ops.constant_pad(y, pads=((0, 0), (0, 0), *((0, e) for e in empty)))
    if bias is not None and bias.shape != (y.shape[1],):
        raise ShapeError(f"{where}: bias must be ({y.shape[1]},); got {bias.shape}")
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def _constant(like, array):
    return Tensor(backend.asarray(array, like.dtype, like.device))


def _has_pixels(where, x):
    if 0 in x.shape[2:]:
        raise ShapeError(f"{where}: image must have at least 1 pixel; got {x.shape}")


def _resize(x, rows, columns):
    """``rows x columns^T``: what any separable linear resizing is."""
    return matmul(matmul(_constant(x, rows), x), transpose(_constant(x, columns), 0, 1))


def adaptive_avg_pool2d(x, output_size):
    """The mean over ``output_size`` nearly equal cells.

    Cell i of n over a side of length H covers the rows from ``floor(i H / n)`` up to
    ``ceil((i + 1) H / n)``; None keeps a side.
    """
    where = "adaptive_avg_pool2d"
    image(where, "input", x)
    _has_pixels(where, x)
    size = output_size if isinstance(output_size, tuple | list) else (output_size,) * 2
    kept = dict(enumerate(x.shape[2:]))
    size = [kept.get(i) if m is None else m for i, m in enumerate(size)]
    size = pair(where, "output_size", size, 1)
    if size == (1, 1):
        return mean(x, (2, 3), True)

    def cells(n, m):
        matrix = np.zeros((m, n))
        for i in range(m):
            start, end = i * n // m, -(-(i + 1) * n // m)
            matrix[i, start:end] = 1 / (end - start)
        return matrix

    return _resize(x, *(cells(n, m) for n, m in zip(x.shape[2:], size)))


def channel_shuffle(x, groups):
    """Channels dealt out again, one from each of ``groups`` groups in turn.

    ``y[:, p] = x[:, (p % groups) C / groups + p // groups]``; with C / groups in place
    of groups it is undone.

    Shapes: x, y (N, C, ...).
    Raises: ArgumentError unless groups divides C.
    Source: Zhang et al. 2018, "ShuffleNet", section 3.1; clcNet's and IGCV's interlace.
    """
    n, channels, *rest = x.shape if x.ndim > 1 else (0, 0)
    whole = isinstance(groups, int) and not isinstance(groups, bool) and groups > 0
    if x.ndim < 2 or not whole or channels % groups:
        raise ArgumentError(
            "channel_shuffle: input must be (N, C, ...) with groups dividing C; got "
            f"input {tuple(x.shape)}, groups {groups!r}"
        )
    apart = x.reshape(n, groups, channels // groups, *rest)
    return transpose(apart, 1, 2).reshape(n, channels, *rest)


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=False):
    """Images (N, C, H, W) resized to ``size`` or by ``scale_factor``.

    mode: "nearest" or "bilinear". Pixel i of the output looks at the input position
    ``(i + 1/2) r - 1/2``, r = in / out (or 1 / scale_factor); with ``align_corners`` at
    ``i (in - 1) / (out - 1)``; "nearest" at ``floor(i r)``.
    """
    image("interpolate", "input", x)
    _has_pixels("interpolate", x)
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate: either size or scale_factor must be given")
    if size is None:
        factors = (
            scale_factor
            if isinstance(scale_factor, tuple | list)
            else (scale_factor,) * 2
        )
        if len(factors) != 2 or not all(0 < f < math.inf for f in factors):
            raise ArgumentError(
                "interpolate: scale_factor must be a number > 0 or a pair "
                f"of them; got {scale_factor}"
            )
        size = tuple(math.floor(n * f) for n, f in zip(x.shape[2:], factors))
        ratios = [1 / f for f in factors]
    else:
        size = pair("interpolate", "size", size, 1)
        ratios = [n / m for n, m in zip(x.shape[2:], size)]
    if min(size) < 1:
        raise ShapeError(f"interpolate: output must have at least 1 pixel; got {size}")
    if mode == "nearest" and align_corners:
        raise ArgumentError("interpolate: align_corners goes with mode 'bilinear' only")
    if mode == "nearest":
        rows, columns = (
            np.minimum(np.floor(np.arange(m) * r), n - 1).astype(np.int64)
            for n, m, r in zip(x.shape[2:], size, ratios)
        )
        return x[:, :, rows][:, :, :, columns]
    if mode != "bilinear":
        raise unknown_name("interpolate mode", mode, ["nearest", "bilinear"])

    def weights(n, m, ratio):
        if align_corners:
            at = np.arange(m) * ((n - 1) / (m - 1) if m > 1 else 0.0)
        else:
            at = np.maximum((np.arange(m) + 0.5) * ratio - 0.5, 0)
        low = np.minimum(at.astype(np.int64), n - 1)
        matrix = np.zeros((m, n))
        matrix[np.arange(m), low] = 1 - (at - low)
        matrix[np.arange(m), np.minimum(low + 1, n - 1)] += at - low
        return matrix

    return _resize(x, *(weights(n, m, r) for n, m, r in zip(x.shape[2:], size, ratios)))


def affine_grid(theta, size, align_corners=False):
    """Where each output pixel looks: ``theta (N, 2, 3) @ (x, y, 1)``, in (N, H, W, 2).

    Coordinates run from -1 to 1: over pixel centres with ``align_corners``, else over
    the edges of the image. ``size`` is (N, C, H, W).

    Source: Jaderberg et al. 2015, "Spatial Transformer Networks", equation 1.
    """
    if len(size) != 4 or theta.shape != (size[0], 2, 3):
        raise ShapeError(
            f"affine_grid: theta must be (N, 2, 3) for size (N, C, H, W); "
            f"got {theta.shape} for {tuple(size)}"
        )

    if min(size[2:]) < 1:
        raise ShapeError(
            f"affine_grid: size must have at least 1 pixel; got {tuple(size)}"
        )

    def ticks(n):
        if align_corners:
            return np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        return (2 * np.arange(n) + 1) / n - 1

    ys, xs = np.meshgrid(ticks(size[2]), ticks(size[3]), indexing="ij")
    points = np.stack([xs, ys, np.ones_like(xs)], -1).reshape(-1, 3)
    grid = matmul(_constant(theta, points), transpose(theta, 1, 2))
    return grid.reshape(size[0], size[2], size[3], 2)


def _reflect(x, low, high):
    """Coordinates folded back into [low, high] as between two mirrors."""
    span = high - low
    if span == 0:
        return x * 0.0
    x = ops.abs(x - low)
    turns = ops.floor(x / span)
    rest = x - turns * span
    return ops.where(turns.data % 2 == 0, rest + low, high - rest)


def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False):
    """``x`` (N, C, H, W) read at ``grid`` (N, oh, ow, 2) of (x, y) from -1 to 1.

    mode: "bilinear" or "nearest"; outside the image lie "zeros", the "border" pixel or
    its "reflection". Differentiable in x and, where bilinear, in grid.

    Source: Jaderberg et al. 2015, "Spatial Transformer Networks", equation 5.
    """
    image("grid_sample", "input", x)
    _has_pixels("grid_sample", x)
    if grid.ndim != 4 or grid.shape[0] != x.shape[0] or grid.shape[3] != 2:
        raise ShapeError(
            f"grid_sample: grid must be ({x.shape[0]}, oh, ow, 2); got {grid.shape}"
        )
    if mode not in ("bilinear", "nearest"):
        raise unknown_name("grid_sample mode", mode, ["bilinear", "nearest"])
    if padding_mode not in ("zeros", "border", "reflection"):
        raise unknown_name(
            "padding_mode", padding_mode, ["zeros", "border", "reflection"]
        )
    xp, (n, c, h, w) = backend.xp_of(x.data, grid.data), x.shape

    def pixels(at, size):
        at = (
            (at + 1.0) * ((size - 1) / 2)
            if align_corners
            else ((at + 1.0) * size - 1.0) / 2.0
        )
        if padding_mode == "reflection":
            at = _reflect(at, *((0, size - 1) if align_corners else (-0.5, size - 0.5)))
        if padding_mode == "zeros":
            return at
        inside = (at.data > 0) & (
            at.data < size - 1
        )  # as in torch, no slope on the border
        return ops.where(inside, at, at.data.clip(0, size - 1))

    column, row = pixels(grid[..., 0], w), pixels(grid[..., 1], h)
    flat = x.reshape(n, c, h * w)

    def read(i, j):
        """Pixels at whole coordinates (N, oh, ow), zero outside: (N, C, oh, ow)."""
        inside = (i >= 0) & (i < h) & (j >= 0) & (j < w)
        at = (
            xp.where(inside, i * w + j, 0)
            .astype("int64")
            .reshape(n, 1, i.shape[1] * i.shape[2])
        )
        picked = gather(flat, 2, xp.broadcast_to(at, (n, c, at.shape[2])))
        return ops.where(inside[:, None], picked.reshape(n, c, *i.shape[1:]), 0.0)

    if mode == "nearest":
        return read(xp.rint(row.data), xp.rint(column.data))
    i, j = xp.floor(row.data), xp.floor(column.data)
    down, right = (
        (row - i).reshape(n, 1, *i.shape[1:]),
        (column - j).reshape(n, 1, *i.shape[1:]),
    )
    top = read(i, j) * (1.0 - right) + read(i, j + 1) * right
    bottom = read(i + 1, j) * (1.0 - right) + read(i + 1, j + 1) * right
    return top * (1.0 - down) + bottom * down
