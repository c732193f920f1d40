"""Random features: a kernel as a product of a few random numbers for each point.

Rahimi, Recht, "Random Features for Large-Scale Kernel Machines", NIPS 2007, and
"Weighted Sums of Random Kitchen Sinks", NIPS 2008.
Cho, Saul, "Kernel Methods for Deep Learning", NIPS 2009.

A kernel machine compares every point with every other. But many kernels are means over
random directions w, and a mean over n drawn ones is nearly as good:

    rows    z = W x                      W (n, d), each row drawn from N(0, I / sigma^2)

    paired  [cos z, sin z] / sqrt(n)   2 n features   exp(-|x - y|^2 / (2 sigma^2))
    phased  sqrt(2 / n) cos(z + b)       n features   the same; b uniform in [0, 2 pi)
    arc     sqrt(2 / n) max(z, 0)^k      n features   arc-cosine of order k

    k_k(x, y) = |x|^k |y|^k J_k(t) / pi          t the angle between x and y, sigma 1
    J_0 = pi - t
    J_1 = sin t + (pi - t) cos t
    J_2 = 3 sin t cos t + (pi - t) (1 + 2 cos^2 t)

The product of two points' features is right on average; D features err with variance

    paired  (1 + k(2 v) - 2 k(v)^2) / D          v = x - y
    phased  (1 + k(2 v) / 2 - k(v)^2) / D

What learns on top is linear: least squares in closed form (`KernelRidge`), or a softmax
by SGD, as in the model kitchen-sinks. ReLU and arc-cosine of order 1 are one thing seen
from two sides: a wide layer with random weights is a kernel machine.

Shapes: x (N, d), features (N, n) or (N, 2 n).

Deviations: none in the features. All draws come from minidl's generator and are buffers
of the module, so a checkpoint brings the same features back.
"""

import math

import numpy as np

from .. import functional as F
from .. import nn, random
from ..autograd import no_grad
from ..backend import asnumpy
from ..errors import ArgumentError, MinidlError, ShapeError, unknown_name
from ..nn._arguments import whole
from ..tensor import Tensor
from ..zoo import register_model


def positive(where: str, name: str, value) -> float:
    """``value`` if it is a finite number above 0, such as a kernel's width."""
    real = hasattr(value, "__float__") and not isinstance(value, bool)
    if not real or not 0 < value < math.inf:
        raise ArgumentError(
            f"{where}: {name} must be a finite number > 0; got {value!r}"
        )
    return float(value)


class GaussianRows(nn.Module):
    """``z = W x`` with n fixed random rows: w ~ N(0, I / sigma^2).

    Shapes: x (..., in_features), z (..., n).
    Raises: ArgumentError unless sigma > 0 and both sizes >= 1.
    """

    def __init__(self, in_features: int, n: int, sigma: float = 1.0):
        super().__init__()
        self.in_features = whole("GaussianRows", "in_features", in_features)
        self.n = whole("GaussianRows", "n", n)
        self.sigma = positive("GaussianRows", "sigma", sigma)
        drawn = random.generator().standard_normal((n, in_features)) / self.sigma
        self.register_buffer("weight", Tensor(drawn.astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)

    def extra_repr(self):
        return f"{self.in_features}, {self.n}, sigma={self.sigma:g}"


class Paired(nn.Module):
    """``[cos z, sin z] / sqrt(n)``: features of length 1 exactly.

    Shapes: z (..., n), features (..., 2 n).
    """

    def forward(self, z: Tensor) -> Tensor:
        return F.concatenate([F.cos(z), F.sin(z)], -1) / math.sqrt(z.shape[-1])


class Phased(nn.Module):
    """``sqrt(2 / n) cos(z + b)`` with fixed phases b, uniform in [0, 2 pi).

    Shapes: z, features (..., n).
    Args: scaled: False leaves the factor out. Products are n / 2 kernels then, but a
    linear layer behind learns at the usual rate: its inputs have the usual size.
    """

    def __init__(self, n: int, scaled: bool = True):
        super().__init__()
        self.n = whole("Phased", "n", n)
        self.scale = math.sqrt(2 / n) if scaled else 1.0
        drawn = random.generator().uniform(0, 2 * math.pi, n)
        self.register_buffer("phase", Tensor(drawn.astype(np.float32)))

    def forward(self, z: Tensor) -> Tensor:
        y = F.cos(z + self.phase)
        return y if self.scale == 1 else y * self.scale

    def extra_repr(self):
        return f"{self.n}"


class ArcCosine(nn.Module):
    """``sqrt(2 / n) max(z, 0)^order``; of order 0 a step, which passes no gradient.

    Shapes: z, features (..., n).
    Raises: ArgumentError unless order is 0, 1 or 2.
    """

    def __init__(self, order: int = 1):
        super().__init__()
        if order not in ORDERS:
            raise ArgumentError(f"ArcCosine: order must be 0, 1 or 2; got {order!r}")
        self.order = order

    def forward(self, z: Tensor) -> Tensor:
        y = F.sign(F.relu(z)) if self.order == 0 else F.relu(z)
        scale = math.sqrt(2 / z.shape[-1])
        return (y * y if self.order == 2 else y) * scale

    def extra_repr(self):
        return f"order={self.order}"


FORMS = {"paired": lambda n: Paired(), "phased": Phased, "arc": lambda n: ArcCosine(1)}


def on_rows(rows: nn.Module, form: str) -> nn.Sequential:
    """Features of the ``n`` rows z that a module gives: paired, phased or arc.

    Raises: UnknownNameError for another form.
    """
    if form not in FORMS:
        raise unknown_name("form of features", form, FORMS)
    return nn.Sequential(rows, FORMS[form](rows.n))


def random_features(
    in_features: int, n: int, sigma: float = 1.0, form: str = "paired"
) -> nn.Sequential:
    """n random rows and a nonlinearity: features whose products are nearly a kernel.

    Shapes: x (..., in_features); features (..., 2 n) if paired, else (..., n).
    Raises: ArgumentError, UnknownNameError.
    """
    return on_rows(GaussianRows(in_features, n, sigma), form)


def _points(where, x, y):
    x, y = (np.asarray(asnumpy(a.data if isinstance(a, Tensor) else a)) for a in (x, y))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ShapeError(
            f"{where}: points must be (N, d) and (M, d); got {x.shape} and {y.shape}"
        )
    return x.astype(np.float64), y.astype(np.float64)


def _distances(x, y):
    """Squared distances; rounding must not make them negative."""
    lengths = (x * x).sum(1)[:, None] + (y * y).sum(1)
    return np.maximum(lengths - 2 * x @ y.T, 0)


def rbf_kernel(x, y, sigma: float = 1.0) -> np.ndarray:
    """``exp(-|x - y|^2 / (2 sigma^2))`` of all pairs: (N, M), float64 on the host.

    Shapes: x (N, d), y (M, d); Tensors or arrays.
    """
    sigma = positive("rbf_kernel", "sigma", sigma)
    return np.exp(_distances(*_points("rbf_kernel", x, y)) / (-2 * sigma**2))


ORDERS = {
    0: lambda t: math.pi - t,
    1: lambda t: np.sin(t) + (math.pi - t) * np.cos(t),
    2: lambda t: 3 * np.sin(t) * np.cos(t) + (math.pi - t) * (1 + 2 * np.cos(t) ** 2),
}


def arc_cosine_kernel(x, y, order: int = 1) -> np.ndarray:
    """``|x|^k |y|^k J_k(t) / pi`` of all pairs: (N, M), float64 on the host.

    Angles are known to 1e-8, so of order 0 as much may be missing from k(x, x) = 1.

    Shapes: x (N, d), y (M, d); Tensors or arrays, no row of which is all zeros.
    Source: Cho and Saul 2009, equations 3 to 7.
    """
    if order not in ORDERS:
        raise ArgumentError(
            f"arc_cosine_kernel: order must be 0, 1 or 2; got {order!r}"
        )
    x, y = _points("arc_cosine_kernel", x, y)
    a, b = np.linalg.norm(x, axis=1)[:, None], np.linalg.norm(y, axis=1)
    if not (a.all() and b.all()):
        raise ArgumentError(
            "arc_cosine_kernel: every point must have a direction; got one of zeros"
        )
    angle = np.arccos(np.clip((x / a) @ (y / b[:, None]).T, -1, 1))
    return (a * b) ** order * ORDERS[order](angle) / math.pi


def variance(k, k_of_double, features: int, form: str = "paired"):
    """The variance of one kernel value from so many features.

    k and k_of_double are the kernel at x - y and at twice that.

    Raises: UnknownNameError unless form is "paired" or "phased".
    """
    forms = {
        "paired": lambda: 1 + k_of_double - 2 * k**2,
        "phased": lambda: 1 + k_of_double / 2 - k**2,
    }
    if form not in forms:
        raise unknown_name("form of features", form, forms)
    return forms[form]() / features


def median_distance(x, pairs: int = 1000) -> float:
    """The median distance of points (N, ...), a good first guess of sigma.

    Of so many pairs that minidl's generator draws.

    Raises: ShapeError for fewer than two points.
    """
    x = np.asarray(asnumpy(x.data if isinstance(x, Tensor) else x))
    if x.ndim < 2 or len(x) < 2:
        raise ShapeError(
            f"median_distance: points must be (N, ...), N >= 2; got {x.shape}"
        )
    draw = random.generator().integers
    first = draw(len(x), size=pairs)
    second = (first + draw(1, len(x), size=pairs)) % len(x)
    x = x.reshape(len(x), -1)
    gaps = x[first].astype(np.float64) - x[second]
    return float(np.median(np.linalg.norm(gaps, axis=1)))


class KernelRidge:
    """Least squares on features, in closed form: a kernel machine of fixed size.

    ``w = (P'P + penalty N I)^-1 P'(y - mean y)`` with P the features of the N points,
    and ``predict(x) = mean y + features(x) w``. Classes are learnt as one-hot rows.

    Args: features: a module (N, ...) to (N, D), used as it is, without gradients;
    penalty: > 0, keeps the equations solvable and the weights small.
    """

    def __init__(self, features: nn.Module, penalty: float = 1e-4):
        self.features = features
        self.penalty = positive("KernelRidge", "penalty", penalty)
        self.weight = self.mean = None

    def _map(self, x, batch=1024):
        """Features in float64, batch by batch: what lies between needs memory too."""
        x = x if isinstance(x, Tensor) else Tensor(np.asarray(x))
        with no_grad():
            found = [
                asnumpy(self.features(x[i : i + batch]).data)
                for i in range(0, len(x), batch)
            ]
        return np.concatenate(found).astype(np.float64)

    def fit(self, x, y) -> "KernelRidge":
        """Learn from points (N, ...) and targets (N,) or (N, K); returns itself.

        Raises: ShapeError if the numbers of points and targets differ or are 0.
        """
        y = asnumpy(y.data if isinstance(y, Tensor) else np.asarray(y))
        if len(y) == 0 or len(x) != len(y):
            raise ShapeError(
                f"KernelRidge: fit needs a target for each of {len(x)} points, and one "
                f"at least; got {len(y)}"
            )
        p = self._map(x)
        self.mean = y.mean(axis=0, dtype=np.float64)
        gram = p.T @ p
        gram.flat[:: len(gram) + 1] += self.penalty * len(p)
        self.weight = np.linalg.solve(gram, p.T @ (y - self.mean))
        return self

    def predict(self, x) -> np.ndarray:
        """What was learnt, at points (M, ...): (M,) or (M, K), float64.

        Raises: MinidlError before fit.
        """
        if self.weight is None:
            raise MinidlError("KernelRidge: fit must be called before predict")
        return self.mean + self._map(x) @ self.weight


@register_model("kitchen-sinks", lr=1e-2)
def kitchen_sinks(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """1,024 random cosines of all pixels, fixed, and a trained linear layer."""
    pixels = math.prod(shape)
    rows, cosines = GaussianRows(pixels, 1024, math.sqrt(pixels)), Phased(1024, False)
    return nn.Sequential(nn.Flatten(), rows, cosines, nn.Linear(1024, classes))
