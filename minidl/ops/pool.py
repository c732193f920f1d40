"""Pooling over windows: maximum and average, with torch's options.

``stride`` None means the kernel size; ``ceil_mode`` also takes a last window that
starts inside the image or its left padding but ends beyond it.
"""

from .. import kernels
from ..autograd import primitive
from ..backend import xp_of
from ..errors import ArgumentError, ShapeError
from ..samples import E, S
from ._geometry import fits, floats, image, pair


def _geometry(where, size, kernel_size, stride, padding, dilation, ceil_mode):
    kernel = pair(where, "kernel_size", kernel_size, 1)
    stride = kernel if stride is None else pair(where, "stride", stride, 1)
    padding = pair(where, "padding", padding, 0)
    dilation = pair(where, "dilation", dilation, 1)
    if any(2 * p > k for p, k in zip(padding, kernel)):
        raise ArgumentError(
            f"{where}: padding must be at most half of kernel_size {kernel}; "
            f"got {padding}"
        )
    out = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation):
        span = n + 2 * p - d * (k - 1) - 1
        count = (-(-span // s) if ceil_mode else span // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        out.append(count)
    fits(where, size, kernel, out)
    for n, s, p, d, count in zip(size, stride, padding, dilation, out):
        if any(start % d >= n for start in range(-p, 0, s)[:count]):
            raise ShapeError(
                f"{where}: every window must meet a pixel; got image "
                f"{tuple(size)} with dilation {dilation}, padding {padding}"
            )
    return tuple(out), kernel, stride, padding, dilation


def _agree(where, name, a, shape):
    floats(where, name, a)
    if a.shape != shape:
        raise ShapeError(f"{where}: {name} must be {shape}; got {a.shape}")


_samples = [
    dict(kernel_size=2),
    dict(kernel_size=3, stride=2, padding=1),
    dict(kernel_size=(2, 3), stride=(2, 1), ceil_mode=True),
    dict(kernel_size=3, stride=1, padding=(1, 0)),
]


def _refused(r):
    return [
        E(ShapeError, "input must be 4-D", r(3, 4), kernel_size=2),
        E(ShapeError, "must fit into", r(1, 1, 2, 2), kernel_size=3),
        E(
            ArgumentError,
            "padding must be at most half",
            r(1, 1, 4, 4),
            kernel_size=2,
            padding=2,
        ),
        E(ArgumentError, "kernel_size must be given", r(1, 1, 4, 4)),
    ]


@primitive(
    samples=lambda r: (
        [S(r(2, 3, 5, 6), **o) for o in _samples]
        + [
            S(r(1, 2, 7, 6), kernel_size=2, dilation=(3, 2)),
            S(r(0, 2, 4, 4), kernel_size=2),
        ]
    ),
    errors=lambda r: (
        _refused(r)
        + [
            E(
                ShapeError,
                "must meet a pixel",
                r(1, 1, 1, 5),
                kernel_size=2,
                padding=1,
                dilation=2,
            )
        ]
    ),
)
def max_pool2d(x, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The largest element of each window; the first of equal ones has the gradient."""
    image("max_pool2d", "input", x)
    return kernels.max_pool2d_gather(
        x,
        x,
        *_geometry(
            "max_pool2d", x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode
        ),
    )


@primitive(samples=lambda r: [S(r(2, 3, 2, 3), r(2, 3, 5, 6), kernel_size=2)])
def max_pool2d_scatter(
    g, x, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    """``g`` added at the maxima of the windows of ``x``: max pooling's gradient."""
    where = "max_pool2d_scatter"
    image(where, "input", x)
    geometry = _geometry(
        where, x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode
    )
    _agree(where, "gradient", g, (*x.shape[:2], *geometry[0]))
    return kernels.max_pool2d_scatter(g, x, *geometry)


@primitive(samples=lambda r: [S(r(2, 3, 5, 6), r(2, 3, 5, 6), kernel_size=2)])
def max_pool2d_gather(
    h, x, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    """``h`` read at the maxima of the windows of ``x``: the adjoint of scattering."""
    where = "max_pool2d_gather"
    image(where, "input", x)
    _agree(where, "values", h, x.shape)
    return kernels.max_pool2d_gather(
        h,
        x,
        *_geometry(
            where, x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode
        ),
    )


max_pool2d.defvjp(lambda g, _y, x, **o: max_pool2d_scatter(g, x, **o))
max_pool2d_scatter.defvjp(lambda h, _y, _g, x, **o: max_pool2d_gather(h, x, **o), None)
max_pool2d_gather.defvjp(lambda g, _y, _h, x, **o: max_pool2d_scatter(g, x, **o), None)


def _divisors(xp, size, out, kernel, stride, padding, include_pad, dtype):
    """How many elements each window averages over: (oh, ow)."""
    counts = []
    for n, m, k, s, p in zip(size, out, kernel, stride, padding):
        start = xp.arange(m) * s - p
        end = xp.minimum(start + k, n + p if include_pad else n)
        counts.append(end - (start if include_pad else xp.maximum(start, 0)))
    return (counts[0][:, None] * counts[1]).astype(dtype)


def _average(where, x, size, kernel_size, stride, padding, ceil_mode, include_pad, by):
    """The geometry and the divisors (of the kind of ``x``) of an average pooling."""
    out, kernel, stride, padding, _ = _geometry(
        where, size, kernel_size, stride, padding, 1, ceil_mode
    )
    if by == 0:
        raise ArgumentError(f"{where}: divisor_override must not be 0")
    divisor = by or _divisors(
        xp_of(x), size, out, kernel, stride, padding, include_pad, x.dtype
    )
    ends = [
        (m - 1) * s + k - p - n
        for n, m, k, s, p in zip(size, out, kernel, stride, padding)
    ]
    pads = tuple((p, max(e, 0)) for p, e in zip(padding, ends))
    return out, kernel, stride, pads, divisor


@primitive(
    samples=lambda r: (
        [S(r(2, 3, 5, 6), **o) for o in _samples]
        + [
            S(
                r(1, 2, 5, 6),
                kernel_size=3,
                stride=2,
                padding=1,
                count_include_pad=False,
            ),
            S(r(1, 2, 5, 6), kernel_size=3, stride=2, padding=1, ceil_mode=True),
            S(r(1, 2, 5, 6), kernel_size=2, divisor_override=3),
            S(r(0, 2, 4, 4), kernel_size=2),
        ]
    ),
    linear=True,
    errors=lambda r: (
        _refused(r)
        + [
            E(
                ArgumentError,
                "divisor_override must not be 0",
                r(1, 1, 4, 4),
                kernel_size=2,
                divisor_override=0,
            )
        ]
    ),
)
def avg_pool2d(
    x,
    *,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """The mean of each window; zeros of the padding count if ``count_include_pad``."""
    image("avg_pool2d", "input", x)
    _, kernel, stride, pads, divisor = _average(
        "avg_pool2d",
        x,
        x.shape[2:],
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )
    cols = kernels.unfold(x, kernel, stride, pads, (1, 1))
    return cols.sum(axis=(1, 2)).transpose(1, 0, 2, 3) / divisor


@primitive(
    samples=lambda r: [
        S(r(2, 3, 2, 3), size=(5, 6), kernel_size=2),
        S(
            r(1, 2, 3, 3),
            size=(5, 6),
            kernel_size=3,
            stride=2,
            padding=1,
            count_include_pad=False,
        ),
    ],
    linear=True,
)
def avg_pool2d_spread(
    g,
    *,
    size,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """Each mean's gradient spread evenly over its window: the adjoint of averaging."""
    out, kernel, stride, pads, divisor = _average(
        "avg_pool2d_spread",
        g,
        size,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )
    _agree("avg_pool2d_spread", "gradient", g, (*g.shape[:2], *out))
    n, c = g.shape[:2]
    cols = xp_of(g).broadcast_to(
        (g / divisor).transpose(1, 0, 2, 3)[:, None, None], (c, *kernel, n, *out)
    )
    return kernels.fold(cols, tuple(size), kernel, stride, pads, (1, 1))


avg_pool2d.defvjp(lambda g, _y, _x, **o: avg_pool2d_spread(g, size=_x.shape[2:], **o))
avg_pool2d_spread.defvjp(lambda h, _y, _g, *, size, **o: avg_pool2d(h, **o))
