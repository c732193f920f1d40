"""Active and sparse shift: every channel learns how far it moves.

Jeon, Kim, "Constructing Fast Network through Deconstruction of Convolution", NeurIPS
2018, arXiv 1806.07370 (active shift).
Chen, Xie, Zhang, Pu, "All You Need is a Few Shifts: Designing Efficient Convolutional
Neural Networks for Image Classification", CVPR 2019, arXiv 1903.05285 (sparse shift).

Shift (`minidl.papers.shift`) deals the offsets out once and for all. Here channel c has
two real numbers alpha, beta of its own, and between pixels its value is interpolated:

    y[n, c, i, j] = x[n, c, i + alpha[c], j + beta[c]]

    Z00 ---------- Z01       a = alpha - floor(alpha),  b = beta - floor(beta)
     |   a |        |
     |-b-- y        |        y = (1-a)(1-b) Z00 + a (1-b) Z10 + (1-a) b Z01 + a b Z11
     |              |
    Z10 ---------- Z11       zero outside of the image

    dy/dalpha = (1-b)(Z10 - Z00) + b (Z11 - Z01)
    dy/dbeta  = (1-a)(Z01 - Z00) + a (Z11 - Z10)

Interpolation goes down the columns after it went along the rows: the same sum with half
the products; the gradients above follow by themselves. At whole numbers y has a kink:
there the derivative is that of the side that floor leaves open.

Sparse shift moves by whole pixels, round(alpha) and round(beta), but learns as if it
interpolated; a penalty on abs(alpha) + abs(beta) keeps most channels where they are.

Displacements are pixels, so their gradients are of another size than those of weights.
The authors divide each channel's gradient (alpha, beta) by its length, use a thousandth
of the learning rate, and no weight decay: `normalise` and `parameter_groups`.

Shapes: x, y (N, C, H, W); alpha, beta (C,), in pixels.

Deviations: displacements begin uniformly in [-1, 1).
"""

from .. import backend, nn
from .. import functional as F
from ..errors import ArgumentError, ShapeError
from ..nn import init
from ..nn._arguments import number, whole
from ..nn.linear import empty
from ..tensor import Tensor


def _slide(x, by, axis):
    """Channels moved by real numbers of pixels along "dy" or "dx", interpolated."""
    low = F.floor(by.detach())
    part = (by - low).reshape(1, -1, 1, 1)
    steps = _whole(-low)
    other = {"dx": "dy", "dy": "dx"}[axis]
    near = F.shift(x, **{axis: steps, other: 0})
    far = F.shift(x, **{axis: [n - 1 for n in steps], other: 0})
    return near + part * (far - near)


def _whole(values):
    """Whole numbers, read from the device."""
    return [int(n) for n in backend.asnumpy(values.data)]


def active_shift(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """``y[n, c, i, j] = x[n, c, i + alpha[c], j + beta[c]]``, bilinear, zero outside.

    Shapes: x, y (N, C, H, W); alpha, beta (C,). On a GPU the displacements are read
    back, which waits for it.
    Raises: ShapeError.
    Source: Jeon and Kim 2018, "Active Shift Layer".
    """
    for name, d in (("alpha", alpha), ("beta", beta)):
        if x.ndim != 4 or d.shape != x.shape[1:2]:
            raise ShapeError(
                f"active_shift: {name} must be (C,) for x (N, C, H, W); got {d.shape} "
                f"for {x.shape}"
            )
    return _slide(_slide(x, beta, "dx"), alpha, "dy")


def sparse_shift(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """`active_shift` by rounded displacements, differentiated as if not rounded.

    The gradient by x is that of the whole shift; that by alpha and beta is that of the
    interpolation. This bias is wanted: rounding itself has no gradient.

    Source: Chen et al. 2019, "Quantization-aware shift learning".
    """
    soft = active_shift(x.detach(), alpha, beta)
    dy, dx = (_whole(-F.floor(d.detach() + 0.5)) for d in (alpha, beta))
    # The difference is exactly zero, and carries the gradient.
    return F.shift(x, dy=dy, dx=dx) + (soft - soft.detach())


class ActiveShift2d(nn.Module):
    """A shift whose displacements alpha, beta (pixels) are parameters.

    Shapes: x, y (N, channels, H, W).
    Args: sparse: whole pixels forwards, see `sparse_shift`; reach: displacements begin
    uniformly in [-reach, reach).
    Raises: ArgumentError; ShapeError for other channels.
    """

    def __init__(self, channels: int, sparse: bool = False, reach: float = 1.0):
        super().__init__()
        self.channels = whole("ActiveShift2d", "channels", channels)
        number("ActiveShift2d", "reach", reach, 0, float("inf"))
        self.sparse, self.reach = bool(sparse), reach
        self.alpha = init.uniform_(empty(channels), -reach, reach)
        self.beta = init.uniform_(empty(channels), -reach, reach)

    def forward(self, x: Tensor) -> Tensor:
        move = sparse_shift if self.sparse else active_shift
        return move(x, self.alpha, self.beta)

    def extra_repr(self):
        return f"{self.channels}, sparse={self.sparse}"


def _layers(model):
    return [m for m in model.modules() if isinstance(m, ActiveShift2d)]


def penalty(model: nn.Module, weight: float = 5e-4) -> Tensor:
    """``weight * sum over all shifts of abs(alpha) + abs(beta)``, to add to the loss.

    Raises: ArgumentError for a model without active shifts.
    Source: Chen et al. 2019, "Sparse Shift Layer".
    """
    layers = _layers(model)
    if not layers:
        raise ArgumentError("penalty: model must have an ActiveShift2d; got none")
    return sum(F.abs(d).sum() for m in layers for d in (m.alpha, m.beta)) * weight


def normalise(model: nn.Module) -> None:
    """Divide each channel's gradient (d alpha, d beta) by its length, in place.

    To be called between ``backward`` and the optimiser's step; a zero gradient stays.

    Source: Jeon and Kim 2018.
    """
    for module in _layers(model):
        if module.alpha.grad is not None and module.beta.grad is not None:
            a, b = module.alpha.grad.data, module.beta.grad.data
            length = (a * a + b * b) ** 0.5
            length += length == 0
            a /= length
            b /= length


def parameter_groups(model: nn.Module, lr: float, weight_decay: float = 0.0):
    """Two groups for an optimiser: displacements at ``lr / 1000`` without decay.

    Source: Jeon and Kim 2018.
    """
    moves = [d for m in _layers(model) for d in (m.alpha, m.beta)]
    ours = {id(d) for d in moves}
    rest = [p for p in model.parameters() if id(p) not in ours]
    return [
        {"params": rest, "lr": lr, "weight_decay": weight_decay},
        {"params": moves, "lr": lr * 1e-3, "weight_decay": 0.0},
    ]
