"""Comparisons, and the choice between two arrays that follows from them."""

from ..autograd import primitive
from ..backend import xp_of
from ..errors import DtypeError, ShapeError
from ..samples import E, S


def _refused(r):
    return [
        E(ShapeError, "must broadcast", r(3, 4), r(3, 2)),
        E(DtypeError, "one dtype", r(3), r(3).astype("float32")),
    ]


_compared = dict(
    samples=lambda r: [S(r.ties(3, 4), r.ties(4)), S(r.ties(5), 1.0), S(r(0), r(1))],
    broadcasts=True,
    errors=_refused,
)


@primitive(**_compared)
def eq(x, y):
    """``x == y``, elementwise: bool, without a derivative."""
    return x == y


@primitive(**_compared)
def ne(x, y):
    """``x != y``, elementwise: bool, without a derivative."""
    return x != y


@primitive(**_compared)
def lt(x, y):
    """``x < y``, elementwise: bool, without a derivative."""
    return x < y


@primitive(**_compared)
def le(x, y):
    """``x <= y``, elementwise: bool, without a derivative."""
    return x <= y


@primitive(**_compared)
def gt(x, y):
    """``x > y``, elementwise: bool, without a derivative."""
    return x > y


@primitive(**_compared)
def ge(x, y):
    """``x >= y``, elementwise: bool, without a derivative."""
    return x >= y


@primitive(
    samples=lambda r: [
        S(r.mask(3, 4), r(3, 4), r(3, 4)),
        S(r.mask(4), r(3, 1), r(2, 1, 1)),
        S(r.mask(3), r(3), 0.0),
        S(r.mask(3), -1.0, r(3)),
        S(r.mask(0), r(0), r(1)),
    ],
    broadcasts=True,
    errors=lambda r: [E(DtypeError, "condition must be bool", r(3), r(3), r(3))],
)
def where(condition, x, y):
    """``x`` where ``condition`` (bool) is true, else ``y``."""
    if getattr(condition, "dtype", None) != bool:
        raise DtypeError(f"where: condition must be bool; got {condition!r:.60}")
    return xp_of(condition, x, y).where(condition, x, y)


where.defvjp(
    None,
    lambda g, _y, condition, _a, _b: where(condition, g, 0.0),
    lambda g, _y, condition, _a, _b: where(condition, 0.0, g),
)
