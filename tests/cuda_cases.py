"""Drawn calls of the operations that have CUDA kernels: (operation, arguments).

An operation is a `Kernel`; arguments are NumPy arrays and options. Which of its kernels
an operation launches depends on the shapes, so the drawn sizes straddle the choices.
"""

import importlib
import pkgutil

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from minidl import kernels
from minidl.kernels import _cuda
from minidl.kernels.windows import output_size

for _module in pkgutil.iter_modules(kernels.__path__):
    importlib.import_module(f"minidl.kernels.{_module.name}")

RAW = {n: k for n, k in _cuda.KERNELS.items() if isinstance(k, _cuda.Raw)}
ELEMENTWISE = {n: k for n, k in _cuda.KERNELS.items() if n not in RAW}

seeds = st.integers(0, 1000)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
pads = st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 2))] * 2)


def normal(seed, shape, dtype):
    values = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    return values[..., ::-1] if seed % 3 == 0 else values  # some are not contiguous


def sizes(least, most, wide=40):
    """Mostly small ones, some beyond a warp."""
    few = st.integers(least, most)
    return st.one_of(few, few, few, st.integers(least, wide))


@st.composite
def shifts(draw, dtype):
    n, c = draw(st.integers(0, 3)), draw(st.integers(1, 5))
    size = draw(sizes(1, 9)), draw(st.one_of(sizes(1, 9), st.just(700)))
    moves = st.integers(-12, 12) | st.sampled_from([10**15, -(10**15)])
    dy, dx = (tuple(draw(moves) for _ in range(c)) for _ in range(2))
    return kernels.shift, (normal(draw(seeds), (n, c, *size), dtype), dy, dx)


@st.composite
def transforms(draw, dtype):
    bits = draw(st.integers(0, 14))
    rows = draw(st.integers(0, 3 if bits > 9 else 40 if bits > 4 else 300))
    return kernels.fwht, (normal(draw(seeds), (rows, 1 << bits), dtype),)


@st.composite
def windows(draw, dtype):
    kernel, stride, dilation, padding = (
        draw(pairs),
        draw(pairs),
        draw(pairs),
        draw(pads),
    )
    size = draw(sizes(1, 9)), draw(sizes(1, 9))
    out = output_size(size, kernel, stride, padding, dilation)
    assume(min(out) > 0)
    n, c = draw(st.integers(0, 3)), draw(st.integers(1, 3))
    options = (kernel, stride, padding, dilation)
    if draw(st.booleans()):
        return kernels.unfold, (normal(draw(seeds), (n, c, *size), dtype), *options)
    cols = normal(draw(seeds), (c, *kernel, n, *out), dtype)
    return kernels.fold, (cols, size, *options)


@st.composite
def pools(draw, dtype):
    kernel, stride = draw(pairs), draw(pairs)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = draw(sizes(2, 9)), draw(sizes(2, 9))
    both = tuple((p, p) for p in padding)
    out = output_size(size, kernel, stride, both, (1, 1))
    assume(min(out) > 0)
    n, c = draw(st.integers(0, 3)), draw(st.integers(1, 3))
    random = np.random.default_rng(draw(seeds))
    x = random.integers(-2, 3, (n, c, *size)).astype(dtype)  # many are equal
    x[random.random(x.shape) < 0.03] = draw(st.sampled_from([0, np.nan, -np.inf]))
    geometry = (x, out, kernel, stride, padding, (1, 1))
    if draw(st.booleans()):
        return kernels.max_pool2d_gather, (normal(1, x.shape, dtype), *geometry)
    return kernels.max_pool2d_scatter, (normal(2, (n, c, *out), dtype), *geometry)


@st.composite
def convolutions(draw, dtype):
    groups = draw(st.sampled_from([1, 2, 3, 5]))
    ins, outs = draw(st.sampled_from([(1, 1), (1, 2), (3, 5), (2, 9), (8, 4)]))
    kernel = draw(pairs | st.sampled_from([(4, 2), (5, 5), (1, 1)]))
    stride, dilation, padding = draw(pairs), draw(pairs), draw(pads)
    if kernel == (1, 1) and draw(st.booleans()):
        stride, padding = (1, 1), ((0, 0), (0, 0))
    size = draw(sizes(1, 9)), draw(sizes(1, 9))
    out = output_size(size, kernel, stride, padding, dilation)
    assume(min(out) > 0)
    n = draw(st.integers(0, 2))
    x = normal(draw(seeds), (n, groups * ins, *size), dtype)
    w = normal(draw(seeds), (groups * outs, ins, *kernel), dtype)
    g = normal(draw(seeds), (n, groups * outs, *out), dtype)
    options = (stride, padding, dilation, groups)
    return draw(
        st.sampled_from(
            [
                (kernels.conv2d, (x, w, *options)),
                (kernels.conv2d_input, (g, w, size, *options)),
                (kernels.conv2d_weight, (x, g, kernel, *options)),
            ]
        )
    )


@st.composite
def channels(draw, dtype):
    sides = draw(st.lists(sizes(1, 9, 70), max_size=2))
    shape = (draw(st.integers(0, 4)), draw(st.integers(1, 5)), *sides)
    x, g = (normal(draw(seeds), shape, dtype) for _ in range(2))
    a = normal(draw(seeds), (6, shape[1]), dtype)
    low = draw(st.sampled_from([0.0, -np.inf]))
    return draw(
        st.sampled_from(
            [
                (kernels.channel_moments, (x,)),
                (kernels.channel_products, (g, x, *a[:3])),
                (kernels.channel_affine, (x, *a[:3], low)),
                (kernels.channel_blend, (g, x, *a)),
                (kernels.channel_sum, (x,)),
                (kernels.plane_sum, (x,)),
                (kernels.gate, (g, x)),
            ]
        )
    )


@st.composite
def losses(draw, dtype):
    places = draw(st.lists(st.integers(1, 5), max_size=2))
    n, classes = draw(sizes(0, 5)), draw(sizes(1, 6, 70))
    x = normal(draw(seeds), (n, classes, *places), dtype) * 30
    random = np.random.default_rng(draw(seeds))
    target = random.integers(0, classes, (n, *places))
    rest = (x, target, draw(st.sampled_from([0.0, 0.1, 1.0])))
    if draw(st.booleans()):
        return kernels.cross_entropy, rest
    return kernels.cross_entropy_input, (normal(3, target.shape, dtype), *rest)


DRAWN = {
    "shift": shifts,
    "fwht": transforms,
    "windows": windows,
    "pool": pools,
    "conv": convolutions,
    "channels": channels,
    "losses": losses,
}


def conv(step, x, outs, kernel, stride=1, padding=1, dilation=1, groups=1):
    """One fixed call of a convolution ("x"), or of a gradient ("input", "weight")."""
    options = (stride,) * 2, ((padding,) * 2,) * 2, (dilation,) * 2
    out = output_size(x[2:], kernel, *options)
    random = np.random.default_rng(5)
    shapes = {"x": x, "w": (outs, x[1] // groups, *kernel), "g": (x[0], outs, *out)}
    a = {name: random.standard_normal(shape) for name, shape in shapes.items()}
    return {
        "conv": (kernels.conv2d, (a["x"], a["w"], *options, groups)),
        "input": (kernels.conv2d_input, (a["g"], a["w"], x[2:], *options, groups)),
        "weight": (kernels.conv2d_weight, (a["x"], a["g"], kernel, *options, groups)),
    }[step]


def fixed():
    """Calls that launch every kernel, at sizes where more than one block runs."""
    random = np.random.default_rng(4)
    image = random.standard_normal((2, 3, 19, 37))
    taps = ((3, 2), (2, 1), ((1, 0), (2, 1)), (1, 2))
    out = output_size((19, 37), *taps)
    pool = (image, (9, 18), (3, 3), (2, 2), (0, 0), (1, 1))
    return {
        "shift": (kernels.shift, (image, (1, -2, 40), (0, 5, -1))),
        "fwht": (kernels.fwht, (random.standard_normal((3, 1 << 11)),)),
        "fwht of short rows": (kernels.fwht, (random.standard_normal((300, 32)),)),
        "fwht of long rows": (kernels.fwht, (random.standard_normal((1, 1 << 15)),)),
        "fwht of 2^17": (kernels.fwht, (random.standard_normal((1, 1 << 17)),)),
        "unfold": (kernels.unfold, (image, *taps)),
        "fold": (
            kernels.fold,
            (random.standard_normal((3, 3, 2, 2, *out)), (19, 37), *taps),
        ),
        "max_pool2d": (kernels.max_pool2d_gather, (image, *pool)),
        "max_pool2d's gradient": (
            kernels.max_pool2d_scatter,
            (random.standard_normal((2, 3, 9, 18)), *pool),
        ),
        "moments": (kernels.channel_moments, (image,)),
        "products": (
            kernels.channel_products,
            (image, image**2, *image[0, :, 0, :3].T),
        ),
        "channel_sum": (kernels.channel_sum, (image,)),
        "cross_entropy": (kernels.cross_entropy, (image, image[:, 0] * 0, 0.1)),
        "cross_entropy of lines": (
            kernels.cross_entropy,
            (image[0, 0], np.arange(19), 0.0),
        ),
        "cross_entropy's gradient": (
            kernels.cross_entropy_input,
            (image[0, 0, :, 0], image[0, 1], np.arange(19), 0.1),
        ),
        **{
            f"{step} {name}": conv(step, *args, **options)
            for step in ("conv", "input", "weight")
            for name, args, options in (
                ("depthwise", ((2, 5, 37, 35), 5, (3, 3)), dict(groups=5)),
                ("multiplier", ((2, 3, 9, 7), 6, (3, 3)), dict(groups=3, stride=2)),
                ("strided", ((1, 4, 15, 35), 4, (5, 4)), dict(groups=4, stride=3)),
                ("grouped", ((2, 9, 14, 14), 15, (3, 3)), dict(groups=3, dilation=2)),
                (
                    "grouped strided",
                    ((1, 6, 13, 9), 4, (3, 3)),
                    dict(groups=2, stride=2),
                ),
                ("strip", ((1, 4, 1, 300), 4, (1, 7)), dict(groups=4)),
                (
                    "large tile",
                    ((1, 2, 70, 70), 2, (7, 7)),
                    dict(groups=2, dilation=11, padding=9, stride=4),
                ),
                (
                    "tile beyond shared memory",
                    ((1, 2, 163, 161), 2, (5, 5)),
                    dict(groups=2, dilation=40, padding=0),
                ),
                ("dense", ((2, 3, 9, 8), 4, (3, 3)), {}),
                ("pointwise", ((2, 4, 5, 6), 6, (1, 1)), dict(padding=0, groups=2)),
                ("many channels", ((1, 18, 6, 6), 20, (3, 3)), dict(groups=2)),
            )
        },
    }
