"""The update rules: SGD, RMSprop, Adam and AdamW, in torch's signatures."""

import math

from ..errors import ArgumentError
from ..kernels import optim as kernels
from .optimizer import Optimizer

inf = math.inf


class SGD(Optimizer):
    """``b = momentum b + (1 - dampening) g``; ``p -= lr b``, b starting as the first g.

    With nesterov ``p -= lr (g + momentum b)``; without momentum ``p -= lr g``.
    Weight decay adds ``weight_decay p`` to g.

    Args: lr, momentum, dampening, weight_decay >= 0; nesterov needs momentum > 0 and
    dampening 0.
    Raises: ArgumentError, see `Optimizer`.
    Source: Sutskever et al. 2013, "On the Importance of Initialization and Momentum in
    Deep Learning", equations 1 to 4, with the learning rate outside of b as in torch.
    """

    ranges = dict(lr=inf, momentum=inf, dampening=inf, weight_decay=inf)

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ):
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )

    def check(self, group):
        super().check(group)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ArgumentError(
                "SGD: nesterov needs momentum > 0 and dampening 0; got "
                f"{group['momentum']} and {group['dampening']}"
            )

    def slots(self, group):
        return ("momentum_buffer",) if group["momentum"] else ()

    def update(self, p, g, state, group):
        momentum = group["momentum"]
        buf = state["momentum_buffer"] if momentum else None
        kept = 1.0 if state["step"] == 1 else 1.0 - group["dampening"]
        kernels.sgd(
            p,
            g,
            buf,
            float(group["lr"]),
            float(momentum),
            kept,
            float(group["weight_decay"]),
            float(group["nesterov"]),
        )


class RMSprop(Optimizer):
    """``s = alpha s + (1 - alpha) g^2``; ``p -= lr g / (sqrt(s) + eps)``.

    With centered, s minus the square of g's own average (or 0 if that is negative)
    takes the place of s; with momentum ``b = momentum b + g / (...)``, ``p -= lr b``.
    Weight decay adds ``weight_decay p`` to g.

    Args: lr, eps, weight_decay, momentum >= 0; alpha in [0, 1).
    Raises: ArgumentError, see `Optimizer`.
    Source: Tieleman and Hinton 2012, "Neural Networks for Machine Learning", lecture
    6.5; centered: Graves 2013, "Generating Sequences With Recurrent Neural Networks",
    equations 38 to 41.
    """

    ranges = dict(lr=inf, alpha=1, eps=inf, weight_decay=inf, momentum=inf)

    def __init__(
        self,
        params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
    ):
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )

    def slots(self, group):
        return (
            "square_avg",
            *["grad_avg"] * bool(group["centered"]),
            *["momentum_buffer"] * bool(group["momentum"]),
        )

    def update(self, p, g, state, group):
        mean = state["grad_avg"] if group["centered"] else None
        buf = state["momentum_buffer"] if group["momentum"] else None
        kernels.rmsprop(
            p,
            g,
            state["square_avg"],
            mean,
            buf,
            float(group["lr"]),
            float(group["alpha"]),
            float(group["eps"]),
            float(group["weight_decay"]),
            float(group["momentum"]),
        )


class Adam(Optimizer):
    """``p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)`` after t steps.

    ``m = beta1 m + (1 - beta1) g``, ``v = beta2 v + (1 - beta2) g^2``. Weight decay
    adds ``weight_decay p`` to g.

    Args: lr, eps, weight_decay >= 0; both betas in [0, 1).
    Raises: ArgumentError, see `Optimizer`.
    Source: Kingma and Ba 2015, "Adam", algorithm 1.
    """

    ranges = dict(lr=inf, betas=1, eps=inf, weight_decay=inf)
    decoupled = False

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
    ):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def check(self, group):
        super().check(group)
        if not isinstance(group["betas"], tuple | list) or len(group["betas"]) != 2:
            raise ArgumentError(
                f"{self.name}: betas must be two numbers; got {group['betas']!r}"
            )

    def slots(self, group):
        return ("exp_avg", "exp_avg_sq")

    def update(self, p, g, state, group):
        beta1, beta2 = map(float, group["betas"])
        lr, decay, t = float(group["lr"]), float(group["weight_decay"]), state["step"]
        rate, root = lr / (1.0 - beta1**t), math.sqrt(1.0 - beta2**t)
        in_gradient, shrink = (
            (0.0, 1.0 - lr * decay) if self.decoupled else (decay, 1.0)
        )
        kernels.adam(
            p,
            g,
            state["exp_avg"],
            state["exp_avg_sq"],
            rate,
            root,
            beta1,
            beta2,
            float(group["eps"]),
            in_gradient,
            shrink,
        )


class AdamW(Adam):
    """`Adam` with weight decay outside the gradient: first ``p -= lr weight_decay p``.

    Args: as of `Adam`.
    Raises: ArgumentError, see `Optimizer`.
    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization",
    algorithm 2, the decay scaled by lr as in torch.
    """

    decoupled = True

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ):
        super().__init__(params, lr, betas, eps, weight_decay)
