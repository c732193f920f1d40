"""Cheap linear maps that papers build layers on: shift and Walsh-Hadamard."""

import numpy as np

from .. import kernels
from ..autograd import primitive
from ..backend import device_of, is_array, xp_of
from ..errors import ArgumentError, BackendError, DtypeError, ShapeError
from ..kernels import sequency
from ..kernels.fwht_in_place import check
from ..samples import E, S
from ..tensor import Tensor
from ._geometry import image

FAR = 1 << 40  # pixels: beyond any image, and far from overflow


def _displacements(name, value, channels):
    """One whole number, or one for each channel, as a tuple for all channels."""
    if type(value) is int:
        return (max(-FAR, min(value, FAR)),) * channels
    given = value.data if isinstance(value, Tensor) else value
    if is_array(given) and device_of(given) != "cpu":
        raise BackendError(
            f"shift: {name} must be numbers on the host; got an array on "
            f"'{device_of(given)}', and to read it would wait for the GPU"
        )
    try:
        given = np.asarray(given)
    except ValueError:
        raise ShapeError(
            f"shift: {name} must be one number or one a channel; got {value!r:.60}"
        ) from None
    if given.size and given.dtype.kind not in "iu":
        raise ArgumentError(
            f"shift: {name} must be whole numbers of at most 64 bits; got {value!r:.60}"
        )
    if given.shape not in ((), (channels,)):
        raise ShapeError(
            f"shift: {name} must be one number or {channels}, one a channel; "
            f"got shape {given.shape}"
        )
    if given.itemsize == 8:  # the narrower types hold nothing as far
        given = given.clip(0 if given.dtype.kind == "u" else -FAR, FAR)
    values = given.tolist()
    return tuple(values) if given.ndim else (values,) * channels


@primitive(
    samples=lambda r: [
        S(r(2, 9, 4, 5), dy=1, dx=-2),
        S(r(2, 3, 4, 5), dy=[0, -1, 3], dx=[2, 0, -4]),
        S(r(1, 2, 3, 3), dy=[-3, 7], dx=0),
        S(r(2, 2, 1, 4), dy=0, dx=(1, -1)),
        S(r(1, 2, 3, 3), dy=(2**62, 0), dx=(0, -(2**63))),
        S(r(0, 2, 3, 3), dy=1, dx=1),
        S(r(2, 0, 3, 3), dy=(), dx=1),
        S(r(1, 1, 3, 0), dy=1, dx=1),
    ],
    linear=True,
    errors=lambda r: [
        E(ShapeError, "input must be 4-D", r(3, 4, 5), dy=1, dx=1),
        E(ShapeError, "dy must be one number or 3", r(1, 3, 4, 5), dy=[1, 2], dx=1),
        E(ShapeError, "dx must be one number or one", r(1, 2, 4, 5), dy=1, dx=[[1], 2]),
        E(ArgumentError, "dx must be whole numbers", r(1, 3, 4, 5), dy=1, dx=0.5),
        E(ArgumentError, "dx must be whole numbers", r(1, 1, 4, 5), dy=1, dx=[True]),
        E(ArgumentError, "at most 64 bits", r(1, 1, 4, 5), dy=[2**64], dx=0),
        E(DtypeError, "float32 or float64", r.integers(4, 1, 1, 4, 5), dy=1, dx=1),
    ],
)
def shift(x, *, dy, dx):
    """Channels of images moved by whole pixels, zeros entering at the border.

    ``y[n, c, i, j] = x[n, c, i - dy[c], j - dx[c]]``

    Shapes: x, y (N, C, H, W).
    Args: dy, dx: whole numbers of any size, one or C of them (a tuple, list or NumPy
    array, which backward reads again); positive ones move down and to the right.
    Raises: ShapeError, ArgumentError, DtypeError, BackendError.
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
    check("fwht", "input", x)
    return kernels.fwht(x)


def _reorder(where, x, inverse):
    check(where, "input", x)
    return x[..., sequency.order_in(xp_of(x), x.shape[-1], inverse)]


_orderings = dict(
    samples=lambda r: [S(r(3, 8)), S(r(2, 2, 4)), S(r(1)), S(r(32)), S(r(0, 4))],
    linear=True,
    errors=lambda r: [
        E(ShapeError, "power of two; got 9, the next is 16", r(2, 9)),
        E(ShapeError, "at least 1-D", r()),
        E(DtypeError, "float32 or float64", r.integers(4, 4)),
    ],
)


@primitive(**_orderings)
def to_sequency(x):
    """The last axis brought from natural order to sequency: ``y[i] = x[order[i]]``.

    ``order[i] = bitreverse(i ^ (i >> 1))``: of ``to_sequency(fwht(x))`` element i
    belongs to the Walsh function that changes its sign i times.

    Shapes: x, y (..., n), n a power of two.
    Source: Beauchamp 1984, "Applications of Walsh and Related Functions".
    """
    return _reorder("to_sequency", x, inverse=False)


@primitive(**_orderings)
def from_sequency(x):
    """The last axis brought from sequency to natural order: undoes `to_sequency`.

    Shapes: x, y (..., n), n a power of two.
    """
    return _reorder("from_sequency", x, inverse=True)


def _shift_back(g, _y, _x, *, dy, dx):
    dy, dx = (
        tuple(-d for d in _displacements(name, value, g.shape[1]))
        for name, value in (("dy", dy), ("dx", dx))
    )
    return shift(g, dy=dy, dx=dx)


shift.defvjp(_shift_back)
fwht.defvjp(lambda g, _y, _x: fwht(g))
to_sequency.defvjp(lambda g, _y, _x: from_sequency(g))
from_sequency.defvjp(lambda g, _y, _x: to_sequency(g))
