"""Functions of each element alone.

The vjps use the operators of `minidl.operators`, which are bound once all ops exist.
"""

from math import pi, sqrt as scalar_sqrt

from .. import kernels
from ..autograd import primitive
from ..backend import xp_of
from ..errors import ArgumentError, DtypeError, ShapeError
from ..samples import E, S
from .comparison import where


def _any(r):
    return [S(r(3, 4)), S(r()), S(r(1)), S(r(2, 0, 3))]


def _positive(r):
    return [S(r.positive(3, 4)), S(r.positive()), S(r.positive(2, 0))]


def _refused(r):
    return [E(DtypeError, "float32 or float64", r.integers(5, 3))]


smooth = dict(samples=_any, errors=_refused)


@primitive(samples=_any, linear=True)
def neg(x):
    """``-x``."""
    return -x


@primitive(**smooth)
def exp(x):
    """``e ** x``."""
    return xp_of(x).exp(x)


@primitive(samples=_positive, errors=_refused)
def log(x):
    """The natural logarithm; -inf at 0, nan below."""
    return xp_of(x).log(x)


@primitive(samples=_positive, errors=_refused)
def sqrt(x):
    """The square root; its slope at 0 is inf."""
    return xp_of(x).sqrt(x)


@primitive(**smooth)
def sin(x):
    """The sine of ``x`` in radians."""
    return xp_of(x).sin(x)


@primitive(**smooth)
def cos(x):
    """The cosine of ``x`` in radians."""
    return xp_of(x).cos(x)


@primitive(**smooth)
def tanh(x):
    """The hyperbolic tangent."""
    return xp_of(x).tanh(x)


@primitive(samples=lambda r: _any(r) + [S(r(5) * 400)], errors=_refused)
def sigmoid(x):
    """``1 / (1 + exp(-x))``, from exp(-|x|) so that nothing overflows or cancels."""
    xp = xp_of(x)
    z = xp.exp(-xp.abs(x))
    return xp.where(x < 0, z, x.dtype.type(1)) / (z + 1)


@primitive(samples=_any)
def relu(x):
    """``max(x, 0)``; the derivative at 0 is 0."""
    return kernels.relu(x)


@primitive(
    samples=lambda r: [S(r(3, 4), r(3, 4)), S(r(0, 2), r(0, 2))],
    errors=lambda r: [E(ShapeError, "must have one shape", r(3), r(4))],
)
def gate(g, y):
    """``g`` where ``y > 0``, else 0: the gradient of `relu`."""
    if g.shape != y.shape:
        raise ShapeError(
            f"gate: tensors must have one shape; got {tuple(g.shape)}, {tuple(y.shape)}"
        )
    return kernels.gate(g, y)


@primitive(
    samples=lambda r: [S(r(3, 4)), S(r(5), negative_slope=0.2), S(r(0, 2))],
    errors=_refused,
)
def leaky_relu(x, *, negative_slope=0.01):
    """``x`` where positive, else ``negative_slope * x``; at 0 the latter's slope."""
    return xp_of(x).where(x > 0, x, x * negative_slope)


@primitive(
    samples=lambda r: [
        S(r(3, 4)),
        S(r(5) * 40),
        S(r(5), beta=2.5),
        S(r(5), beta=3, threshold=1),
        S(r(0)),
    ],
    errors=lambda r: _refused(r) + [E(ArgumentError, "beta must be > 0", r(2), beta=0)],
)
def softplus(x, *, beta=1.0, threshold=20.0):
    """``log(1 + exp(beta x)) / beta``; ``x`` itself where ``beta x > threshold``."""
    if not beta > 0:
        raise ArgumentError(f"softplus: beta must be > 0; got {beta}")
    xp, z = xp_of(x), x * beta
    return xp.where(z > threshold, x, xp.logaddexp(z, z.dtype.type(0)) / beta)


@primitive(**smooth)
def erf(x):
    """The error function, ``2 / sqrt(pi) * integral of exp(-t^2) from 0 to x``."""
    if x.dtype.kind != "f":
        raise DtypeError(f"erf: tensor must be float32 or float64; got {x.dtype}")
    return kernels.erf(x)


@primitive(samples=lambda r: [S(r(3, 4)), S(r()), S(r(0, 2))])
def abs(x):
    """The absolute value; the derivative at 0 is 0."""
    return xp_of(x).abs(x)


@primitive(samples=lambda r: [S(r(3, 4)), S(r(0))])
def sign(x):
    """-1, 0 or 1; the derivative is 0 everywhere."""
    return xp_of(x).sign(x)


@primitive(samples=lambda r: [S(r(3, 4) * 3), S(r(0))])
def floor(x):
    """The largest whole number not above ``x``; the derivative is 0 everywhere."""
    return xp_of(x).floor(x)


@primitive(
    samples=lambda r: [
        S(r(3, 4), min=-0.5, max=0.7),
        S(r(5), min=0.1),
        S(r(5), max=0.1),
        S(r(0), min=0.0),
    ],
    errors=lambda r: [E(ArgumentError, "min or max must be given", r(2))],
)
def clip(x, *, min=None, max=None):
    """``x`` limited to [min, max] (either may be None); slope 1 on the bounds too."""
    if min is None and max is None:
        raise ArgumentError("clip: min or max must be given; got neither")
    return xp_of(x).clip(x, min, max)


neg.defvjp(lambda g, _y, _x: neg(g))
exp.defvjp(lambda g, y, _x: g * y)
log.defvjp(lambda g, _y, x: g / x)
sqrt.defvjp(lambda g, y, _x: g / (y * 2.0))
sin.defvjp(lambda g, _y, x: g * cos(x))
cos.defvjp(lambda g, _y, x: -(g * sin(x)))
tanh.defvjp(lambda g, y, _x: g * (1.0 - y * y))
sigmoid.defvjp(lambda g, y, _x: g * (y * (1.0 - y)))
relu.defvjp(lambda g, y, _x: gate(g, y))
gate.defvjp(lambda v, _out, _g, y: gate(v, y), None)
leaky_relu.defvjp(
    lambda g, _y, x, *, negative_slope: where(x > 0.0, g, g * negative_slope)
)
softplus.defvjp(
    lambda g, _y, x, *, beta, threshold: where(
        x * beta > threshold, g, g * sigmoid(x * beta)
    )
)
erf.defvjp(lambda g, _y, x: g * (exp(-(x * x)) * (2.0 / scalar_sqrt(pi))))
abs.defvjp(lambda g, _y, x: g * sign(x))
sign.defvjp(lambda g, _y, _x: g * 0.0)
floor.defvjp(lambda g, _y, _x: g * 0.0)
clip.defvjp(lambda g, _y, x, *, min, max: g * _inside(x, min, max))


def _inside(x, low, high):
    if low is None or high is None:
        return x <= high if low is None else x >= low
    return (x >= low) * (x <= high)
