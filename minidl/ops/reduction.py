"""Reductions over axes: ``dim`` is None (all), an int or several."""

from .. import kernels
from ..autograd import broadcast_to, primitive
from ..backend import xp_of
from ..errors import ArgumentError, DtypeError, ShapeError
from ..samples import E, S
from ._geometry import axes, axis
from .comparison import where
from .shape import flip, reshape
from .transfer import cast


def _reduced(r):
    return [
        S(r(2, 3, 4)),
        S(r(2, 3, 4), dim=1),
        S(r(2, 3, 4), dim=(0, -1)),
        S(r(2, 3, 2, 4), dim=(2, 3), keepdim=True),
        S(r(2, 3, 4), dim=(0, -1), keepdim=True),
        S(r(1, 3), dim=0),
        S(r(5), dim=-1, keepdim=True),
        S(r()),
    ]


def _bad_dim(r):
    return [E(ArgumentError, "dim must be an integer in", r(2, 3), dim=2)]


def _kept(x, over):
    """The shape of ``x`` with 1 for each of the axes ``over``."""
    return tuple(1 if i in over else n for i, n in enumerate(x.shape))


def _spread(g, x, dim, keepdim, name):
    """A reduced tensor brought back to the shape of ``x``, where axes were dropped."""
    if keepdim:
        return broadcast_to(g, shape=x.shape)
    gone = axes(name, dim, len(x.shape))
    return broadcast_to(reshape(g, shape=_kept(x, gone)), shape=x.shape)


@primitive(
    samples=lambda r: _reduced(r) + [S(r(0, 3), dim=0)], linear=True, errors=_bad_dim
)
def sum(x, *, dim=None, keepdim=False):
    """The sum over ``dim``; whole numbers and bools are summed as int64."""
    over = axes("sum", dim, x.ndim)
    if x.dtype.kind == "f" and x.ndim > 2 and over[-1:] == (x.ndim - 1,):
        inner = tuple(range(2, x.ndim))
        if over in (inner, (0, *inner)):  # of planes or channels, as images need it
            y = (kernels.plane_sum if over == inner else kernels.channel_sum)(x)
            return y if not keepdim else y.reshape(_kept(x, over))
    y = x.sum(axis=over, keepdims=keepdim)
    return y if y.dtype.kind != "u" else y.astype("int64")


def _nonempty(name, x, dim):
    over = axes(name, dim, x.ndim)
    if any(x.shape[i] == 0 for i in over if x.ndim):
        raise ShapeError(
            f"{name}: reduced axes must not be empty; got {tuple(x.shape)}"
        )
    return over


_extreme = dict(
    samples=lambda r: _reduced(r) + [S(r(0, 3), dim=1)],
    errors=lambda r: _bad_dim(r) + [E(ShapeError, "must not be empty", r(2, 0), dim=1)],
)


@primitive(**_extreme)
def amax(x, *, dim=None, keepdim=False):
    """The largest element over ``dim``; equal ones share the gradient evenly."""
    return x.max(axis=_nonempty("amax", x, dim), keepdims=keepdim)


@primitive(**_extreme)
def amin(x, *, dim=None, keepdim=False):
    """The smallest element over ``dim``; equal ones share the gradient evenly."""
    return x.min(axis=_nonempty("amin", x, dim), keepdims=keepdim)


def _argument(name, x, dim, keepdim):
    _nonempty(name, x, dim)
    if dim is None:
        y = getattr(x.reshape(-1), name)()
        return y.reshape((1,) * x.ndim) if keepdim else y
    y = getattr(x, name)(axis=axis(name, dim, x.ndim))
    return xp_of(x).expand_dims(y, dim) if keepdim and x.ndim else y


_index = dict(
    samples=lambda r: [
        S(r(2, 3, 4)),
        S(r.ties(3, 4), dim=1),
        S(r.ties(3, 4), dim=0, keepdim=True),
        S(r(1)),
    ],
    errors=_extreme["errors"],
)


@primitive(**_index)
def argmax(x, *, dim=None, keepdim=False):
    """The int64 index of the first largest element along ``dim`` (None: of all)."""
    return _argument("argmax", x, dim, keepdim)


@primitive(**_index)
def argmin(x, *, dim=None, keepdim=False):
    """The int64 index of the first smallest element along ``dim`` (None: of all)."""
    return _argument("argmin", x, dim, keepdim)


@primitive(
    samples=lambda r: [
        S(r(2, 3, 4), dim=1),
        S(r(5), dim=0),
        S(r(3, 1), dim=-1),
        S(r(2, 0), dim=1),
    ],
    linear=True,
    errors=lambda r: [E(ArgumentError, "dim must be given", r(2))] + _bad_dim(r),
)
def cumsum(x, *, dim):
    """Running sums along ``dim``; whole numbers and bools are summed as int64."""
    y = x.cumsum(axis=axis("cumsum", dim, x.ndim)).reshape(x.shape)
    return y if y.dtype.kind != "u" else y.astype("int64")


@primitive(
    samples=lambda r: _reduced(r) + [S(r(3, 4) * 300, dim=1)],
    errors=lambda r: (
        _extreme["errors"](r) + [E(DtypeError, "float32 or float64", r.integers(3, 4))]
    ),
)
def logsumexp(x, *, dim=None, keepdim=False):
    """``log(sum(exp(x)))`` over ``dim``, shifted by the maximum against overflow."""
    xp, over = xp_of(x), _nonempty("logsumexp", x, dim)
    top = x.max(axis=over, keepdims=True)
    top = xp.where(xp.isfinite(top), top, x.dtype.type(0))
    y = xp.log(xp.exp(x - top).sum(axis=over, keepdims=True)) + top
    return y if keepdim else y.squeeze(over)


_shares = dict(
    samples=lambda r: [
        S(r(2, 3), dim=1),
        S(r(2, 3, 4) * 300, dim=0),
        S(r(4), dim=-1),
        S(r(0, 3), dim=1),
    ],
    errors=lambda r: (
        [E(ArgumentError, "dim must be given", r(2))] + _extreme["errors"](r)
    ),
)


@primitive(**_shares)
def softmax(x, *, dim):
    """``exp(x) / sum(exp(x))`` along ``dim``, shifted by the maximum."""
    over = _nonempty("softmax", x, dim)
    z = xp_of(x).exp(x - x.max(axis=over, keepdims=True))
    return z / z.sum(axis=over, keepdims=True)


@primitive(**_shares)
def log_softmax(x, *, dim):
    """``x - logsumexp(x)`` along ``dim``."""
    xp, over = xp_of(x), _nonempty("log_softmax", x, dim)
    z = x - x.max(axis=over, keepdims=True)
    return z - xp.log(xp.exp(z).sum(axis=over, keepdims=True))


def _extreme_vjp(g, y, x, *, dim, keepdim):
    hit = x == _spread(y.detach(), x, dim, keepdim, "amax")
    ties = cast(sum(hit, dim=dim, keepdim=True), dtype=str(x.dtype))
    return where(hit, _spread(g, x, dim, keepdim, "amax") / ties, 0.0)


def _softmax_vjp(g, y, _x, *, dim):
    return y * (g - sum(g * y, dim=dim, keepdim=True))


def _log_softmax_vjp(g, y, _x, *, dim):
    return g - y.exp() * sum(g, dim=dim, keepdim=True)


sum.defvjp(lambda g, _y, _x, *, dim, keepdim: _spread(g, _x, dim, keepdim, "sum"))
amax.defvjp(_extreme_vjp)
amin.defvjp(_extreme_vjp)
cumsum.defvjp(
    lambda g, _y, _x, *, dim: flip(cumsum(flip(g, dims=dim), dim=dim), dims=dim)
)
logsumexp.defvjp(
    lambda g, y, x, *, dim, keepdim: (
        _spread(g, x, dim, keepdim, "logsumexp")
        * (x - _spread(y, x, dim, keepdim, "logsumexp")).exp()
    )
)
softmax.defvjp(_softmax_vjp)
log_softmax.defvjp(_log_softmax_vjp)
