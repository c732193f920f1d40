"""Calls of every composition in `minidl.functional`: all options, odd sizes, size one.

`SAMPLES` are smooth where they are: derivatives, differences and torch agree there.
`KINKS` lie on a tie, a joint or a pixel border: compared with torch alone.
Float arrays are differentiable unless wrapped in `Constant`.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from minidl.samples import S
from minidl.tensor import Tensor


class Constant(NamedTuple):
    """An array argument that takes no gradient; the function may change it in place."""

    array: np.ndarray


def convert(value, dtype, make):
    """A sample's argument with ``make(array, requires_grad)`` for each array in it."""
    if isinstance(value, Constant):
        return make(value.array.astype(dtype), False)
    if isinstance(value, np.ndarray):
        floating = value.dtype == "float64"
        return make(value.astype(dtype) if floating else value.copy(), floating)
    if type(value) in (list, tuple):
        return type(value)(convert(v, dtype, make) for v in value)
    return value


def call(function, sample, dtype, make):
    """``(outputs, inputs)``: the tensors that a call returned and was given."""
    inputs = []

    def remember(array, requires_grad):
        inputs.append(make(array, requires_grad))
        return inputs[-1]

    args = [convert(a, dtype, remember) for a in sample.args]
    options = {k: convert(v, dtype, remember) for k, v in sample.options.items()}
    out = function(*args, **options)
    return (list(out) if isinstance(out, tuple | list) else [out]), inputs


def tensors(array, requires_grad):
    return Tensor(array, requires_grad)


def arrays(sample):
    """A sample with its arrays as Tensors (no gradients): for calls to be refused."""
    args = [convert(a, "float64", tensors) for a in sample.args]
    options = {k: convert(v, "float64", tensors) for k, v in sample.options.items()}
    return args, options


def reductions(make):
    """A loss's samples: each of ``make``'s with every reduction."""
    return [
        S(*s.args, **s.options, reduction=reduction)
        for reduction in ("mean", "sum", "none")
        for s in make
    ]


def probabilities(r, *shape):
    """Positive along axis 1 with sum 1."""
    p = r.positive(*shape)
    return p / p.sum(axis=1, keepdims=True)


def cross_entropy(r):
    plain = [
        S(r(4, 3), r.integers(3, 4)),
        S(r(1, 1), r.integers(1, 1)),
        S(r(2, 3, 5), r.integers(3, 2, 5)),
        S(r(2, 3, 1, 4), r.integers(3, 2, 1, 4), label_smoothing=0.2),
        S(r(4, 3), r.integers(3, 4), label_smoothing=1.0),
        S(r(3, 4), probabilities(r, 3, 4)),
        S(r(2, 3, 2), probabilities(r, 2, 3, 2), label_smoothing=0.1),
        S(r(3, 4) * 200, Constant(probabilities(r, 3, 4))),
    ]
    return [S(r(5, 3), r.integers(3, 5)), *reductions(plain)]


def pairs(r):
    return [S(r(3, 4), r(3, 4)), S(r(2, 3, 2, 1), r(2, 3, 2, 1)), S(r(1), r(1))]


def grids(r, n=2):
    """Points inside and up to twice outside the image, off the borders of pixels."""
    return r.rng.uniform(-2.2, 2.2, (n, 3, 5, 2))


def grid_sample(r):
    return [
        S(r(2, 3, 4, 5), grids(r), mode=mode, padding_mode=where, align_corners=corners)
        for mode, where, corners in product(
            ("bilinear", "nearest"), ("zeros", "border", "reflection"), (False, True)
        )
    ] + [
        S(r(1, 2, 1, 3), grids(r, 1), padding_mode="reflection"),
        S(r(1, 2, 1, 1), grids(r, 1)),
        S(r(2, 1, 3, 3), r(2, 1, 1, 2) * 0.3),
    ]


def interpolate(r):
    resize = [dict(size=(7, 3)), dict(size=5), dict(size=(1, 1)), dict(scale_factor=2),
              dict(scale_factor=(1.7, 0.6)), dict(size=(4, 5)), dict(scale_factor=2.5)]
    bilinear = [S(r(2, 3, 4, 5), **o, mode="bilinear", align_corners=corners)
                for o in resize for corners in (False, True)]
    nearest = [S(r(2, 3, 4, 5), **o, mode="nearest") for o in resize]
    single = [S(r(1, 1, 1, 1), size=(3, 2), mode=m) for m in ("bilinear", "nearest")]
    return [S(r(1, 2, 3, 3), scale_factor=2), *bilinear, *nearest, *single]


def conv_transpose2d(r):
    return [
        S(r(2, 3, 4, 5), r(3, 2, 3, 2), r(2)),
        S(r(2, 3, 4, 3), r(3, 2, 3, 3), stride=2, padding=1, output_padding=1),
        S(r(1, 4, 3, 4), r(4, 3, 2, 3), r(6), (2, 3), (1, 0), (1, 2), 2, (3, 1)),
        S(r(1, 4, 3, 3), r(4, 1, 3, 3), r(4), groups=4, dilation=2, padding=1),
        S(r(1, 3, 2, 2), r(3, 2, 1, 1), stride=3, output_padding=(2, 0)),
        S(r(1, 2, 1, 1), r(2, 3, 3, 3), dilation=2, output_padding=1),
        S(r(1, 2, 3, 2), r(2, 3, 3, 3), r(3), 2, 1, 2, 1, 3),
        S(r(1, 2, 3, 3), r(2, 3, 3, 2), padding=2, output_padding=1, dilation=2),
        S(r(0, 2, 3, 3), r(2, 3, 3, 3)),
    ]


def batch_norm(r):
    def running(n):
        return Constant(r(n)), Constant(r.positive(n))

    x = r(4, 3, 2, 2)
    return [
        S(x, None, None, training=True),
        S(x, None, None, r(3), r(3), True),
        S(x, *running(3), r(3), r(3), True, 0.3, 1e-3),
        S(r(6, 2), *running(2), r(2), None, training=True),
        S(r(2, 1, 3), *running(1), None, r(1), training=True, momentum=1.0),
        S(x, *running(3), r(3), r(3)),
        S(x, *running(3), eps=0.1),
        S(r(5, 3), *running(3), r(3), r(3), training=False),
        S(r(1, 2, 1, 1), *running(2)),
    ]


def layer_norm(r):
    return [
        S(r(3, 4), 4),
        S(r(3, 4), (4,), r(4), r(4)),
        S(r(2, 3, 5), (3, 5), r(3, 5), r(3, 5), 1e-2),
        S(r(2, 3, 5), [3, 5], r(3, 5)),
        S(r(2, 4), (4,), None, r(4)),
        S(r(3, 1), (1,), r(1), r(1), 0.1),
    ]


def pad(r):
    sizes = [(1, 2), (2, 1, 0, 2), (0, 0, 1, 1)]
    filled = [S(r(2, 3, 4, 5), p, value=0.5) for p in sizes]
    wrapped = [S(r(2, 3, 4, 5), p, mode=m)
               for m in ("reflect", "replicate", "circular")
               for p in ((1, 2, 2, 1), (0, 0, 1, 1), (3, 0, 0, 3))]
    return [
        S(r(3, 4), (1, 0)),
        S(r(2), ()),
        S(r(2, 3, 2), (1, 1, 2, 0, 0, 3)),
        *filled,
        *wrapped,
        S(r(1, 1, 1, 1), (2, 1, 1, 3), mode="replicate"),
    ]


def einsum(r):
    return [
        S("ij,jk->ik", r(3, 4), r(4, 5)),
        S("bij,bjk", r(2, 3, 4), r(2, 4, 1)),
        S("ij,jk", r(3, 4), r(4, 2)),
        S("ba", r(2, 3)),
        S("ii->i", r(3, 3)),
        S("ii", r(3, 3)),
        S("iji->j", r(3, 2, 3)),
        S("iii->i", r(2, 2, 2)),
        S("...ij,...jk->...ik", r(2, 1, 3, 4), r(5, 4, 2)),
        S("...i,i...", r(4, 3), r(3, 1)),
        S("...i->...", r(2, 3, 4)),
        S("i...->i", r(2, 3, 4)),
        S("ij,ij->ij", r(1, 3), r(2, 1)),
        S("ij,ij->", r(1, 3), r(2, 1)),
        S("i,i->i", r(1), r(3)),
        S("i,j->ji", r(1), r(3)),
        S("ab,bc,cd->ad", r(2, 3), r(3, 4), r(4, 1)),
        S("i,i,i->i", r(3), r(3), r(3)),
        S(",i->i", r(), r(3)),
        S("ij->", r(2, 3)),
        S("Ab,bA->A", r(2, 3), r(3, 2)),
        S(" i j , j -> i ", r(2, 3), r(3)),
        S("...,...->...", r(2, 3), r(3)),
        S("bhqd,bhkd->bhqk", r(1, 2, 3, 2), r(1, 2, 4, 2)),
    ]


def over(r, **options):
    """Reductions: all axes, one, several, kept, size one."""
    return [
        S(r(2, 3, 4), **options),
        S(r(2, 3, 4), 1, **options),
        S(r(2, 3, 4), (0, -1), **options),
        S(r(2, 3, 4), -1, keepdim=True, **options),
        S(r(2, 3, 1), (0, 1), keepdim=True, **options),
    ]


def variance(r):
    return [
        *over(r),
        *over(r, correction=0),
        S(r(5), correction=2),
        S(r(4, 1), 1, correction=0),
        S(r(3, 4), 0, correction=0.5),
    ]


def extreme(r):
    return [S(r(3, 4)), S(r(3, 4), 1), S(r(2, 3, 4), -2, True), S(r(1), 0), S(r()),
            S(r(2, 1), 1)]


def lattice():
    """Grid points on the borders and the middles of pixels, and outside the image."""
    return np.stack(np.meshgrid(*[np.linspace(-1.5, 1.5, 7)] * 2), -1)[None]


SAMPLES = {
    "adaptive_avg_pool2d": lambda r: [
        S(r(2, 3, 5, 7), size) for size in (1, 3, (2, 5), (None, 1), (5, 7), (8, 9))
    ] + [S(r(1, 1, 1, 1), 2)],
    "affine_grid": lambda r: [
        S(r(2, 2, 3), (2, 3, 4, 5), corners) for corners in (False, True)
    ] + [S(r(1, 2, 3), (1, 1, 1, 1), True), S(r(1, 2, 3), [1, 2, 1, 3])],
    "batch_norm": batch_norm,
    "binary_cross_entropy_with_logits": lambda r: reductions(
        [S(r(3, 4), Constant(r.rng.random((3, 4)))), S(r(5) * 300, r.positive(5)),
         S(r(1, 1), Constant(np.ones((1, 1))))]
    ) + [S(r(3), r(3))],
    "concatenate": lambda r: [
        S([r(2, 3), r(1, 3)]), S([r(2, 3), r(2, 1), r(2, 0)], dim=-1), S([r(3)], 0)
    ],
    "conv_transpose2d": conv_transpose2d,
    "cross_entropy": cross_entropy,
    "dropout": lambda r: [
        S(r(3, 4), 0.3, True, mask=r.mask(3, 4)),
        S(r(3, 4), 0.0, mask=r.mask(3, 4)),
        S(r(3, 4), 0.7, False, mask=r.mask(3, 4)),
        S(r(3, 4), 0.0),
        S(r(3, 4), 1.0),
        S(r(3, 4), training=False),
    ],
    "einsum": einsum,
    "embedding": lambda r: [
        S(r.integers(5, 2, 3), r(5, 4)), S(np.array([1, 1, 1]), r(2, 1)),
        S(np.array(1), r(3, 2)), S(np.zeros((0, 2), int), r(3, 2)),
    ],
    "channel_shuffle": lambda r: [
        S(r(2, 6, 2, 3), 2), S(r(2, 6, 3), 3), S(r(1, 4, 1), 1), S(r(2, 5, 1, 1), 5),
        S(r(0, 4, 2, 2), groups=2),
    ],
    "elu": lambda r: [S(r(3, 4) * 3), S(r(3, 4), 0.3), S(r(1) * 30), S(r(), alpha=2.0)],
    "expand": lambda r: [
        S(r(3, 1), 3, 4), S(r(3, 1), (2, -1, 5)), S(r(1), [2, 3]), S(r(), 2),
        S(r(2), -1), S(r(1, 2), 0, 2),
    ],
    "flatten": lambda r: [
        S(r(2, 3, 4)), S(r(2, 3, 4), 1), S(r(2, 3, 4), 0, 1), S(r(2, 3, 4), -2), S(r()),
        S(r(0, 3, 2), 1), S(r(3), 0, 0),
    ],
    "gather": lambda r: [
        S(r(3, 4), 1, r.integers(4, 3, 2)), S(r(3, 4), -2, r.integers(3, 5, 2)),
        S(r(1), 0, np.zeros(3, int)),
    ],
    "gelu": lambda r: [
        S(r(3, 4) * 2), S(r(3, 4) * 2, "none"), S(r(3, 4) * 2, approximate="tanh"),
        S(r(1) * 30), S(r(), "tanh"),
    ],
    "grid_sample": grid_sample,
    "huber_loss": lambda r: reductions(
        [S(s.args[0] * 2, s.args[1], delta=d) for s in pairs(r) for d in (1.0, 0.3)]
    ) + [S(r(3), r(3))],
    "interpolate": interpolate,
    "l1_loss": lambda r: [*pairs(r), *reductions(pairs(r))],
    "layer_norm": layer_norm,
    "matmul": lambda r: [
        S(r(3), r(3)), S(r(3), r(3, 4)), S(r(3, 4), r(4)), S(r(3, 4), r(4, 5)),
        S(r(2, 3, 4), r(4)), S(r(3), r(2, 3, 4)), S(r(2, 1, 3, 4), r(5, 4, 2)),
        S(r(1), r(1)), S(r(1, 1), r(1, 1)), S(r(0, 3), r(3, 2)),
    ],
    "max": extreme,
    "mean": lambda r: over(r) + [S(r()), S(r(1, 1), 0)],
    "min": extreme,
    "mse_loss": lambda r: [*pairs(r), *reductions(pairs(r))],
    "normalize": lambda r: [
        S(r(3, 4)), S(r(3, 4), dim=0), S(r(2, 3, 4), 3, -1), S(r(3, 4), 1.5),
        S(r(3, 4), p=1), S(r(2, 1)), S(r(3, 4) * 1e-3, eps=0.5),
        S(r(2, 3, 2), eps=1e-6),
    ],
    "one_hot": lambda r: [
        S(r.integers(4, 2, 3)), S(r.integers(4, 5), 6), S(np.array(2), num_classes=3),
        S(np.array([0])),
    ],
    "pad": pad,
    "relu6": lambda r: [S(r(3, 4) * 5 + 3), S(r(1) * 30), S(r())],
    "scatter_add": lambda r: [
        S(r(3, 4), 1, r.integers(4, 3, 6), r(3, 6)),
        S(r(2, 3), -2, r.integers(2, 5, 3), r(5, 3)),
        S(r(1), 0, np.zeros(3, int), r(3)),
    ],
    "split": lambda r: [
        S(r(5, 2), 2), S(r(2, 5), [1, 4], 1), S(r(3, 4), 9),
        S(r(2, 6), (2, 0, 4), dim=-1), S(r(1), 1),
    ],
    "squeeze": lambda r: [
        S(r(1, 3, 1)), S(r(1, 3, 1), 0), S(r(1, 3, 1), 1), S(r(1, 3, 1), (0, -1)),
        S(r(1, 1)),
    ],
    "stack": lambda r: [
        S([r(2, 3), r(2, 3)]), S([r(2), r(2), r(2)], -1), S([r()], 0),
        S((r(2, 1),), dim=1),
    ],
    "take_along_axis": lambda r: [
        S(r(3, 4), r.integers(4, 3, 2), 1), S(r(3, 4), r.integers(3, 1, 4), 0),
        S(r(1, 4), r.integers(4, 5, 2), -1), S(r(2, 3, 1), r.integers(3, 1, 2, 4), 1),
        S(r(3), np.array([0, 2, 2, 1, 0]), 0),
    ],
    "transpose": lambda r: [
        S(r(2, 3, 4), 0, 2), S(r(2, 3, 4), -1, 1), S(r(2, 3), 1, 1), S(r(1, 2), 0, 1)
    ],
    "unsqueeze": lambda r: [S(r(2, 3), 0), S(r(2, 3), -1), S(r(), 0), S(r(2, 3), 1)],
    "var": variance,
}

KINKS = {
    "elu": lambda r: [S(np.array([0.0, -1e-12, -800.0, 800.0]))],
    "relu6": lambda r: [S(np.array([0.0, 6.0, -1.0, 7.0, 3.0]))],
    "max": lambda r: [S(r.ties(3, 4)), S(r.ties(3, 5), 1), S(r.ties(3, 5), 0, True),
                      S(np.ones((2, 3)))],
    "min": lambda r: [S(r.ties(3, 4)), S(r.ties(3, 5), 1), S(r.ties(3, 5), 0, True),
                      S(np.ones((2, 3)))],
    "l1_loss": lambda r: [S(r.ties(3, 4), r.ties(3, 4))],
    "huber_loss": lambda r: [S(np.array([1.0, -1.0, 0.0, 2.0]), np.zeros(4), delta=d)
                             for d in (1.0, 2.0)],
    "binary_cross_entropy_with_logits": lambda r: [
        S(np.zeros(2), np.array([0.0, 1.0]))
    ],
    "normalize": lambda r: [S(np.zeros((2, 3)))],
    "grid_sample": lambda r: [
        S(r(1, 2, 3, 5), lattice(),
          mode=mode, padding_mode=where, align_corners=corners)
        for mode, where, corners in product(
            ("bilinear", "nearest"), ("zeros", "border", "reflection"), (False, True)
        )
    ],
}
