"""Values that belong to channels: an affine map of each, and what it is made of."""

import math

from .. import kernels
from ..autograd import primitive
from ..backend import xp_of
from ..errors import DtypeError, ShapeError
from ..samples import E, S
from .reduction import sum
from .shape import reshape


def check(where, x, **channels):
    """Raise unless ``x`` is a float (N, C, ...) and ``channels`` are (C,) or None."""
    if x.ndim < 2:
        raise ShapeError(f"{where}: input must be (N, C, ...); got {tuple(x.shape)}")
    if x.dtype.kind != "f":
        raise DtypeError(f"{where}: input must be float32 or float64; got {x.dtype}")
    for name, a in channels.items():
        if a is not None and a.shape != x.shape[1:2]:
            raise ShapeError(
                f"{where}: {name} must be ({x.shape[1]},); got {tuple(a.shape)}"
            )


def over(x):
    """The axes of ``x`` that are not the channels'."""
    return (0, *range(2, len(x.shape)))


def spread(a, x):
    """Values of channels (C,) as they broadcast over ``x``."""
    return reshape(a, shape=(-1, *[1] * (len(x.shape) - 2)))


def dot(a, b):
    """The sum of the products in each channel: (C,)."""
    return sum(a * b, dim=over(a))


@primitive(
    samples=lambda r: [
        S(r(2, 3, 4, 2), r(3), r(3), r(3)),
        S(r(4, 2), r(2)),
        S(r(2, 2, 3), r(2), None, r(2)),
        S(r(0, 2, 3), r(2), r(2)),
    ],
    errors=lambda r: [
        E(ShapeError, "must be (N, C, ...)", r(3), r(3)),
        E(ShapeError, "scale must be (2,); got (3,)", r(3, 2), r(3)),
        E(ShapeError, "shift must be (2,)", r(3, 2), r(2), r(2, 1)),
    ],
)
def channel_affine(x, scale, shift=None, center=None):
    """``(x - center) * scale + shift`` for each channel of x (N, C, ...), all (C,)."""
    check("channel_affine", x, scale=scale, shift=shift, center=center)
    zero = xp_of(x).zeros_like(scale)
    shift, center = (zero if a is None else a for a in (shift, center))
    return kernels.channel_affine(x, scale, shift, center, -math.inf)


channel_affine.defvjp(
    lambda g, _y, _x, scale, _s, _c: channel_affine(g, scale),
    lambda g, _y, x, _scale, _s, center: dot(
        g, x if center is None else x - spread(center, x)
    ),
    lambda g, _y, _x, _scale, _s, _c: sum(g, dim=over(_x)),
    lambda g, _y, _x, scale, _s, _c: -(scale * sum(g, dim=over(_x))),
)
