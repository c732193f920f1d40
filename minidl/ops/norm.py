"""Batch normalisation and its derivatives, each in one or two passes over the images.

With the mean and the variance of each channel of x over its n values,
``xh = (x - mean) / sqrt(var + eps)``, three ops make up the family:

    batch_norm        y  = weight xh + bias
    batch_norm_sums   s  = (sum g, sum g xh), the gradients by bias and weight
    batch_norm_input  gx = weight (g - s0 / n - xh s1 / n) / sqrt(var + eps)

With ``relu`` y is ``max(y, 0)``, and in the other two g counts where y is positive: the
passes that a ReLU and its gradient would take are saved. There weight and bias say only
where that is.

All are functions of x, whose moments depend on it. ``stats`` and ``sums`` are what a
caller knows already, to save a pass: the `moments` of the same x, the `batch_norm_sums`
of the same g and x. They are no further variables: derivatives treat their values as
the functions of x and g that they are.

Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithm 1 and section 3.
"""

import math

from .. import kernels
from ..autograd import Primitive, primitive
from ..backend import float64, xp_of
from ..errors import DtypeError, ShapeError
from ..samples import E, S
from .channels import check, dot, over, spread
from .elementwise import gate, sqrt
from .reduction import sum


def _paired(where, g, x):
    if g.shape != x.shape:
        raise ShapeError(
            f"{where}: gradient must be {tuple(x.shape)}; got {tuple(g.shape)}"
        )


def moments(x):
    """The statistics of an array (N, C, ...), each channel's: (3, C).

    Rows: the mean, what its rounding left over, the biased variance.
    """
    return kernels.channel_moments(x)


def _standard(x, weight, bias, stats, eps):
    """Mean, error, inverse, scale and shift: ``y = (x - mean) * scale + shift``.

    In float64: ``error``, what rounding left of the mean, and ``inverse``, which is
    ``1 / sqrt(var + eps)``.
    """
    mean, error, var = moments(x) if stats is None else stats
    error = error.astype(float64)
    inverse = 1 / xp_of(x).sqrt(var.astype(float64) + eps)
    scale = inverse if weight is None else inverse * weight
    shift = -error * scale if bias is None else bias - error * scale
    return mean, error, inverse, scale.astype(x.dtype), shift.astype(x.dtype)


def _mask(scale, shift, relu):
    """The scale and shift that tell kernels where g counts: everywhere without relu."""
    xp = xp_of(scale)
    return (scale, shift) if relu else (xp.zeros_like(scale), xp.ones_like(shift))


def _count(shape) -> int:
    """How many values a channel has; 1 where it has none."""
    return max(math.prod(shape) // max(shape[1], 1), 1)


_shapes = [(4, 3, 2, 3), (5, 2), (2, 1, 3), (1, 2, 3, 1)]


@primitive(
    samples=lambda r: (
        [S(r(*shape), r(shape[1]), r(shape[1]), eps=1e-5) for shape in _shapes]
        + [
            S(r(3, 2, 2), eps=0.5),
            S(r(3, 2, 2) + 40, r(2), eps=1e-3),
            S(r(3, 2, 2), None, r(2), eps=1e-3),
            S(r(3, 4, 2), r(4), r(4), eps=1e-3, relu=True),
            S(r(3, 2, 4), eps=1e-3, relu=True),
            S(r(0, 2, 2), r(2), r(2), eps=1e-3),
        ]
    ),
    errors=lambda r: [
        E(ShapeError, "must be (N, C, ...)", r(3), eps=1e-5),
        E(DtypeError, "must be float32 or float64", r.integers(2, 3, 2), eps=1e-5),
        E(ShapeError, "weight must be (2,); got (3,)", r(3, 2), r(3), eps=1e-5),
        E(ShapeError, "bias must be (2,); got (1,)", r(3, 2), r(2), r(1), eps=1e-5),
    ],
)
def batch_norm(x, weight=None, bias=None, stats=None, *, eps, relu=False):
    """Each channel of ``x`` with mean 0 and variance 1, scaled and shifted.

    Shapes: x, y (N, C, ...); weight, bias (C,) or None; stats (3, C) or None.
    """
    check("batch_norm", x, weight=weight, bias=bias)
    mean, _, _, scale, shift = _standard(x, weight, bias, stats, eps)
    low = 0.0 if relu else -math.inf
    return kernels.channel_affine(x, scale, shift, mean, low)


@primitive(
    samples=lambda r: (
        [S(r(*shape), r(*shape), eps=1e-5) for shape in _shapes]
        + [S(r(3, 2, 2), r(3, 2, 2) + 40, eps=0.5), S(r(0, 2), r(0, 2), eps=1e-3)]
        + [S(r(3, 2, 4), r(3, 2, 4), r(2), r(2), eps=1e-3, relu=True)]
    ),
    errors=lambda r: [
        E(ShapeError, "must be (N, C, ...)", r(3), r(3), eps=1e-5),
        E(ShapeError, "must be (3, 2)", r(3, 1), r(3, 2), eps=1e-5),
    ],
)
def batch_norm_sums(g, x, weight=None, bias=None, stats=None, *, eps, relu=False):
    """For each channel the sum of ``g`` and of ``g`` times normalised ``x``: (2, C)."""
    check("batch_norm_sums", x, weight=weight, bias=bias)
    _paired("batch_norm_sums", g, x)
    mean, error, inverse, *y = _standard(x, weight, bias, stats, eps)
    total, product = kernels.channel_products(g, x, mean, *_mask(*y, relu))
    product = (product - error * total) * inverse
    return xp_of(x).stack([total, product]).astype(x.dtype)


@primitive(
    samples=lambda r: (
        [S(r(*shape), r(*shape), r(shape[1]), eps=1e-3) for shape in _shapes]
        + [S(r(3, 2, 2), r(3, 2, 2) + 40, eps=0.5), S(r(0, 2), r(0, 2), eps=1e-3)]
        + [S(r(3, 2, 4), r(3, 2, 4), r(2), r(2), eps=1e-3, relu=True)]
    ),
    errors=lambda r: [
        E(ShapeError, "must be (N, C, ...)", r(3), r(3), eps=1e-5),
        E(ShapeError, "must be (3, 2)", r(3, 1), r(3, 2), eps=1e-5),
        E(ShapeError, "weight must be (2,)", r(3, 2), r(3, 2), r(3), eps=1e-5),
    ],
)
def batch_norm_input(
    g, x, weight=None, bias=None, stats=None, sums=None, *, eps, relu=False
):
    """The gradient of `batch_norm` by its input, the moments' part included."""
    check("batch_norm_input", x, weight=weight, bias=bias)
    _paired("batch_norm_input", g, x)
    stats = moments(x) if stats is None else stats
    if sums is None:
        sums = batch_norm_sums.forward(g, x, weight, bias, stats, eps=eps, relu=relu)
    mean, error, inverse, *y = _standard(x, weight, bias, stats, eps)
    (total, product), n = sums, _count(x.shape)
    a = inverse if weight is None else inverse * weight
    b = a * inverse * product / -n
    c = a * total / -n - b * error
    factors = (v.astype(x.dtype) for v in (a, b, c))
    return kernels.channel_blend(g, x, *factors, mean, *_mask(*y, relu))


def _counted(g, x, weight, bias, stats, relu, **o):
    """``g``, with ``relu`` 0 where the output for x is not positive."""
    if not relu:
        return g
    return gate(g, batch_norm(x.detach(), weight, bias, stats, **o).detach())


def _second(v, y, g, x, weight, stats, eps):
    """The derivative of ``<v, batch_norm_input(g, x, weight)>`` by x.

    For each channel, with ``r = 1 / sqrt(var + eps)`` and p, q the means of ``v xh``
    and ``g xh``: ``-r (xh mean(v y) + q batch_norm_input(v) + p y)``, y the output for
    g. It follows from ``<v, y> = n weight r (mean(g v) - mean(g) mean(v) - p q)``.
    """
    n = float(_count(x.shape))
    d = x - spread(sum(x, dim=over(x)) / n, x)
    r = 1.0 / sqrt(dot(d, d) / n + eps)
    q, p = (_sums(a, x, stats, eps)[1] * r / n for a in (g, v))
    back = _input(v, x, weight, stats, eps)
    along = batch_norm(x, dot(v, y) * r / n, None, stats, eps=eps)
    return -(along + back * spread(q, x) + y * spread(p, x))


def _sums(g, x, stats, eps):
    return batch_norm_sums(g, x, None, None, stats, eps=eps)


def _input(g, x, weight, stats, eps):
    return batch_norm_input(g, x, weight, None, stats, eps=eps)


batch_norm.defvjp(
    lambda g, _y, x, w, b, stats, **o: batch_norm_input(g, x, w, b, stats, **o),
    lambda g, _y, x, w, b, stats, **o: batch_norm_sums(g, x, w, b, stats, **o)[1],
    lambda g, _y, x, w, b, stats, **o: batch_norm_sums(g, x, w, b, stats, **o)[0],
    None,
)
batch_norm_sums.defvjp(
    lambda v, _y, _g, x, w, b, stats, **o: _counted(
        batch_norm(x, v[1], v[0], stats, eps=o["eps"]), x, w, b, stats, **o
    ),
    lambda v, _y, g, x, w, b, stats, **o: _input(
        _counted(g, x, w, b, stats, **o), x, v[1], stats, o["eps"]
    ),
    None,
    None,
    None,
)
batch_norm_input.defvjp(
    lambda v, _y, _g, x, w, b, stats, _s, **o: _counted(
        _input(v, x, w, stats, o["eps"]), x, w, b, stats, **o
    ),
    lambda v, y, g, x, w, b, stats, _s, **o: _second(
        v, y, _counted(g, x, w, b, stats, **o), x, w, stats, o["eps"]
    ),
    lambda v, _y, g, x, w, b, stats, _s, **o: dot(
        v, _input(_counted(g, x, w, b, stats, **o), x, None, stats, o["eps"])
    ),
    None,
    None,
    None,
)


def _together(node, g, wanted):
    """The gradients that the rows give, with the sums over g and x taken only once.

    Row by row backward would read both arrays a second time, a third more in all.
    """
    x, weight, bias, _ = node.inputs
    if not wanted(x) or not (wanted(weight) or wanted(bias)):
        return Primitive.backward(batch_norm, node, g, wanted)
    sums = batch_norm_sums(g, *node.inputs, **node.options)
    gx = batch_norm_input(g, *node.inputs, sums, **node.options)
    by_weight = sums[1] if wanted(weight) else None
    return [gx, by_weight, sums[0] if wanted(bias) else None, None]


batch_norm.backward = _together
