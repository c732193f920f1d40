"""Ops that move elements: shape, order, joining, padding, indexing."""

import math

import numpy as np

from ..autograd import primitive
from ..backend import is_array, scatter_add, xp_of
from ..errors import ArgumentError, RangeError, ShapeError
from ..samples import E, S
from ._geometry import axes, axis


@primitive(
    samples=lambda r: [
        S(r(2, 6), shape=(3, 4)),
        S(r(2, 6), shape=(2, -1, 3)),
        S(r(1), shape=()),
        S(r(0, 3), shape=(3, 0)),
        S(r(2, 2), shape=4),
    ],
    linear=True,
    errors=lambda r: [E(ShapeError, "must keep 6 elements", r(2, 3), shape=(4, 2))],
)
def reshape(x, *, shape):
    """The same elements in row order as ``shape``; one size may be -1 (inferred)."""
    shape = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    known = math.prod(n for n in shape if n != -1)
    fits = known == x.size if -1 not in shape else known and x.size % known == 0
    if not fits or shape.count(-1) > 1 or min(shape, default=0) < -1:
        raise ShapeError(
            f"reshape: shape must keep {x.size} elements; got {shape} "
            f"for {tuple(x.shape)}"
        )
    return x.reshape(shape)


@primitive(
    samples=lambda r: [
        S(r(2, 3, 4), dims=(2, 0, 1)),
        S(r(2, 3), dims=(0, -1)),
        S(r(), dims=()),
        S(r(2, 0, 1), dims=(1, 2, 0)),
    ],
    linear=True,
    errors=lambda r: [E(ArgumentError, "each axis once", r(2, 3), dims=(0, 0))],
)
def permute(x, *, dims):
    """Axes in the order ``dims``."""
    order = tuple(axis("permute", d, x.ndim) for d in dims)
    if sorted(order) != list(range(x.ndim)):
        raise ArgumentError(
            f"permute: dims must name each axis once; got {dims} for {tuple(x.shape)}"
        )
    return x.transpose(order)


@primitive(
    samples=lambda r: [S(r(2, 3, 4), dims=(0, 2)), S(r(3), dims=0), S(r(0, 2), dims=1)],
    linear=True,
    errors=lambda r: [E(ArgumentError, "dim must be an integer in", r(2), dims=1)],
)
def flip(x, *, dims):
    """Elements in reverse order along ``dims``."""
    return xp_of(x).flip(x, axes("flip", dims, x.ndim))


@primitive(
    samples=lambda r: [
        S(r(2, 3), r(1, 3), dim=0),
        S(r(2, 3), r(2, 1), r(2, 0), dim=-1),
        S(r(4), dim=0),
    ],
    errors=lambda r: [
        E(ShapeError, "equal but along dim 0", r(2, 3), r(2, 4), dim=0),
        E(ShapeError, "equal but along dim 1", r(2, 3), r(2), dim=1),
    ],
)
def concatenate(*xs, dim=0):
    """Tensors joined along ``dim``."""
    dim = axis("concatenate", dim, xs[0].ndim)
    rest = {(*x.shape[:dim], *x.shape[dim + 1 :], x.ndim) for x in xs}
    if len(rest) > 1 or xs[0].ndim == 0:
        shapes = ", ".join(str(tuple(x.shape)) for x in xs)
        raise ShapeError(
            f"concatenate: shapes must be equal but along dim {dim}; got {shapes}"
        )
    return xp_of(*xs).concatenate(xs, axis=dim)


@primitive(
    samples=lambda r: [
        S(r(2, 3), pads=((0, 0), (1, 2))),
        S(r(2, 3, 4), pads=((1, 0), (0, 0), (0, 3)), value=0.5),
        S(r(0, 2), pads=((1, 1), (0, 1))),
    ],
)
def constant_pad(x, *, pads, value=0.0):
    """``x`` with ``pads[i] = (before, after)`` elements of ``value`` along axis i."""
    return xp_of(x).pad(x, pads, constant_values=value)


def _plain(index):
    """An index as a tuple of ints, slices, None, Ellipsis and arrays."""
    return index if isinstance(index, tuple) else (index,)


@primitive(
    samples=lambda r: [
        S(r(4, 5), index=(slice(1, 3), slice(None, None, -2))),
        S(r(4, 5), index=2),
        S(r(4, 5), index=(Ellipsis, None, 1)),
        S(r(4, 5), index=(np.array([0, 2, 2, -1]),)),
        S(r(4, 5), index=(np.array([[0], [3]]), np.array([1, 1, 4]))),
        S(r(4, 5), index=(r.mask(4, 5),)),
        S(r(2, 4, 5), index=(slice(None), np.array([1, 1]), slice(0, 2))),
        S(r(4), index=(np.array([], dtype=np.int64),)),
    ],
    linear=True,
    errors=lambda r: [
        E(RangeError, "index must fit shape", r(3), index=5),
        E(RangeError, "index must fit shape", r(3), index=(np.array([0, 3]),)),
        E(RangeError, "index must fit shape", r(3), index=(0, 0)),
    ],
)
def getitem(x, *, index):
    """``x[index]``: slices, integers, None, Ellipsis, integer and boolean arrays."""
    try:
        return x[_plain(index)]
    except IndexError as error:
        raise RangeError(
            f"getitem: index must fit shape {tuple(x.shape)}; {error}"
        ) from None


@primitive(
    samples=lambda r: [
        S(r(2, 3), index=(slice(1, 3), slice(None, None, -2)), shape=(4, 5)),
        S(r(4), index=(np.array([0, 2, 2, -1]),), shape=(3,)),
    ],
    linear=True,
)
def putitem(g, *, index, shape):
    """Zeros of ``shape`` with ``g`` added at ``index``: the adjoint of `getitem`."""
    y = xp_of(g).zeros(shape, g.dtype)
    if any(is_array(i) for i in _plain(index)):
        scatter_add(y, _plain(index), g)
    else:
        y[_plain(index)] = g
    return y


def _grid(name, x, index, dim):
    """The index arrays that address ``x`` at ``index`` along ``dim``."""
    dim = axis(name, dim, x.ndim)
    limits = [
        n if i != dim else max(index.shape, default=0) for i, n in enumerate(x.shape)
    ]
    small = len(limits) == index.ndim and all(map(int.__le__, index.shape, limits))
    if index.dtype.kind not in "iu" or not small:
        raise ShapeError(
            f"{name}: index must be integers of rank {x.ndim} and no larger than "
            f"{tuple(x.shape)} but along dim {dim}; "
            f"got {index.dtype}{tuple(index.shape)}"
        )
    if index.size and isinstance(index, np.ndarray):  # a look at the GPU's would wait
        if index.min() < 0 or index.max() >= x.shape[dim]:
            raise RangeError(
                f"{name}: index must be in [0, {x.shape[dim]}); got values from "
                f"{index.min()} to {index.max()}"
            )
    xp, n = xp_of(index), index.ndim
    grid = [
        xp.arange(m).reshape(-1, *[1] * (n - 1 - i)) for i, m in enumerate(index.shape)
    ]
    grid[dim] = index
    return tuple(grid)


@primitive(
    samples=lambda r: [
        S(r(3, 4), r.integers(4, 3, 2), dim=1),
        S(r(3, 4), r.integers(3, 5, 2), dim=0),
        S(r(2, 3, 4), r.integers(3, 1, 6, 4), dim=-2),
        S(r(3), r.integers(3, 0), dim=0),
    ],
    errors=lambda r: [
        E(
            RangeError,
            "index must be in [0, 4)",
            r(3, 4),
            r.integers(4, 3, 2) + 4,
            dim=1,
        ),
        E(ShapeError, "integers of rank 2", r(3, 4), r.integers(4, 3), dim=1),
    ],
)
def gather_along(x, index, *, dim):
    """``y[i, j] = x[i, index[i, j]]`` (for dim 1): torch's gather."""
    return x[_grid("gather", x, index, dim)]


@primitive(
    samples=lambda r: [
        S(r(3, 4), r.integers(4, 3, 6), r(3, 6), dim=1),
        S(r(3, 4), r.integers(3, 5, 2), r(5, 2), dim=0),
        S(r(3), r.integers(3, 0), r(0), dim=0),
    ],
    errors=lambda r: [
        E(
            ShapeError,
            "src must have the shape of index",
            r(3),
            r.integers(3, 2),
            r(1),
            dim=0,
        )
    ],
)
def scatter_add_along(x, index, src, *, dim):
    """A copy of ``x`` with ``y[i, index[i, j]] += src[i, j]`` (for dim 1)."""
    if src.shape != index.shape:
        raise ShapeError(
            f"scatter_add: src must have the shape of index "
            f"{tuple(index.shape)}; got {tuple(src.shape)}"
        )
    y = x.copy()
    scatter_add(y, _grid("scatter_add", x, index, dim), src)
    return y


def _unpad(g, _y, x, *, pads, value):
    return g[tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, pads))]


def _part(i, g, _y, *_xs, dim):
    start = int(np.sum([x.shape[dim] for x in _xs[:i]], dtype=int))
    at = [slice(None)] * g.ndim
    at[dim] = slice(start, start + _xs[i].shape[dim])
    return g[tuple(at)]


def _inverse(dims):
    return tuple(int(i) for i in np.argsort([d % len(dims) for d in dims]))


reshape.defvjp(lambda g, _y, _x, *, shape: reshape(g, shape=_x.shape))
permute.defvjp(lambda g, _y, _x, *, dims: permute(g, dims=_inverse(dims)))
flip.defvjp(lambda g, _y, _x, *, dims: flip(g, dims=dims))
concatenate.defvjp(_part)
constant_pad.defvjp(_unpad)
getitem.defvjp(lambda g, _y, _x, *, index: putitem(g, index=index, shape=_x.shape))
putitem.defvjp(lambda h, _y, _g, *, index, shape: getitem(h, index=index))
gather_along.defvjp(
    lambda g, _y, _x, index, *, dim: scatter_add_along(
        _zeros(_x, g), index, g, dim=dim
    ),
    None,
)
scatter_add_along.defvjp(
    lambda g, _y, _x, _index, _src, *, dim: g,
    None,
    lambda g, _y, _x, index, _src, *, dim: gather_along(g, index, dim=dim),
)


def _zeros(x, like):
    return xp_of(like.data).zeros(x.shape, like.dtype)
