"""Fastfood's product of diagonals, transforms and a permutation, and its derivatives.

``<e, S H G P H B x>`` is a number that is linear in each of x, e, s, g and b. Leave one
out, and what is left is its gradient. So five ops make up the family, and the
derivatives of each are the others, with the gradient from above in the place of what it
left out:

    fastfood          (x, s, g, b, p)     y     the product
    fastfood_input    (e, s, g, b, p)     by x  its transpose, B H P' G H S e
    fastfood_s        (x, e, g, b, p)     by s  sum of e * (H G P H B x)
    fastfood_g        (x, e, s, b, p)     by g  sum of (H S e) * (P H B x)
    fastfood_b        (x, e, s, g, p)     by b  sum of (H P' G H S e) * x

Shapes: x (..., width), s, g and b (m, d), p (m, d) whole numbers, e and y (..., m d),
where d is a power of two that is at least width.

Source: Le, Sarlos and Smola 2013, "Fastfood"; Yang et al. 2015, "Deep Fried Convnets",
section 4.
"""

import math

import numpy as np

from .. import kernels
from ..autograd import Primitive, primitive
from ..backend import xp_of
from ..errors import ArgumentError, DtypeError, ShapeError
from ..modes import mode
from ..samples import E, S
from ..tensor import Tensor


def _check(where, x, e, p, **diagonals):
    """Raise unless all that is given fits together."""
    shape = p.shape
    if len(shape) != 2 or p.dtype.kind not in "iu":
        raise ShapeError(
            f"{where}: permutation must be whole numbers (m, d); got "
            f"{p.dtype}{tuple(shape)}"
        )
    blocks, d = shape
    if blocks < 1 or d < 1 or d & (d - 1):
        raise ShapeError(
            f"{where}: permutation must be (m, d), m >= 1 blocks of a power of two; "
            f"got {tuple(shape)}"
        )
    for name, a in diagonals.items():
        if a.shape != shape:
            raise ShapeError(
                f"{where}: {name} must be {tuple(shape)} like the permutation; got "
                f"{tuple(a.shape)}"
            )
    for name, a, most in (("input", x, d), ("gradient", e, blocks * d)):
        if a is None:
            continue
        if a.dtype.kind != "f":
            raise DtypeError(
                f"{where}: {name} must be float32 or float64; got {a.dtype}"
            )
        n = a.shape[-1] if a.ndim else 0
        if not 1 <= n <= most or (a is e and n != most):
            least = most if a is e else "1 to " + str(most)
            raise ShapeError(
                f"{where}: the last axis of {name} must be {least}; got {n}"
            )
    if x is not None and e is not None and x.shape[:-1] != e.shape[:-1]:
        raise ShapeError(
            f"{where}: gradient must have the rows of the input, "
            f"{tuple(x.shape[:-1])}; got {tuple(e.shape[:-1])}"
        )
    if isinstance(p, np.ndarray):  # a look at the GPU's would wait
        within = p.min() >= 0 and p.max() < d
        if not within or not (np.bincount(_apart(p), minlength=p.size) == 1).all():
            raise ArgumentError(
                f"{where}: each row of permutation must have 0 to {d - 1} once each"
            )


def _apart(p):
    """A permutation of all blocks' numbers at once."""
    return (p + np.arange(len(p))[:, None] * p.shape[1]).reshape(-1)


def _rows(x):
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _drawn(r, rows, width, blocks, d, kinds):
    """Sample arrays: x and e as ``kinds`` asks, three diagonals or two, p."""
    made = {"x": r(*rows, width), "e": r(*rows, blocks * d)}
    p = np.array([r.rng.permutation(d) for _ in range(blocks)])
    return S(*[made[k] if k in made else r(blocks, d) for k in kinds], p)


_CASES = [((3,), 8, 1, 8), ((2,), 5, 3, 8), ((2, 2), 4, 2, 4), ((9,), 1, 1, 1),
          ((), 2, 1, 2), ((0,), 4, 1, 4), ((17,), 3, 2, 4)]  # fmt: skip


def _samples(kinds):
    return lambda r: [_drawn(r, *case, kinds) for case in _CASES]


def _input_samples(r):
    found = []
    for case in _CASES:
        sample = _drawn(r, *case, "esgb")
        sample.options["width"] = case[1]
        found.append(sample)
    return found


def _ones(p, x):
    return xp_of(x).ones(p.shape, x.dtype)


def _gradient(which, x, e, s, g, b, p):
    """One of the four gradients by number."""
    return kernels.fastfood_gradients(_rows(x), _rows(e), s, g, b, p)[which]


@primitive(
    samples=_samples("xsgb"),
    errors=lambda r: [
        E(ShapeError, "last axis of input must be 1 to 4; got 5", r(2, 5), r(1, 4),
          r(1, 4), r(1, 4), np.arange(4)[None]),
        E(ShapeError, "must be 1 to 4; got 0", r(2, 0), r(1, 4), r(1, 4), r(1, 4),
          np.arange(4)[None]),
        E(ShapeError, "g must be (1, 4) like the permutation; got (4,)", r(2, 4),
          r(1, 4), r(4), r(1, 4), np.arange(4)[None]),
        E(ShapeError, "permutation must be whole numbers (m, d)", r(2, 4), r(4),
          r(4), r(4), np.arange(4)),
        E(ShapeError, "blocks of a power of two; got (1, 3)", r(2, 3), r(1, 3),
          r(1, 3), r(1, 3), np.arange(3)[None]),
        E(ArgumentError, "must have 0 to 3 once each", r(2, 4), r(1, 4), r(1, 4),
          r(1, 4), np.array([[0, 1, 1, 3]])),
        E(ArgumentError, "must have 0 to 1 once each", r(2, 2), r(2, 2), r(2, 2),
          r(2, 2), np.array([[0, 1], [1, 2]])),
        E(DtypeError, "input must be float32 or float64", r.integers(4, 2, 4),
          r.integers(4, 1, 4), r.integers(4, 1, 4), r.integers(4, 1, 4),
          np.arange(4)[None]),
    ],
)  # fmt: skip
def fastfood(x, s, g, b, permutation):
    """``S H G P H B x`` for each of m blocks, side by side: a product without a matrix.

    ``y[k d + i] = s[k, i] (H (g[k] * (H (b[k] * x))[p[k]]))[i]``, with H the
    unnormalised transform of `fwht` and x filled up with zeros to d numbers. It costs
    ``2 m d log2 d`` additions a row, and memory of nothing but x and y.

    Shapes: x (..., width), width <= d; s, g, b and permutation (m, d), d a power of
    two; y (..., m d).
    Raises: ShapeError, DtypeError; ArgumentError unless each row of ``permutation``
    has every number once (on a GPU that is not looked at: it would wait).
    Source: Le, Sarlos and Smola 2013, "Fastfood", equation 8.
    """
    _check("fastfood", x, None, permutation, s=s, g=g, b=b)
    y = kernels.fastfood(_rows(x), s, g, b, permutation)
    return y.reshape(*x.shape[:-1], s.size)


@primitive(samples=_input_samples)
def fastfood_input(e, s, g, b, permutation, *, width):
    """``B H P' G H S e``, summed over the blocks: (..., width)."""
    _check("fastfood_input", None, e, permutation, s=s, g=g, b=b)
    y = kernels.fastfood_input(_rows(e), s, g, b, permutation, width)
    return y.reshape(*e.shape[:-1], width)


@primitive(samples=_samples("xegb"))
def fastfood_s(x, e, g, b, permutation):
    """The sum over rows of ``e * (H G P H B x)``: (m, d)."""
    _check("fastfood_s", x, e, permutation, g=g, b=b)
    return _gradient(1, x, e, _ones(permutation, x), g, b, permutation)


@primitive(samples=_samples("xesb"))
def fastfood_g(x, e, s, b, permutation):
    """The sum over rows of ``(H S e) * (P H B x)``: (m, d)."""
    _check("fastfood_g", x, e, permutation, s=s, b=b)
    return _gradient(2, x, e, s, _ones(permutation, x), b, permutation)


@primitive(samples=_samples("xesg"))
def fastfood_b(x, e, s, g, permutation):
    """The sum over rows of ``(H P' G H S e) * x``: (m, d)."""
    _check("fastfood_b", x, e, permutation, s=s, g=g)
    return _gradient(3, x, e, s, g, _ones(permutation, x), permutation)


# Written out one by one: the names say what backward reads, and so what is kept for it.
fastfood.defvjp(
    lambda e, _y, _x, s, g, b, p: fastfood_input(e, s, g, b, p, width=_x.shape[-1]),
    lambda e, _y, x, _s, g, b, p: fastfood_s(x, e, g, b, p),
    lambda e, _y, x, s, _g, b, p: fastfood_g(x, e, s, b, p),
    lambda e, _y, x, s, g, _b, p: fastfood_b(x, e, s, g, p),
    None,
)
fastfood_input.defvjp(
    lambda x, _y, _e, s, g, b, p, **o: fastfood(x, s, g, b, p),
    lambda x, _y, e, _s, g, b, p, **o: fastfood_s(x, e, g, b, p),
    lambda x, _y, e, s, _g, b, p, **o: fastfood_g(x, e, s, b, p),
    lambda x, _y, e, s, g, _b, p, **o: fastfood_b(x, e, s, g, p),
    None,
)
fastfood_s.defvjp(
    lambda s, _y, _x, e, g, b, p: fastfood_input(e, s, g, b, p, width=_x.shape[-1]),
    lambda s, _y, x, _e, g, b, p: fastfood(x, s, g, b, p),
    lambda s, _y, x, e, _g, b, p: fastfood_g(x, e, s, b, p),
    lambda s, _y, x, e, g, _b, p: fastfood_b(x, e, s, g, p),
    None,
)
fastfood_g.defvjp(
    lambda g, _y, _x, e, s, b, p: fastfood_input(e, s, g, b, p, width=_x.shape[-1]),
    lambda g, _y, x, _e, s, b, p: fastfood(x, s, g, b, p),
    lambda g, _y, x, e, _s, b, p: fastfood_s(x, e, g, b, p),
    lambda g, _y, x, e, s, _b, p: fastfood_b(x, e, s, g, p),
    None,
)
fastfood_b.defvjp(
    lambda b, _y, _x, e, s, g, p: fastfood_input(e, s, g, b, p, width=_x.shape[-1]),
    lambda b, _y, x, _e, s, g, p: fastfood(x, s, g, b, p),
    lambda b, _y, x, e, _s, g, p: fastfood_s(x, e, g, b, p),
    lambda b, _y, x, e, s, _g, p: fastfood_g(x, e, s, b, p),
    None,
)


def _together(node, e, wanted):
    """All gradients from one pass, unless they are to be differentiated themselves.

    One by one they would take eight transforms, together they take four.
    """
    x, s, g, b, p = node.inputs
    if mode.get()[0] or not all(map(wanted, (s, g, b))):
        return Primitive.backward(fastfood, node, e, wanted)
    rows = _rows(x.data), _rows(e.data)
    found = kernels.fastfood_gradients(*rows, s.data, g.data, b.data, p.data)
    by_x = Tensor(found[0].reshape(x.shape)) if wanted(x) else None
    return [by_x, *map(Tensor, found[1:]), None]


fastfood.backward = _together
