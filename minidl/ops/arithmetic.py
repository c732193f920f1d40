"""Arithmetic on two arrays, broadcasting as NumPy and torch do.

Each op takes Tensors and Python numbers in either place. The engine sums the gradients
over broadcast axes, so a vjp here is the scalar derivative and nothing else.
"""

import math

from ..autograd import primitive
from ..backend import xp_of
from ..errors import DtypeError, ShapeError
from ..samples import E, S
from .comparison import eq, gt, lt, where
from .elementwise import log


def _pairs(r):
    """Equal shapes, both broadcast, scalar on either side, size one, empty."""
    return [
        S(r(3, 4), r.positive(3, 4)),
        S(r(2, 1, 4), r.positive(3, 1)),
        S(r(5), 1.5),
        S(2.5, r.positive(5)),
        S(r(1, 1), r.positive(2, 3, 4)),
        S(r(), r.positive(2)),
        S(r(0, 3), r.positive(3)),
    ]


def _refused(r):
    return [
        E(ShapeError, "must broadcast", r(3, 4), r(3, 2)),
        E(DtypeError, "one dtype", r(3), r(3).astype("float32")),
        E(DtypeError, "one dtype", r(3), r.integers(4, 3)),
        E(DtypeError, "Tensor or a number", r(3), [1.0, 2.0, 3.0]),
    ]


binary = dict(samples=_pairs, broadcasts=True, errors=_refused)


@primitive(**binary)
def sub(x, y):
    """``x - y``."""
    return x - y


@primitive(**binary)
def mul(x, y):
    """``x * y``."""
    return x * y


@primitive(**binary)
def div(x, y):
    """``x / y``."""
    return x / y


@primitive(
    samples=lambda r: [
        S(r(3, 4), 2),
        S(r(3), 3.0),
        S(r(3), 1),
        S(r(3), 0),
        S(r.positive(3), -0.5),
        S(2.0, r(3)),
        S(r.positive(2, 1, 4), r(3, 1)),
        S(r.positive(0, 3), r(3)),
    ],
    broadcasts=True,
    errors=_refused,
)
def power(x, y):
    """``x ** y``; the derivative by y is 0 where x is 0 (torch's convention)."""
    return x**y


@primitive(**binary)
def maximum(x, y):
    """The larger of ``x`` and ``y``; at a tie each gets half of the gradient."""
    return xp_of(x, y).maximum(x, y)


@primitive(**binary)
def minimum(x, y):
    """The smaller of ``x`` and ``y``; at a tie each gets half of the gradient."""
    return xp_of(x, y).minimum(x, y)


def _power_by_x(g, _y, x, y):
    if isinstance(y, int | float):
        return g if y == 1 else g * (x ** (y - 1) * y) if y else g * 0.0
    flat = y == 0.0  # x**0 is constant, also at x = 0 where 0 * x**-1 is not a number
    return g * where(flat, 0.0, y * x ** where(flat, 1.0, y - 1.0))


def _power_by_y(g, y, x, _exponent):
    if isinstance(x, int | float):
        slope = math.log(x) if x > 0 else 0.0 if x == 0 else math.nan
        return g * y * slope
    return g * y * log(where(x == 0.0, 1.0, x))


def _share(g, wins, ties):
    return where(wins, g, where(ties, g * 0.5, 0.0))


sub.defvjp(lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: -g)
mul.defvjp(lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a)
div.defvjp(lambda g, _y, _a, b: g / b, lambda g, y, _a, b: -(g * y / b))
power.defvjp(_power_by_x, _power_by_y)
maximum.defvjp(
    lambda g, _y, a, b: _share(g, gt(a, b), eq(a, b)),
    lambda g, _y, a, b: _share(g, lt(a, b), eq(a, b)),
)
minimum.defvjp(
    lambda g, _y, a, b: _share(g, lt(a, b), eq(a, b)),
    lambda g, _y, a, b: _share(g, gt(a, b), eq(a, b)),
)
