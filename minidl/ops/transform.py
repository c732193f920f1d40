"""Two cheap linear maps that papers build layers on: shift and Walsh-Hadamard."""

import numpy as np

from .. import kernels
from ..autograd import primitive
from ..backend import asnumpy
from ..errors import ArgumentError, DtypeError, ShapeError
from ..samples import E, S
from ._geometry import image


def _displacements(name, value, channels):
    """One whole number, or one for each channel, as a tuple for all channels."""
    given = np.asarray(asnumpy(value))
    if given.dtype.kind not in "iu":
        raise ArgumentError(f"shift: {name} must be whole numbers; got {value!r:.60}")
    if given.shape not in ((), (channels,)):
        raise ShapeError(
            f"shift: {name} must be one number or {channels}, one a channel; "
            f"got shape {given.shape}"
        )
    limit = 1 << 40  # beyond any image, and far from overflow
    return tuple(np.broadcast_to(given.clip(-limit, limit), (channels,)).tolist())


@primitive(
    samples=lambda r: [
        S(r(2, 9, 4, 5), dy=1, dx=-2),
        S(r(2, 3, 4, 5), dy=[0, -1, 3], dx=[2, 0, -4]),
        S(r(1, 2, 3, 3), dy=[-3, 7], dx=0),
        S(r(2, 2, 1, 4), dy=0, dx=(1, -1)),
        S(r(0, 2, 3, 3), dy=1, dx=1),
        S(r(1, 1, 3, 0), dy=1, dx=1),
    ],
    linear=True,
    errors=lambda r: [
        E(ShapeError, "input must be 4-D", r(3, 4, 5), dy=1, dx=1),
        E(ShapeError, "dy must be one number or 3", r(1, 3, 4, 5), dy=[1, 2], dx=1),
        E(ArgumentError, "dx must be whole numbers", r(1, 3, 4, 5), dy=1, dx=0.5),
    ],
)
def shift(x, *, dy, dx):
    """Channels of images moved by whole pixels, zeros entering at the border.

    ``y[n, c, i, j] = x[n, c, i - dy[c], j - dx[c]]``

    Shapes: x, y (N, C, H, W); dy, dx whole numbers, one or C of them, of any size:
    positive ones move down and to the right.
    Source: Wu et al. 2018, "Shift", section 3, where offsets have the opposite sign.
    """
    image("shift", "input", x)
    channels = x.shape[1]
    dy, dx = _displacements("dy", dy, channels), _displacements("dx", dx, channels)
    return kernels.shift(x, dy, dx)


@primitive(
    samples=lambda r: [
        S(r(3, 8)),
        S(r(2, 2, 4)),
        S(r(1)),
        S(r(2, 32)),
        S(r(64)),
        S(r(0, 4)),
    ],
    linear=True,
    errors=lambda r: [
        E(ShapeError, "power of two; got 6, the next is 8", r(2, 6)),
        E(ShapeError, "at least 1-D", r()),
        E(DtypeError, "float32 or float64", r.integers(4, 4)),
    ],
)
def fwht(x):
    """The Walsh-Hadamard transform of the last axis, natural order, unnormalised.

    ``y[i] = sum over j of (-1)^popcount(i & j) x[j]``, so ``fwht(fwht(x)) = n x``.

    Shapes: x, y (..., n), n a power of two.
    Source: Le, Sarlos and Smola 2013, "Fastfood", section 3.2.
    """
    if x.ndim == 0:
        raise ShapeError("fwht: tensor must be at least 1-D; got ()")
    n = x.shape[-1]
    if n < 1 or n & (n - 1):
        after = 1 << max(n, 1).bit_length() if n else 1
        raise ShapeError(
            f"fwht: last axis must be a power of two; got {n}, the next is {after}"
        )
    if x.dtype.kind != "f":
        raise DtypeError(f"fwht: tensor must be float32 or float64; got {x.dtype}")
    return kernels.fwht(x)


def _back(d):
    return -np.asarray(asnumpy(d))


shift.defvjp(lambda g, _y, _x, *, dy, dx: shift(g, dy=_back(dy), dx=_back(dx)))
fwht.defvjp(lambda g, _y, _x: fwht(g))
