"""Initialisers: fill a tensor in place with draws from minidl's generator.

All draw float64 numbers on the host, so a seed gives the same weights (rounded to the
tensor's type) on every device. A trailing underscore says that the tensor is changed.
"""

import math

import numpy as np

from .. import backend, random
from ..errors import ArgumentError, ShapeError, unknown_name
from ..tensor import Tensor


def _fill(tensor: Tensor, values) -> Tensor:
    tensor.data[...] = backend.asarray(values, tensor.dtype, tensor.device)
    return tensor


def _check(where, name, value, good, expected):
    if not good:
        raise ArgumentError(f"{where}: {name} must be {expected}; got {value!r}")


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out): connections into and out of one unit.

    Of a weight (out, in, ...) they are in and out times the size of the kernel.

    Raises: ShapeError below 2 dimensions.
    """
    if tensor.ndim < 2:
        raise ShapeError(f"fans: tensor must be at least 2-D; got {tensor.shape}")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a layer's weights grow to make up for its nonlinearity.

    ``sqrt(2 / (1 + a^2))`` for leaky_relu of slope a = ``param`` (default 0.01), where
    relu has a = 0; 5/3 for tanh; 3/4 for selu; 1 for linear, conv2d and sigmoid.

    Source: He et al. 2015, "Delving Deep into Rectifiers", equations 10 and 15.
    """
    slope = 0.01 if param is None else param
    gains = {
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
        "tanh": 5 / 3,
        "selu": 3 / 4,
    } | dict.fromkeys(("linear", "conv2d", "conv_transpose2d", "sigmoid"), 1.0)
    if nonlinearity not in gains:
        raise unknown_name("nonlinearity", nonlinearity, gains)
    return gains[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform draws from [a, b)."""
    _check("uniform_", "b", b, a <= b, f">= a = {a}")
    return _fill(tensor, random.generator().uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal draws."""
    _check("normal_", "std", std, std >= 0, ">= 0")
    return _fill(tensor, random.generator().normal(mean, std, tensor.shape))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Tensor:
    """Normal draws, drawn again wherever they fall outside [a, b].

    Raises: ArgumentError if [a, b] holds less than 1 % of the normal distribution.
    """
    _check("trunc_normal_", "std", std, std > 0, "> 0")
    low, high = (math.erf((x - mean) / (std * math.sqrt(2))) for x in (a, b))
    _check(
        "trunc_normal_",
        "[a, b]",
        (a, b),
        (high - low) / 2 >= 0.01,
        "an interval with at least 1 % of the distribution",
    )
    draw = random.generator().normal
    values = draw(mean, std, tensor.shape)
    while (outside := (values < a) | (values > b)).any():
        values[outside] = draw(mean, std, np.count_nonzero(outside))
    return _fill(tensor, values)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """``val`` everywhere."""
    tensor.data[...] = val
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def _he_std(where, tensor, a, mode, nonlinearity):
    _check(where, "mode", mode, mode in ("fan_in", "fan_out"), "'fan_in' or 'fan_out'")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Normal draws with ``std = gain / sqrt(fan)``, ``gain^2 = 2 / (1 + a^2)``.

    With "fan_in" the variance of activations is kept forwards, with "fan_out" that of
    gradients backwards; ``a`` is the negative slope of the leaky_relu that follows.

    Source: He et al. 2015, "Delving Deep into Rectifiers", equations 10, 14 and 15.
    """
    std = _he_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, std)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Uniform draws from [-b, b), b = ``sqrt(3) gain / sqrt(fan)``.

    The variance is that of `kaiming_normal_`: a uniform one has b^2 / 3.

    Source: He et al. 2015, "Delving Deep into Rectifiers", equations 10, 14 and 15.
    """
    bound = math.sqrt(3) * _he_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal draws with ``std = gain sqrt(2 / (fan_in + fan_out))``.

    Source: Glorot and Bengio 2010, "Understanding the Difficulty of Training Deep
    Feedforward Neural Networks", equation 12.
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(sum(fans(tensor)), 1)))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform draws from [-b, b), b = ``gain sqrt(6 / (fan_in + fan_out))``.

    Source: Glorot and Bengio 2010, "Understanding the Difficulty of Training Deep
    Feedforward Neural Networks", equation 16.
    """
    bound = gain * math.sqrt(6 / max(sum(fans(tensor)), 1))
    return uniform_(tensor, -bound, bound)


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """``gain`` times a random matrix with orthonormal rows, or columns if fewer.

    The tensor counts as (out, rest). Q of a normal matrix's QR decomposition, with the
    signs of R's diagonal moved into Q, is uniformly distributed.

    Source: Saxe et al. 2013, "Exact Solutions to the Nonlinear Dynamics of Learning in
    Deep Linear Neural Networks"; the signs: Mezzadri 2007, section 5.
    """
    if tensor.ndim < 2:
        raise ShapeError(
            f"orthogonal_: tensor must be at least 2-D; got {tensor.shape}"
        )
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    shape = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(random.generator().standard_normal(shape))
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)
    return _fill(tensor, (gain * (q if rows >= columns else q.T)).reshape(tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Convolution weights (out, in, kh, kw) that pass each group's channels through.

    ``w[g out / groups + c, c, kh // 2, kw // 2] = 1`` for every channel c that both
    sides have, 0 elsewhere.

    Source: Zagoruyko and Komodakis 2017, "DiracNets", section 3.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_: tensor must be 3-D to 5-D; got {tensor.shape}")
    _check(
        "dirac_",
        "groups",
        groups,
        groups >= 1 and tensor.shape[0] % groups == 0,
        f"a divisor of the {tensor.shape[0]} output channels",
    )
    values, each = np.zeros(tensor.shape), tensor.shape[0] // groups
    centre = tuple(k // 2 for k in tensor.shape[2:])
    for group in range(groups):
        for c in range(min(each, tensor.shape[1])):
            values[(group * each + c, c, *centre)] = 1.0
    return _fill(tensor, values)
